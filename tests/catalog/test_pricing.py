"""Quotes and costs, to the microdollar."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.combinations import every_setting
from fairstack_server.catalog.parameters import resolve
from fairstack_server.pricing import (
    Unpriced,
    price_of_default_clip,
    quote,
    route_cost,
    usable_routes,
)
from fairstack_server.providers.registry import REQUIRED_SETTINGS
from tests.catalog.conftest import TODAY, MakeModel, ask
from tests.catalog.golden import moved_quotes

_SHOWN_QUOTES = 20
IMAGE = "https://example.com/photo.jpg"
SIZED = (
    'resolutions = ["720p"]\ndefault_resolution = "720p"\naspect_ratios = ["16:9"]\n'
    'default_aspect_ratio = "16:9"\ndurations = [5, 10]\ndefault_duration = 5\n'
)


def test_the_seeds_clip_costs_48000_micros(builtin: Catalog) -> None:
    """The one price that everybody knows."""
    assert price_of_default_clip(builtin.get("wan-2-1-t2v"), on=TODAY).micros == 48_000


@pytest.mark.parametrize(
    ("key", "asked", "micros"),
    [
        ("wan-2-1-t2v", {"aspect_ratio": "9:16"}, 48_000),
        ("local-scene-t2v", {"duration": 10}, 0),
        ("kling-2-1-std-i2v", {"image": IMAGE}, 280_000),
        ("kling-2-1-std-i2v", {"image": IMAGE, "duration": 10, "aspect_ratio": "1:1"}, 560_000),
        ("veo-3", {}, 3_200_000),
        ("veo-3", {"audio": False}, 1_600_000),
        ("veo-3", {"duration": 4, "resolution": "1080p"}, 1_600_000),
        ("runway-gen4-turbo-i2v", {"image": IMAGE}, 250_000),
        ("runway-gen4-turbo-i2v", {"image": IMAGE, "duration": 2}, 100_000),
        # 5 s of 81 frames at 16 a second are billed as 5.0625 s at $0.08.
        ("wan-2-2-a14b-t2v", {}, 405_000),
        ("wan-2-2-5b-fast-t2v", {"resolution": "480p"}, 12_500),
        # 1280 x 720 x 24 x 5 / 1024 tokens at $2.40 a million; half of it without sound.
        ("seedance-1-5-pro-t2v", {}, 259_200),
        ("seedance-1-5-pro-t2v", {"audio": False}, 129_600),
        # $0.45, and $0.45 for the sound; at 1080p $0.75 and $0.75.
        ("pixverse-v5-6-t2v", {"audio": True}, 900_000),
        ("pixverse-v5-6-t2v", {"audio": True, "resolution": "1080p"}, 1_500_000),
        # 1080p: $0.20 and $0.10 a second; below it one price for any length.
        ("vidu-q2-t2v", {"resolution": "1080p", "duration": 8}, 1_000_000),
        ("vidu-q2-t2v", {"duration": 8}, 300_000),
        # 6 s at $0.07, $0.002 for the image.
        ("grok-imagine-i2v", {"image": IMAGE}, 422_000),
        # 10 s from an image are made by keyframes, at the rate of text to video.
        ("luma-ray-3-2-i2v", {"image": IMAGE, "duration": 10}, 2_000_000),
        # ceil(1280 x 720 x 121 / 1e6) = 112 at $0.0018
        ("ltx-2-19b-t2v", {}, 201_600),
        # 4 s at least, at $0.08.
        ("magi-1-distilled-t2v", {}, 320_000),
    ],
)
def test_quotes_of_the_models_of_the_seed(
    builtin: Catalog, key: str, asked: dict[str, object], micros: int
) -> None:
    """Worked out by hand from the published rates."""
    model = builtin.get(key)
    assert quote(model, resolve(model, ask(**asked)), on=TODAY).micros == micros


def test_quotes_are_those_of_the_golden_table() -> None:
    """No change moves a price unseen; `python -m tests.catalog.golden --write` accepts one."""
    moved = moved_quotes()
    shown = "\n".join(moved[:_SHOWN_QUOTES])
    assert not moved, f"{len(moved)} lines moved; accept: python -m tests.catalog.golden --write\n{shown}"


def test_every_setting_costs_at_least_nothing_and_longer_never_less(builtin: Catalog) -> None:
    """Exhaustive over every model and setting: a price in whole micros, rising with the length."""
    quoted = 0
    for model in builtin.models():
        by_rest: dict[object, list[tuple[Decimal, int]]] = {}
        for settled in every_setting(model):
            micros = quote(model, settled, on=TODAY).micros
            assert type(micros) is int
            assert micros >= 0
            quoted += 1
            rest = replace(settled, duration=None, frames=None, options={}, asked=frozenset())
            by_rest.setdefault(str(rest), []).append((settled.duration or Decimal(0), micros))
        for priced in by_rest.values():
            assert [micros for _, micros in sorted(priced)] == sorted(micros for _, micros in priced)
    assert quoted > 30_000


@settings(max_examples=60, deadline=None)
@given(data=st.data(), margin=st.decimals(0, 500, places=2), on=st.dates(date(2024, 1, 1), date(2030, 1, 1)))
def test_a_margin_never_lowers_a_price_and_never_makes_a_fraction(
    builtin: Catalog, data: st.DataObject, margin: Decimal, on: date
) -> None:
    """Any setting, any day, any margin: at least the cost, rounded up by less than a micro."""
    model = data.draw(st.sampled_from(builtin.models()))
    settled = data.draw(st.sampled_from(list(every_setting(model))))
    plain = quote(model, settled, on=on).micros
    raised = quote(model, settled, on=on, margin_percent=margin).micros
    if model.prices:
        assert raised == plain
    else:
        assert 0 <= raised - Decimal(plain) * (100 + margin) / 100 + (1 + margin / 100) <= 2 + margin / 100


@pytest.mark.parametrize(
    ("unit", "rates", "capabilities", "micros"),
    [
        # 1280 x 720 x 24 fps x 5 s / 1024 = 108,000 tokens at $2.40 a million
        ("million_video_tokens", '{ usd = "2.4" }', SIZED + "fps = 24", 259_200),
        # ceil(1280 x 720 x 121 / 1e6) = 112 at $0.001605
        ("megapixel_frames", '{ usd = "0.001605" }', SIZED + "fps = 24\nextra_frames = 1", 179_760),
        ("base_plus_second", '{ usd = "0.05", base_usd = "0.1" }', SIZED, 350_000),
        ("second", '{ usd = "0.0333333" }', SIZED, 166_667),
        ("clip", '{ usd = "0.0000001" }', SIZED, 1),
        ("clip", "{ usd = 0.2 }, { usd = 0.9, when = { duration = 10 } }", SIZED, 200_000),
        ("clip", "{ usd = 0.2 }, { usd = 0.9, when = { duration = { max = 5 } } }", SIZED, 900_000),
        ("clip", '{ usd = 0.2 }, { usd = 0.9, when = { resolution = ["540p", "720p"] } }', SIZED, 900_000),
        (
            "second",
            '{ usd = 0.1 }, { usd = 1, when = { "options.hd" = true } }',
            f"{SIZED}options.hd = {{ type = 'boolean', default = true }}",
            5_000_000,
        ),
    ],
)
def test_every_unit_and_condition_of_the_trade_can_be_written(
    make: MakeModel, unit: str, rates: str, capabilities: str, micros: int
) -> None:
    """The ways in which vendors bill, each worked out by hand."""
    model = make(unit=unit, rates=rates, capabilities=capabilities)
    assert quote(model, resolve(model, ask()), on=TODAY).micros == micros


def test_seconds_may_be_counted_in_frames(make: MakeModel) -> None:
    """81 frames at 16 fps are billed as 5.0625 seconds, not as the 5 that were asked for."""
    model = make(
        unit='second"\nbilling_fps = 16\nnote = "',
        rates='{ usd = "0.08" }',
        capabilities="durations = [5]\nfps = 16\nextra_frames = 1",
    )
    assert price_of_default_clip(model, on=TODAY).micros == 405_000


def test_inputs_can_be_billed(make: MakeModel) -> None:
    """Seconds of an input count where the rate says so, and every image may cost."""
    counted = make(
        unit="second",
        rates='{ usd = "0.1", counts_input = true, per_image_usd = "0.002" }',
        capabilities='length_of = "video"\nvideo = "required"\nimage = "optional"',
    )
    asked = ask(video=IMAGE, image=IMAGE, input_seconds=Decimal(4))
    assert quote(counted, resolve(counted, asked), on=TODAY).micros == 802_000
    extra = make(
        unit="second",
        rates='{ usd = "0.07", per_input_second_usd = "0.01" }',
        capabilities='durations = [6]\nvideo = "required"',
    )
    asked = ask(video=IMAGE, input_seconds=Decimal("2.5"))
    assert quote(extra, resolve(extra, asked), on=TODAY).micros == 445_000


def test_a_short_clip_may_be_billed_as_a_longer_one(make: MakeModel) -> None:
    """Where a vendor bills five seconds at least, two seconds cost as much."""
    capabilities = "durations = [2, 6]\ndefault_duration = 2"
    model = make(unit='second"\nminimum_seconds = 5\nnote = "', capabilities=capabilities)
    assert price_of_default_clip(model, on=TODAY).micros == 500_000
    assert quote(model, resolve(model, ask(duration=6)), on=TODAY).micros == 600_000


def test_a_video_beyond_the_longest_clip_is_billed_up_to_it(builtin: Catalog) -> None:
    """20 seconds of input are billed as such, the clip of them as the 8 seconds that it is at most."""
    edit = builtin.get("grok-imagine-v2v-edit")
    asked = ask(video=IMAGE, input_seconds=Decimal(20))
    assert quote(edit, resolve(edit, asked), on=TODAY).micros == 20 * 10_000 + 8 * 70_000


def test_what_has_no_rate_has_no_price(make: MakeModel) -> None:
    """A setting that no rate covers is refused, never guessed."""
    model = make(rates='{ usd = "1", when = { duration = 5 } }', capabilities=SIZED)
    with pytest.raises(Unpriced, match="duration 10"):
        quote(model, resolve(model, ask(duration=10)), on=TODAY)


def test_a_price_holds_from_its_day_on(make: MakeModel) -> None:
    """An old quote can be worked out again, and a day before the first price has the first."""
    newer = "[[routes.costs]]\nsince = 2026-07-01\nunit = 'clip'\nsource = 'x'\nrates = [{ usd = '0.3' }]"
    model = make(more=newer)
    days = {date(2020, 1, 1): 100_000, date(2026, 6, 30): 100_000, date(2026, 7, 1): 300_000}
    assert {day: price_of_default_clip(model, on=day).micros for day in days} == days


def test_a_margin_is_added_to_cost_and_not_to_an_own_price(builtin: Catalog) -> None:
    """The operator earns on what is bought; a stated price is what it says."""
    kling = price_of_default_clip(builtin.get("kling-2-1-std-i2v"), on=TODAY, margin_percent=Decimal("12.5"))
    wan = price_of_default_clip(builtin.get("wan-2-1-t2v"), on=TODAY, margin_percent=Decimal("12.5"))
    assert (kling.micros, wan.micros) == (315_000, 48_000)


def test_the_price_follows_the_first_configured_route_with_a_cost(builtin: Catalog) -> None:
    """Silent Veo costs nobody knows what on Vertex, so fal's rate counts even where only Vertex is set up."""
    veo = builtin.get("veo-3")
    loud = quote(veo, resolve(veo, ask()), on=TODAY, configured={"fal"})
    silent = quote(veo, resolve(veo, ask(audio=False)), on=TODAY, configured={"google"})
    assert loud.route is not None
    assert silent.route is not None
    assert (loud.route.provider, silent.route.provider) == ("fal", "fal")


