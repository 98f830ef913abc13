"""Writes the reference page of all models as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from fairstack_server.catalog.inputs import SINGLE_INPUTS
from fairstack_server.catalog.model import (
    RATIO_OF_IMAGE,
    Capabilities,
    Condition,
    Conditions,
    Durations,
    Model,
    Price,
    Rate,
    Route,
    Span,
)
from fairstack_server.catalog.parameters import default_resolution
from fairstack_server.money import ceil_micros, display
from fairstack_server.pricing import in_force, price_of_default_clip

_HEAD = """# Models

<!-- Written by `python -m fairstack_server.catalog.generate` from catalog/models/. Do not edit. -->

Prices are at a margin of 0 %, for a clip at the model's defaults; `confirm: false` gives the exact price of
any request. A route whose cost is unknown is off until the operator states it.

Prices, lengths, sizes and field names come from the sources that each model names. Where a fact has none,
the model says so under "Not from a source": {unverified} of {models} models have such a fact. How long a
model takes (`typical_seconds`, `longest_seconds`) is our estimate for all of them. `quality_rank` is null: no
source ranks all models, and we do not make one up; an operator may state it in a model file.
"""


def model_page(models: Iterable[Model], *, on: date) -> str:
    """The page: one table of all models, then a section for each."""
    listed = list(models)
    rows = [
        "| Model | Kind | Tier | Maker | Default clip | Lengths | Ratios | Resolutions | Sound |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(model, on) for model in listed),
    ]
    sections = [model_section(model, on=on) for model in listed]
    head = _HEAD.format(models=len(listed), unverified=sum(bool(model.unverified) for model in listed))
    return "\n".join([head, *rows, "", *sections])


def model_section(model: Model, *, on: date) -> str:
    """All about one model: defaults, what it takes, prices and routes with their sources."""
    return "\n".join(_section(model, on))


def _row(model: Model, on: date) -> str:
    caps = model.capabilities
    cells = (
        f"[`{model.key}`](#{model.key})",
        model.type,
        model.tier,
        model.vendor,
        display(price_of_default_clip(model, on=on).micros),
        _lengths(caps.durations),
        ", ".join(caps.aspect_ratios) or "-",
        ", ".join(caps.resolutions) or "-",
        ("switchable" if caps.audio_toggle else "always") if caps.audio else "-",
    )
    return f"| {' | '.join(cells)} |"


def _section(model: Model, on: date) -> Iterator[str]:
    caps = model.capabilities
    yield f"## {model.key}\n"
    yield f"{model.name}, by {model.vendor}. {' '.join(model.description.split())}\n"
    defaults = {
        "duration": None if caps.durations is None else f"{caps.durations.default} s",
        "aspect ratio": _default_ratio(caps),
        "resolution": default_resolution(model),
        "frames per second": caps.fps,
    }
    stated = (f"{name} {value}" for name, value in defaults.items() if value is not None)
    yield f"- Defaults: {', '.join(stated)}"
    takes = [
        *(f"`{role}` ({getattr(caps, role)})" for role in SINGLE_INPUTS if getattr(caps, role) != "none"),
        *(f"`{word}`" for word in ("seed", "negative_prompt") if getattr(caps, word)),
        *(f"`options.{name}`" for name in caps.options),
    ]
    if takes:
        yield f"- Takes: {', '.join(takes)}"
    if model.aliases:
        yield f"- Also called: {', '.join(f'`{alias}`' for alias in model.aliases)}"
    if model.prices:
        yield f"- Price: {_price(in_force(model.prices, on))}"
    for route in model.routes:
        yield f"- Route: {_route(route, on)}"
    if model.unverified:
        yield f"- Not from a source: {'; '.join(model.unverified)}"
    yield f"- Sources: {'; '.join(model.sources)}\n"


def _route(route: Route, on: date) -> str:
    cost = _price(in_force(route.costs, on)) if route.costs else "cost unknown, off"
    note = f". {route.note}" if route.note else ""
    return f"{route.provider} `{route.endpoint}`: {cost}{note}"


def _price(price: Price) -> str:
    rates = "; ".join(_rate(rate, price) for rate in price.rates)
    return f"{rates} (since {price.since}; {price.source})"


def _rate(rate: Rate, price: Price) -> str:
    per = {
        "clip": "a clip",
        "second": "a second",
        "base_plus_second": "a second",
        "million_video_tokens": "a million video tokens",
        "megapixel_frames": "a megapixel of frames",
    }[price.unit]
    extras = (
        (rate.base_micros, "a clip"),
        (rate.per_image_micros, "an image"),
        (rate.per_input_second_micros, "an input second"),
    )
    amounts = [*((micros, what) for micros, what in extras if micros), (rate.micros, per)]
    written = " + ".join(f"{display(ceil_micros(micros))} {what}" for micros, what in amounts)
    return f"{written} {_conditions(rate.when)}".strip()


def _conditions(when: Conditions) -> str:
    return ", ".join(f"{fact} {_condition(condition)}" for fact, condition in when.items())


def _condition(condition: Condition) -> str:
    match condition:
        case Span():
            return f"{condition.minimum or ''}..{condition.maximum or ''}"
        case tuple():
            return " or ".join(map(str, condition))
        case bool():
            return "on" if condition else "off"
        case _:
            return str(condition)


def _default_ratio(caps: Capabilities) -> str | None:
    if caps.default_aspect_ratio == RATIO_OF_IMAGE:
        return "nearest to the image's own"
    return caps.default_aspect_ratio


def _lengths(durations: Durations | None) -> str:
    if durations is None:
        return "-"
    if durations.values:
        return f"{', '.join(map(str, durations.values))} s"
    step = "" if durations.step in (None, 1) else f", steps of {durations.step}"
    return f"{durations.minimum}-{durations.maximum} s{step}"
