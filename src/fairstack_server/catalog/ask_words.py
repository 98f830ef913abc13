"""A request written as words, such as `duration=10 audio=false options.cfg_scale=0.5`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from fairstack_server.catalog.inputs import SINGLE_INPUTS, STAND_IN_URL, default_ask
from fairstack_server.catalog.model import Model
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.errors import BadRequest
from fairstack_server.jsonvalue import JSON

_SETTINGS = ("duration", "aspect_ratio", "resolution", "audio", "seed")
#: Length of the input video or sound, which a server measures itself.
_INPUT_SECONDS = "input_seconds"


def ask_of_words(model: Model, words: Iterable[str]) -> VideoAsk:
    """The least request for the model with these settings; files are stood in for.

    A value is read as JSON where it is JSON, else as text. Raises BadRequest naming the word.
    """
    fields: dict[str, Any] = {}
    options: dict[str, JSON] = {}
    for word in words:
        name, is_set, text = word.partition("=")
        if not is_set:
            raise BadRequest(f"{word!r} is not a setting: write name=value, such as duration=10.", param=name)
        if name.startswith("options."):
            options[name.removeprefix("options.")] = _value(text)
        else:
            fields[name] = _field(name, text)
    return replace(default_ask(model), options=options or None, **fields)


def _field(name: str, text: str) -> JSON | Decimal | tuple[str, ...]:
    if name in _SETTINGS:
        return _value(text)
    if name in SINGLE_INPUTS:
        return STAND_IN_URL if _value(text) else None
    if name == "images":
        return (STAND_IN_URL,) * _count(text)
    if name == _INPUT_SECONDS:
        return _seconds(text)
    known = ", ".join((*_SETTINGS, *SINGLE_INPUTS, "images", _INPUT_SECONDS, "options.<name>"))
    raise BadRequest(f"No setting is called {name!r}. There are {known}.", param=name)


def _value(text: str) -> JSON:
    try:
        value: JSON = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 3:
        raise BadRequest(f"images={text!r}: write how many there are.", param="images")
    return int(text)


def _seconds(text: str) -> Decimal:
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        seconds = Decimal("NaN")
    if not (seconds.is_finite() and seconds > 0):
        raise BadRequest(f"{_INPUT_SECONDS}={text!r}: write a number of seconds.", param=_INPUT_SECONDS)
    return seconds
