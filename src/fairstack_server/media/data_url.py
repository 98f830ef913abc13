"""Reads `data:` URLs. Pure."""

from __future__ import annotations

import base64
import binascii
import re

_SHAPE = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+=-]+)*?)(;base64)?,", re.ASCII)


class BadDataUrl(ValueError):
    """It cannot be read; the message says what is wrong, in words fit for the user."""


def is_data_url(source: str) -> bool:
    """Whether this claims to be a `data:` URL."""
    return source[:5].lower() == "data:"


def read_data_url(url: str, max_bytes: int) -> tuple[bytes, str]:
    """Its bytes, about `max_bytes` at most, and the media type that it declares. Raises BadDataUrl."""
    shape = _SHAPE.match(url)
    if shape is None or not shape[3] or not shape[1]:
        raise BadDataUrl("write it as data:<media type>;base64,…, such as data:image/png;base64,…")
    text = url[shape.end() :]
    if len(text) > max_bytes * 4 // 3 + 4:
        raise BadDataUrl(f"it is larger than {max_bytes} bytes")
    try:
        return base64.b64decode(text, validate=True), shape[1].lower()
    except (binascii.Error, ValueError):
        raise BadDataUrl("the data: URL is not valid base64") from None
