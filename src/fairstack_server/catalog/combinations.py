"""Every combination of settings that a model takes, for checks and golden tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import product
from typing import Any

from fairstack_server.catalog.inputs import STAND_IN_URL, default_ask
from fairstack_server.catalog.model import Durations, Model
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import BadRequest


def every_ask(model: Model) -> Iterator[VideoAsk]:
    """Each combination of resolution, ratio, sound, length, optional files and options with few values."""
    caps = model.capabilities
    choices: dict[str, Sequence[Any]] = {
        "resolution": caps.resolutions or (None,),
        "aspect_ratio": (*caps.aspect_ratios, None)
        if caps.default_aspect_ratio is None
        else caps.aspect_ratios,
        "audio": (False, True) if caps.audio_toggle else (None,),
        "duration": seconds_of(caps.durations) if caps.durations is not None else (None,),
        **{
            role: (None, STAND_IN_URL)
            for role in ("image", "end_image", "video", "audio_url")
            if getattr(caps, role) == "optional"
        },
    }
    least = default_ask(model)
    for values in product(*choices.values()):
        ask = replace(least, **dict(zip(choices, values, strict=True)))
        for options in _option_choices(caps.options):
            yield replace(ask, options=options) if options else ask


def every_setting(model: Model) -> Iterator[Settled]:
    """What each of those requests settles to, but for combinations that a limit of the model refuses."""
    for ask in every_ask(model):
        try:
            yield resolve(model, ask)
        except BadRequest:
            if not model.capabilities.limits:
                raise


def seconds_of(durations: Durations) -> tuple[Decimal, ...]:
    """The lengths on offer; of a range without steps, its ends and its default."""
    if durations.values:
        return durations.values
    low, high = durations.minimum or Decimal(0), durations.maximum or Decimal(0)
    if durations.step is None:
        return tuple(sorted({low, durations.default, high}))
    return tuple(low + at * durations.step for at in range(int((high - low) / durations.step) + 1))


def _option_choices(schemas: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Options that are switches or short lists, one at a time: prices may hang on them."""
    yield {}
    for name, schema in schemas.items():
        values = [True, False] if schema.get("type") == "boolean" else schema.get("enum", [])
        yield from ({name: value} for value in values)
