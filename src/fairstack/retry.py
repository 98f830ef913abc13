"""When to send a request again, and after how long; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fairstack.flow import Broken, Manners, Reply, Request

BACKOFF_BASE_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 8.0
#: A server that asks for more patience than this gets none: the caller is told instead.
RETRY_AFTER_MAX_SECONDS = 60.0
#: What is left to a first request that still runs, between two looks.
IN_FLIGHT_SECONDS = 1.0


def pause_before_retry(
    manners: Manners, request: Request, outcome: Reply | Broken, retries: int, elapsed_seconds: float
) -> float | None:
    """Seconds to wait before sending the request again, or None if this outcome stands.

    Never sends a spending call again without its key, nor any call for a 4xx other than 408, 429 and
    409 `idempotency_in_flight`, nor for 503 `model_unavailable`.
    """
    if not _may_repeat(request, outcome):
        return None
    in_flight = isinstance(outcome, Reply) and outcome.status == 409
    # A first request that still runs says nothing against asking again: time bounds it, not the count.
    if retries >= manners.max_retries and not (in_flight and manners.max_retries):
        return None
    asked = retry_after_seconds(outcome.headers) if isinstance(outcome, Reply) else None
    if asked is not None and asked > RETRY_AFTER_MAX_SECONDS:
        return None
    backoff = manners.draw() * min(BACKOFF_MAX_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(retries, 16))
    pause = max(backoff, IN_FLIGHT_SECONDS) if in_flight else backoff
    if asked is not None:
        # Spread over what was asked, so that clients refused together do not come back together.
        pause = asked + min(backoff, 1.0)
    patience = manners.retry_seconds
    if request.retry_seconds is not None:
        patience = min(patience, request.retry_seconds)
    return pause if elapsed_seconds + pause <= patience else None


def _may_repeat(request: Request, outcome: Reply | Broken) -> bool:
    if isinstance(outcome, Broken):
        return request.replay != "once" or not outcome.sent
    if outcome.status == 429:
        return True
    if outcome.status == 409:
        return request.replay == "keyed" and error_code(outcome) == "idempotency_in_flight"
    if outcome.status == 408 or outcome.status >= 500:
        return request.replay != "once" and error_code(outcome) != "model_unavailable"
    return False


def whole(outcome: Reply | Broken) -> Reply | Broken:
    """The outcome, a success whose JSON breaks off counted as no whole answer."""
    if isinstance(outcome, Broken) or not 200 <= outcome.status < 300:
        return outcome
    if outcome.status == 204 or not is_json(outcome):
        return outcome
    try:
        json.loads(outcome.body)
    except ValueError:
        return Broken(sent=True, reason="the answer's JSON breaks off")
    return outcome


def is_json(reply: Reply) -> bool:
    """Whether the answer says that it is JSON."""
    return "json" in reply.headers.get("content-type", "")


def error_code(reply: Reply) -> str | None:
    """The code of a FairStack error answer; None for any other answer."""
    error = error_object(reply)
    code = error.get("code")
    return code if isinstance(code, str) else None


def error_object(reply: Reply) -> Mapping[str, object]:
    """The `error` object of an answer; empty if it has none."""
    try:
        error = json.loads(reply.body)["error"]
    except (ValueError, KeyError, TypeError, IndexError):
        return {}
    return error if isinstance(error, dict) else {}


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds from now, be it a number or a date; None if absent or unreadable."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.replace(".", "", 1).isdigit():
        return float(text)
    return _seconds_until(text, headers.get("date", ""))


def _seconds_until(http_date: str, server_date: str) -> float | None:
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        until = parsedate_to_datetime(http_date)
    except ValueError:
        return None
    try:
        # The server's own clock, where it shows it: ours may be wrong.
        current = parsedate_to_datetime(server_date)
    except ValueError:
        current = datetime.now(UTC)
    return max(0.0, (until - current).total_seconds())
