"""What a clip costs, to the microdollar: pure arithmetic on dated rates.

Amounts are exact fractions of a micro until the end, where they are rounded up once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fairstack_server.catalog.conditions import holds
from fairstack_server.catalog.inputs import default_ask
from fairstack_server.catalog.model import Model, Price, Rate, Route
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import Unavailable

#: Words that a route may do without: one value is fixed, or pixels and frames say the same. `catalog check`
#: sees to it that a route for which that is not so has a `when`.
_SETTLED_BY_US = frozenset({"duration", "aspect_ratio", "resolution"})


class Unpriced(Unavailable):
    """No rate covers these settings; nobody is ever charged an unknown amount."""

    default_code = "model_unavailable"


@dataclass(frozen=True, slots=True)
class Quote:
    """The price that is promised, and what it follows from."""

    micros: int
    price: Price
    rate: Rate
    route: Route | None
    """The route whose cost was taken; None where the model has a price of its own."""


LeftOutReason = Literal["not_configured", "end_of_life", "cannot_carry", "cost_unknown", "above_price"]


@dataclass(frozen=True, slots=True)
class UsableRoute:
    """A route that can make this clip, and what the provider will bill for it."""

    route: Route
    cost_micros: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A route that is not used for this clip, and why, in a sentence for the operator."""

    route: Route
    reason: LeftOutReason
    message: str


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes to try, in order, and those that are left out."""

    usable: tuple[UsableRoute, ...]
    left_out: tuple[LeftOut, ...]


def quote(
    model: Model,
    settled: Settled,
    *,
    on: date,
    margin_percent: Decimal = Decimal(0),
    configured: Iterable[str] = (),
) -> Quote:
    """The price of one clip on that day.

    It is the model's own price; else, plus the margin, the cost of the first configured route that can make
    the clip at a known cost, else of the first such route. Raises Unpriced where no rate covers the settings.
    """
    if model.prices:
        price = in_force(model.prices, on)
        rate = find_rate(price, settled)
        if rate is None:
            raise Unpriced(f"{model.key} has no price for these settings: {_described(settled)}.")
        return Quote(math.ceil(amount(price, rate, settled)), price, rate, None)
    for route in _by_claim_to_price(model, settled, frozenset(configured), on):
        if route.costs and (rate := find_rate(price := in_force(route.costs, on), settled)) is not None:
            with_margin = amount(price, rate, settled) * (1 + Fraction(margin_percent) / 100)
            return Quote(math.ceil(with_margin), price, rate, route)
    raise Unpriced(f"{model.key} has no price for these settings: {_described(settled)}.")


def price_of_default_clip(
    model: Model, *, on: date, margin_percent: Decimal = Decimal(0), configured: Iterable[str] = ()
) -> Quote:
    """The price of a clip at the model's defaults, where a length follows an input: for 5 seconds of it."""
    settled = resolve(model, default_ask(model))
    return quote(model, settled, on=on, margin_percent=margin_percent, configured=configured)


def route_cost(route: Route, settled: Settled, on: date) -> int | None:
    """What the provider bills for this clip, in micros; None = unknown."""
    if not route.costs:
        return None
    price = in_force(route.costs, on)
    rate = find_rate(price, settled)
    return None if rate is None else math.ceil(amount(price, rate, settled))


def usable_routes(
    model: Model,
    settled: Settled,
    *,
    configured: Iterable[str],
    price_micros: int,
    on: date,
    allow_loss: bool = False,
) -> Routes:
    """The routes that may make this clip, in the order of the entry, each with its cost.

    `price_micros` is what was promised to the user: a route that costs more is left out unless the operator
    allows losses, and one whose cost is unknown always is.
    """
    known = frozenset(configured)
    usable, left_out = [], []
    for route in model.routes:
        cost = route_cost(route, settled, on)
        fault = next(_faults(model, route, settled, cost, known, on, price_micros, allow_loss), None)
        if fault is not None:
            left_out.append(LeftOut(route, *fault))
        elif cost is not None:
            usable.append(UsableRoute(route, cost))
    return Routes(tuple(usable), tuple(left_out))


def _faults(
    model: Model,
    route: Route,
    settled: Settled,
    cost: int | None,
    configured: frozenset[str],
    on: date,
    price_micros: int,
    allow_loss: bool,
) -> Iterator[tuple[LeftOutReason, str]]:
    if route.provider not in configured:
        yield "not_configured", f"{route.provider} is not configured."
    yield from _unfit(model, route, settled, on)
    if cost is None:
        yield "cost_unknown", f"What {_named(route)} costs is unknown: state it in overrides.toml."
    elif cost > price_micros and not allow_loss:
        yield "above_price", f"{_named(route)} costs {cost} micros, more than the price of {price_micros}."


