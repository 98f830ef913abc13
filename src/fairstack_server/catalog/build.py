"""From an entry as its file has it to the `Model` that the server works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from fairstack_server.catalog.conditions import read_conditions
from fairstack_server.catalog.entry import (
    CapabilitiesEntry,
    ModelEntry,
    ModelOverride,
    OptionEntry,
    PriceEntry,
    ProviderEntry,
    RangeEntry,
    RateEntry,
    RouteEntry,
    RouteOverride,
)
from fairstack_server.catalog.model import (
    RATIO_OF_IMAGE,
    ROUTE_WORDS,
    VALUE_FORMS,
    Capabilities,
    Conditions,
    Durations,
    Limit,
    Model,
    ModelType,
    Price,
    PriceUnit,
    ProviderFacts,
    Rate,
    Route,
)
from fairstack_server.catalog.options import option_fault
from fairstack_server.catalog.sizes import parse_pixels
from fairstack_server.jsonvalue import JSON
from fairstack_server.money import micros_of_usd

Given = TypeVar("Given")
Made = TypeVar("Made")
_BEYOND_REASON = Decimal(10) ** 12
_MOST_STEPS = 10_000
#: The files that make a model one of its type: of each group, one at least.
_INPUTS_OF_TYPE: Mapping[ModelType, tuple[tuple[str, ...], ...]] = {
    "t2v": (),
    "i2v": (("image",),),
    "flf": (("image",), ("end_image",)),
    "r2v": (("images_max", "image", "video"),),
    "v2v": (("video",),),
    "extend": (("video",),),
    "lipsync": (("audio_url",),),
    "upscale": (("video",),),
}
#: Where in the entry something stands: names of fields and positions in lists.
Place = tuple[str | int, ...]


class EntryError(ValueError):
    """An entry that has the right shape and makes no sense; `place` says where."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


def build_model(key: str, entry: ModelEntry) -> Model:
    """The model of this key. Raises EntryError for the first thing that makes no sense."""
    _check_type(entry)
    _check_numbers(msgspec.to_builtins(entry, builtin_types=(Decimal, date)), ())
    return Model(
        key=key,
        name=entry.name,
        vendor=entry.vendor,
        type=entry.type,
        tier=entry.tier,
        status=entry.status,
        description=entry.description,
        capabilities=_capabilities(entry.capabilities, ("capabilities",)),
        routes=tuple(_route(route, entry, ("routes", at)) for at, route in enumerate(entry.routes)),
        prices=_prices(entry.prices, ("prices",)),
        aliases=tuple(entry.aliases),
        twin=entry.twin,
        quality_rank=entry.quality_rank,
        typical_seconds=entry.typical_seconds,
        longest_seconds=entry.longest_seconds,
        sources=tuple(entry.sources),
        unverified=tuple(entry.unverified),
        end_of_life=entry.end_of_life,
        replaced_by=entry.replaced_by,
        open_weights=entry.open_weights,
    )


def _check_type(entry: ModelEntry) -> None:
    """A model of a type takes the files that make it one."""
    for roles in _INPUTS_OF_TYPE[entry.type]:
        if all(getattr(entry.capabilities, role) in ("none", 0) for role in roles):
            named = " or ".join(f'"{role}"' for role in roles)
            raise EntryError(("type",), f"a model of type {entry.type} takes {named}: say so in capabilities")


def _check_numbers(value: object, place: Place) -> None:
    """Refuse NaN, infinity and numbers beyond all reason: nothing further on has to think of them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_numbers(inner, (*place, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            _check_numbers(inner, (*place, at))
    elif isinstance(value, Decimal) and not (value.is_finite() and abs(value) < _BEYOND_REASON):
        raise EntryError(place, f"{value} is not a number that makes sense here")


def build_provider(key: str, entry: ProviderEntry) -> ProviderFacts:
    """The facts of this provider."""
    return ProviderFacts(key, entry.name, tuple(entry.settings), entry.homepage, entry.note)


def overridden_price(override: ModelOverride, place: Place) -> Price:
    """The operator's own price as one that has always been in force."""
    return _flat_price(override.price_usd_per_clip, override.price_usd_per_second, "price_usd", place)


def overridden_cost(override: RouteOverride, place: Place) -> Price:
    """The operator's own cost as one that has always been in force."""
    return _flat_price(override.cost_usd_per_clip, override.cost_usd_per_second, "cost_usd", place)


