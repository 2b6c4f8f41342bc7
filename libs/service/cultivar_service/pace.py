"""How fast a run goes, and how long that leaves."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

WINDOW_SECONDS = 30.0


class Pace:
    """The units that a run finished over the last half minute, of one stage: what came before says nothing of it."""

    def __init__(self) -> None:
        self._stage = ""
        self._seen: deque[tuple[float, int]] = deque()

    def told(self, progress: Mapping[str, Any]) -> dict[str, float]:
        """Notes the progress of this moment; returns the rate in units a second, and the seconds left or -1."""
        now, done = time.monotonic(), int(progress.get("done", 0))
        stage = str(progress.get("stage", ""))
        if stage != self._stage or (self._seen and done < self._seen[-1][1]):
            self._stage = stage
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > WINDOW_SECONDS:
            self._seen.popleft()
        began, first = self._seen[0]
        rate = (done - first) / (now - began) if now > began else 0.0
        left = int(progress.get("total", 0)) - done
        return {"rate": rate, "seconds_left": max(0, left) / rate if rate and progress.get("total") else -1.0}
