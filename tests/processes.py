"""`cultivar up` as a process of its own, to be killed and started again."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from cultivar.connection import ENDPOINT_FILE, Connection, find_connection


class Server:
    """A `cultivar up` on one data folder."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        self.data_dir = data_dir
        self.flags = flags
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> Connection:
        """Starts it and waits until it answers."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        (self.data_dir / ENDPOINT_FILE).unlink(missing_ok=True)
        ports = ("--port", "0", "--metrics-port", "0", "--console-port", "0")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "cultivar_standalone", "--data-dir", str(self.data_dir), *ports, *self.flags),
            stderr=(self.data_dir / "up.log").open("ab"),
            env={**os.environ, "CULTIVAR_LEASE_SECONDS": "2"},
        )
        async with asyncio.timeout(60):
            while not (self.data_dir / ENDPOINT_FILE).exists():
                if self.process.returncode is not None:
                    raise AssertionError((self.data_dir / "up.log").read_text()[-3000:])
                await asyncio.sleep(0.1)
        return find_connection(self.data_dir)

    async def kill(self) -> None:
        """Kills it as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Asks it to end, and returns its status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 30)
