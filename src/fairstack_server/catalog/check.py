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
from fairstack_server.catalog.load import Snapshot
from fairstack_server.catalog.model import Model, Price, Route
from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import BadRequest
from fairstack_server.pricing import Unpriced, in_force, quote, route_cost

_YEAR = re.compile(r"20[0-9]{2}")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something to look at: an error makes the catalog unfit, a note is for the operator to know."""

    level: Literal["error", "note"]
    model: str
    message: str


def check(catalog: Catalog, *, on: date) -> list[Finding]:
    """All findings as of that day, errors first; prices are judged at a margin of 0 %."""
    snapshot = catalog.snapshot
    findings: dict[Finding, None] = {}
    for model in snapshot.models.values():
        for level, message in _findings(model, snapshot, on):
            findings[Finding(level, model.key, message)] = None
    return sorted(findings)


_Told = tuple[Literal["error", "note"], str]


def _findings(model: Model, snapshot: Snapshot, on: date) -> Iterator[_Told]:
    try:
        settings = list(every_setting(model))
    except BadRequest as error:
        yield "error", f"refuses what it offers: {error.message}"
        settings = []
    yield from _links(model, snapshot)
    yield from _dates(model, on)
    for route in model.routes:
        yield from _route(model, route, snapshot)
    yield from _rates(model, settings, on)
    yield from _prices(model, settings, on)


def _links(model: Model, snapshot: Snapshot) -> Iterator[_Told]:
    for name in ("twin", "replaced_by"):
        key = getattr(model, name)
        if key is not None and key not in snapshot.models:
            yield "error", f"{name} names {key!r}, which is not in the catalog"
    twin = snapshot.models.get(model.twin or "")
    if twin is not None and twin.capabilities.image == "none":
        yield "error", f"twin names {twin.key!r}, which takes no image"


def _dates(model: Model, on: date) -> Iterator[_Told]:
    if not any(_YEAR.search(source) for source in model.sources):
        yield "error", "no source says when it was read"
    for prices in (model.prices, *(route.costs for route in model.routes)):
        for price in prices:
            if price.since > on:
                yield "note", f"a price of {price.source!r} begins on {price.since}"
    if model.end_of_life is not None and model.end_of_life <= on and model.status != "deprecated":
        yield "error", f"ended on {model.end_of_life} and is still {model.status}"


def _route(model: Model, route: Route, snapshot: Snapshot) -> Iterator[_Told]:
    caps = model.capabilities
    name = f"route {route.provider} ({route.endpoint})"
    if route.provider not in snapshot.providers:
        yield "error", f"{name}: there is no providers/{route.provider}.toml"
    if not route.costs:
        yield "note", f"{name} is off: its cost is unknown"
    for role in ("image", "end_image", "video", "audio_url"):
        if getattr(caps, role) == "required" and role not in route.field_map:
            yield "error", f"{name} does not hand on {role!r}, which every request has"
    choices = {
        "duration": caps.durations is not None and len(caps.durations.values) != 1,
        "resolution": len(caps.resolutions) > 1,
        "aspect_ratio": len(caps.aspect_ratios) > 1 and not caps.reframes,
    }
    for word, is_choice in choices.items():
        if is_choice and word not in route.when and not _says(route, word):
            yield "error", f"{name} does not hand on {word!r}: map it, or say in `when` which value it makes"


def _says(route: Route, word: str) -> bool:
    """Pixels say resolution and ratio at once."""
    in_pixels = {"size", "width"} if word != "duration" else set()
    return not route.field_map.keys().isdisjoint({word, *in_pixels})


def _rates(model: Model, settings: list[Settled], on: date) -> Iterator[_Told]:
    owners: list[tuple[str, tuple[Price, ...]]] = [
        ("prices", model.prices),
        *((f"costs of {route.provider}", route.costs) for route in model.routes),
    ]
    for owner, prices in owners:
        if prices and any(_is_ambiguous(in_force(prices, on), settled) for settled in settings):
            yield "error", f"{owner}: two rates with equally many conditions hold for the same settings"


def _is_ambiguous(price: Price, settled: Settled) -> bool:
    facts = settled.facts()
    counts = [len(rate.when) for rate in price.rates if holds(rate.when, facts)]
    return bool(counts) and counts.count(max(counts)) > 1


def _prices(model: Model, settings: list[Settled], on: date) -> Iterator[_Told]:
    for settled in settings:
        try:
            micros = quote(model, settled, on=on).micros
            costs = [(route, route_cost(route, settled, on)) for route in model.routes]
        except Unpriced as error:
            yield "error", error.message
            continue
        for route, cost in costs:
            if cost is not None and cost > micros:
                yield "note", f"route {route.provider} ({route.endpoint}) costs more than the price: not used"
