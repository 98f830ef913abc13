"""The words and forms of routes, as the providers write them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.combinations import every_ask
from fairstack_server.catalog.model import VALUE_FORMS, Model, Route
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.providers.base import InputFile, Order
from fairstack_server.providers.body import FORMS, build_body
from tests.catalog.conftest import ask
from tests.upstreams.fal_schema import complaints

FILE = InputFile("image/png", "0" * 64, "/nowhere.png", "https://example.com/copy.png")


def body_of(model: Model, route: Route, asked: VideoAsk) -> dict[str, Any]:
    """The body in which this route sends the request."""
    settled = resolve(model, asked)
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
        options=settled.options,
        field_map=route.field_map,
        formats=route.formats,
        fixed=route.fixed,
    )
    return build_body(order, lambda file: file.url)


def routes_to(catalog: Catalog, provider: str) -> Iterator[tuple[Model, Route]]:
    """Every route of a provider, with its model; routes that are off are left out."""
    for model in catalog.models():
        yield from ((model, route) for route in model.routes if route.provider == provider and route.costs)


def test_fal_takes_every_setting_of_every_model(builtin: Catalog) -> None:
    """The vendor's published types have no complaint about any body that we would send."""
    found = [
        (model.key, complaint)
        for model, route in routes_to(builtin, "fal")
        for asked in every_ask(model)
        for complaint in complaints(route.endpoint, body_of(model, route, asked))
    ]
    assert found == []


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
