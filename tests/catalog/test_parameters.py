"""From a request to settled settings: defaults, then checks."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.inputs import default_ask
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import BadRequest
from tests.catalog.conftest import MakeModel, ask

IMAGE = "https://example.com/photo.jpg"


def refusal(catalog: Catalog, key: str, **asked: object) -> BadRequest:
    """What the model says to this request, which it must refuse."""
    with pytest.raises(BadRequest) as caught:
        resolve(catalog.get(key), ask(**asked))
    return caught.value


def test_defaults_are_filled_in(builtin: Catalog) -> None:
    """A request that says nothing but its prompt gets the clip of the seed: 5 s, 1280x720, 24 fps."""
    settled = resolve(builtin.get("wan-2-1-t2v"), ask())
    shown = (settled.duration, settled.width, settled.height, settled.fps, settled.resolution, settled.audio)
    assert shown == (Decimal(5), 1280, 720, 24, "720p", False)


@pytest.mark.parametrize(
    ("resolution", "ratio", "size"),
    [
        ("720p", "16:9", (1280, 720)),
        ("720p", "9:16", (720, 1280)),
        ("1080p", "16:9", (1920, 1080)),
        ("1080p", "9:16", (1080, 1920)),
    ],
)
def test_pixels_follow_from_resolution_and_ratio(
    builtin: Catalog, resolution: str, ratio: str, size: tuple[int, int]
) -> None:
    """The short side is the resolution, the long side follows from the ratio."""
    settled = resolve(builtin.get("veo-3"), ask(resolution=resolution, aspect_ratio=ratio))
    assert (settled.width, settled.height) == size


@pytest.mark.parametrize(
    ("resolution", "ratio", "size"),
    [
        ("720p", "1:1", (720, 720)),
        ("480p", "16:9", (854, 480)),
        ("480p", "21:9", (1120, 480)),
        ("540p", "4:3", (720, 540)),
        ("4k", "16:9", (3840, 2160)),
        ("2k", "9:16", (1440, 2560)),
        ("512x992", "16:9", (512, 992)),
        ("auto", "16:9", (None, None)),
        ("720p", "auto", (None, None)),
    ],
)
def test_every_way_to_name_a_resolution_has_even_pixels(
    make: MakeModel, resolution: str, ratio: str, size: tuple[int | None, int | None]
) -> None:
    """Encoders want even numbers; where the vendor decides, nothing is made up."""
    model = make(
        capabilities=f'resolutions = ["{resolution}"]\ndefault_resolution = "{resolution}"\n'
        f'aspect_ratios = ["{ratio}"]\ndefault_aspect_ratio = "{ratio}"'
    )
    settled = resolve(model, ask())
    assert (settled.width, settled.height) == size


def test_a_models_own_sizes_win(builtin: Catalog) -> None:
    """Runway's square is 960x960, whatever 720p is elsewhere."""
    settled = resolve(builtin.get("runway-gen4-turbo-i2v"), ask(image=IMAGE, aspect_ratio="1:1"))
    assert (settled.width, settled.height) == (960, 960)


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        ((3000, 4000), "3:4"),
        ((1080, 1920), "9:16"),
        ((1000, 1001), "1:1"),
        ((4000, 1000), "21:9"),
        (None, "16:9"),
    ],
)
def test_the_ratio_follows_the_image_where_the_model_says_so(
    builtin: Catalog, size: tuple[int, int] | None, ratio: str
) -> None:
    """A portrait stays upright without anybody asking for it."""
    model = builtin.get("runway-gen4-turbo-i2v")
    assert resolve(model, ask(image=IMAGE, image_size=size)).aspect_ratio == ratio


def test_a_ratio_on_a_model_that_takes_none_reframes_the_image(builtin: Catalog) -> None:
    """The seed's own example: Kling takes no ratio, so we fit the image to it."""
    kling = builtin.get("kling-2-1-std-i2v")
    asked = resolve(kling, ask(image=IMAGE, duration=5, aspect_ratio="16:9"))
    assert (asked.reframe, asked.width, asked.height) == (True, 1280, 720)
    left = resolve(kling, ask(image=IMAGE))
    assert (left.reframe, left.width, left.height, left.aspect_ratio) == (False, None, None, None)


