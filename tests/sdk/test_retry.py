"""The decisions about sending again, as a table; and the reading of events, line by line."""

from __future__ import annotations

import json

import pytest

from fairstack.flow import Broken, Manners, Replay, Reply, Request
from fairstack.retry import pause_before_retry, retry_after_seconds
from fairstack.sse import EventReader
from fairstack.types import JobRecord, read

MANNERS = Manners("http://127.0.0.1:8787", max_retries=4, draw=lambda: 1.0)
LOST, REFUSED = Broken(sent=True, reason="lost"), Broken(sent=False, reason="refused")


def reply(status: int, code: str | None = None, **headers: str) -> Reply:
    """An answer of this status, a FairStack error if it has a code."""
    body = json.dumps({"error": {"code": code}}) if code else "<html>"
    return Reply(status, headers, body.encode())


@pytest.mark.parametrize(
    ("replay", "outcome", "again"),
    [
        ("safe", LOST, True),
        ("keyed", LOST, True),
        ("once", LOST, False),
        ("once", REFUSED, True),
        ("once", reply(429, "rate_limited"), True),
        ("once", reply(500, "internal_error"), False),
        ("keyed", reply(500, "internal_error"), True),
        ("keyed", reply(502), True),
        ("keyed", reply(408), True),
        ("keyed", reply(503, "provider_unavailable"), True),
        ("keyed", reply(503, "model_unavailable"), False),
        ("safe", reply(503, "model_unavailable"), False),
        ("keyed", reply(409, "idempotency_in_flight"), True),
        ("keyed", reply(409, "job_not_cancellable"), False),
        ("safe", reply(409, "idempotency_in_flight"), False),
        *[("keyed", reply(status), False) for status in (301, 400, 401, 402, 403, 404, 413, 415, 422)],
    ],
)
def test_who_is_asked_again(replay: Replay, outcome: Reply | Broken, again: bool) -> None:
    """Sent again: what may have been lost and is safe to repeat; never what was refused for good."""
    request = Request(method="POST", path="/v1/x", replay=replay)
    assert (pause_before_retry(MANNERS, request, outcome, 0, 0.0) is not None) is again


def pause(outcome: Reply | Broken, retries: int = 0, elapsed: float = 0.0, draw: float = 1.0) -> float | None:
    """The pause after this outcome of a spending call."""
    manners = Manners("http://127.0.0.1:8787", max_retries=4, draw=lambda: draw)
    request = Request(method="POST", path="/v1/x", replay="keyed")
    return pause_before_retry(manners, request, outcome, retries, elapsed)


def test_pauses_grow_and_are_spread() -> None:
    """Pauses double from half a second up to 8 s, anywhere between nothing and that."""
    assert [pause(LOST, retries) for retries in range(5)] == [0.5, 1, 2, 4, None]
    assert [pause(LOST, retries, draw=0.0) for retries in range(4)] == [0, 0, 0, 0]
    assert pause(reply(409, "idempotency_in_flight"), retries=30) == 8


def test_patience_has_an_end() -> None:
    """No pause goes beyond two minutes from the first try, nor beyond a minute at the server's wish."""
    assert pause(LOST, elapsed=119.6) is None
    assert pause(reply(409, "idempotency_in_flight"), retries=30, elapsed=119) is None
    assert pause(reply(429, "rate_limited", **{"retry-after": "60"})) == 60.5
    assert pause(reply(429, "rate_limited", **{"retry-after": "61"})) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("Sun, 22 Nov 2026 09:30:10 GMT", 10.0),
        ("Sun, 22 Nov 2026 09:29:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """Retry-After is read as seconds or as a date, against the server's own clock; nonsense is ignored."""
    headers = {"retry-after": text, "date": "Sun, 22 Nov 2026 09:30:00 GMT"}
    assert retry_after_seconds(headers) == seconds


def test_events_are_read_as_specified() -> None:
    """Comments, several data lines, a missing space and an unknown field are read as the standard says."""
    reader = EventReader()
    lines = [": hello", "id:7", "event: progress", 'data: {"progress":', "data:0.5}", "colour: red", "", ""]
    (event,) = [found for line in lines if (found := reader.feed(line)) is not None]
    assert (event.id, event.event, event.progress, event.status) == ("7", "progress", 0.5, None)
    assert reader.feed("retry: 2500") is None
    assert reader.retry_seconds == 2.5


def test_half_an_event_does_not_count() -> None:
    """The id of an event that was not finished is not where to resume."""
    reader = EventReader("3")
    reader.feed("id: 4")
    reader.feed("data: {}")
    reader.forget()
    assert reader.last_id == "3"
    assert reader.feed("") is None


def test_surprising_fields_break_nothing() -> None:
    """An optional field of an unforeseen form is kept in `extra`, and the rest is read."""
    job = read(JobRecord, {"id": "job_1", "status": "paused", "created_at": "soon", "cost": 5, "new": 1})
    assert (job.id, job.status, job.created_at, job.cost, job.ended) == ("job_1", "paused", None, None, False)
    assert job.extra == {"created_at": "soon", "cost": 5, "new": 1}
