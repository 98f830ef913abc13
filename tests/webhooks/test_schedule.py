"""When a webhook is sent again, and when no more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairstack_server.webhooks.schedule import (
    DELAYS_SECONDS,
    Delivered,
    GivenUp,
    Gone,
    Retry,
    judge,
    read_retry_after,
)

NOW = datetime(2026, 9, 1, 12, 0, 0, tzinfo=UTC)


def lowest() -> float:
    """Dice that always fall lowest: no jitter."""
    return 0.0


def test_ten_attempts_over_75_hours() -> None:
    """A receiver that always fails is asked 10 times, the last time after 75:35:05, and then no more."""
    delays = []
    for attempt in range(1, 10):
        verdict = judge(attempt, 500, None, lowest)
        assert isinstance(verdict, Retry)
        delays.append(verdict.delay_seconds)
    assert delays == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert sum(delays) == 75 * 3600 + 35 * 60 + 5
    assert judge(10, 500, None, lowest) == GivenUp()


@given(attempt=st.integers(1, 9), fall=st.floats(0, 1, exclude_max=True))
def test_jitter_only_lengthens(attempt: int, fall: float) -> None:
    """Every wait is the schedule's or up to 10 % longer: three days of outage are always outlasted."""
    verdict = judge(attempt, None, None, lambda: fall)
    assert isinstance(verdict, Retry)
    assert DELAYS_SECONDS[attempt] <= verdict.delay_seconds <= 1.1 * DELAYS_SECONDS[attempt] + 1e-6


def test_jitter_really_spreads() -> None:
    """The lowest and the highest dice are 10 % apart."""
    assert judge(2, 500, None, lambda: 0.0) == Retry(300)
    assert judge(2, 500, None, lambda: 1.0) == Retry(330)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_taken(status: int) -> None:
    """Every 2xx is a success, also on the last attempt."""
    assert judge(1, status, None, lowest) == judge(10, status, None, lowest) == Delivered()


@pytest.mark.parametrize(
    "status", [None, 100, 199, 300, 301, 302, 307, 308, 400, 404, 409, 411, 429, 500, 503]
)
def test_anything_else_is_sent_again(status: int | None) -> None:
    """No answer, redirects and errors are failures: sent again by schedule."""
    assert judge(1, status, None, lowest) == Retry(5)


def test_410_is_for_ever() -> None:
    """410 on any attempt stops everything."""
    assert judge(1, 410, 60, lowest) == judge(10, 410, None, lowest) == Gone()


@pytest.mark.parametrize(
    ("asked", "waited"), [(None, 5), (0, 5), (3, 5), (120, 120), (86_400, 86_400), (10**8, 86_400)]
)
def test_retry_after_is_honoured_up_to_a_day(asked: float | None, waited: float) -> None:
    """A longer wait that the receiver asks for is kept, up to 24 h; a shorter one changes nothing."""
    assert judge(1, 429, asked, lowest) == Retry(waited)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 400, 86_400.0),
        ("Tue, 01 Sep 2026 12:10:00 GMT", 600.0),
        ("Tue, 01 Sep 2026 11:00:00 GMT", 0.0),
        ("Tue, 01 Sep 2026 12:10:00", 600.0),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("", None),
        ("Tue, 99 Sep 2026 12:10:00 GMT", None),
        ("Fri, 31 Dec 99999999 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    """A count of seconds and an HTTP date are read; anything else is as if it were not there."""
    assert read_retry_after(header, NOW) == seconds
