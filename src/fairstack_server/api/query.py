"""Reading query parameters: strictly, with errors that name the parameter and what it may be."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime

from fairstack_server.api.answers import HttpRequest
from fairstack_server.errors import BadRequest, NotFound

PAGE_DEFAULT, PAGE_MAX = 20, 100


def check_path(request: HttpRequest) -> None:
    """Nothing lies under a name that no text can be; PostgreSQL would not even take the question."""
    if any("\x00" in str(value) for value in request.path_params.values()):
        raise NotFound("There is nothing at this address. The API is described at /docs.")


def check_known(request: HttpRequest, known: Sequence[str]) -> None:
    """Refuse a query parameter that there is not: a typo must not silently widen an answer."""
    for name in request.query_params:
        if name not in known:
            raise BadRequest(
                f"Unknown query parameter {name[:60]!r}. Known: {', '.join(known) or 'none'}.",
                param=name[:60],
                allowed=list(known),
            )


def text(request: HttpRequest, name: str, allowed: Sequence[str] | None = None) -> str | None:
    """A parameter as text; one of `allowed`, if given."""
    value: str | None = request.query_params.get(name)
    if value is None:
        return None
    if "\x00" in value:
        raise BadRequest(f"{name!r} holds a character that is not text (NUL).", param=name)
    if allowed is not None and value not in allowed:
        raise BadRequest(
            f"{name!r} may be {', '.join(allowed)}, not {value[:60]!r}.", param=name, allowed=list(allowed)
        )
    return value


def whole(request: HttpRequest, name: str, least: int, most: int, default: int) -> int:
    """A whole number within bounds."""
    value = text(request, name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or len(value) > 9 or not least <= int(value) <= most:
        raise BadRequest(
            f"{name!r} must be a whole number from {least} to {most}, not {value[:60]!r}.",
            param=name,
            allowed={"min": least, "max": most},
        )
    return int(value)


def moment(request: HttpRequest, name: str) -> datetime | None:
    """An ISO 8601 time; without an offset it is UTC."""
    value = text(request, name)
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"{name!r} must be a time such as 2026-11-22T09:30:00Z, not {value[:60]!r}.", param=name
        ) from error


def page_limit(request: HttpRequest) -> int:
    """`limit` of a list: 1 to 100, 20 unless told otherwise."""
    return whole(request, "limit", 1, PAGE_MAX, PAGE_DEFAULT)


def cursor_text(created_at: datetime, row_id: str) -> str:
    """A cursor that names the last row of a page."""
    return base64.urlsafe_b64encode(f"{created_at.isoformat()} {row_id}".encode()).decode().rstrip("=")


def cursor(request: HttpRequest) -> tuple[datetime, str] | None:
    """The row that `cursor` names."""
    value = text(request, "cursor")
    if value is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
        moment_text, _, row_id = raw.partition(" ")
        parsed = datetime.fromisoformat(moment_text)
        if parsed.tzinfo is None or not row_id or "\x00" in row_id:
            raise ValueError(value)
        parsed = parsed.astimezone(UTC)
    except (ValueError, binascii.Error, OverflowError) as error:
        raise BadRequest("'cursor' must be the next_cursor of an earlier page.", param="cursor") from error
    return parsed, row_id