def _unfit(model: Model, route: Route, settled: Settled, on: date) -> Iterator[tuple[LeftOutReason, str]]:
    """Why the route cannot make this clip, whatever it costs and whoever is configured."""
    if model.end_of_life is not None and model.end_of_life <= on:
        instead = f" Take {model.replaced_by} instead." if model.replaced_by else ""
        yield "end_of_life", f"{model.key} was closed on {model.end_of_life}.{instead}"
    if route.end_of_life is not None and route.end_of_life <= on:
        yield "end_of_life", f"{_named(route)} was closed on {route.end_of_life}."
    if not holds(route.when, settled.facts()):
        yield "cannot_carry", f"{_named(route)} does not make {_described(settled)}."
    if dropped := dropped_words(model, route, settled):
        yield "cannot_carry", f"{_named(route)} takes no {', '.join(dropped)}."


def _by_claim_to_price(model: Model, settled: Settled, configured: frozenset[str], on: date) -> list[Route]:
    """Configured routes that can make the clip, then the others that can, then the rest."""

    def claim(route: Route) -> tuple[bool, bool]:
        is_unfit = any(True for _ in _unfit(model, route, settled, on))
        return is_unfit, route.provider not in configured

    return sorted(model.routes, key=claim)


def _named(route: Route) -> str:
    return f"{route.provider} ({route.endpoint})"


def dropped_words(model: Model, route: Route, settled: Settled) -> list[str]:
    """What the request asked for and this route cannot hand on to the vendor; to drop it would be a lie."""
    by_us = _SETTLED_BY_US if model.capabilities.audio_toggle else _SETTLED_BY_US | {"audio"}
    return sorted(settled.asked - by_us - set(route.field_map))


def in_force(prices: tuple[Price, ...], on: date) -> Price:
    """The last price that began on or before that day; before the first one began, the first one."""
    begun = [price for price in prices if price.since <= on]
    return begun[-1] if begun else prices[0]


def find_rate(price: Price, settled: Settled) -> Rate | None:
    """The rate with the most conditions, all of them met; None where no rate covers the settings."""
    facts = settled.facts()
    holding = [rate for rate in price.rates if holds(rate.when, facts)]
    return max(holding, key=lambda rate: len(rate.when), default=None)


def amount(price: Price, rate: Rate, settled: Settled) -> Fraction:
    """Exact micros of a clip at this rate. Raises Unpriced where length or size of the clip is not known."""
    units = _units(price, rate, settled)
    extras = Fraction(rate.base_micros) + Fraction(rate.per_image_micros) * settled.image_count
    if rate.per_input_second_micros:
        extras += Fraction(rate.per_input_second_micros) * _known(
            settled.input_seconds, "length of the input"
        )
    return Fraction(rate.micros) * units + extras


def _units(price: Price, rate: Rate, settled: Settled) -> Fraction:
    match price.unit:
        case "clip":
            return Fraction(1)
        case "second" | "base_plus_second":
            return _billed_seconds(price, rate, settled)
        case "million_video_tokens":
            pixels = _pixels(settled) * _known(settled.fps, "frames per second")
            return pixels * _billed_seconds(price, rate, settled) / 1024 / 1_000_000
        case "megapixel_frames":
            frames = _known(settled.frames, "number of frames")
            return Fraction(math.ceil(_pixels(settled) * frames / 1_000_000))


def _billed_seconds(price: Price, rate: Rate, settled: Settled) -> Fraction:
    if price.billing_fps is not None:
        seconds = _known(settled.frames, "number of frames") / price.billing_fps
    else:
        seconds = _known(settled.duration, "length")
    seconds = max(seconds, Fraction(price.minimum_seconds))
    if price.maximum_seconds is not None:
        seconds = min(seconds, Fraction(price.maximum_seconds))
    if rate.counts_input:
        seconds += _known(settled.input_seconds, "length of the input")
    return seconds


def _pixels(settled: Settled) -> Fraction:
    return _known(settled.width, "width") * _known(settled.height, "height")


def _known(value: int | Decimal | None, what: str) -> Fraction:
    if value is None:
        raise Unpriced(f"The price follows the {what} of the clip, which is not known.")
    return Fraction(value)


def _described(settled: Settled) -> str:
    shown = {
        "duration": settled.duration,
        "resolution": settled.resolution,
        "aspect_ratio": settled.aspect_ratio,
        "audio": str(settled.audio).lower(),
    }
    return ", ".join(f"{name} {value}" for name, value in shown.items() if value is not None)
