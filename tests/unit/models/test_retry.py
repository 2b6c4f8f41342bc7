"""How long a failed call waits, and what a server's Retry-After means."""

from datetime import UTC, datetime

import pytest
from cultivar_models.retry import RetryPolicy, retry_after_seconds
from hypothesis import given
from hypothesis import strategies as st


@given(failures=st.integers(1, 200), retry_after=st.none() | st.floats(0, 1000))
def test_a_wait_is_never_shorter_than_asked_for_nor_longer_than_it_must_be(
    failures: int, retry_after: float | None
) -> None:
    policy = RetryPolicy(first_wait_s=0.25, longest_wait_s=30)
    wait = policy.wait(failures, retry_after)
    assert wait >= (retry_after or 0)
    assert 0.125 <= wait <= max(30, 1.1 * (retry_after or 0))


def test_waits_double_up_to_the_longest() -> None:
    policy = RetryPolicy(first_wait_s=1, longest_wait_s=8)
    assert all(0.5 <= policy.wait(1, None) <= 1 < 2 <= policy.wait(3, None) <= 4 for _ in range(50))
    assert all(4 <= policy.wait(50, None) <= 8 for _ in range(50))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("Mon, 01 Jun 2026 12:00:30 GMT", 30.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, datetime(2026, 6, 1, 12, tzinfo=UTC)) == seconds
