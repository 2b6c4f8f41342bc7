"""What the limit makes of servers that queue, slow down or refuse, and of answers of all lengths; in virtual time."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest
from cultivar_models.slots import Slots

Server = Callable[[Random], Coroutine[Any, Any, bool]]
"""Takes a request and comes back when it is answered (True) or refused (False)."""
MOST = 64


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer when nothing else is to be done."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class Sim:
    """Calls without end against a server, until a time; counts the answers, and notes the limit."""

    def __init__(self, server: Server, most: int = MOST, pause_s: float = 1.0, seed: int = 1) -> None:
        self.slots = Slots(most)
        self.answers: list[float] = []
        self.limits: list[tuple[float, int]] = []
        self._server = server
        self._pause_s = pause_s
        self._random = Random(seed)

    async def _calls(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            again = False
            while True:
                epoch = await self.slots.take(again)
                sent = loop.time()
                good = await self._server(self._random)
                if good:
                    self.slots.served(epoch, loop.time() - sent)
                else:
                    self.slots.refused(epoch)
                self.slots.give_back()
                if good:
                    break
                again = True
                await asyncio.sleep(self._pause_s)
            self.answers.append(loop.time())
            self.limits.append((loop.time(), self.slots.limit))

    def run(self, until: float, callers: int = 4 * MOST) -> "Sim":
        """Lets so many callers, each with call after call, go on until a time."""

        async def play() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(callers):
                    group.create_task(self._calls(until))

        with asyncio.Runner(loop_factory=VirtualTime) as runner:
            runner.run(play())
        return self

    def rate(self, start: float, end: float) -> float:
        """Returns the answers a second between two times."""
        return sum(start <= at < end for at in self.answers) / (end - start)

    def median_limit(self, start: float, end: float) -> int:
        """Returns the median of the limit between two times."""
        seen = sorted(limit for at, limit in self.limits if start <= at < end)
        return seen[len(seen) // 2]


def queueing(capacity: Callable[[float], int], service_s: Callable[[Random], float]) -> Server:
    """Returns a server that works on some requests at a time and lets the others wait."""
    busy = 0
    queue: deque[asyncio.Future[None]] = deque()

    def let_in() -> None:
        nonlocal busy
        while queue and busy < capacity(asyncio.get_running_loop().time()):
            busy += 1
            queue.popleft().set_result(None)

    async def serve(random: Random) -> bool:
        nonlocal busy
        queue.append(asyncio.get_running_loop().create_future())
        mine = queue[-1]
        let_in()
        await mine
        await asyncio.sleep(service_s(random))
        busy -= 1
        let_in()
        return True

    return serve


def fixed(random: Random) -> float:
    return 0.05


def mixed(random: Random) -> float:
    """Most answers are short, some ten times as long."""
    return random.choice((0.03, 0.03, 0.04, 0.05, 0.05, 0.06, 0.08, 0.1, 0.3, 0.5))


@pytest.mark.parametrize("service_s", [fixed, mixed])
@pytest.mark.parametrize("capacity", [2, 4, 12, 24, 40])
def test_the_limit_comes_near_what_the_server_bears_and_costs_it_less_than_a_tenth(
    capacity: int, service_s: Callable[[Random], float]
) -> None:
    mean = sum(service_s(Random(n)) for n in range(1000)) / 1000
    until = 8000 * mean / capacity
    sim = Sim(queueing(lambda now: capacity, service_s)).run(until)
    best = capacity / mean
    assert sim.rate(until / 4, until) >= 0.9 * best
    assert 0.75 * capacity <= sim.median_limit(until / 4, until) <= 2 * capacity + 4


@pytest.mark.parametrize("service_s", [fixed, mixed])
def test_a_server_without_a_bound_of_its_own_gets_all_that_is_allowed(service_s: Callable[[Random], float]) -> None:
    mean = sum(service_s(Random(n)) for n in range(1000)) / 1000
    sim = Sim(queueing(lambda now: 10_000, service_s)).run(10)
    assert sim.rate(0, 10) >= 0.95 * MOST / mean


def test_random_refusals_do_not_make_it_slower_than_calls_that_know_no_limit() -> None:
    async def refusing(random: Random) -> bool:
        if random.random() < 0.05:
            return False
        await asyncio.sleep(0.05)
        return True

    sim = Sim(refusing).run(10)
    # Each of 64 workers of a bare loop waits itself for what is refused.
    bare = MOST / (0.05 + 0.05 / 0.95 * 1.0)
    assert sim.rate(0, 10) >= bare
    assert sim.median_limit(0, 10) == MOST


def test_a_server_that_becomes_slower_keeps_its_limit_and_is_fast_again_afterwards() -> None:
    def service_s(random: Random) -> float:
        return 0.2 if 10 <= asyncio.get_running_loop().time() < 20 else 0.05

    sim = Sim(queueing(lambda now: 10_000, service_s)).run(30)
    assert sim.rate(10.2, 20) >= 0.85 * MOST / 0.2
    assert sim.rate(21, 30) >= 0.95 * MOST / 0.05


def test_a_server_that_loses_half_of_its_workers_for_a_while_gets_them_used_again() -> None:
    sim = Sim(queueing(lambda now: 12 if 20 <= now < 60 else 48, fixed)).run(100)
    assert sim.rate(22, 60) >= 0.9 * 12 / 0.05
    assert sim.median_limit(30, 60) <= 28
    assert sim.rate(65, 100) >= 0.9 * 48 / 0.05
