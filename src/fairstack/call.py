"""One call of the API: send, retry with manners, and turn every bad outcome into its error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fairstack.connection import is_loopback
from fairstack.errors import BadArgument, FairStackError, UnexpectedAnswer, Unreachable, refusal_class
from fairstack.flow import Broken, Flow, Manners, Reply, Request, manners, now, send, sleep
from fairstack.retry import error_object, is_json, pause_before_retry, retry_after_seconds, whole
from fairstack.types import R, read

IDEMPOTENCY_HEADER = "Idempotency-Key"


def call(request: Request) -> Flow[Reply]:
    """Send the request, again where that is safe, until it succeeds; raises FairStackError."""
    ours = yield from manners()
    started = yield from now()
    retries = 0
    while True:
        outcome = whole((yield from send(request)))
        if isinstance(outcome, Reply) and 200 <= outcome.status < 300:
            return outcome
        elapsed = (yield from now()) - started
        pause = pause_before_retry(ours, request, outcome, retries, elapsed)
        if pause is None:
            raise error_of(ours, request, outcome)
        retries += 1
        _log_retry(request, retries, pause)
        yield from sleep(pause)


def _log_retry(request: Request, retries: int, pause: float) -> None:
    import logging  # only those who retry pay for it

    log = logging.getLogger("fairstack")
    log.debug("retry %d of %s %s in %.1f s", retries, request.method, request.path, pause)


def call_json(request: Request) -> Flow[Any]:
    """Call and read the JSON answer; raises FairStackError."""
    reply = yield from call(request)
    return (yield from json_of(reply))


def call_for(kind: type[R], request: Request) -> Flow[R]:
    """Call and read the answer as one record; raises FairStackError."""
    return read(kind, (yield from call_json(request)))


def json_of(reply: Reply) -> Flow[Any]:
    """The JSON of a success; raises UnexpectedAnswer if it is something else, such as a web page."""
    if is_json(reply):
        return json.loads(reply.body)
    ours = yield from manners()
    kind = reply.headers.get("content-type", "no content type")
    raise UnexpectedAnswer(
        f"{ours.base_url} answered {reply.status} with {kind}, not JSON. "
        "Is it the address of a FairStack server?",
        status=reply.status,
        request_id=reply.headers.get("x-request-id"),
    )


def get(path: str, query: Mapping[str, object] | None = None) -> Request:
    """A GET; query values that are None are left out."""
    return Request(method="GET", path=path, query=query_of(query or {}))


def query_of(values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Query parameters as text; None is left out."""
    return tuple((name, _text(value)) for name, value in values.items() if value is not None)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)


def json_bytes(body: Mapping[str, object]) -> bytes:
    """The body as compact JSON; raises BadArgument for what JSON cannot say, such as NaN."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError) as error:
        raise BadArgument(f"The request cannot be written as JSON: {error}") from None


def error_of(ours: Manners, request: Request, outcome: Reply | Broken) -> FairStackError:
    """The error that tells of an outcome that stands."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if isinstance(outcome, Broken):
        return _unreachable(ours, request, outcome, key)
    if 300 <= outcome.status < 400 or outcome.status < 200:
        where = outcome.headers.get("location", "elsewhere")
        return UnexpectedAnswer(
            f"{ours.base_url} answered {outcome.status}, pointing to {where}. "
            "Set the base URL to the API itself.",
            status=outcome.status,
        )
    return _refused(ours, outcome, key)


def _unreachable(ours: Manners, request: Request, outcome: Broken, key: str | None) -> Unreachable:
    message = f"No answer from {ours.base_url} to {request.method} {request.path}: {outcome.reason}."
    if key and outcome.sent:
        message += f" Whether it arrived is not known; idempotency_key={key!r} makes sending it again safe."
    elif not outcome.sent and is_loopback(ours.base_url):
        message += " Is the server running? Start it with: fairstack serve"
    return Unreachable(message, idempotency_key=key)


def _refused(ours: Manners, reply: Reply, key: str | None) -> FairStackError:
    error = error_object(reply)
    code = error.get("code")
    code = code if isinstance(code, str) else None
    message = error.get("message")
    if not isinstance(message, str) or not message:
        message = f"{ours.base_url} answered {reply.status} without saying why"
    param = error.get("param")
    details = error.get("details")
    request_id = error.get("request_id") or reply.headers.get("x-request-id")
    return refusal_class(code, reply.status)(
        message,
        code=code,
        status=reply.status,
        param=param if isinstance(param, str) else None,
        allowed=error.get("allowed"),
        details=details if isinstance(details, dict) else None,
        request_id=request_id if isinstance(request_id, str) else None,
        idempotency_key=key if reply.status >= 500 or reply.status in (408, 409, 429) else None,
        retry_after_seconds=retry_after_seconds(reply.headers),
        body=reply.text if error else "",
    )
