"""Builds a vendor's request body from an order and its route: names, nesting, value forms. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import InputFile, Order, ProviderError

#: What stands for a file in the body: a URL, a data URL, or whatever the vendor takes.
PlaceFile = Callable[[InputFile], JSON]


_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Unwritable(ValueError):
    """A value does not fit the form that the route asks for; names the word, the value and the form."""


def build_body(order: Order, place_file: PlaceFile) -> JSONObject:
    """The body of this order: options first, our words over them, the route's fixed fields over both.

    What has no entry in `field_map` is not sent; an option's entry is named `options.<name>`. Raises
    ProviderError (not sent, permanent) when a value cannot be written in the form that the route asks for.
    """
    body: JSONObject = {}
    try:
        options = {f"options.{name}": value for name, value in order.options.items()}
        for word, value in (options | words_of(order, place_file)).items():
            if word in order.field_map:
                _put(body, order.field_map[word], write_value(word, value, order))
        for field, value in order.fixed.items():
            _put(body, field, value)
    except Unwritable as error:
        raise ProviderError(f"The route {order.endpoint!r}: {error}", sent=False, permanent=True) from None
    return body


def words_of(order: Order, place_file: PlaceFile) -> dict[str, JSON]:
    """Every word of ours that this order has a value for, before any form is applied."""
    files = {
        "image": order.image,
        "end_image": order.end_image,
        "video": order.video,
        "audio_url": order.audio_track,
    }
    words: dict[str, JSON] = {
        "prompt": order.prompt,
        "negative_prompt": order.negative_prompt,
        "duration": order.duration_seconds,
        "aspect_ratio": order.aspect_ratio,
        "resolution": order.resolution,
        "size": f"{order.width}x{order.height}" if order.width and order.height else None,
        "width": order.width,
        "height": order.height,
        "fps": order.fps,
        "seed": order.seed,
        "audio": order.audio,
        **{word: place_file(file) for word, file in files.items() if file is not None},
        "images": [place_file(file) for file in order.images] or None,
    }
    return {word: value for word, value in words.items() if value is not None}


def write_value(word: str, value: JSON, order: Order) -> JSON:
    """The value as the route wants it: from its table, in its form, or as it is (5.0 becomes 5)."""
    table = order.values.get(word)
    if table and isinstance(value, str | int | float) and _text(value) in table:
        return table[_text(value)]
    form = order.formats.get(word)
    if form is None:
        return _short_number(value)
    try:
        write = FORMS[form]
    except KeyError:
        raise Unwritable(f"{word} has the unknown form {form!r}; known: {', '.join(FORMS)}") from None
    try:
        return write(value, order)
    except (TypeError, ValueError) as error:
        raise Unwritable(f"{word} = {value!r} cannot be written as {form}: {error}") from None


def _string(value: JSON, _: Order) -> JSON:
    if not isinstance(value, str | int | float):
        raise TypeError("not a single value")
    return _text(value)


def _integer(value: JSON, _: Order) -> JSON:
    number = _finite(value)
    if number != int(number):
        raise ValueError("not a whole number")
    return int(number)


def _number(value: JSON, _: Order) -> JSON:
    return _finite(value)


def _seconds_suffix(value: JSON, _: Order) -> JSON:
    return f"{_short_number(_finite(value))}s"


def _frames(value: JSON, order: Order) -> JSON:
    if not order.fps:
        raise ValueError("the order has no frame rate")
    return round(_finite(value) * order.fps) + 1


def _pixels(separator: str) -> Callable[[JSON, Order], JSON]:
    def write(_: JSON, order: Order) -> JSON:
        if not order.width or not order.height:
            raise ValueError("the order has no width and height")
        return f"{order.width}{separator}{order.height}"

    return write


def _upper(value: JSON, _: Order) -> JSON:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value.upper()


def _on_off(value: JSON, _: Order) -> JSON:
    return "on" if _truth(value) else "off"


def _boolean(value: JSON, _: Order) -> JSON:
    return _truth(value)


#: Form -> how it writes a value; the same names as `VALUE_FORMS` in `catalog/model.py`.
FORMS: Mapping[str, Callable[[JSON, Order], JSON]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "seconds_suffix": _seconds_suffix,
    "frames": _frames,
    "pixels": _pixels("x"),
    "pixels_colon": _pixels(":"),
    "pixels_star": _pixels("*"),
    "upper": _upper,
    "on_off": _on_off,
    "boolean": _boolean,
}


def _finite(value: JSON) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("not a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _truth(value: JSON) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _text(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(_short_number(value))


def _short_number(value: JSON) -> JSON:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _put(body: JSONObject, path: str, value: JSON) -> None:
    """Put the value at a path such as `parameters.seed` or `instances[0].prompt`."""
    place: JSON = body
    steps = [int(index) if index else name for name, index in _STEP.findall(path)]
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        empty: JSON = [] if isinstance(following, int) else {}
        place = _enter(place, step, value if following is None else empty, path, last=following is None)


def _enter(place: JSON, step: str | int, value: JSON, path: str, *, last: bool) -> JSON:
    """What stands at this step; the last step is written, a missing one before it is made."""
    if isinstance(place, dict) and isinstance(step, str):
        if last or step not in place:
            place[step] = value
        return place[step]
    if isinstance(place, list) and isinstance(step, int) and step <= len(place):
        if step == len(place):
            place.append(value)
        elif last:
            place[step] = value
        return place[step]
    raise Unwritable(f"field {path!r} does not fit into what stands before it")
