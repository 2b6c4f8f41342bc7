"""Events are told from log lines, and kept in bounded memory for any number of readers."""

import asyncio
import json

import pytest
from cultivar_launchers.feed import HISTORY, LOG_LINE_LENGTH, LOG_LINES, EventFeed, parse_event
from cultivar_launchers.protocol import Event
from hypothesis import given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@settings(max_examples=40)
@given(st.text(), st.dictionaries(st.text().filter(lambda key: key != "event"), JSON))
def test_every_object_with_a_kind_is_an_event(kind: str, fields: dict[str, object]) -> None:
    assert parse_event(json.dumps({**fields, "event": kind})) == Event(kind, fields)


@given(st.text())
def test_no_line_of_text_makes_the_reader_fail(line: str) -> None:
    feed = EventFeed()
    feed.add_line(line)
    assert feed.outcome(0, None).error is None


@pytest.mark.parametrize("line", ['{"a": 1}', '{"event": 3}', '["event"]', '{"event": "x"', "[" * 5, "event", "12"])
def test_other_lines_are_log(line: str) -> None:
    feed = EventFeed()
    feed.add_line(line)
    assert parse_event(line) is None
    assert feed.outcome(0, None).log_tail == (line,)


def test_json_nested_beyond_reason_is_log() -> None:
    assert parse_event('{"event":' + "[" * 100_000) is None


async def test_a_late_reader_of_a_long_story_gets_its_end() -> None:
    feed = EventFeed()
    for number in range(HISTORY + 10):
        feed.add(Event("progress", {"done": number}))
    feed.close()
    assert [event.fields["done"] async for event in feed.read()] == list(range(10, HISTORY + 10))


async def test_two_readers_each_get_every_event() -> None:
    feed = EventFeed()

    async def read() -> list[Event]:
        return [event async for event in feed.read()]

    readers = asyncio.gather(read(), read())
    for number in range(50):
        feed.add(Event("progress", {"done": number}))
        if number % 7 == 0:
            await asyncio.sleep(0)
    feed.close()
    first, second = await readers
    assert first == second and len(first) == 50


async def test_the_result_stays_when_the_history_forgets_it() -> None:
    feed = EventFeed(history=2)
    feed.add(Event("result", {"loss": 0.5}))
    for _ in range(5):
        feed.add(Event("progress"))
    assert feed.outcome(0, None).result == {"loss": 0.5}


def test_the_log_keeps_its_end_and_cuts_long_lines() -> None:
    feed = EventFeed()
    for number in range(LOG_LINES + 5):
        feed.add_line(f"{number} " + "x" * LOG_LINE_LENGTH)
    tail = feed.outcome(0, None).log_tail
    assert len(tail) == LOG_LINES and tail[0].startswith("5 ") and {len(line) for line in tail} == {LOG_LINE_LENGTH}


def test_a_signal_is_named_when_nothing_better_is_known() -> None:
    assert "signal 9" in str(EventFeed().outcome(137, None).error)