@pytest.mark.parametrize(
    ("key", "asked", "param", "allowed"),
    [
        ("wan-2-1-t2v", {"duration": 999}, "duration", [5]),
        ("local-scene-t2v", {"duration": 999}, "duration", {"min": 3, "max": 10, "step": 1}),
        ("local-scene-t2v", {"duration": 2.9}, "duration", {"min": 3, "max": 10, "step": 1}),
        ("local-scene-t2v", {"duration": 3.5}, "duration", {"min": 3, "max": 10, "step": 1}),
        ("kling-2-1-std-i2v", {"image": IMAGE, "duration": 7}, "duration", [5, 10]),
        ("veo-3", {"duration": True}, "duration", [4, 6, 8]),
        ("veo-3", {"duration": float("nan")}, "duration", [4, 6, 8]),
        ("veo-3", {"duration": float("inf")}, "duration", [4, 6, 8]),
        ("veo-3", {"duration": 10**5000}, "duration", [4, 6, 8]),
        ("veo-3", {"duration": Decimal("1e999")}, "duration", [4, 6, 8]),
        ("veo-3", {"duration": [8]}, "duration", [4, 6, 8]),
        ("veo-3", {"duration": -8}, "duration", [4, 6, 8]),
        ("veo-3", {"aspect_ratio": "1:1"}, "aspect_ratio", ["16:9", "9:16"]),
        ("veo-3", {"aspect_ratio": 1}, "aspect_ratio", ["16:9", "9:16"]),
        ("veo-3", {"resolution": "4k"}, "resolution", ["720p", "1080p"]),
        ("veo-3", {"resolution": "720P"}, "resolution", ["720p", "1080p"]),
        ("veo-3", {"audio": "yes"}, "audio", [True, False]),
        ("veo-3", {"audio": 1}, "audio", [True, False]),
        ("wan-2-1-t2v", {"audio": True}, "audio", [False]),
        ("veo-3", {"seed": 1.5}, "seed", {"min": 0, "max": 2147483647}),
        ("veo-3", {"seed": True}, "seed", {"min": 0, "max": 2147483647}),
        ("veo-3", {"seed": -1}, "seed", {"min": 0, "max": 2147483647}),
        ("veo-3", {"seed": 2**31}, "seed", {"min": 0, "max": 2147483647}),
        ("kling-2-1-std-i2v", {"image": IMAGE, "seed": 1}, "seed", []),
        ("local-scene-t2v", {"negative_prompt": "rain"}, "negative_prompt", []),
        ("local-scene-t2v", {"options": {"cfg_scale": 1}}, "options", []),
        (
            "kling-2-1-std-i2v",
            {"image": IMAGE, "options": {"cfg_scale": 2}},
            "options.cfg_scale",
            {"type": "number", "minimum": 0, "maximum": 1},
        ),
        (
            "kling-2-1-std-i2v",
            {"image": IMAGE, "options": {"cfg_scale": float("nan")}},
            "options.cfg_scale",
            {"type": "number", "minimum": 0, "maximum": 1},
        ),
        (
            "kling-2-1-std-i2v",
            {"image": IMAGE, "options": {"cfg_scale": True}},
            "options.cfg_scale",
            {"type": "number", "minimum": 0, "maximum": 1},
        ),
        ("veo-3", {"options": [1]}, "options", None),
        ("veo-3", {"prompt": ""}, "prompt", None),
        ("veo-3", {"prompt": " \n"}, "prompt", None),
        ("veo-3", {"prompt": 5}, "prompt", None),
        ("veo-3", {"prompt": None}, "prompt", None),
        ("veo-3", {"prompt": "a\0b"}, "prompt", None),
        ("veo-3", {"prompt": "a\ud800b"}, "prompt", None),
        ("veo-3", {"prompt": "x" * 30_000}, "prompt", {"maxLength": 20_000}),
        ("kling-2-1-std-i2v", {}, "image", None),
        ("kling-2-1-std-i2v", {"image": 5}, "image", None),
        ("kling-2-1-std-i2v", {"image": ""}, "image", None),
        ("kling-2-1-std-i2v", {"image": IMAGE, "end_image": IMAGE}, "end_image", []),
        ("veo-3", {"images": [IMAGE]}, "images", {"max": 0}),
        ("veo-3", {"images": "one"}, "images", None),
        ("veo-3", {"video": IMAGE}, "video", []),
        ("veo-3", {"audio_url": IMAGE}, "audio_url", []),
    ],
)
def test_a_refusal_names_the_field_and_what_is_allowed(
    builtin: Catalog, key: str, asked: dict[str, Any], param: str, allowed: object
) -> None:
    """Whatever does not fit is refused with its field and the allowed set, in a short message."""
    error = refusal(builtin, key, **asked)
    assert (error.status, error.code, error.param, error.allowed) == (400, "validation_error", param, allowed)
    assert param in error.message
    assert len(error.message) < 300


def test_a_number_in_quotes_is_refused_with_the_number_to_write(builtin: Catalog) -> None:
    """The most common slip gets the most direct hint."""
    error = refusal(builtin, "wan-2-1-t2v", duration="5")
    assert error.message == 'duration "5" must be a number of seconds: write 5, without quotes. Allowed: 5.'


