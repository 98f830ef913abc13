"""What a model is: pure data, read from `catalog/models/<vendor>/<key>.toml` by `load.py`.

A model is what a user names. A route is one way to get it (provider + endpoint + cost). Prices are dated
rates; they are appended to, never edited, so that every past quote can be computed again.
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

Need = Literal["none", "optional", "required"]

#: How a route wants a value written. `string` "5" · `integer` 5 · `number` 5.0 · `seconds_suffix` "8s" ·
#: `frames` count (duration x fps + 1) · `pixels` "1280x720" · `pixels_colon` "1280:720" ·
#: `pixels_star` "1280*720" (these three write width and height, whichever word they stand at) ·
#: `upper` "720P" · `on_off` "on"/"off" · `boolean` true/false
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

#: The words of ours that a route's `field_map`, `formats` and `values` may speak of; beside them
#: `options.<name>` for each option of the model. `size` is width x height as "1280x720".
ROUTE_WORDS = (
    "prompt",
    "negative_prompt",
    "duration",
    "aspect_ratio",
    "resolution",
    "size",
    "width",
    "height",
    "fps",
    "audio",
    "seed",
    "image",
    "end_image",
    "images",
    "video",
    "audio_url",
)


@dataclass(frozen=True, slots=True)
class Span:
    """A condition on a number: from `minimum` to `maximum`, both included; None = open."""

    minimum: Decimal | None = None
    maximum: Decimal | None = None


#: What a fact must be: this value, one of these values, or a number within this span.
Plain = bool | str | Decimal
Condition = Plain | tuple[Plain, ...] | Span
Conditions = Mapping[str, Condition]


@dataclass(frozen=True, slots=True)
class Durations:
    """Lengths a model can make, in seconds: either a set of values or a range with a step."""

    values: tuple[Decimal, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    step: Decimal | None = None
    default: Decimal = Decimal(5)

    def allows(self, seconds: Decimal) -> bool:
        """Whether a clip may be that long."""
        if self.values:
            return seconds in self.values
        if self.minimum is None or self.maximum is None or not self.minimum <= seconds <= self.maximum:
            return False
        return self.step is None or (seconds - self.minimum) % self.step == 0


@dataclass(frozen=True, slots=True)
class Limit:
    """Where every condition of `when` holds, less is on offer than the capabilities say.

    An example: 1080p only at 8 seconds. Empty = this limit says nothing of that parameter; of several limits
    that hold and speak of one parameter, the first counts.
    """

    when: Conditions
    durations: tuple[Decimal, ...] = ()
    aspect_ratios: tuple[str, ...] = ()


#: Value of `default_aspect_ratio`: the allowed ratio that is nearest to the image's own.
RATIO_OF_IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a request for this model may ask for; empty = the parameter is not taken."""

    durations: Durations | None
    """None = the length is not asked for: the model decides it, or an input does (`length_of`)."""
    length_of: Literal["video", "audio_url"] | None = None
    """The input whose length the clip takes where the request names none."""
    aspect_ratios: tuple[str, ...] = ()
    default_aspect_ratio: str | None = None
    resolutions: tuple[str, ...] = ()
    default_resolution: str | None = None
    sizes: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    """Resolution -> ratio -> (width, height), where the model's own sizes are not the usual ones."""
    fps: int | None = None
    extra_frames: int = 0
    """Frames beyond duration x fps (1 where 5 s at 16 fps are 81 frames)."""
    audio: bool = False
    """The clip can have sound."""
    audio_toggle: bool = False
    """The request may switch the sound on and off."""
    audio_default: bool | None = None
    image: Need = "none"
    end_image: Need = "none"
    images_max: int = 0
    video: Need = "none"
    audio_url: Need = "none"
    seed: bool = False
    negative_prompt: bool = False
    prompt_max_characters: int = 20_000
    options: Mapping[str, JSON] = field(default_factory=dict)
    """JSON Schema `properties` of `options`."""
    reframes: bool = False
    """The routes take no ratio: we crop or pad the image to the asked ratio before submit."""
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """Micros per unit, where every condition in `when` holds (`resolution`, `audio`, `duration`, …).

    Of several rates that hold, the one with the most conditions counts.
    """

    micros: Decimal
    """Micros per unit; may be fractional, rounded up once on the total."""
    when: Conditions = field(default_factory=dict)
    base_micros: Decimal = Decimal(0)
    """Charged once per clip."""
    per_image_micros: Decimal = Decimal(0)
    """Charged for each image that is given."""
    per_input_second_micros: Decimal = Decimal(0)
    """Charged for each second of the video or sound that is given."""
    counts_input: bool = False
    """The seconds of the input are billed like, and on top of, those of the clip."""


@dataclass(frozen=True, slots=True)
class Price:
    """Rates in force from a day on, with their source."""

    unit: PriceUnit
    rates: tuple[Rate, ...]
    since: date
    source: str
    note: str | None = None
    minimum_seconds: Decimal = Decimal(0)
    """A shorter clip is billed as if it were this long."""
    maximum_seconds: Decimal | None = None
    """A longer input makes a clip of this length; None = the clip is as long as it was settled."""
    billing_fps: int | None = None
    """Billed seconds are frames / this; None = they are the duration."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way to get a model."""

    provider: str
    endpoint: str
    field_map: Mapping[str, str] = field(default_factory=dict)
    """Our word (`ROUTE_WORDS`, `options.<name>`) -> the vendor's field; a word without one is not sent."""
    formats: Mapping[str, str] = field(default_factory=dict)
    """Our word -> one of `VALUE_FORMS`."""
    values: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    """Our word -> our value, as text -> the vendor's value, where no form describes the difference."""
    fixed: Mapping[str, JSON] = field(default_factory=dict)
    """Vendor fields with a constant value."""
    when: Conditions = field(default_factory=dict)
    """The settings that this route takes; empty = all that the model has."""
    costs: tuple[Price, ...] = ()
    """What the provider bills us, dated; empty = unknown: off until the operator gives it a cost."""
    end_of_life: date | None = None
    source: str = ""
    note: str | None = None


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
    """Own prices, dated; empty = cost of a route x (1 + the operator's margin), see `pricing.quote`."""
    aliases: tuple[str, ...] = ()
    twin: str | None = None
    """Key of the i2v twin of a t2v model and the other way round, for error messages."""
    quality_rank: int | None = None
    typical_seconds: int = 60
    longest_seconds: int = 900
    """Longest time a job of this model may take before it is given up."""
    sources: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    """Facts of this entry that no source states: general knowledge."""
    end_of_life: date | None = None
    replaced_by: str | None = None
    open_weights: str | None = None
    """Where the weights are published, if they are."""


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """Who renders, and the settings that let this server reach them."""

    key: str
    name: str
    settings: tuple[str, ...] = ()
    """Names of the environment variables that enable it, all of them needed; empty = always there."""
    homepage: str | None = None
    note: str | None = None
