"""How many requests a server bears: learned from what it refuses, and from how long its answers take."""

from dataclasses import dataclass, field
from statistics import pstdev

_FIRST = 16
_SHORTEST_WINDOW = 32
_TOO_LARGE_A_SHARE = 1 / 3
_SLOW = 1.5
_FADE = 0.02
_EVEN = 12**0.5
"""How often the standard deviation of evenly spread times goes into the time that they take."""
_LEAST_FACTOR = 0.5
_NEXT_STEP = 0.75
_IN_USE = 0.75


@dataclass(slots=True)
class _Window:
    """What was seen since the limit was last judged.

    latencies: those of requests that were sent since the limit was moved last. times: when any answer came.
    `rate` comes from the spread of the times, not from the first and the last: answers to requests that were sent
    together come in bursts, and where a window cuts through one would decide.
    """

    latencies: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    refusals: int = 0
    full: int = 0

    @property
    def seen(self) -> int:
        return len(self.latencies) + self.refusals

    @property
    def median(self) -> float:
        return sorted(self.latencies)[len(self.latencies) // 2]

    @property
    def rate(self) -> float:
        return len(self.times) / max(_EVEN * pstdev(self.times), 1e-9)


@dataclass(frozen=True, slots=True)
class _Before:
    """The limit before it was lowered on trial, with what it gave."""

    value: float
    rate: float
    median: float


class Limit:
    """Moves a limit up while a server answers well, and down when it refuses or queues; from 1 to `most`.

    It is judged by windows of answers. Up, while it is in use and answers take no longer than they did: from 16 on it
    doubles until it first falls, then it grows by its square root a window. Down, once for all requests then under way:
    - by half, when a third of a window is refused or times out. Single refusals change nothing, for many servers refuse
      a small share whatever they bear, and they come at once where answers take their time.
    - by what a queue would explain, when the median latency of two windows is 1.5 times the lowest (as Vegas and
      Gradient2 of Netflix's concurrency-limits do), but on trial. Where the rate of answers falls with the limit there
      was no queue, only longer answers or a slower server: the limit is put back, and its latency is the new measure.
      Where the rate stays, the smaller limit costs nothing and is kept.
    Medians and trials, so that a few long answers move nothing, and many move it for a window or two.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"concurrency is {most}; give 1 or more")
        self._most = float(most)
        self._value = float(min(most, _FIRST))
        self._rising = self._value < self._most
        self._lowest = 0.0
        self._measured = False
        self._before: _Before | None = None
        self._settling = False
        self._slow = False
        self._window = _Window()
        self.epoch = 0

    @property
    def value(self) -> int:
        """How many requests may be under way now: 1 or more."""
        return int(self._value)

    def served(self, epoch: int, seconds: float, now: float, taken: int) -> None:
        """Notes an answer: how long it took, when it came, and how many requests were under way with it.

        epoch: that of the limit when the request was sent; a request from before a fall says nothing of it.
        """
        window = self._window
        if epoch != self.epoch:
            if window.times:
                window.times.append(now)
            return
        window.times.append(now)
        window.latencies.append(seconds)
        window.full += taken >= self.value
        if self._settling and window.seen >= self.value:
            self._settling, self._window = False, _Window()
        elif window.seen >= (self.value if self._rising else 2 * max(_SHORTEST_WINDOW, self.value)):
            self._judge(window)

    def refused(self, epoch: int) -> bool:
        """Notes a refusal or a request that timed out; tells whether the limit fell by it."""
        if epoch != self.epoch:
            return False
        window = self._window
        window.refusals += 1
        size = max(_SHORTEST_WINDOW, self.value)
        too_many = window.refusals >= size * _TOO_LARGE_A_SHARE
        if too_many:
            self._move(self._value / 2)
            self._rising, self._before = False, None
        elif window.seen > size:
            self._window = _Window()
        return too_many

    def recovered(self) -> None:
        """Lets the limit rise as at the beginning, for a server that was away and is back."""
        self._rising = True
        self._window = _Window()

    def _judge(self, window: _Window) -> None:
        """Ends a window."""
        self._window = _Window()
        before, self._before = self._before, None
        if window.full < _IN_USE * len(window.latencies):
            # Too few calls to tell a queue from an idle server.
            self._value = before.value if before else self._value
        elif before is None:
            self._watch(window)
        elif window.rate < before.rate * (1 + self._value / before.value) / 2:
            self._value, self._lowest, self._measured = before.value, before.median, True
        else:
            self._rising = False
            self._lowest = min(self._lowest, window.median)
            if not self._measured:
                # The lowest latency may itself be that of a queue: goes on down until the rate falls.
                step = _Before(self._value, max(before.rate, window.rate), window.median)
                self._lower_on_trial(step, _NEXT_STEP)

    def _watch(self, window: _Window) -> None:
        """Grows while answers take no longer than they did; else lowers the limit on trial."""
        lowest = self._lowest or window.median
        self._lowest = min(lowest + _FADE * (window.median - lowest), window.median)
        again, self._slow = self._slow or self._rising, window.median > _SLOW * self._lowest
        if self._slow and again:
            self._lower_on_trial(_Before(self._value, window.rate, window.median), self._lowest / window.median)
        elif not self._slow:
            grown = self._value + (self._value if self._rising else self._value**0.5)
            self._move(min(self._most, grown))
            self._rising = self._rising and self._value < self._most

    def _lower_on_trial(self, before: _Before, factor: float) -> None:
        if self._value >= 2:
            self._before, self._settling, self._slow = before, True, False
            self._move(self._value * max(factor, _LEAST_FACTOR))

    def _move(self, value: float) -> None:
        if int(value) != self.value:
            self.epoch += 1
        self._value = max(1.0, value)
        self._window = _Window()
