"""Every combination of settings that a model takes, for checks and golden tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any

from fairstack_server.catalog.inputs import STAND_IN_URL, default_ask
from fairstack_server.catalog.model import Durations, Model
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import BadRequest
from fairstack_server.pricing import quote


def every_ask(model: Model) -> Iterator[VideoAsk]:
    """Each combination of resolution, ratio, sound, length and optional files.

    Options with few values come in each combination where a price hangs on them, else once.
    """
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
    told = _options_of_conditions(model)
    telling = {name: schema for name, schema in caps.options.items() if name in told}
    silent = {name: schema for name, schema in caps.options.items() if name not in told}
    for values in product(*choices.values()):
        ask = replace(least, **dict(zip(choices, values, strict=True)))
        yield ask
        yield from (replace(ask, options=options) for options in _option_choices(telling))
    yield from (replace(least, options=options) for options in _option_choices(silent))


def every_choice(model: Model) -> Iterator[tuple[VideoAsk, Settled]]:
    """Each of those requests and what it settles to; combinations that a limit refuses are left out."""
    for ask in every_ask(model):
        try:
            yield ask, resolve(model, ask)
        except BadRequest:
            if not model.capabilities.limits:
                raise


def every_setting(model: Model) -> Iterator[Settled]:
    """What each of those requests settles to."""
    return (settled for _, settled in every_choice(model))


def count_and_quote_all(models: Iterable[Model], *, on: date) -> int:
    """Quote every setting of every model; how many there are. Raises Unpriced for one without a price."""
    quotes = (quote(model, settled, on=on) for model in models for settled in every_setting(model))
    return sum(1 for _ in quotes)


def seconds_of(durations: Durations) -> tuple[Decimal, ...]:
    """The lengths on offer; of a range without steps, its ends and its default."""
    if durations.values:
        return durations.values
    low, high = durations.minimum or Decimal(0), durations.maximum or Decimal(0)
    if durations.step is None:
        return tuple(sorted({low, durations.default, high}))
    return tuple(low + at * durations.step for at in range(int((high - low) / durations.step) + 1))


def _options_of_conditions(model: Model) -> set[str]:
    """The options that a rate, a limit or a route asks about; the others change no price."""
    prices = [*model.prices, *(price for route in model.routes for price in route.costs)]
    conditions = [
        *(rate.when for price in prices for rate in price.rates),
        *(limit.when for limit in model.capabilities.limits),
        *(route.when for route in model.routes),
    ]
    return {fact.removeprefix("options.") for when in conditions for fact in when}


def _option_choices(schemas: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Options that are switches or short lists, one value of one option at a time."""
    for name, schema in schemas.items():
        values = [True, False] if schema.get("type") == "boolean" else schema.get("enum", [])
        yield from ({name: value} for value in values)
