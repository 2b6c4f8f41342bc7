"""Runs one program as a guarded child process and follows it."""

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from cultivar_launchers.errors import LaunchFailed
from cultivar_launchers.feed import EventFeed
from cultivar_launchers.lines import read_lines
from cultivar_launchers.ownership import processes_folder
from cultivar_launchers.protocol import Event, Outcome, Program

_GUARD = Path(__file__).with_name("guard.py")
_DRAIN_SECONDS = 2.0


async def start_child(program: Program, data_dir: Path, environment: Mapping[str, str]) -> "ChildJob":
    """Starts `python -m module SPEC_FILE` in exactly this environment; raises LaunchFailed."""
    spec_file = _write_spec(program, data_dir)
    command = [sys.executable, "-P", str(_GUARD), "--owner", str(os.getpid()), "--name", program.name]
    command += ["--records", str(processes_folder(data_dir)), "--", sys.executable, "-m", program.module]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            str(spec_file),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except BaseException as error:
        spec_file.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise LaunchFailed(f"no process could be started for {program.name}: {error.strerror}") from error
    return ChildJob(program, process, spec_file)


def _write_spec(program: Program, data_dir: Path) -> Path:
    path = processes_folder(data_dir).resolve() / f"{secrets.token_hex(16)}.spec"
    path.touch(mode=0o600)
    path.write_text(json.dumps(dict(program.spec)))
    return path


class ChildJob:
    """Follows a guarded child process; it is a `Job`."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, spec_file: Path) -> None:
        self._program = program
        self._process = process
        self._spec_file = spec_file
        self._feed = EventFeed()
        self._reason: str | None = None
        self._outcome = asyncio.create_task(self._follow())

    @property
    def name(self) -> str:
        """The program's name."""
        return self._program.name

    @property
    def attempt(self) -> int:
        """The program's attempt."""
        return self._program.attempt

    @property
    def ended(self) -> bool:
        """Whether the outcome is known."""
        return self._outcome.done()

    @property
    def pid(self) -> int:
        """The pid of the guard, which is the program's parent."""
        return self._process.pid

    def events(self) -> AsyncIterator[Event]:
        """Yields every event from the first on, until the program has ended."""
        return self._feed.read()

    async def wait(self) -> Outcome:
        """Returns how the program ended; a caller that is cancelled leaves the program running."""
        return await asyncio.shield(self._outcome)

    async def stop(self, grace: float) -> None:
        """Asks the program to end, and ends it with all its descendants after `grace` seconds."""
        self._reason = self._reason or "the program was stopped"
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self.wait()
        except TimeoutError:
            await self.end(self._reason)

    async def end(self, reason: str) -> None:
        """Ends the program and all its descendants now; `reason` becomes the outcome's error."""
        self.kill(reason)
        await self.wait()

    def kill(self, reason: str) -> None:
        """Begins what `end` does, without waiting."""
        self._reason = self._reason or reason
        self._signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def _follow(self) -> Outcome:
        assert self._process.stdout and self._process.stderr
        reading = asyncio.gather(self._read(self._process.stdout, True), self._read(self._process.stderr, False))
        code = await self._process.wait()
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await reading
        except TimeoutError:
            self._feed.add_line("the program's output stayed open after its end; the rest of it was not read")
        self._spec_file.unlink(missing_ok=True)
        self._feed.close()
        return self._feed.outcome(code if code >= 0 else 128 - code, self._reason)

    async def _read(self, stream: asyncio.StreamReader, has_events: bool) -> None:
        async for line in read_lines(stream):
            if has_events:
                self._feed.add_line(line)
            else:
                self._feed.add_log(line)
