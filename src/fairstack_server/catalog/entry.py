"""The TOML format of a model file: its shape. `build.py` makes a `Model` of it.

These types are also the JSON Schema that editors use (`catalog/schema/`). Unknown fields are refused.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from fairstack_server.catalog.model import ModelType, Need, PriceUnit, Status, Tier

Text = Annotated[str, Meta(min_length=1)]
Key = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
ProviderKey = Annotated[str, Meta(pattern=r"^[a-z0-9]+([-_][a-z0-9]+)*$")]
Ratio = Annotated[str, Meta(pattern=r"^([1-9][0-9]?:[1-9][0-9]?|auto)$")]
Resolution = Annotated[str, Meta(pattern=r"^([1-9][0-9]*p|[1-9]k|[1-9][0-9]*x[1-9][0-9]*|auto)$")]
Pixels = Annotated[str, Meta(pattern=r"^[1-9][0-9]*x[1-9][0-9]*$")]
Count = Annotated[int, Meta(ge=0)]
ConditionTable = Annotated[
    dict[str, Any],
    Meta(description="Setting -> a value, a list of values, or { min, max }. All must hold."),
]


class RangeEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Any length from `min` to `max` seconds, in steps."""

    min: Decimal
    max: Decimal
    step: Decimal | None = None


class OptionEntry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The JSON Schema of one option; the words of it that requests are checked against."""

    type: Literal["string", "integer", "number", "boolean", "array"]
    description: str | None = None
    default: Any = None
    enum: list[Any] | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    max_length: Annotated[int, Meta(ge=1)] | None = field(default=None, name="maxLength")
    max_items: Annotated[int, Meta(ge=1)] | None = field(default=None, name="maxItems")
    items: "OptionEntry | None" = None


class LimitEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Where `when` holds, only these values are on offer."""

    when: ConditionTable
    durations: list[Decimal] = []
    aspect_ratios: list[Ratio] = []


class CapabilitiesEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What a request may ask of the model; what is left out is not taken."""

    durations: Annotated[
        list[Decimal] | RangeEntry | None, Meta(description="Seconds: a list, or { min, max, step }.")
    ] = None
    default_duration: Decimal | None = None
    length_of: Annotated[
        Literal["video", "audio_url"] | None, Meta(description="The input whose length the clip takes.")
    ] = None
    aspect_ratios: list[Ratio] = []
    default_aspect_ratio: Annotated[
        str | None, Meta(description='One of the ratios, or "image": the ratio nearest to the image\'s own.')
    ] = None
    resolutions: list[Resolution] = []
    default_resolution: Annotated[
        str | None, Meta(description="Used where the model has no 720p, or where 720p is not wanted first.")
    ] = None
    sizes: Annotated[
        dict[str, dict[str, Pixels]],
        Meta(description='Resolution -> ratio -> "1280x720", where the model\'s own sizes are unusual.'),
    ] = {}
    fps: Annotated[int, Meta(ge=1, le=240)] | None = None
    extra_frames: Annotated[Count, Meta(description="Frames beyond duration x fps, mostly 0 or 1.")] = 0
    audio: Annotated[bool, Meta(description="The clip has, or can have, sound.")] = False
    audio_toggle: Annotated[bool, Meta(description="The request may switch the sound on and off.")] = False
    audio_default: bool | None = None
    image: Need = "none"
    end_image: Need = "none"
    images_max: Count = 0
    video: Need = "none"
    audio_url: Need = "none"
    seed: bool = False
    negative_prompt: bool = False
    prompt_max_characters: Annotated[int, Meta(ge=1)] = 20_000
    options: Annotated[
        dict[str, OptionEntry], Meta(description="Further options: name -> JSON Schema of its value.")
    ] = {}
    reframes: Annotated[
        bool, Meta(description="No route takes a ratio: the image is cropped or padded to it first.")
    ] = False
    limits: list[LimitEntry] = []


class RateEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Dollars per unit. Of several rates that hold, the one with the most conditions counts."""

    usd: Annotated[Decimal, Meta(description="Dollars per unit of the price.")]
    when: ConditionTable = {}
    base_usd: Annotated[Decimal, Meta(description="Once per clip.")] = Decimal(0)
    per_image_usd: Annotated[Decimal, Meta(description="For each image given.")] = Decimal(0)
    per_input_second_usd: Annotated[
        Decimal, Meta(description="For each second of the video or sound given.")
    ] = Decimal(0)
    counts_input: Annotated[
        bool, Meta(description="Seconds of the input are billed like, and on top of, the clip's.")
    ] = False


class PriceEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Rates in force from a day on. Appended when they change, never edited."""

    since: date
    unit: PriceUnit
    source: Text
    rates: Annotated[list[RateEntry], Meta(min_length=1)]
    note: str | None = None
    minimum_seconds: Decimal = Decimal(0)
    maximum_seconds: Decimal | None = None
    billing_fps: Annotated[int, Meta(ge=1, description="Billed seconds are frames / this.")] | None = None


class RouteEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One way to get the model; the first is tried first."""

    provider: ProviderKey
    endpoint: Text
    source: Text
    field_map: Annotated[dict[str, Text], Meta(description="Our word -> the vendor's field.")] = {}
    formats: Annotated[dict[str, str], Meta(description="Our word -> how the vendor writes its value.")] = {}
    values: Annotated[
        dict[str, dict[str, Any]], Meta(description="Our word -> our value -> the vendor's value.")
    ] = {}
    fixed: Annotated[dict[str, Any], Meta(description="Vendor fields with a constant value.")] = {}
    when: ConditionTable = {}
    costs: Annotated[
        list[PriceEntry], Meta(description="What the provider bills; none = the route is off.")
    ] = []
    end_of_life: date | None = None
    note: str | None = None


class ModelEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the catalog. The name of the file is the model's key."""

    name: Text
    vendor: Annotated[Text, Meta(description="Who made the model.")]
    type: ModelType
    tier: Tier
    description: Text
    capabilities: CapabilitiesEntry
    routes: Annotated[list[RouteEntry], Meta(min_length=1)]
    sources: Annotated[list[Text], Meta(min_length=1, description="Where the facts are from, with dates.")]
    unverified: Annotated[
        list[Text], Meta(description="Facts above that no source states: general knowledge, to be checked.")
    ] = []
    status: Status = "active"
    prices: Annotated[
        list[PriceEntry], Meta(description="Own prices; none = cost of a route plus the operator's margin.")
    ] = []
    aliases: list[Key] = []
    twin: Annotated[Key | None, Meta(description="The i2v model to name to users who bring an image.")] = None
    quality_rank: Annotated[int, Meta(ge=1)] | None = None
    typical_seconds: Annotated[int, Meta(ge=1, description="Usual time from submit to clip.")] = 60
    longest_seconds: Annotated[int, Meta(ge=1, description="A job that takes longer is given up.")] = 900
    end_of_life: date | None = None
    replaced_by: Key | None = None
    open_weights: str | None = None


class ProviderEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A provider. The name of the file is its key."""

    name: Text
    settings: Annotated[list[Text], Meta(description="Environment variables that enable it.")] = []
    homepage: str | None = None
    note: str | None = None


class ModelOverride(Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's own price of a model: it replaces every price that the model's file states."""

    price_usd_per_clip: Decimal | None = None
    price_usd_per_second: Decimal | None = None


class RouteOverride(Struct, frozen=True, forbid_unknown_fields=True):
    """What a route costs this operator: it replaces every cost that the model's file states."""

    cost_usd_per_clip: Decimal | None = None
    cost_usd_per_second: Decimal | None = None


class OverridesEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """`overrides.toml` in the operator's folder: prices by model key, costs by "model:provider"."""

    models: dict[str, ModelOverride] = {}
    routes: dict[str, RouteOverride] = {}


def json_schema(entry: type[Struct]) -> dict[str, Any]:
    """The JSON Schema of a kind of file, for editors; amounts may be TOML numbers or strings."""

    def loosen(node: Any) -> Any:
        if isinstance(node, dict):
            if node.get("format") == "decimal":
                return {
                    **{k: loosen(v) for k, v in node.items() if k != "format"},
                    "type": ["string", "number"],
                }
            return {k: loosen(v) for k, v in node.items()}
        return [loosen(each) for each in node] if isinstance(node, list) else node

    schema: dict[str, Any] = loosen(msgspec.json.schema(entry))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
