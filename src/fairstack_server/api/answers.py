"""Answers and errors as HTTP: JSON bodies, headers, and the one shape that every error has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, InternalServerException

from fairstack_server.accounts.audit import Actor
from fairstack_server.accounts.store import Caller
from fairstack_server.api import wire
from fairstack_server.db.outage import DATABASE_DOWN
from fairstack_server.errors import (
    BadRequest,
    FairStackError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)

log = structlog.get_logger()

HttpRequest = Request[Any, Any, State]
JSON_TYPE = "application/json"
_DATABASE_RETRY_SECONDS = 2


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """A value of the wire as JSON; bytes go out as they are."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Response(body, status_code=status, media_type=JSON_TYPE, headers=dict(headers or {}))


def caller_of(request: HttpRequest) -> Caller:
    """Who makes this request, as the access check found."""
    caller: Caller = request.state.caller
    return caller


def request_id_of(request: HttpRequest) -> str:
    """The id that the answer carries as X-Request-Id."""
    request_id: str = request.scope["state"].get("request_id", "")
    return request_id


def actor_of(request: HttpRequest) -> Actor:
    """Who changes something by this request, as the audit log names them."""
    caller = caller_of(request)
    return Actor("api", caller.account_id, caller.key_id, request_id=request_id_of(request))


def error_answer(request: HttpRequest, error: Exception) -> Response[bytes]:
    """Any error in its one public shape; never a stack trace."""
    known = as_known_error(error)
    if known.status == 500:
        log.error("api.internal_error", request_id=request_id_of(request), exc_info=error)
    body = wire.ErrorBody(
        code=known.code,
        message=known.message,
        status=known.status,
        request_id=request_id_of(request),
        param=known.param if known.param is not None else msgspec.UNSET,
        allowed=known.allowed if known.allowed is not None else msgspec.UNSET,
        details=dict(known.details) if known.details is not None else msgspec.UNSET,
    )
    headers = {}
    if known.retry_after_seconds is not None:
        headers["retry-after"] = str(known.retry_after_seconds)
    if known.status == 401:
        headers["www-authenticate"] = "Bearer"
    if known.status == 405 and isinstance(error, HTTPException):
        headers |= error.headers or {}
    return json_answer(wire.ErrorAnswer(body), known.status, headers)


def as_known_error(error: Exception) -> FairStackError:
    """One of ours for one of the framework's or of nobody's."""
    if isinstance(error, FairStackError):
        return error
    if isinstance(error, DATABASE_DOWN):
        return Unavailable(
            "Something that this server needs, its database or its disk, does not answer right now. "
            "Nothing was lost; send the request again.",
            code="internal_error",
            retry_after_seconds=_DATABASE_RETRY_SECONDS,
        )
    if isinstance(error, InternalServerException) and "client disconnected" in error.detail:
        return BadRequest("The request broke off.")
    if isinstance(error, HTTPException):
        match error.status_code:
            case 404:
                return NotFound("There is nothing at this address. The API is described at /docs.")
            case 405:
                return MethodNotAllowed(
                    "This address does not take this method. The API is described at /docs."
                )
            case 413:
                return PayloadTooLarge("The body is larger than this server takes.")
            case status if 400 <= status < 500:
                return BadRequest("The request cannot be read.")
            case _:
                pass
    return InternalError("Something broke on our side. Quote the request id when you report it.")
