"""From a request body to an order in our words. The body is JSON whatever its Content-Type says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from fairstack_server.api.wire import VideoRequest
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.errors import BadRequest
from fairstack_server.jsonvalue import JSON, JSONObject

_FIELDS = VideoRequest.__struct_fields__
_ASK_FIELDS = frozenset(VideoAsk.__dataclass_fields__) - {"image_size", "input_seconds"}
_QUOTED = re.compile("`([^`]{1,100})`")
_TAGS_MAX, _TAG_CHARACTERS = 20, 256
_DEPTH_MAX = 32
_CANCEL_AFTER_MAX = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class VideoOrder:
    """A request, split into what the model gets and what the gateway does around it."""

    ask: VideoAsk
    body: JSONObject
    confirm: bool
    webhook_url: str | None
    tags: Mapping[str, str]
    max_cost_micros: int | None
    cancel_after_seconds: float | None


def parse_object(raw: bytes) -> JSONObject:
    """The JSON object of a body. Raises BadRequest for anything else, NUL and deep nesting included."""
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from error
    except (RecursionError, UnicodeDecodeError) as error:
        raise BadRequest("The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    _check_text(body, "", 0)
    _check_once(raw)
    return body


def fingerprint(method: str, path: str, body: JSONObject) -> bytes:
    """What makes two requests the same for idempotency: method, path and the body but for field order."""
    canonical = msgspec.json.encode(body, order="deterministic")
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), canonical))).digest()


def parse_video_order(body: JSONObject) -> VideoOrder:
    """The order in a body; checks what no model decides. Raises BadRequest naming the field."""
    unknown = next((name for name in body if name not in _FIELDS), None)
    if unknown is not None:
        raise BadRequest(
            f"Unknown field {unknown[:100]!r}. Known fields: {', '.join(_FIELDS)}.",
            param=unknown[:100],
            allowed=list(_FIELDS),
        )
    for required in ("model", "prompt"):
        if body.get(required) is None:
            raise BadRequest(f"The field {required!r} is required.", param=required)
    model = _typed(body, "model", str)
    asked: dict[str, Any] = {name: body.get(name) for name in _ASK_FIELDS}
    asked["model"] = model
    return VideoOrder(
        ask=VideoAsk(**asked),
        body=body,
        confirm=_confirm(body),
        webhook_url=_typed(body, "webhook_url", str),
        tags=_tags(body.get("tags")),
        max_cost_micros=_whole(body, "max_cost_micro"),
        cancel_after_seconds=_cancel_after(body.get("cancel_after")),
    )


def _confirm(body: JSONObject) -> bool:
    confirm = _typed(body, "confirm", bool)
    return True if confirm is None else bool(confirm)


def _typed(body: JSONObject, name: str, kind: type) -> Any:
    value = body.get(name)
    if value is None or isinstance(value, kind):
        return value
    wanted = {str: "a string", bool: "true or false"}[kind]
    raise BadRequest(f"{name!r} must be {wanted}, not {_shown(value)}.", param=name)


def _whole(body: JSONObject, name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise BadRequest(f"{name!r} must be a whole number of microdollars, not {_shown(value)}.", param=name)
    return value


def _cancel_after(value: JSON) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _CANCEL_AFTER_MAX:
        raise BadRequest(
            f"'cancel_after' must be seconds, above 0 and at most {_CANCEL_AFTER_MAX}, not {_shown(value)}.",
            param="cancel_after",
        )
    return float(value)


def _tags(value: JSON) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > _TAGS_MAX:
        raise BadRequest(f"'tags' must be an object of at most {_TAGS_MAX} strings.", param="tags")
    tags: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(text, str) or not name or max(len(name), len(text)) > _TAG_CHARACTERS:
            raise BadRequest(
                f"Tag {name[:40]!r} must be a string of at most {_TAG_CHARACTERS} characters.", param="tags"
            )
        tags[name] = text
    return tags


def _check_text(value: JSON, where: str, depth: int) -> None:
    """Refuse what the store cannot keep: NUL characters, lone surrogates, bottomless nesting."""
    if depth > _DEPTH_MAX:
        raise BadRequest(f"The body is nested more than {_DEPTH_MAX} levels deep.")
    match value:
        case str():
            if "\x00" in value or not _is_text(value):
                name = where or "The body"
                raise BadRequest(f"{name} holds a character that is not text (NUL).", param=where or None)
        case dict():
            for name, inner in value.items():
                _check_text(name, where or name.replace("\x00", ""), depth + 1)
                _check_text(inner, where or name, depth + 1)
        case list():
            for inner in value:
                _check_text(inner, where, depth + 1)


def _check_once(raw: bytes) -> None:
    """Refuse a field that is there twice: which of them counts is nobody's to guess."""

    def unique(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise BadRequest(f"The field {name[:100]!r} is there twice.", param=name[:100])
            seen.add(name)

    json.loads(raw, object_pairs_hook=unique)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: JSON) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"


Shape = TypeVar("Shape")


def parse_as(raw: bytes, shape: type[Shape]) -> Shape:
    """A body as one of the wire's shapes. Raises BadRequest naming the field."""
    body = parse_object(raw)
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        param = where.rstrip("`")
        if param:
            raise BadRequest(f"{param!r}: {what}.", param=param) from error
        # Of a field that is missing or unknown, msgspec gives no path; it quotes the name.
        quoted = _QUOTED.search(what)
        raise BadRequest(f"{what}.", param=None if quoted is None else quoted[1]) from error
