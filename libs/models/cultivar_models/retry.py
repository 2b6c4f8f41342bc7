"""When a failed request is tried again, and how long that waits."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Says how often and for how long a call is tried.

    retries: tries after the first one, whatever failed. invalid_retries: those of them that may follow an answer
    which breaks the protocol. deadline_s: seconds from the first try's start to the last one's end.
    first_wait_s, longest_wait_s: the pause doubles from the one to the other, less up to half of it by chance.
    """

    retries: int = 8
    invalid_retries: int = 2
    deadline_s: float = 600.0
    first_wait_s: float = 0.25
    longest_wait_s: float = 30.0

    def wait(self, failures: int, retry_after: float | None) -> float:
        """Returns the seconds to wait after the given number of failures (1 or more) in a row.

        A server's own Retry-After is never cut short; up to a tenth is added, so that not all come back at once.
        """
        spread = random.random()
        pause = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (failures - 1)) * (0.5 + spread / 2)
        if retry_after is None:
            return pause
        return max(pause, retry_after * (1 + spread / 10))


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Reads when to come back from the headers of an answer, in seconds: `Retry-After`, or `retry-after-ms`."""
    exact = retry_after_seconds(headers.get("retry-after-ms"))
    return retry_after_seconds(headers.get("Retry-After")) if exact is None else exact / 1000


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Reads the HTTP header Retry-After: seconds, or a date; None where there is none or it cannot be read."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now or datetime.now(UTC))
    return seconds if 0 <= seconds < float("inf") else None


def _seconds_until(date: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
