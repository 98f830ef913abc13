"""What follows from one attempt, pure: done, again at which time, given up, or never again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MINUTE = 60
_HOUR = 60 * _MINUTE

#: Wait before each attempt, in seconds: 10 attempts over 75 h 35 min at least, so that a receiver that is
#: down for three days still gets everything.
DELAYS_SECONDS = (
    0,
    5,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
MAX_ATTEMPTS = len(DELAYS_SECONDS)
#: Never shorter: waits that shrink could end the schedule before the three days are over.
JITTER = 0.1
MAX_RETRY_AFTER_SECONDS = 24 * _HOUR

_GONE = 410


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver took it (2xx)."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not taken; send it again after that many seconds."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Not taken, and that was the last attempt."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver said 410: it never wants to hear from us again at this address."""


Verdict = Delivered | Retry | GivenUp | Gone


def judge(
    attempt: int, status: int | None, retry_after_seconds: float | None, dice: Callable[[], float]
) -> Verdict:
    """What follows from attempt number `attempt` (from 1), answered with `status`; None is no answer.

    A redirect is a failure. The wait is the schedule's, up to 10 % longer as `dice` (0 to 1) falls, and never
    shorter than the receiver asked for, up to 24 h.
    """
    if status is not None and 200 <= status < 300:
        return Delivered()
    if status == _GONE:
        return Gone()
    if attempt >= MAX_ATTEMPTS:
        return GivenUp()
    delay_seconds = DELAYS_SECONDS[attempt] * (1 + JITTER * dice())
    asked_seconds = min(retry_after_seconds or 0.0, MAX_RETRY_AFTER_SECONDS)
    return Retry(max(delay_seconds, asked_seconds))


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for: a count or an HTTP date; None for neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        # More digits than any sane wait would only cost time to read.
        return float(text) if len(text) <= 9 else float(MAX_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
