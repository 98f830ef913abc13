"""The public shape of a model."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from fairstack_server.catalog.model import Durations, Model, Price
from fairstack_server.catalog.parameter_schema import request_schema
from fairstack_server.jsonvalue import JSON
from fairstack_server.money import display
from fairstack_server.pricing import in_force


class PriceView(Struct):
    """What one clip at the model's defaults costs."""

    micro: int
    display: str
    unit: str = "clip"


class RateView(Struct, kw_only=True):
    """A rate in force: micros per unit, where every condition of `when` holds."""

    unit: str
    micro: str
    base_micro: str | UnsetType = UNSET
    when: dict[str, Any]
    since: str
    source: str


class CapabilitiesView(Struct, kw_only=True):
    """What the model can do, for a quick look; the exact rules are in `parameters`."""

    durations: Any
    aspect_ratios: list[str]
    resolutions: list[str]
    fps: int | None
    audio: bool
    image: str
    end_image: str
    video: str
    seed: bool
    negative_prompt: bool


class ModelView(Struct, kw_only=True):
    """A model."""

    key: str
    name: str
    provider: str
    modality: str
    type: str
    tier: str
    status: str
    description: str
    price: PriceView | None
    pricing: list[RateView]
    capabilities: CapabilitiesView
    parameters: dict[str, Any]
    quality_rank: int | None
    typical_seconds: int
    longest_seconds: int
    available: bool
    aliases: list[str]
    sources: list[str]
    unverified: list[str]
    """Facts of this entry that no source was found for, in plain words."""
    end_of_life: str | UnsetType = UNSET
    replaced_by: str | UnsetType = UNSET


class ModelList(Struct):
    """Models that pass a filter."""

    models: list[ModelView]
    total: int


def model_view(model: Model, default_micros: int | None, on: date, configured: Collection[str]) -> ModelView:
    """A model as users see it on that day; `available`: a route is configured now."""
    caps = model.capabilities
    return ModelView(
        key=model.key,
        name=model.name,
        provider=model.vendor,
        modality="video",
        type=model.type,
        tier=model.tier,
        status=model.status,
        description=model.description,
        price=None if default_micros is None else PriceView(default_micros, display(default_micros)),
        pricing=[rate for price in _prices(model, on) for rate in _rates(price)],
        capabilities=CapabilitiesView(
            durations=_durations(caps.durations),
            aspect_ratios=list(caps.aspect_ratios),
            resolutions=list(caps.resolutions),
            fps=caps.fps,
            audio=caps.audio,
            image=caps.image,
            end_image=caps.end_image,
            video=caps.video,
            seed=caps.seed,
            negative_prompt=caps.negative_prompt,
        ),
        parameters=request_schema(model),
        quality_rank=model.quality_rank,
        typical_seconds=model.typical_seconds,
        longest_seconds=model.longest_seconds,
        available=not _has_ended(model.end_of_life, on)
        and any(
            route.provider in configured and route.costs and not _has_ended(route.end_of_life, on)
            for route in model.routes
        ),
        aliases=list(model.aliases),
        sources=list(model.sources),
        unverified=list(model.unverified),
        end_of_life=UNSET if model.end_of_life is None else model.end_of_life.isoformat(),
        replaced_by=UNSET if model.replaced_by is None else model.replaced_by,
    )


def _has_ended(end_of_life: date | None, on: date) -> bool:
    return end_of_life is not None and end_of_life <= on


def _prices(model: Model, on: date) -> list[Price]:
    if model.prices:
        return [in_force(model.prices, on)]
    return [in_force(route.costs, on) for route in model.routes if route.costs][:1]


def _rates(price: Price) -> list[RateView]:
    return [
        RateView(
            unit=price.unit,
            micro=f"{rate.micros:f}",
            base_micro=f"{rate.base_micros:f}" if rate.base_micros else UNSET,
            when={fact: _condition(condition) for fact, condition in rate.when.items()},
            since=price.since.isoformat(),
            source=price.source,
        )
        for rate in price.rates
    ]


def _condition(condition: object) -> JSON:
    if isinstance(condition, bool):
        return condition
    if isinstance(condition, tuple):
        return [str(value) for value in condition]
    return str(condition)


def _durations(durations: Durations | None) -> JSON:
    if durations is None:
        return None
    if durations.values:
        return [_number(value) for value in durations.values]
    return {
        "min": _number(durations.minimum),
        "max": _number(durations.maximum),
        "step": _number(durations.step),
    }


def _number(value: Any) -> JSON:
    if value is None:
        return None
    return int(value) if value == int(value) else float(value)
