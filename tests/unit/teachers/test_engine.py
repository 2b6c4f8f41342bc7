import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cultivar_generation.teachers.engine import Engine, LaneKey, QueueLimits
from cultivar_generation.teachers.errors import Overloaded
from cultivar_generation.teachers.work import ScoreWork, Work

PATIENCE = 5.0


class EchoLane:
    """Finishes one piece of work a step; holds while its gate is closed."""

    def __init__(self, gate: threading.Event, log: list[str], name: str) -> None:
        self.works: list[Work[Any]] = []
        self._gate = gate
        self._log = log
        self._name = name

    @property
    def busy(self) -> bool:
        return bool(self.works)

    def add(self, work: Work[Any]) -> None:
        self.works.append(work)

    def step(self) -> None:
        self._gate.wait(PATIENCE)
        self._log.append(self._name)
        work = self.works.pop(0)
        if isinstance(work, ScoreWork) and work.prompts == [(666,)]:
            self.works.insert(0, work)
            raise ValueError("the text of the request")
        work.finish(self._name)

    def fail(self, error: BaseException) -> None:
        for work in self.works:
            work.fail(error)
        self.works = []


class Fixture:
    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.log: list[str] = []
        self.active: list[str | None] = []
        self.engine = Engine(self.lane, self.active.append, QueueLimits(pieces=4, tokens=100))

    def lane(self, key: LaneKey) -> EchoLane:
        if key[0] == "broken":
            raise RuntimeError("no such lane")
        return EchoLane(self.gate, self.log, f"{key[0]}/{key[1]}")

    def submit(self, kind: str = "score", adapter: str | None = None, token: int = 1, size: int = 1) -> Any:
        return self.engine.submit((kind, adapter), ScoreWork([(token,) * size]))


@pytest.fixture
def running() -> Iterator[Fixture]:
    fixture = Fixture()
    fixture.engine.start()
    yield fixture
    fixture.gate.set()
    fixture.engine.stop()


def test_work_is_done_by_the_lane_of_its_kind_and_adapter(running: Fixture) -> None:
    found = [running.submit("score"), running.submit("generate", "p/a"), running.submit("embed")]
    assert [future.result(PATIENCE) for future in found] == ["score/None", "generate/p/a", "embed/None"]


def test_every_lane_gets_a_step_in_turn(running: Fixture) -> None:
    running.gate.clear()
    futures = [running.submit("score") for _ in range(2)] + [running.submit("embed") for _ in range(2)]
    running.gate.set()
    for future in futures:
        future.result(PATIENCE)
    assert running.log[1:3] in (["embed/None", "score/None"], ["score/None", "embed/None"])


def test_the_adapter_of_a_lane_is_active_in_its_steps(running: Fixture) -> None:
    running.submit("score", "p/a").result(PATIENCE)
    running.submit("score").result(PATIENCE)
    assert running.active[-2:] == ["p/a", None]


def test_too_many_pieces_are_refused_with_a_time_to_come_back(running: Fixture) -> None:
    running.gate.clear()
    futures = [running.submit() for _ in range(4)]
    with pytest.raises(Overloaded) as refused:
        running.submit()
    assert 1 <= (refused.value.retry_after_s or 0) <= 60
    running.gate.set()
    for future in futures:
        future.result(PATIENCE)
    assert running.submit().result(PATIENCE)


def test_too_many_tokens_are_refused(running: Fixture) -> None:
    running.gate.clear()
    running.submit(size=60)
    with pytest.raises(Overloaded):
        running.submit(size=60)


def test_one_piece_larger_than_the_bound_is_taken_when_nothing_else_waits(running: Fixture) -> None:
    assert running.submit(size=500).result(PATIENCE)


def test_dropped_work_frees_its_place(running: Fixture) -> None:
    running.gate.clear()
    for _ in range(3):
        running.submit().cancel()
    kept = [running.submit() for _ in range(4)]
    running.gate.set()
    assert [future.result(PATIENCE) for future in kept] == ["score/None"] * 4


def test_a_step_that_fails_fails_its_own_lane_only(running: Fixture, caplog: pytest.LogCaptureFixture) -> None:
    running.gate.clear()
    bad, other = running.submit(token=666), running.submit("embed")
    running.gate.set()
    with pytest.raises(ValueError, match="text of the request"):
        bad.result(PATIENCE)
    assert other.result(PATIENCE) == "embed/None"
    assert running.submit().result(PATIENCE) == "score/None"
    assert "text of the request" not in caplog.text
    assert "ValueError" in caplog.text


def test_a_lane_that_cannot_be_made_fails_the_work(running: Fixture) -> None:
    with pytest.raises(RuntimeError, match="no such lane"):
        running.submit("broken").result(PATIENCE)


def test_calls_run_between_steps_in_the_engines_thread(running: Fixture) -> None:
    assert running.engine.call(threading.current_thread).result(PATIENCE).name == "teachers-engine"
    with pytest.raises(ZeroDivisionError):
        running.engine.call(lambda: 1 // 0).result(PATIENCE)


def test_after_a_stop_nothing_is_left_waiting(running: Fixture) -> None:
    running.gate.clear()
    futures = [running.submit() for _ in range(3)]
    stopping = threading.Thread(target=running.engine.stop)
    stopping.start()
    time.sleep(0.05)
    running.gate.set()
    stopping.join(PATIENCE)
    assert not running.engine.alive
    assert all(future.done() for future in futures)
    with pytest.raises(Overloaded):
        running.submit()
    with pytest.raises(Overloaded):
        running.engine.call(lambda: 1).result(PATIENCE)