EVERYBODY = frozenset(REQUIRED_SETTINGS) | {"local"}


def reasons(
    catalog: Catalog, key: str, asked: dict[str, object], **how: object
) -> tuple[list[str], dict[str, str]]:
    """Providers of the usable routes in order, and provider -> reason of the others."""
    model = catalog.get(key)
    settled = resolve(model, ask(**asked))
    terms: dict[str, Any] = {
        "configured": EVERYBODY,
        "price_micros": quote(model, settled, on=TODAY).micros,
        "on": TODAY,
        **how,
    }
    routes = usable_routes(model, settled, **terms)
    return (
        [usable.route.provider for usable in routes.usable],
        {out.route.provider: out.reason for out in routes.left_out},
    )


def test_routes_of_unknown_cost_are_off(builtin: Catalog) -> None:
    """A clip of Wan is made on the operator's own engine, never on a route that bills who knows what."""
    usable, left_out = reasons(builtin, "wan-2-1-t2v", {})
    assert usable == ["openai_videos"]
    assert left_out == {"replicate": "cost_unknown", "fal": "cost_unknown"}


def test_routes_without_a_key_are_off(builtin: Catalog) -> None:
    """Nothing is configured on a fresh machine but the local engine."""
    usable, left_out = reasons(builtin, "veo-3", {}, configured=frozenset({"local"}))
    assert (usable, left_out) == ([], {"google": "not_configured", "fal": "not_configured"})


