"""Keeps what a program said, for any number of readers."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from cultivar_launchers.protocol import ERROR, RESULT, Event, Outcome

HISTORY = 2048
LOG_LINES = 200
LOG_LINE_LENGTH = 2000


def parse_event(line: str) -> Event | None:
    """Reads one line of output: an event is a JSON object with a string under `event`; else None, a log line."""
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(kind := value.pop("event", None), str):
        return None
    return Event(kind, value)


class EventFeed:
    """Holds the last events and log lines of one program, in bounded memory."""

    def __init__(self, history: int = HISTORY) -> None:
        self._events: deque[Event] = deque(maxlen=history)
        self._seen = 0
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._closed = False
        self._changed = asyncio.Event()
        self._result: Mapping[str, Any] | None = None
        self._error: str | None = None

    def add_line(self, line: str) -> None:
        """Takes one line of output, an event or a log line."""
        if event := parse_event(line):
            self.add(event)
        else:
            self.add_log(line)

    def add_log(self, line: str) -> None:
        """Takes one log line; empty ones are dropped and long ones cut."""
        if line.strip():
            self._log.append(line[:LOG_LINE_LENGTH])

    def add(self, event: Event) -> None:
        """Takes one event and wakes the readers; the last result and error are kept beside the history."""
        if event.kind == RESULT:
            self._result = event.fields
        elif event.kind == ERROR:
            self._error = str(event.fields.get("message", "the program reported an error without a message"))
        self._events.append(event)
        self._seen += 1
        self._wake()

    def close(self) -> None:
        """Ends all readers once they have read what is there."""
        self._closed = True
        self._wake()

    async def read(self) -> AsyncIterator[Event]:
        """Yields from the oldest kept event until the feed is closed."""
        position = 0
        while True:
            changed = self._changed
            oldest = self._seen - len(self._events)
            position = max(position, oldest)
            if position < self._seen:
                event = self._events[position - oldest]
                position += 1
                yield event
            elif self._closed:
                return
            else:
                await changed.wait()

    def outcome(self, exit_code: int, reason: str | None) -> Outcome:
        """Returns the outcome of a program that ended with `exit_code`; `reason` says why it was ended, if it was."""
        error = reason
        if error is None and exit_code != 0:
            error = self._error or _exit_words(exit_code)
        return Outcome(exit_code, self._result, error, tuple(self._log))

    def _wake(self) -> None:
        # A fresh flag for each change: nobody has to clear it, so no reader can miss one.
        self._changed.set()
        self._changed = asyncio.Event()


def _exit_words(exit_code: int) -> str:
    how = f"was ended by signal {exit_code - 128}" if exit_code > 128 else f"ended with exit code {exit_code}"
    return f"the program {how}; see the end of its log"
