"""Training whose program is a script: nothing is learned, everything else is real."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from cultivar_launchers import Event, FakeLauncher, Program
from cultivar_service.parts import Parts, Service
from cultivar_training.__main__ import build
from cultivar_training.plan import ADAPTER_FILES

MODULE = "cultivar_training.program"


def steps(program: Program) -> Iterable[Event | str]:
    """What a program says that trains; it writes an adapter of its own."""
    folder = Path(program.spec["folder"])
    measures = {"loss": 0.5, "validation_loss": 0.6, "tokens_per_second": 900.0}
    yield Event("progress", {"stage": "training", "done": 1200, "total": 1200, "unit": "tokens", "measures": measures})
    adapter = folder / f"attempt-{program.attempt:05d}"
    adapter.mkdir()
    for name in ADAPTER_FILES:
        (adapter / name).write_text(f"{name} of {program.name}")
    yield Event("result", {"folder": str(adapter), "trained": 5, "too_long": 0, "measures": measures})


def crash(program: Program) -> Iterable[Event | str]:
    """A program that finds something wrong at once."""
    yield "a line of the log"
    raise ValueError("the rows make no sense")


def scripted(script: Callable[[Program], Iterable[Event | str]] = steps) -> Callable[[Parts], Awaitable[Service]]:
    """Builds the training service on a launcher that runs a script."""

    async def build_scripted(parts: Parts) -> Service:
        parts.launcher = FakeLauncher({MODULE: script})
        return await build(parts)

    return build_scripted
