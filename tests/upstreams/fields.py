"""What fields a vendor takes, as a table, and what it complains of."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["text", "integer", "number", "switch", "list", "object", "url", "media"]


@dataclass(frozen=True)
class Field:
    """One field: its kind, what it may hold, and whether it must be there.

    `url` is https, http or a data URL; `media` is a URL or bare base64.
    """

    kind: Kind = "text"
    required: bool = False
    choices: tuple[Any, ...] = ()
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    fields: Mapping[str, Field] | None = None
    """Of an object, or of every object in a list; None: any."""
    of: Field | None = field(default=None)
    """What every entry of a list is."""


Fields = Mapping[str, Field]


def complaint(body: Mapping[str, Any], fields: Fields, place: str = "") -> str | None:
    """The first thing that is wrong with this body; None when nothing is."""
    for name, wanted in fields.items():
        if wanted.required and name not in body:
            return f"{place}{name} is required"
    for name, value in body.items():
        if name not in fields:
            return f"{place}{name} is not a known field"
        if (wrong := _wrong(value, fields[name], f"{place}{name}")) is not None:
            return wrong
    return None


def _wrong(value: Any, wanted: Field, place: str) -> str | None:
    if not _is_kind(value, wanted.kind):
        return f"{place} is no {wanted.kind}"
    if wanted.choices and value not in wanted.choices:
        return f"{place} is none of {list(wanted.choices)}"
    if wanted.pattern is not None and re.fullmatch(wanted.pattern, value) is None:
        return f"{place} does not match {wanted.pattern}"
    if wanted.minimum is not None and value < wanted.minimum:
        return f"{place} is less than {wanted.minimum}"
    if wanted.maximum is not None and value > wanted.maximum:
        return f"{place} is more than {wanted.maximum}"
    if isinstance(value, dict) and wanted.fields is not None:
        return complaint(value, wanted.fields, f"{place}.")
    if isinstance(value, list) and wanted.of is not None:
        found = (_wrong(entry, wanted.of, f"{place}[{at}]") for at, entry in enumerate(value))
        return next((wrong for wrong in found if wrong is not None), None)
    return None


def _is_kind(value: Any, kind: Kind) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "switch":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "url":
            return isinstance(value, str) and re.match(r"https?://\S+$|data:\w+/", value) is not None
        case "media":
            return isinstance(value, str) and (value.startswith("https://") or is_base64(value))


def is_base64(text: str) -> bool:
    """Whether this is standard base64 of something."""
    try:
        return bool(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        return False
