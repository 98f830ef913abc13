"""Looks for what no file shows alone: prices that miss a setting, routes that cannot serve."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.combinations import every_setting
from fairstack_server.catalog.conditions import holds
from fairstack_server.catalog.load import CatalogError, Snapshot
from fairstack_server.catalog.model import Capabilities, Model, Price, Route
from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import BadRequest
from fairstack_server.pricing import Unpriced, in_force, quote, route_cost

_YEAR = re.compile(r"20[0-9]{2}")


Level = Literal["error", "note"]
#: Errors: what of the entry is wrong. Notes: what the operator may want to know or to state.
Reason = Literal[
    "unreadable",
    "settings",
    "links",
    "dates",
    "routes",
    "rates",
    "model_off",
    "route_off",
    "price_to_come",
    "cost_above_price",
]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something to look at: an error makes the catalog unfit, a note is for the operator to know."""

    level: Level
    model: str
    reason: Reason
    message: str
    provider: str = ""
    """Whose route it is about, if it is about one."""


def check(catalog: Catalog, *, on: date) -> list[Finding]:
    """All findings as of that day, errors first; prices are judged at a margin of 0 %."""
    snapshot = catalog.snapshot
    findings: dict[Finding, None] = {}
    for model in snapshot.models.values():
        for finding in _findings(model, snapshot, on):
            findings[finding] = None
    return sorted(findings)


def unreadable(error: CatalogError) -> list[Finding]:
    """The findings where the files cannot even be read; each message begins with file:line."""
    return [Finding("error", "", "unreadable", problem) for problem in error.problems]


def _findings(model: Model, snapshot: Snapshot, on: date) -> Iterator[Finding]:
    try:
        settings = list(every_setting(model))
    except BadRequest as error:
        yield Finding("error", model.key, "settings", f"refuses what it offers: {error.message}")
        settings = []
    yield from _links(model, snapshot)
    yield from _dates(model, on)
    for route in model.routes:
        yield from _route(model, route, snapshot)
    yield from _rates(model, settings, on)
    yield from _prices(model, settings, on)


def _links(model: Model, snapshot: Snapshot) -> Iterator[Finding]:
    for name in ("twin", "replaced_by"):
        key = getattr(model, name)
        if key is not None and key not in snapshot.models:
            said = f"{name} names {key!r}, which is not in the catalog"
            yield Finding("error", model.key, "links", said)
    twin = snapshot.models.get(model.twin or "")
    if twin is not None and twin.capabilities.image == "none":
        yield Finding("error", model.key, "links", f"twin names {twin.key!r}, which takes no image")


def _dates(model: Model, on: date) -> Iterator[Finding]:
    if not any(_YEAR.search(source) for source in model.sources):
        yield Finding("error", model.key, "dates", "no source says when it was read")
    for prices in (model.prices, *(route.costs for route in model.routes)):
        for price in prices:
            if price.since > on:
                said = f"a price of {price.source!r} begins on {price.since}"
                yield Finding("note", model.key, "price_to_come", said)
    if model.end_of_life is not None and model.end_of_life <= on and model.status != "deprecated":
        yield Finding(
            "error", model.key, "dates", f"ended on {model.end_of_life} and is still {model.status}"
        )


def _route(model: Model, route: Route, snapshot: Snapshot) -> Iterator[Finding]:
    if route.provider not in snapshot.providers:
        yield _of_route("error", model, route, "routes", f"there is no providers/{route.provider}.toml")
    if not route.costs:
        off: Reason = "route_off" if any(other.costs for other in model.routes) else "model_off"
        yield _of_route("note", model, route, off, "is off: its cost is unknown")
    for role in ("image", "end_image", "video", "audio_url"):
        if getattr(model.capabilities, role) == "required" and role not in route.field_map:
            said = f"does not hand on {role!r}, which every request has"
            yield _of_route("error", model, route, "routes", said)
    for word in _choices(model.capabilities):
        if word not in route.when and not _says(route, word):
            said = f"does not hand on {word!r}: map it, or say in `when` which value it makes"
            yield _of_route("error", model, route, "routes", said)


def _of_route(level: Level, model: Model, route: Route, reason: Reason, said: str) -> Finding:
    named = f"route {route.provider} ({route.endpoint})"
    return Finding(level, model.key, reason, f"{named} {said}", route.provider)


def _choices(caps: Capabilities) -> Iterator[str]:
    """What a request may choose, so that a route has to be told of it."""
    if caps.durations is not None and len(caps.durations.values) != 1:
        yield "duration"
    if len(caps.resolutions) > 1:
        yield "resolution"
    if len(caps.aspect_ratios) > 1 and not caps.reframes:
        yield "aspect_ratio"


def _says(route: Route, word: str) -> bool:
    """Pixels say resolution and ratio at once."""
    in_pixels = {"size", "width"} if word != "duration" else set()
    return not route.field_map.keys().isdisjoint({word, *in_pixels})


def _rates(model: Model, settings: list[Settled], on: date) -> Iterator[Finding]:
    owners: list[tuple[str, tuple[Price, ...]]] = [
        ("prices", model.prices),
        *((f"costs of {route.provider}", route.costs) for route in model.routes),
    ]
    for owner, prices in owners:
        if prices and any(_is_ambiguous(in_force(prices, on), settled) for settled in settings):
            said = f"{owner}: two rates with equally many conditions hold for the same settings"
            yield Finding("error", model.key, "rates", said)


def _is_ambiguous(price: Price, settled: Settled) -> bool:
    facts = settled.facts()
    counts = [len(rate.when) for rate in price.rates if holds(rate.when, facts)]
    return bool(counts) and counts.count(max(counts)) > 1


def _prices(model: Model, settings: list[Settled], on: date) -> Iterator[Finding]:
    for settled in settings:
        try:
            micros = quote(model, settled, on=on).micros
            costs = [(route, route_cost(route, settled, on)) for route in model.routes]
        except Unpriced as error:
            yield Finding("error", model.key, "rates", error.message)
            continue
        for route, cost in costs:
            if cost is not None and cost > micros:
                said = "costs more than the price: not used"
                yield _of_route("note", model, route, "cost_above_price", said)