def test_routes_keep_the_order_of_the_entry(builtin: Catalog) -> None:
    """Vertex first, then fal."""
    assert reasons(builtin, "veo-3", {})[0] == ["google", "fal"]
    assert reasons(builtin, "veo-3", {"audio": False})[0] == ["fal"]


def test_a_route_above_the_price_needs_the_operators_leave(builtin: Catalog, tmp_path: Path) -> None:
    """A dear route is no way to keep a promise, unless the operator pays the difference."""
    (tmp_path / "overrides.toml").write_text(
        '[routes."wan-2-1-t2v:replicate"]\ncost_usd_per_clip = "0.05"\n'
        '[routes."wan-2-1-t2v:openai_videos"]\ncost_usd_per_clip = "0.048"\n'
    )
    dear = Catalog(operator=tmp_path)
    usable, left_out = reasons(dear, "wan-2-1-t2v", {})
    assert (usable, left_out["replicate"]) == (["openai_videos"], "above_price")
    assert reasons(dear, "wan-2-1-t2v", {}, allow_loss=True)[0] == ["openai_videos", "replicate"]


def test_a_route_that_would_drop_a_wish_is_no_route(builtin: Catalog, tmp_path: Path) -> None:
    """Replicate's Kling takes no cfg_scale: who asks for one is not sent there."""
    (tmp_path / "overrides.toml").write_text(
        '[routes."kling-2-1-std-i2v:replicate"]\ncost_usd_per_second = "0.05"\n'
    )
    cheap = Catalog(operator=tmp_path)
    assert reasons(cheap, "kling-2-1-std-i2v", {"image": IMAGE})[0] == ["fal", "replicate"]
    kling = cheap.get("kling-2-1-std-i2v")
    plain, scaled = (resolve(kling, ask(image=IMAGE, options=o)) for o in (None, {"cfg_scale": 0.7}))
    assert quote(kling, plain, on=TODAY, configured={"replicate"}).micros == 250_000
    assert quote(kling, scaled, on=TODAY, configured={"replicate"}).micros == 280_000
    usable, left_out = reasons(cheap, "kling-2-1-std-i2v", {"image": IMAGE, "options": {"cfg_scale": 0.7}})
    assert (usable, left_out["replicate"]) == (["fal"], "cannot_carry")


def test_a_route_serves_only_the_settings_it_makes(builtin: Catalog) -> None:
    """Replicate's Gen-4 makes 5 and 10 seconds; 7 go elsewhere."""
    asked = {"image": IMAGE, "duration": 7}
    assert reasons(builtin, "runway-gen4-turbo-i2v", asked)[1] == {"replicate": "cannot_carry"}


def test_a_route_ends_on_its_day(make: MakeModel) -> None:
    """A route that its provider has closed is left alone."""
    model = make()
    ended = replace(model, routes=(replace(model.routes[0], end_of_life=date(2026, 11, 22)),))
    settled = resolve(ended, ask())
    before = usable_routes(ended, settled, configured={"fal"}, price_micros=10**6, on=date(2026, 11, 21))
    after = usable_routes(ended, settled, configured={"fal"}, price_micros=10**6, on=date(2026, 11, 22))
    assert (len(before.usable), [out.reason for out in after.left_out]) == (1, ["end_of_life"])


def test_a_cost_is_rounded_up_to_a_micro(make: MakeModel) -> None:
    """What the provider bills is booked in whole micros too."""
    model = make(rates='{ usd = "0.0000015" }')
    assert route_cost(model.routes[0], resolve(model, ask()), TODAY) == 2