def _flat_price(per_clip: Decimal | None, per_second: Decimal | None, stem: str, place: Place) -> Price:
    unit: PriceUnit
    match per_clip, per_second:
        case Decimal() as usd, None:
            unit = "clip"
        case None, Decimal() as usd:
            unit = "second"
        case _:
            raise EntryError(place, f"write either {stem}_per_clip or {stem}_per_second")
    rate = Rate(_micros(usd, (*place, f"{stem}_per_{unit}")))
    return Price(unit, (rate,), since=date.min, source="the operator's overrides.toml")


def _capabilities(entry: CapabilitiesEntry, place: Place) -> Capabilities:
    durations = _durations(entry, place)
    if entry.default_resolution is not None or entry.resolutions:
        _require_member(entry.default_resolution, entry.resolutions, (*place, "default_resolution"))
    if entry.default_aspect_ratio not in (None, RATIO_OF_IMAGE):
        _require_member(entry.default_aspect_ratio, entry.aspect_ratios, (*place, "default_aspect_ratio"))
    if entry.default_aspect_ratio == RATIO_OF_IMAGE and (entry.image == "none" or not entry.aspect_ratios):
        raise EntryError(
            (*place, "default_aspect_ratio"), f"{RATIO_OF_IMAGE!r} needs an image and a list of aspect_ratios"
        )
    _check_audio(entry, place)
    options = {name: _option(option, (*place, "options", name)) for name, option in entry.options.items()}
    return Capabilities(
        durations=durations,
        length_of=entry.length_of,
        aspect_ratios=tuple(entry.aspect_ratios),
        default_aspect_ratio=entry.default_aspect_ratio,
        resolutions=tuple(entry.resolutions),
        default_resolution=entry.default_resolution,
        sizes=_sizes(entry, place),
        fps=entry.fps,
        extra_frames=entry.extra_frames,
        audio=entry.audio,
        audio_toggle=entry.audio_toggle,
        audio_default=entry.audio_default,
        image=entry.image,
        end_image=entry.end_image,
        images_max=entry.images_max,
        video=entry.video,
        audio_url=entry.audio_url,
        seed=entry.seed,
        negative_prompt=entry.negative_prompt,
        prompt_max_characters=entry.prompt_max_characters,
        options=options,
        reframes=entry.reframes,
        limits=tuple(_limits(entry, durations, place)),
    )


def _option(entry: OptionEntry, place: Place) -> dict[str, JSON]:
    """The option's JSON Schema; its default and its choices must fit it."""
    schema = _json_table(msgspec.to_builtins(entry, builtin_types=(Decimal,)))
    samples = [*schema.get("enum", []), *([schema["default"]] if "default" in schema else [])]
    for sample in samples:
        if fault := option_fault(sample, schema):
            raise EntryError(place, f"{sample!r} {fault}")
    return schema


def _check_audio(entry: CapabilitiesEntry, place: Place) -> None:
    if entry.audio_toggle and not entry.audio:
        raise EntryError((*place, "audio_toggle"), "needs audio = true")
    if entry.audio_toggle is (entry.audio_default is None):
        there = "audio_toggle" if entry.audio_toggle else "audio_default"
        raise EntryError(
            (*place, there), "audio_toggle and audio_default go together: state both, or neither"
        )


def _require_member(value: str | None, values: list[str], place: Place) -> None:
    if value not in values:
        raise EntryError(place, f"must be one of {', '.join(values) or 'none (the list is empty)'}")


def _durations(entry: CapabilitiesEntry, place: Place) -> Durations | None:
    given, default = entry.durations, entry.default_duration
    if given is None:
        if default is not None:
            raise EntryError((*place, "default_duration"), "needs durations")
        return None
    if isinstance(given, RangeEntry):
        found = Durations(minimum=given.min, maximum=given.max, step=given.step, default=default or given.min)
        if not Decimal(0) < given.min <= given.max or (given.step is not None and given.step <= 0):
            raise EntryError((*place, "durations"), "needs 0 < min <= max, and step > 0 if there is one")
        if given.step is not None and (given.max - given.min) / given.step > _MOST_STEPS:
            raise EntryError((*place, "durations"), f"has more than {_MOST_STEPS} steps: take a longer step")
    else:
        if not given or sorted(set(given)) != given or given[0] <= 0:
            raise EntryError((*place, "durations"), "must be rising, positive numbers of seconds")
        found = Durations(values=tuple(given), default=default if default is not None else given[0])
    if default is None and len(found.values) != 1 and entry.length_of is None:
        raise EntryError((*place, "durations"), "there is a choice: state default_duration")
    if not found.allows(found.default):
        raise EntryError((*place, "default_duration"), "is not one of the durations")
    return found


