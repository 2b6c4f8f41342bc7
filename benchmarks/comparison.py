"""What a comparison is: two or more sides that do the same work, measured in turns within one run."""

import json
import os
import platform
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Sample:
    """One measurement: how many units were done, the seconds that took, and the processor seconds it cost."""

    units: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.units / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time for one unit."""
        return 1000 * self.cpu_seconds / self.units


Side = Callable[[int], Awaitable[Sample]]
"""Does the work once; the number of the repetition lets it take other inputs each time."""


@dataclass(frozen=True)
class Comparison:
    """A comparison: what is counted, which side is ours, and how the sides are set up."""

    name: str
    question: str
    unit: str
    ours: str
    sides: Callable[[], AbstractAsyncContextManager[Mapping[str, Side]]]


async def measure(comparison: Comparison, repeats: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs the sides in turns, so that all meet the same state of the machine; returns what results.json keeps."""
    async with comparison.sides() as sides:
        samples: dict[str, list[Sample]] = {name: [] for name in sides}
        for repeat in range(repeats):
            for name, side in sides.items():
                sample = await side(repeat)
                samples[name].append(sample)
                say(f"{comparison.name}: {name}: {sample.rate:,.0f} {comparison.unit}/s")
    ours = samples[comparison.ours]
    return {
        "question": comparison.question,
        "unit": comparison.unit,
        "ours": comparison.ours,
        "sides": {
            name: {
                "rate": spread([sample.rate for sample in done]),
                "cpu_ms": spread([sample.cpu_ms for sample in done]),
                # Turn by turn, so that what slows the machine for a while slows both.
                "ratio": spread([mine.rate / sample.rate for mine, sample in zip(ours, done, strict=True)]),
                "cpu_ratio": spread([sample.cpu_ms / mine.cpu_ms for mine, sample in zip(ours, done, strict=True)]),
            }
            for name, done in samples.items()
        },
    }


def spread(values: list[float]) -> dict[str, float]:
    """Returns the median, the least and the greatest, with three digits."""
    return {
        "median": three_digits(statistics.median(values)),
        "least": three_digits(min(values)),
        "greatest": three_digits(max(values)),
    }


def three_digits(value: float) -> float:
    """Rounds to three significant digits."""
    return float(f"{value:.3g}")


def machine() -> dict[str, Any]:
    """Describes the machine, and how busy it was before the run."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def read_results() -> dict[str, Any]:
    """Reads results.json; empty before the first run."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


class Stopwatch:
    """Counts the seconds and the processor seconds of some processes from its making on."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._began, self._cpu_began = time.perf_counter(), self._cpu()

    def sample(self, units: int) -> Sample:
        """Returns what was counted."""
        return Sample(units, time.perf_counter() - self._began, self._cpu() - self._cpu_began)

    def _cpu(self) -> float:
        if not self._pids:
            return time.process_time()
        import psutil

        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in self._pids)
