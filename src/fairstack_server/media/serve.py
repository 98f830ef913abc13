"""Answers GET and HEAD for stored media: ranges, validators, immutable caching. Knows no web framework."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from fairstack_server.media.store import MediaStore, NotStored, StoredFile

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": (
        "default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'; sandbox"
    ),
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class MediaRequest:
    """What is asked: method, path behind the media root without a leading slash, headers in lower case."""

    method: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaAnswer:
    """What goes back. `body` is None where the answer has none."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes] | None = None


async def answer(request: MediaRequest, store: MediaStore) -> MediaAnswer:
    """The answer for a media URL; a key that is unknown or malformed is a 404 without a word."""
    if request.method not in ("GET", "HEAD"):
        return MediaAnswer(405, {"Allow": "GET, HEAD", "Content-Length": "0"})
    try:
        stored = await store.head(request.key)
    except NotStored:
        return MediaAnswer(404, {"Cache-Control": "no-store", "Content-Length": "0"})
    headers = _headers(stored)
    if _matches(request.headers.get("if-none-match"), stored):
        return MediaAnswer(304, headers)
    if request.method == "HEAD":
        return MediaAnswer(200, {**headers, "Content-Length": str(stored.bytes)})
    return _content(request, stored, headers, store)


def _content(
    request: MediaRequest, stored: StoredFile, headers: dict[str, str], store: MediaStore
) -> MediaAnswer:
    asked = _asked_range(request.headers, stored)
    if asked is None:
        body = store.open_range(stored.key, 0, stored.bytes)
        return MediaAnswer(200, {**headers, "Content-Length": str(stored.bytes)}, body)
    start, end = asked
    if start >= end:
        unmet = {"Content-Range": f"bytes */{stored.bytes}", "Content-Length": "0"}
        return MediaAnswer(416, {**headers, **unmet})
    part = {
        "Content-Range": f"bytes {start}-{end - 1}/{stored.bytes}",
        "Content-Length": str(end - start),
    }
    return MediaAnswer(206, {**headers, **part}, store.open_range(stored.key, start, end))


def _headers(stored: StoredFile) -> dict[str, str]:
    _, token, name = stored.key.split("/")
    return {
        "Content-Type": stored.content_type,
        "ETag": _etag(stored),
        "Cache-Control": "public, max-age=31536000, immutable",
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'inline; filename="{token[:8]}-{name}"',
        **_SAFE_HEADERS,
    }


def _etag(stored: StoredFile) -> str:
    return f'"{stored.sha256}"'


def _matches(validators: str | None, stored: StoredFile) -> bool:
    if validators is None:
        return False
    given = [validator.strip().removeprefix("W/") for validator in validators.split(",")]
    return "*" in given or _etag(stored) in given


def _asked_range(headers: Mapping[str, str], stored: StoredFile) -> tuple[int, int] | None:
    """Start and end (exclusive) of the one range asked for; None when the whole file shall be sent.

    An empty range means that it cannot be met. Several ranges, and what is no byte range, are ignored as
    RFC 9110 allows; so is a range whose `If-Range` names another version.
    """
    if headers.get("if-range", _etag(stored)).strip() != _etag(stored):
        return None
    asked = _RANGE.fullmatch(headers.get("range", "").strip())
    if asked is None or asked.group(0) == "bytes=-":
        return None
    first, last = asked.groups()
    if not first:
        return max(0, stored.bytes - int(last)), stored.bytes
    start = int(first)
    end = min(int(last) + 1, stored.bytes) if last else stored.bytes
    if last and int(last) < start:
        return None
    return start, end
