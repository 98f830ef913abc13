"""The words and forms of routes, as the providers write them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.combinations import every_choice
from fairstack_server.catalog.inputs import default_ask
from fairstack_server.catalog.model import VALUE_FORMS, Model, Route
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.catalog.settled import Settled
from fairstack_server.jsonvalue import JSON
from fairstack_server.providers.base import InputFile, Order
from fairstack_server.providers.body import FORMS, PlaceFile, build_body
from tests.catalog.conftest import ask
from tests.upstreams.fal_schema import complaints

FILE = InputFile("image/png", "0" * 64, "/nowhere.png", "https://example.com/copy.png")

CLIP = InputFile("video/mp4", "2" * 64, "/nowhere.mp4", "https://example.com/copy/clip.mp4")
REFERENCE = InputFile("image/png", "1" * 64, "/nowhere-else.png", "https://example.com/reference.png")


def _url(file: InputFile) -> JSON:
    return file.url


def body_of(
    model: Model,
    route: Route,
    asked: VideoAsk,
    settled: Settled | None = None,
    place_file: PlaceFile = _url,
) -> dict[str, Any]:
    """The body in which this route sends the request."""
    settled = settled if settled is not None else resolve(model, asked)
    order = Order(
        nonce="n",
        model=model.key,
        endpoint=route.endpoint,
        prompt=str(asked.prompt),
        duration_seconds=None if settled.duration is None else float(settled.duration),
        aspect_ratio=settled.aspect_ratio,
        resolution=settled.resolution,
        width=settled.width,
        height=settled.height,
        fps=settled.fps,
        seed=settled.seed,
        negative_prompt=settled.negative_prompt,
        audio=settled.audio,
        image=FILE if "image" in settled.inputs else None,
        end_image=FILE if "end_image" in settled.inputs else None,
        images=(REFERENCE,) if "images" in settled.inputs else (),
        video=CLIP if "video" in settled.inputs else None,
        audio_track=FILE if "audio_url" in settled.inputs else None,
        options=settled.options,
        field_map=route.field_map,
        formats=route.formats,
        values=route.values,
        fixed=route.fixed,
    )
    return build_body(order, place_file)


def routes_to(catalog: Catalog, provider: str) -> Iterator[tuple[Model, Route]]:
    """Every route of a provider, with its model; an operator may switch on those that are off."""
    for model in catalog.models():
        yield from ((model, route) for route in model.routes if route.provider == provider)


def test_fal_takes_every_setting_of_every_model(builtin: Catalog) -> None:
    """The vendor's published types have no complaint about any body that we would send."""
    found = [
        (model.key, complaint)
        for model, route in routes_to(builtin, "fal")
        for asked, settled in every_choice(model)
        for complaint in complaints(route.endpoint, body_of(model, route, asked, settled))
    ]
    assert found == []


def test_fal_takes_the_defaults_of_every_model_with_a_seed_and_a_negative_prompt(builtin: Catalog) -> None:
    """What a first request says fits, with the two words that nearly every user adds."""
    checked = 0
    for model, route in routes_to(builtin, "fal"):
        caps = model.capabilities
        asked = replace(
            default_ask(model),
            seed=7 if caps.seed else None,
            negative_prompt="rain" if caps.negative_prompt else None,
        )
        assert complaints(route.endpoint, body_of(model, route, asked)) == [], model.key
        checked += 1
    assert checked >= 250


def test_every_route_can_write_the_defaults_of_its_model(builtin: Catalog) -> None:
    """Whatever the provider: every value fits its form, and no path contradicts another."""
    for model in builtin.models():
        asked = default_ask(model)
        for route in model.routes:
            body = body_of(model, route, asked)
            assert body, f"{model.key} by {route.provider}"


def test_a_switch_by_another_name_is_found(builtin: Catalog) -> None:
    """`audio` is `sound` for one vendor and `keep_original_sound` for an endpoint that copies a video's."""
    kling = builtin.get("kling-3-std-i2v")
    asked = ask(image="https://example.com/photo.jpg", audio=False, duration=7)
    fal, own = (body_of(kling, route, asked) for route in kling.routes[:2])
    assert (fal["generate_audio"], fal["start_image_url"], fal["duration"]) == (False, FILE.url, "7")
    assert (own["sound"], own["image"], own["model_name"]) == ("off", FILE.url, "kling-v3")
    motion = builtin.get("kling-3-motion-std")
    copied = body_of(motion, motion.routes[0], replace(default_ask(motion), audio=False))
    assert (copied["keep_original_sound"], copied["character_orientation"]) == (False, "video")


def test_lists_and_frames_are_written_as_the_vendor_has_them(builtin: Catalog) -> None:
    """Two pictures become the list of keyframes, seconds become frames, pixels become a table."""
    pika = builtin.get("pika-2-2-frames")
    assert body_of(pika, pika.routes[0], default_ask(pika))["image_urls"] == [FILE.url, FILE.url]
    wan = builtin.get("wan-2-2-a14b-t2v")
    assert body_of(wan, wan.routes[0], ask(duration=10))["num_frames"] == 161
    magi = builtin.get("magi-1-distilled-t2v")
    assert body_of(magi, magi.routes[0], ask(duration=8))["num_frames"] == 192
    ltx = builtin.get("ltx-2-19b-t2v")
    sized = body_of(ltx, ltx.routes[0], ask(aspect_ratio="9:16"))
    assert (sized["video_size"], sized["num_frames"]) == ({"width": 720, "height": 1280}, 121)


def test_wan_asks_a_server_of_your_own_in_its_words(builtin: Catalog) -> None:
    """A `/v1/videos` server is told seconds and size as text, and the frame rate that the price promises."""
    wan = builtin.get("wan-2-1-t2v")
    body = body_of(wan, wan.routes[0], ask(seed=7, negative_prompt="rain"))
    assert body == {
        "prompt": "a dog on a beach",
        "negative_prompt": "rain",
        "seconds": "5",
        "size": "1280x720",
        "fps": 24,
        "seed": 7,
    }


def test_kling_is_asked_in_the_words_of_each_route(builtin: Catalog) -> None:
    """One model, three vendors: `image_url`, `image` and `start_image`; a length in text and as a number."""
    kling = builtin.get("kling-2-1-std-i2v")
    asked = ask(image="https://example.com/photo.jpg", duration=10, aspect_ratio="16:9")
    said = {"prompt": "a dog on a beach"}
    fixed = {"model_name": "kling-v2-1", "mode": "std"}
    assert [body_of(kling, route, asked) for route in kling.routes] == [
        {**said, "image_url": FILE.url, "duration": "10"},
        {**said, "image": FILE.url, "duration": "10", **fixed},
        {**said, "start_image": FILE.url, "duration": 10, "mode": "standard"},
    ]


def test_runway_is_told_its_own_pixels(builtin: Catalog) -> None:
    """The vendor's word for a ratio is a size of its own list."""
    runway = builtin.get("runway-gen4-turbo-i2v")
    asked = ask(image="https://example.com/photo.jpg", aspect_ratio="21:9")
    assert body_of(runway, runway.routes[0], asked)["ratio"] == "1584:672"


def test_a_file_may_use_exactly_the_forms_that_providers_write() -> None:
    """A form that the catalog allows and no provider knows would fail on the first order."""
    assert set(VALUE_FORMS) == set(FORMS)