def _sizes(entry: CapabilitiesEntry, place: Place) -> Mapping[str, Mapping[str, tuple[int, int]]]:
    for resolution, by_ratio in entry.sizes.items():
        _require_member(resolution, entry.resolutions, (*place, "sizes", resolution))
        for ratio in by_ratio:
            _require_member(ratio, entry.aspect_ratios, (*place, "sizes", resolution, ratio))
    return {
        resolution: {ratio: parse_pixels(pixels) for ratio, pixels in by_ratio.items()}
        for resolution, by_ratio in entry.sizes.items()
    }


def _limits(entry: CapabilitiesEntry, durations: Durations | None, place: Place) -> Iterator[Limit]:
    for at, limit in enumerate(entry.limits):
        here = (*place, "limits", at)
        for ratio in limit.aspect_ratios:
            _require_member(ratio, entry.aspect_ratios, (*here, "aspect_ratios"))
        for seconds in limit.durations:
            if durations is None or not durations.allows(seconds):
                raise EntryError((*here, "durations"), f"{seconds} is not one of the model's durations")
        when = _conditions(limit.when, (*here, "when"))
        yield Limit(when, tuple(sorted(limit.durations)), tuple(limit.aspect_ratios))


def _route(entry: RouteEntry, model: ModelEntry, place: Place) -> Route:
    words = {*ROUTE_WORDS, *(f"options.{name}" for name in model.capabilities.options)}
    for table in ("field_map", "formats", "values"):
        for word in getattr(entry, table):
            if word not in words:
                raise EntryError(
                    (*place, table, word), f"{word!r} is not a word of ours: {', '.join(sorted(words))}"
                )
    for word, form in entry.formats.items():
        if form not in VALUE_FORMS:
            raise EntryError((*place, "formats", word), f"{form!r} is not a form: {', '.join(VALUE_FORMS)}")
    return Route(
        provider=entry.provider,
        endpoint=entry.endpoint,
        field_map=entry.field_map,
        formats=entry.formats,
        values={word: _json_table(table) for word, table in entry.values.items()},
        fixed=_json_table(entry.fixed),
        when=_conditions(entry.when, (*place, "when")),
        costs=_prices(entry.costs, (*place, "costs")),
        end_of_life=entry.end_of_life,
        source=entry.source,
        note=entry.note,
    )


def _prices(entries: list[PriceEntry], place: Place) -> tuple[Price, ...]:
    prices = tuple(_price(entry, (*place, at)) for at, entry in enumerate(entries))
    for at in range(1, len(prices)):
        if prices[at].since <= prices[at - 1].since:
            raise EntryError(
                (*place, at, "since"), "must be later than the entry before: prices are appended"
            )
    return prices


def _price(entry: PriceEntry, place: Place) -> Price:
    return Price(
        unit=entry.unit,
        rates=tuple(_rate(rate, (*place, "rates", at)) for at, rate in enumerate(entry.rates)),
        since=entry.since,
        source=entry.source,
        note=entry.note,
        minimum_seconds=entry.minimum_seconds,
        maximum_seconds=entry.maximum_seconds,
        billing_fps=entry.billing_fps,
    )


def _rate(entry: RateEntry, place: Place) -> Rate:
    return Rate(
        micros=_micros(entry.usd, (*place, "usd")),
        when=_conditions(entry.when, (*place, "when")),
        base_micros=_micros(entry.base_usd, (*place, "base_usd")),
        per_image_micros=_micros(entry.per_image_usd, (*place, "per_image_usd")),
        per_input_second_micros=_micros(entry.per_input_second_usd, (*place, "per_input_second_usd")),
        counts_input=entry.counts_input,
    )


def _conditions(raw: Mapping[str, object], place: Place) -> Conditions:
    return _at(place, read_conditions, raw)


def _micros(usd: Decimal, place: Place) -> Decimal:
    micros = _at(place, micros_of_usd, usd)
    if micros < 0:
        raise EntryError(place, "an amount of dollars cannot be negative")
    return micros


def _at(place: Place, make: Callable[[Given], Made], given: Given) -> Made:
    try:
        return make(given)
    except ValueError as error:
        raise EntryError(place, str(error)) from error


def _json_table(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in table.items()}


def _json(value: Any) -> JSON:
    """Decimals, as which every TOML number with a point is read, are numbers in JSON."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return _json_table(value)
        case list():
            return [_json(each) for each in value]
        case bool() | int() | str() | None:
            return value
        case _:
            return str(value)