def test_a_message_never_repeats_the_prompt(builtin: Catalog) -> None:
    """Refusals end up in logs, prompts do not."""
    error = refusal(builtin, "kling-2-1-std-i2v", prompt="my secret " * 300, image=IMAGE)
    assert "secret" not in error.message


@pytest.mark.parametrize("duration", [5, 5.0, Decimal("5.00")])
def test_equal_numbers_are_the_same_length(builtin: Catalog, duration: object) -> None:
    """JSON has one kind of number."""
    assert resolve(builtin.get("wan-2-1-t2v"), ask(duration=duration)).duration == 5


def test_null_is_the_same_as_nothing(builtin: Catalog) -> None:
    """A client that sends every field with null gets the defaults."""
    model = builtin.get("veo-3")
    nothing = dict.fromkeys(["duration", "aspect_ratio", "resolution", "audio", "seed", "options", "image"])
    assert resolve(model, ask(**nothing)) == resolve(model, ask())


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["720p", "16:9", 5, 8]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted(set(VideoAsk.__dataclass_fields__) - {"model", "image_size", "input_seconds"})


@settings(max_examples=300, deadline=None)
@given(data=st.data(), asked=st.dictionaries(st.sampled_from(FIELDS), ANY_JSON, max_size=4))
def test_no_json_at_all_is_a_surprise(builtin: Catalog, data: st.DataObject, asked: dict[str, Any]) -> None:
    """Whatever stands in a body, the answer is settled settings or a refusal that can be printed and sent."""
    model = data.draw(st.sampled_from(builtin.models()))
    try:
        settled = resolve(model, ask(**asked))
    except BadRequest as error:
        assert error.param is not None
        assert len(error.message) < 1000
        json.dumps(error.allowed, allow_nan=False)
        error.message.encode()
    else:
        json.dumps(settled.as_json(), allow_nan=False)


def test_an_image_on_a_text_model_names_the_twin(builtin: Catalog) -> None:
    """Whoever brings an image is told which model takes it."""
    error = refusal(builtin, "local-scene-t2v", image=IMAGE)
    assert error.param == "image"
    assert '"local-parallax-i2v"' in error.message
    assert '"wan-2-1-i2v"' in refusal(builtin, "wan-2-1-t2v", image=IMAGE).message
    assert "GET /v1/models?type=i2v" in refusal(builtin, "infinity-star-t2v", image=IMAGE).message


def test_a_limit_narrows_what_is_on_offer_and_moves_the_default(make: MakeModel) -> None:
    """Where 1080p is made at 8 seconds only, asking for 1080p is enough, and 5 seconds are refused."""
    model = make(
        capabilities='resolutions = ["720p", "1080p"]\ndefault_resolution = "720p"\n'
        "durations = [5, 8]\ndefault_duration = 5\n"
        'limits = [{ when = { resolution = "1080p" }, durations = [8] }]'
    )
    assert resolve(model, ask()).duration == 5
    assert resolve(model, ask(resolution="1080p")).duration == 8
    with pytest.raises(BadRequest) as caught:
        resolve(model, ask(resolution="1080p", duration=5))
    assert (caught.value.param, caught.value.allowed) == ("duration", [8])


def test_720p_is_the_default_wherever_the_model_has_it(make: MakeModel) -> None:
    """The contract's default wins over the upstream's; without 720p the upstream's holds."""
    both = make(capabilities='resolutions = ["720p", "1080p"]\ndefault_resolution = "1080p"')
    assert resolve(both, ask()).resolution == "720p"
    other = make(capabilities='resolutions = ["480p", "1080p"]\ndefault_resolution = "1080p"')
    assert resolve(other, ask()).resolution == "1080p"


def test_a_clip_may_take_the_length_of_its_input(make: MakeModel) -> None:
    """A model that follows a video makes a clip as long as that video."""
    made = make(capabilities='length_of = "video"\nvideo = "required"')
    assert resolve(made, ask(video=IMAGE, input_seconds=Decimal("7.25"))).duration == Decimal("7.25")


def test_settled_settings_survive_the_database(builtin: Catalog) -> None:
    """What is stored with a job reads back as the same settings, exact lengths included."""
    for model in builtin.models():
        settled = resolve(model, default_ask(model))
        odd = replace(settled, duration=Decimal("5.06"), input_seconds=Decimal("0.1"), options={"a": [1.5]})
        assert Settled.from_json(odd.as_json()) == odd


def test_what_was_asked_is_remembered(builtin: Catalog) -> None:
    """Only words that the request gave a value bind the choice of a route."""
    asked = ask(image=IMAGE, duration=5, negative_prompt="", options={"cfg_scale": 0.5})
    settled = resolve(builtin.get("kling-2-1-std-i2v"), asked)
    assert settled.asked == {"image", "duration", "options.cfg_scale"}
