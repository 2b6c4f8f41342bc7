"""What the fake teacher counts."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Stats:
    """Counts the requests for answers, as one who bills them would.

    calls_per_body, answers_per_body: by the digest of path and body, tries and good answers. A body answered twice is
    an answer paid for twice.
    """

    in_flight: int = 0
    peak_in_flight: int = 0
    paths: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    calls_per_body: Counter[str] = field(default_factory=Counter)
    answers_per_body: Counter[str] = field(default_factory=Counter)

    def begin(self, path: str, digest: str) -> int:
        """Notes a request and returns which try of its body it is, from 1."""
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self.paths[path] += 1
        self.calls_per_body[digest] += 1
        return self.calls_per_body[digest]

    def end(self, digest: str, outcome: str) -> None:
        """Notes how a request ended: `answered`, or the name of a fault."""
        self.in_flight -= 1
        self.outcomes[outcome] += 1
        if outcome == "answered":
            self.answers_per_body[digest] += 1

    def clear(self) -> None:
        """Sets all counters to 0, but for the requests under way."""
        self.peak_in_flight = self.in_flight
        for counter in (self.paths, self.outcomes, self.calls_per_body, self.answers_per_body):
            counter.clear()

    @property
    def calls(self) -> int:
        """All requests for answers."""
        return sum(self.paths.values())

    @property
    def answered_twice(self) -> int:
        """How many good answers were given for a body that had one already."""
        return sum(self.answers_per_body.values()) - len(self.answers_per_body)

    def to_json(self, bodies: bool = True) -> dict[str, Any]:
        """Returns all counters as plain JSON; `bodies` adds the calls of each distinct body."""
        counts: dict[str, Any] = {
            "calls": self.calls,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "paths": dict(self.paths),
            "outcomes": dict(self.outcomes),
            "distinct_bodies": len(self.calls_per_body),
            "answered_twice": self.answered_twice,
        }
        if bodies:
            counts["calls_per_body"] = dict(self.calls_per_body)
        return counts
