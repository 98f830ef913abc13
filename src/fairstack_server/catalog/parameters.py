"""From what a user asked to the settings of one clip: defaults first, then every value is checked.

A refusal is a `BadRequest` that names the field, the value and what is allowed. The order matters: sound,
resolution and ratio are settled before the length, because the limits of a model speak of them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import NoReturn

from fairstack_server.catalog.conditions import holds
from fairstack_server.catalog.inputs import check_inputs
from fairstack_server.catalog.model import RATIO_OF_IMAGE, Durations, Limit, Model
from fairstack_server.catalog.options import resolve_options
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.catalog.settled import Settled
from fairstack_server.catalog.sizes import nearest_ratio, size_of
from fairstack_server.errors import BadRequest
from fairstack_server.jsonvalue import JSON

#: Largest seed that every vendor takes.
SEED_MAXIMUM = 2**31 - 1
#: Resolution of a request that names none, where the model has it.
USUAL_RESOLUTION = "720p"

_ASKED_WORDS = ("duration", "aspect_ratio", "resolution", "audio", "seed", "negative_prompt")
_SHOWN_CHARACTERS = 60


def resolve(model: Model, ask: VideoAsk) -> Settled:
    """Fill the defaults, then check every value. Raises BadRequest for the first that does not fit."""
    caps = model.capabilities
    _check_text("prompt", ask.prompt, caps.prompt_max_characters)
    inputs, image_count = check_inputs(model, ask)
    settled = Settled(
        options=resolve_options(ask.options, caps.options, model.key),
        audio=_audio(model, ask.audio),
        resolution=_resolution(model, ask.resolution),
        fps=caps.fps,
        seed=_seed(model, ask.seed),
        negative_prompt=_negative_prompt(model, ask.negative_prompt),
        inputs=inputs,
        image_count=image_count,
        input_seconds=ask.input_seconds,
        asked=_asked(ask, inputs),
    )
    settled = replace(settled, aspect_ratio=_aspect_ratio(model, ask, settled))
    settled = replace(settled, duration=_duration(model, ask, settled))
    return _measure(model, settled)


def default_resolution(model: Model) -> str | None:
    """720p where the model has it, else the model's own default."""
    caps = model.capabilities
    return USUAL_RESOLUTION if USUAL_RESOLUTION in caps.resolutions else caps.default_resolution


def duration_allowed(durations: Durations) -> list[int | float] | dict[str, int | float]:
    """The lengths as refusals and schemas state them: [5, 10] or {"min": 3, "max": 10, "step": 1}."""
    if durations.values:
        return [_json_number(value) for value in durations.values]
    bounds = {"min": durations.minimum, "max": durations.maximum, "step": durations.step}
    return {name: _json_number(value) for name, value in bounds.items() if value is not None}


def _asked(ask: VideoAsk, inputs: frozenset[str]) -> frozenset[str]:
    words = {word for word in _ASKED_WORDS if getattr(ask, word) not in (None, "")}
    options = ask.options if isinstance(ask.options, dict) else {}
    return frozenset(words | inputs | {f"options.{name}" for name in options})


def _measure(model: Model, settled: Settled) -> Settled:
    """Add what follows from the settings: pixels, number of frames, whether the image is reframed."""
    caps = model.capabilities
    size = size_of(settled.resolution, settled.aspect_ratio, caps.sizes)
    width, height = size if size is not None else (None, None)
    frames = None
    if settled.duration is not None and settled.fps is not None:
        frames = round(settled.duration * settled.fps) + caps.extra_frames
    reframe = caps.reframes and settled.aspect_ratio is not None
    return replace(settled, width=width, height=height, frames=frames, reframe=reframe)


def _audio(model: Model, given: JSON) -> bool:
    caps = model.capabilities
    if given is not None and not isinstance(given, bool):
        _refuse("audio", given, "must be true or false", [True, False])
    if not caps.audio:
        if given is True:
            _refuse("audio", given, f"cannot be had: {model.key} makes silent clips", [False])
        return False
    if not caps.audio_toggle:
        if given is False:
            _refuse("audio", given, f"cannot be had: {model.key} always makes sound", [True])
        return True
    return bool(caps.audio_default) if given is None else bool(given)


def _resolution(model: Model, given: JSON) -> str | None:
    if given is None:
        return default_resolution(model)
    return _choice(model, "resolution", given, model.capabilities.resolutions)


def _aspect_ratio(model: Model, ask: VideoAsk, settled: Settled) -> str | None:
    caps = model.capabilities
    narrowed = (limit.aspect_ratios for limit in _limits(model, settled) if limit.aspect_ratios)
    offered = next(narrowed, caps.aspect_ratios)
    if ask.aspect_ratio is not None:
        return _choice(model, "aspect_ratio", ask.aspect_ratio, offered)
    default = caps.default_aspect_ratio
    if default == RATIO_OF_IMAGE:
        default = nearest_ratio(ask.image_size, offered) if ask.image_size is not None else offered[0]
    return default if default is None or default in offered else offered[0]


