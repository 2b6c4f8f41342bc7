"""Training whose program fails, everything else is real."""

from collections.abc import Awaitable, Callable, Iterable

from cultivar_launchers import Event, FakeLauncher, Program
from cultivar_service.parts import Parts, Service
from cultivar_training.__main__ import build

MODULE = "cultivar_training.program"


def crash(program: Program) -> Iterable[Event | str]:
    """A program that finds something wrong at once."""
    yield "a line of the log"
    raise ValueError("the rows make no sense")


def scripted(script: Callable[[Program], Iterable[Event | str]]) -> Callable[[Parts], Awaitable[Service]]:
    """Builds the training service on a launcher that runs a script."""

    async def build_scripted(parts: Parts) -> Service:
        parts.launcher = FakeLauncher({MODULE: script})
        return await build(parts)

    return build_scripted
