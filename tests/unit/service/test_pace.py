"""How fast a run goes."""

import time
from collections.abc import Callable

import pytest
from cultivar_service.pace import Pace
from hypothesis import given
from hypothesis import strategies as st

Clock = Callable[[float], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the time."""
    return lambda seconds: monkeypatch.setattr(time, "monotonic", lambda: 1000 + seconds)


def told(pace: Pace, done: int, stage: str = "generating", total: int = 300) -> tuple[float, float]:
    """Notes how far a run is; returns its rate and the seconds left."""
    said = pace.told({"stage": stage, "done": done, "total": total})
    return said["rate"], said["seconds_left"]


def test_the_rate_is_that_of_the_last_half_minute(at: Clock) -> None:
    pace = Pace()
    at(0)
    assert told(pace, 0) == (0, -1)
    at(10)
    assert told(pace, 100) == (10, 20)
    for second in range(11, 61):
        at(second)
        rate, left = told(pace, 100 + second - 10)
    assert (rate, left) == (1, 150)


def test_a_new_stage_begins_anew(at: Clock) -> None:
    pace = Pace()
    for second in range(20):
        at(second)
        told(pace, 0, stage="waking the teacher")
    at(20)
    assert told(pace, 0) == (0, -1)
    at(22)
    assert told(pace, 10) == (5, 58)


def test_without_a_total_the_time_left_is_not_known(at: Clock) -> None:
    pace = Pace()
    at(0)
    told(pace, 0, total=0)
    at(1)
    assert told(pace, 7, total=0) == (7, -1)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(0, 1000)), min_size=1, max_size=60))
def test_the_rate_lies_between_the_slowest_and_the_fastest_step(steps: list[tuple[float, int]]) -> None:
    pace, done, now = Pace(), 0, 0.0
    with pytest.MonkeyPatch.context() as patch:
        for seconds, more in [(0.0, 0), *steps]:
            done, now = done + more, now + seconds
            patch.setattr(time, "monotonic", lambda now=now: now)
            rate, _ = told(pace, done)
    rates = [more / seconds for seconds, more in steps]
    assert min(rates) * 0.999 <= rate <= max(rates) * 1.001