def _duration(model: Model, ask: VideoAsk, settled: Settled) -> Decimal | None:
    caps = model.capabilities
    durations = _narrowed(caps.durations, _limits(model, settled))
    if ask.duration is None:
        if caps.length_of is not None:
            return settled.input_seconds
        return durations.default if durations is not None else None
    if durations is None:
        return _refuse("duration", ask.duration, f"is not taken by {model.key}: leave it out", [])
    allowed = duration_allowed(durations)
    seconds = _seconds(ask.duration, allowed)
    if not durations.allows(seconds):
        _refuse("duration", ask.duration, f"is not a length that {model.key} makes", allowed)
    return seconds


def _seconds(given: JSON | Decimal, allowed: object) -> Decimal:
    match given:
        case bool():
            _refuse("duration", given, "must be a number of seconds", allowed)
        case int() | Decimal():
            seconds = Decimal(given)
        case float():
            # The shortest text of the float: 0.1 is what the user wrote, not its binary neighbour.
            seconds = Decimal(repr(given))
        case str():
            hint = f": write {given}, without quotes" if given.isascii() and given.isdigit() else ""
            _refuse("duration", given, f"must be a number of seconds{hint}", allowed)
        case _:
            _refuse("duration", given, "must be a number of seconds", allowed)
    if not seconds.is_finite():
        _refuse("duration", given, "must be a finite number of seconds", allowed)
    return seconds


def _limits(model: Model, settled: Settled) -> list[Limit]:
    facts = settled.facts()
    return [limit for limit in model.capabilities.limits if holds(limit.when, facts)]


def _narrowed(durations: Durations | None, limits: list[Limit]) -> Durations | None:
    """What the first limit on the length leaves of it; the default moves to the nearest that is left."""
    left = next((limit.durations for limit in limits if limit.durations), ())
    if durations is None or not left:
        return durations
    default = min(left, key=lambda value: abs(value - durations.default))
    return Durations(values=left, default=default)


def _seed(model: Model, given: JSON) -> int | None:
    if given is None:
        return None
    allowed = {"min": 0, "max": SEED_MAXIMUM}
    if not model.capabilities.seed:
        _refuse("seed", given, f"is not taken by {model.key}: leave it out", [])
    if isinstance(given, bool) or not isinstance(given, int):
        return _refuse("seed", given, "must be a whole number", allowed)
    if not 0 <= given <= SEED_MAXIMUM:
        _refuse("seed", given, "is out of range", allowed)
    return given


def _negative_prompt(model: Model, given: JSON) -> str | None:
    if given is None or given == "":
        return None
    if not model.capabilities.negative_prompt:
        _refuse("negative_prompt", given, f"is not taken by {model.key}: leave it out", [])
    return _check_text("negative_prompt", given, model.capabilities.prompt_max_characters)


def _check_text(param: str, given: JSON, most_characters: int) -> str:
    """The text itself; refusals say what is wrong with it and never repeat it."""
    if not isinstance(given, str):
        raise BadRequest(f'"{param}" must be text.', param=param)
    if not given.strip():
        raise BadRequest(f'"{param}" is empty: describe the clip.', param=param)
    if len(given) > most_characters:
        raise BadRequest(
            f'"{param}" has {len(given)} characters; this model takes at most {most_characters}.',
            param=param,
            allowed={"maxLength": most_characters},
        )
    if "\0" in given or any("\ud800" <= character <= "\udfff" for character in given):
        raise BadRequest(
            f'"{param}" holds characters that are no text (NUL or a lone surrogate).', param=param
        )
    return given


def _choice(model: Model, param: str, given: JSON, offered: tuple[str, ...]) -> str:
    if isinstance(given, str) and given in offered:
        return given
    if not offered:
        _refuse(param, given, f"is not taken by {model.key}: leave it out", [])
    return _refuse(param, given, f"is not on offer for {model.key}", list(offered))


def _refuse(param: str, given: JSON | Decimal, why: str, allowed: object) -> NoReturn:
    choices = f" Allowed: {_shown(allowed)}." if allowed else ""
    listed = allowed if isinstance(allowed, list | dict) else None
    raise BadRequest(f"{param} {_shown(given)} {why}.{choices}", param=param, allowed=listed)


def _shown(value: object) -> str:
    """A foreign value as JSON would write it, short and printable."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            short = value[:_SHOWN_CHARACTERS]
            return '"' + "".join(each if each.isprintable() else "?" for each in short) + '"'
        case int() if value.bit_length() > 64:
            return "(a very large number)"
        case float() if not math.isfinite(value):
            return "(not a finite number)"
        case list():
            return ", ".join(_shown(each) for each in value) if len(value) <= 40 else f"({len(value)} values)"
        case dict():
            return ", ".join(f"{_shown(name)[1:-1]} {_shown(each)}" for name, each in list(value.items())[:5])
        case _:
            return str(value)[:_SHOWN_CHARACTERS]


def _json_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
