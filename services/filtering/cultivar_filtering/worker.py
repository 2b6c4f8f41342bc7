"""The worker process: heavy work runs there, so that calls and leases of this process are answered meanwhile."""

import asyncio
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from cultivar_service.errors import Unavailable

NICENESS = 5
"""How far the worker stands back where the cores are short: a person waits for calls, not for filters."""

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Worker:
    """One process for the service, made at its first use and again after it died."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder for files of running work; it is removed when the worker ends, and when this process dies."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="cultivar-filtering-"))
        return self._folder

    async def call(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
        """Runs a function of a module in the worker; raises Unavailable where the worker dies of it."""
        pool = self._pool or self._start()
        try:
            return await asyncio.wrap_future(pool.submit(function, *given, **named))
        except BrokenProcessPool as error:
            if self._pool is pool:
                self._pool = None
            raise Unavailable(
                "the worker process of filtering ended, perhaps for lack of memory; a new one is started"
            ) from error

    def post(self, function: Callable[..., Any], *given: Any) -> None:
        """Lets the worker run a function when it comes to it; nobody learns what came of it."""
        if self._pool is not None:
            with suppress(BrokenProcessPool, RuntimeError):
                self._pool.submit(function, *given).add_done_callback(Future.exception)

    async def close(self) -> None:
        """Ends the worker after the function that it runs now, and removes its folder."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _start(self) -> ProcessPoolExecutor:
        # A forked child would hold locks of threads that it does not have: gRPC's, for one.
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=prepare, initargs=(self.folder,))
        return self._pool


def prepare(folder: Path) -> None:
    """Makes a process a worker: it stands back, leaves Ctrl-C to its parent, and ends when the parent does."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, args=(folder,), daemon=True).start()


def end_with_parent(folder: Path) -> None:
    """Waits until the parent process has died, then removes the folder and ends this process at once."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)
