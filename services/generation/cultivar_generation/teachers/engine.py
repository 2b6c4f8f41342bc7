"""One thread that computes: it gives each lane one short step in turn, so that no kind of work holds up another."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from cultivar_generation.teachers.errors import Overloaded
from cultivar_generation.teachers.work import Work

T = TypeVar("T")
LaneKey = tuple[str, str | None]
"""The kind of work (`generate`, `score`, `embed`) and the adapter it is for, None for the base model."""

_log = logging.getLogger(__name__)


class Lane(Protocol):
    """Work of one kind for one model or adapter; only the engine's thread calls it."""

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""

    def add(self, work: Any) -> None:
        """Takes a piece of work."""

    def step(self) -> None:
        """Does a little of the work; a failure may leave the lane in any state."""

    def fail(self, error: BaseException) -> None:
        """Fails everything under way, and leaves the lane empty."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds what is accepted and not finished: pieces of work, and their tokens to read and write."""

    pieces: int = 2_048
    tokens: int = 2_000_000


class Engine:
    """Runs lanes in a thread of its own.

    make_lane: makes the lane of a key when it is first needed. activate: makes the model compute with an adapter.
    """

    def __init__(
        self,
        make_lane: Callable[[LaneKey], Lane],
        activate: Callable[[str | None], None],
        limits: QueueLimits = QueueLimits(),
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._make_lane = make_lane
        self._activate = activate
        self._limits = limits
        self._begin = begin
        self._lanes: dict[LaneKey, Lane] = {}
        self._arrived: deque[tuple[LaneKey, Work[Any]]] = deque()
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._pieces = 0
        self._tokens = 0
        self._pace = _Pace()
        self._thread = threading.Thread(target=self._run, name="teachers-engine", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ends the thread after its current step; what is under way fails."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def submit(self, key: LaneKey, work: Work[T]) -> "Future[T]":
        """Queues a piece of work; raises `Overloaded`, with the seconds to wait, when too much is queued."""
        weight = work.weight
        with self._wake:
            full = self._pieces >= self._limits.pieces or self._tokens + weight > self._limits.tokens
            if self._stopping or (full and self._pieces > 0):
                raise Overloaded(self._pace.seconds_for(self._tokens))
            self._pieces += 1
            self._tokens += weight
            self._arrived.append((key, work))
            self._wake.notify()
        work.future.add_done_callback(lambda _: self._finished(weight))
        return work.future

    def call(self, action: Callable[[], T]) -> "Future[T]":
        """Runs something between two steps, such as loading an adapter."""
        future: Future[T] = Future()
        with self._wake:
            if self._stopping:
                future.set_exception(Overloaded(1))
                return future
            self._calls.append((action, future))
            self._wake.notify()
        return future

    def forget(self, adapter: str) -> None:
        """Drops the lanes of an adapter that nobody uses any more; only for use inside `call`."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if key[1] != adapter}

    def _finished(self, weight: int) -> None:
        with self._wake:
            self._pieces -= 1
            self._tokens -= weight
            self._pace.count(weight)

    def _run(self) -> None:
        self._begin()
        # What came before the stop is taken in once more, so that it is failed and not forgotten.
        while self._take_in():
            for key, lane in list(self._lanes.items()):
                if lane.busy:
                    self._step(key, lane)
        for lane in self._lanes.values():
            lane.fail(Overloaded(1))

    def _take_in(self) -> bool:
        """Hands what has arrived to the lanes, after waiting for it if there is nothing else to do."""
        with self._wake:
            while not (self._stopping or self._arrived or self._calls or self._any_busy()):
                self._pace.pause()
                self._wake.wait()
            self._pace.go_on()
            arrived, self._arrived = self._arrived, deque()
            calls, self._calls = self._calls, deque()
        for action, future in calls:
            _carry_out(action, future)
        for key, work in arrived:
            self._hand_over(key, work)
        return not self._stopping

    def _hand_over(self, key: LaneKey, work: Work[Any]) -> None:
        try:
            if key not in self._lanes:
                self._lanes[key] = self._make_lane(key)
            self._lanes[key].add(work)
        except Exception as error:
            work.fail(error)

    def _any_busy(self) -> bool:
        return any(lane.busy for lane in self._lanes.values())

    def _step(self, key: LaneKey, lane: Lane) -> None:
        try:
            self._activate(key[1])
            lane.step()
        except Exception as error:
            # The texts of requests may be in the error: only its kind is logged.
            _log.error("a step of %s work failed with %s; its requests fail", key[0], type(error).__name__)
            lane.fail(error)


class _Pace:
    """Measures how many tokens a second are dealt with while there is work."""

    def __init__(self) -> None:
        self._tokens = 0
        self._seconds = 0.0
        self._since: float | None = None

    def go_on(self) -> None:
        """Notes that there is work."""
        self._since = time.monotonic() if self._since is None else self._since

    def pause(self) -> None:
        """Notes that there is none."""
        if self._since is not None:
            self._seconds += time.monotonic() - self._since
            self._since = None

    def count(self, tokens: int) -> None:
        """Counts tokens of finished work."""
        self._tokens += tokens

    def seconds_for(self, tokens: int) -> int:
        """Guesses how long half of some tokens take: 1 to 60 seconds, 5 before anything was measured."""
        busy = self._seconds + (time.monotonic() - self._since if self._since is not None else 0.0)
        if busy <= 0 or self._tokens == 0:
            return 5
        return min(60, max(1, round(tokens / 2 * busy / self._tokens)))


def _carry_out(action: Callable[[], Any], future: "Future[Any]") -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(action())
    except Exception as error:
        future.set_exception(error)
