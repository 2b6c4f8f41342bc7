"""How workers tell the driver what they are at: lines of JSON in a file that the first worker alone writes."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.1


class EventFile:
    """Appends events to a file; a quiet one, for all workers but the first, appends nothing."""

    def __init__(self, path: Path, quiet: bool = False) -> None:
        self._path = path
        self._quiet = quiet

    def tell(self, kind: str, **fields: Any) -> None:
        """Appends one event."""
        if self._quiet:
            return
        with self._path.open("a") as file:
            file.write(json.dumps({"event": kind, **fields}, separators=(",", ":")) + "\n")


class Follower:
    """Reads the events of a file in a thread, each as soon as its line is whole."""

    def __init__(self, path: Path, tell: Callable[..., None]) -> None:
        self._path = path
        self._tell = tell
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.told: dict[str, dict[str, Any]] = {}
        """The last event of each kind."""

    def start(self) -> None:
        """Begins to read; the file may come later."""
        self._thread.start()

    def stop(self) -> None:
        """Reads what is still there and ends."""
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        position = 0
        while True:
            last = self._ended.is_set()
            position = self._read(position)
            if last:
                return
            time.sleep(_LOOK_SECONDS)

    def _read(self, position: int) -> int:
        if not self._path.exists():
            return position
        with self._path.open("rb") as file:
            file.seek(position)
            while (line := file.readline()).endswith(b"\n"):
                position += len(line)
                event = json.loads(line)
                kind = event.pop("event")
                self.told[kind] = event
                self._tell(kind, **event)
        return position
