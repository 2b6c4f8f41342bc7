"""Sessions and one-time codes."""

from cultivar_console import sessions
from cultivar_console.sessions import CODE_SECONDS, SESSION_SECONDS, Sessions
from pytest import MonkeyPatch


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_lasts_while_it_is_used_and_ends_when_it_is_not() -> None:
    clock = Clock()
    kept = Sessions(clock)
    secret = kept.open("ada")
    for _ in range(5):
        clock.now += SESSION_SECONDS - 1
        found = kept.find(secret)
        assert found is not None and found.principal == "ada"
    clock.now += SESSION_SECONDS + 1
    assert kept.find(secret) is None
    assert kept.find("") is None


def test_a_closed_session_opens_nothing_and_others_go_on() -> None:
    kept = Sessions()
    first, second = kept.open("ada"), kept.open("ada")
    kept.close(first)
    assert kept.find(first) is None
    assert kept.find(second) is not None


def test_a_code_is_used_once_and_within_the_hour() -> None:
    clock = Clock()
    kept = Sessions(clock)
    code, late = kept.new_code("ada"), kept.new_code("ada")
    assert kept.use_code(code) == "ada"
    assert kept.use_code(code) is None
    clock.now += CODE_SECONDS
    assert kept.use_code(late) is None
    assert kept.use_code("") is None


def test_too_many_sessions_end_the_one_unused_longest(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    clock = Clock()
    kept = Sessions(clock)
    first, second = kept.open("a"), kept.open("b")
    clock.now += 1
    assert kept.find(first) is not None
    third = kept.open("c")
    assert kept.find(second) is None
    assert kept.find(first) is not None and kept.find(third) is not None
