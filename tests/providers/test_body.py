"""How an order and its route become a vendor's body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fairstack_server.catalog.model import ROUTE_WORDS, VALUE_FORMS
from fairstack_server.jsonvalue import JSON
from fairstack_server.providers.base import InputFile, Order, ProviderError
from fairstack_server.providers.body import FORMS, build_body, words_of
from fairstack_server.providers.file_urls import file_urls
from tests.providers.makers import image_file

FILE = InputFile("image/png", "00", "/nowhere", "https://us/img.png")
FULL = Order(
    nonce="n",
    model="m",
    endpoint="e",
    prompt="p",
    duration_seconds=5.0,
    aspect_ratio="16:9",
    resolution="720p",
    width=1280,
    height=720,
    fps=16,
    seed=0,
    negative_prompt="blur",
    audio=False,
    image=FILE,
    end_image=FILE,
    images=(FILE, FILE),
    video=FILE,
    audio_track=FILE,
    options={"cfg_scale": 0.5},
)


def _url(file: InputFile) -> JSON:
    return file.url


def _written(word: str, form: str, order: Order = FULL) -> JSON:
    return build_body(replace(order, field_map={word: "x"}, formats={word: form}), _url)["x"]


def test_every_form_of_the_catalog_is_written() -> None:
    """The catalog and the body builder know the same value forms and the same words."""
    assert set(FORMS) == set(VALUE_FORMS)
    assert set(words_of(FULL, _url)) == set(ROUTE_WORDS)


@pytest.mark.parametrize(
    ("word", "form", "written"),
    [
        ("duration", "string", "5"),
        ("duration", "integer", 5),
        ("duration", "number", 5.0),
        ("duration", "seconds_suffix", "5s"),
        ("duration", "frames", 81),
        ("size", "pixels", "1280x720"),
        ("aspect_ratio", "pixels_colon", "1280:720"),
        ("resolution", "pixels_star", "1280*720"),
        ("resolution", "upper", "720P"),
        ("audio", "on_off", "off"),
        ("audio", "boolean", False),
        ("audio", "string", "false"),
        ("seed", "string", "0"),
    ],
)
def test_each_form(word: str, form: str, written: JSON) -> None:
    """Each form writes exactly the value and type that a vendor of that form wants."""
    got = _written(word, form)
    assert got == written and type(got) is type(written)


@pytest.mark.parametrize(("seconds", "text"), [(5.5, "5.5"), (10.0, "10"), (0.1, "0.1")])
def test_a_fraction_stays_a_fraction(seconds: float, text: str) -> None:
    """Half a second is not rounded away."""
    assert _written("duration", "string", replace(FULL, duration_seconds=seconds)) == text
    assert _written("duration", "seconds_suffix", replace(FULL, duration_seconds=seconds)) == f"{text}s"


def test_without_a_form_a_value_is_plain_json() -> None:
    """5.0 goes out as 5, and what is not said is not sent: not even as null."""
    order = replace(FULL, negative_prompt=None, field_map={word: word for word in ROUTE_WORDS})
    body = build_body(order, _url)
    assert body["duration"] == 5 and type(body["duration"]) is int
    assert body["seed"] == 0 and body["audio"] is False
    assert body["images"] == ["https://us/img.png"] * 2
    assert "negative_prompt" not in body


def test_only_what_the_route_names_is_sent() -> None:
    """A word or an option without an entry in the route's field map is not sent."""
    assert build_body(replace(FULL, field_map={"prompt": "text"}), _url) == {"text": "p"}
    mapped = replace(FULL, field_map={"options.cfg_scale": "settings.cfg"})
    assert build_body(mapped, _url) == {"settings": {"cfg": 0.5}}


def test_dots_make_objects_and_fixed_fields_win() -> None:
    """Dotted names nest, share their parents, and a route's fixed field is never overridden."""
    order = replace(
        FULL,
        field_map={"prompt": "input.prompt", "duration": "parameters.duration", "audio": "parameters.audio"},
        fixed={"model": "wan", "parameters.audio": True, "parameters.watermark": False},
    )
    assert build_body(order, _url) == {
        "input": {"prompt": "p"},
        "parameters": {"duration": 5, "audio": True, "watermark": False},
        "model": "wan",
    }


def test_brackets_make_lists() -> None:
    """A numbered step is a place in a list, shared by all fields that name it."""
    field_map = {"prompt": "instances[0].prompt", "image": "instances[0].image.uri", "seed": "seeds[0]"}
    order = replace(FULL, field_map=field_map, fixed={"seeds[1]": 9})
    assert build_body(order, _url) == {
        "instances": [{"prompt": "p", "image": {"uri": "https://us/img.png"}}],
        "seeds": [0, 9],
    }


def test_a_table_of_values_goes_before_the_form() -> None:
    """Where the vendor has other names for our values, the route's table says them."""
    order = replace(
        FULL,
        field_map={"aspect_ratio": "ratio", "duration": "length"},
        formats={"duration": "string"},
        values={"aspect_ratio": {"16:9": "landscape"}, "duration": {"5": "short", "10": "long"}},
    )
    assert build_body(order, _url) == {"ratio": "landscape", "length": "short"}
    assert build_body(replace(order, duration_seconds=7.0), _url)["length"] == "7"


@pytest.mark.parametrize(
    ("word", "form", "changed"),
    [
        ("duration", "integer", {"duration_seconds": 5.5}),
        ("duration", "number", {"duration_seconds": float("nan")}),
        ("duration", "frames", {"fps": None}),
        ("resolution", "pixels", {"width": None}),
        ("duration", "upper", {}),
        ("prompt", "on_off", {}),
        ("seed", "boolean", {}),
        ("images", "string", {}),
        ("prompt", "shouted", {}),
    ],
)
def test_what_cannot_be_written_is_never_sent(word: str, form: str, changed: dict[str, object]) -> None:
    """A value that does not fit its form stops the order before anything is sent, for good."""
    with pytest.raises(ProviderError) as caught:
        _written(word, form, replace(FULL, **changed))  # type: ignore[arg-type]
    assert (caught.value.sent, caught.value.permanent) == (False, True)
    assert word in str(caught.value)


def test_a_field_inside_a_text_is_refused() -> None:
    """A route that puts a field into what is no object is refused, not sent mangled."""
    for field_map in (
        {"prompt": "a", "seed": "a.b"},
        {"prompt": "a[1].b"},
        {"prompt": "a.b", "seed": "a[0]"},
    ):
        with pytest.raises(ProviderError, match="does not fit"):
            build_body(replace(FULL, field_map=field_map), _url)


async def test_files_go_as_our_url_or_inline(tmp_path: Path) -> None:
    """Our public URL is passed on; a file without one travels as a data URL; a lost file is not sent."""
    private = image_file(tmp_path)
    order = replace(FULL, image=private, images=(FILE,))
    urls = await file_urls(order)
    assert urls[FILE.path] == "https://us/img.png"
    assert urls[private.path].startswith("data:image/png;base64,iVBO")
    gone = replace(order, image=InputFile("image/png", "0", str(tmp_path / "gone.png")))
    with pytest.raises(ProviderError) as caught:
        await file_urls(gone)
    assert caught.value.sent is False
