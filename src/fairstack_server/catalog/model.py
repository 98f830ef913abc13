"""What a model is: pure data, read from `catalog/models/<vendor>/<key>.toml` by `load.py`.

A model is what a user names. A route is one way to get it (provider + endpoint + cost). Prices are dated rates;
they are appended to, never edited, so that every past quote can be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from fairstack_server.jsonvalue import JSON

ModelType = Literal["t2v", "i2v", "flf", "r2v", "v2v", "extend", "lipsync", "upscale"]
Tier = Literal["budget", "standard", "premium"]
Status = Literal["active", "beta", "deprecated"]
PriceUnit = Literal["clip", "second", "base_plus_second", "million_video_tokens", "megapixel_frames"]

#: How a route wants a value written. `string` "5" · `integer` 5 · `number` 5.0 · `seconds_suffix` "8s" ·
#: `frames` count (duration x fps + 1) · `pixels` "1280x720" · `pixels_colon` "1280:720" ·
#: `pixels_star` "1280*720" · `upper` "720P" · `on_off` "on"/"off" · `boolean` true/false
VALUE_FORMS = (
    "string",
    "integer",
    "number",
    "seconds_suffix",
    "frames",
    "pixels",
    "pixels_colon",
    "pixels_star",
    "upper",
    "on_off",
    "boolean",
)


@dataclass(frozen=True, slots=True)
class Durations:
    """Lengths a model can make, in seconds: either a set of values or a range with a step."""

    values: tuple[Decimal, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    step: Decimal | None = None
    default: Decimal = Decimal(5)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a request for this model may ask for; empty = the parameter is not taken."""

    durations: Durations | None
    aspect_ratios: tuple[str, ...] = ()
    default_aspect_ratio: str | None = None
    resolutions: tuple[str, ...] = ()
    default_resolution: str | None = None
    fps: int | None = None
    audio: bool = False
    """The clip can have sound."""
    audio_toggle: bool = False
    """The request may switch the sound on and off."""
    audio_default: bool | None = None
    image: Literal["none", "optional", "required"] = "none"
    end_image: Literal["none", "optional", "required"] = "none"
    images_max: int = 0
    video: Literal["none", "optional", "required"] = "none"
    audio_url: Literal["none", "optional", "required"] = "none"
    seed: bool = False
    negative_prompt: bool = False
    prompt_max_characters: int = 20_000
    options: Mapping[str, JSON] = field(default_factory=dict)
    """JSON Schema `properties` of `options`."""
    reframes: bool = False
    """The routes take no ratio: we crop or pad the image to the asked ratio before submit (ruling 2)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Micros per unit, where every condition in `when` holds (`resolution`, `audio`, `duration`, …)."""

    micros: Decimal
    """Micros per unit; may be fractional, rounded up once on the total."""
    when: Mapping[str, JSON] = field(default_factory=dict)
    base_micros: Decimal = Decimal(0)
    """Charged once per clip, for `base_plus_second`."""


@dataclass(frozen=True, slots=True)
class Price:
    """Rates in force from a day on, with their source."""

    unit: PriceUnit
    rates: tuple[Rate, ...]
    since: date
    source: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One way to get a model."""

    provider: str
    endpoint: str
    field_map: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, JSON] = field(default_factory=dict)
    cost: Price | None = None
    """What the provider bills us; None = unknown: the route is off until the operator gives it a cost."""
    end_of_life: date | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the catalog."""

    key: str
    name: str
    vendor: str
    type: ModelType
    tier: Tier
    status: Status
    description: str
    capabilities: Capabilities
    routes: tuple[Route, ...]
    prices: tuple[Price, ...] = ()
    """Own prices, dated; empty = cost of the first route x (1 + the operator's margin)."""
    aliases: tuple[str, ...] = ()
    twin: str | None = None
    """Key of the i2v twin of a t2v model and the other way round, for error messages."""
    quality_rank: int | None = None
    typical_seconds: int = 60
    longest_seconds: int = 900
    """Longest time a job of this model may take before it is given up."""
    sources: tuple[str, ...] = ()
    end_of_life: date | None = None
    replaced_by: str | None = None
