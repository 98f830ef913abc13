"""/v1/models: what is listed is what is taken, at the price that is charged."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from tests.conftest import make_folder
from tests.gateway.pictures import PHOTO, data_url
from tests.gateway.running import Running, running_gateway
from tests.gateway.schema import faults

SEED_MODELS = ["kling-2-1-std-i2v", "runway-gen4-turbo-i2v", "veo-3", "wan-2-1-t2v"]
#: An estimate says `confirm: false`, and a limit of 0 is a limit that it keeps to.
NOT_OF_THE_MODEL = {"confirm", "max_cost_micro"}
LOCAL_MODELS = ["local-parallax-i2v", "local-scene-t2v"]


@pytest.fixture(scope="module")
async def gateway(module_database: Dsn) -> AsyncIterator[Running]:
    """A gateway that may be asked about hundreds of models in a minute."""
    home = make_folder()
    async with running_gateway(module_database, home, rate_limit_per_minute="100000") as running:
        yield running
    shutil.rmtree(home)


async def models(gateway: Running, query: str = "") -> list[Any]:
    """The models of a list, without a key."""
    answer = await gateway.call("GET", f"/v1/models{query}", key="")
    assert answer.status == 200, answer.body
    assert answer.json["total"] == len(answer.json["models"])
    found: list[Any] = answer.json["models"]
    return found


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("", sorted(SEED_MODELS + LOCAL_MODELS)),
        ("?modality=video", sorted(SEED_MODELS + LOCAL_MODELS)),
        ("?type=i2v", ["kling-2-1-std-i2v", "local-parallax-i2v", "runway-gen4-turbo-i2v"]),
        ("?type=t2v&tier=premium", ["veo-3"]),
        ("?tier=standard", ["kling-2-1-std-i2v"]),
        ("?provider=google", ["veo-3"]),
        ("?provider=fal", ["kling-2-1-std-i2v", "veo-3", "wan-2-1-t2v"]),
        ("?q=wan", ["wan-2-1-t2v"]),
        ("?q=RUNWAY+gen-4", ["runway-gen4-turbo-i2v"]),
        ("?status=deprecated", []),
        ("?type=lipsync", []),
    ],
)
async def test_filters(gateway: Running, query: str, keys: list[str]) -> None:
    """Each filter keeps exactly the models that it names."""
    found = [model["key"] for model in await models(gateway, query)]
    assert [key for key in found if key in SEED_MODELS + LOCAL_MODELS] == keys
    assert found == sorted(found)


async def test_a_model_is_found_by_key_and_alias(gateway: Running) -> None:
    """One model answers as the list shows it, under its key and its aliases."""
    for model in (await models(gateway))[::4] + await seed_models(gateway):
        for name in [model["key"], *model["aliases"]]:
            assert (await gateway.call("GET", f"/v1/models/{name}", key="")).json == model


async def test_available_means_that_a_route_is_configured(
    database: Dsn, home: Path, gateway: Running
) -> None:
    """Without providers only local models are available; a provider's settings add its models."""
    available = [model["key"] for model in await models(gateway) if model["available"]]
    assert available == LOCAL_MODELS
    engine = "http://127.0.0.1:9/v1"
    async with running_gateway(database, home, works=False, FAL_KEY="k", OPENAI_VIDEOS_URL=engine) as other:
        available = [model["key"] for model in await models(other) if model["available"]]
        assert {"kling-2-1-std-i2v", "wan-2-1-t2v"} < set(available)
        assert "runway-gen4-turbo-i2v" not in available


def minimal(model: Any) -> dict[str, Any]:
    """The smallest request for a model that its schema allows."""
    stand_ins: dict[str, Any] = {
        "model": model["key"],
        "prompt": "a dog",
        "image": data_url(PHOTO),
        "end_image": data_url(PHOTO),
        "images": [data_url(PHOTO)],
        "video": "https://example.com/clip.mp4",
        "audio_url": "https://example.com/sound.mp3",
    }
    return {name: stand_ins[name] for name in ["model", "prompt", *model["parameters"]["required"]]}


async def estimate(gateway: Running, body: dict[str, Any]) -> Any:
    """The answer of an estimate."""
    return await gateway.submit({**body, "confirm": False}, key=gateway.keys.test)


async def seed_models(gateway: Running) -> list[Any]:
    """The models that the seed names and the local ones."""
    return [model for model in await models(gateway) if model["key"] in SEED_MODELS + LOCAL_MODELS]


async def test_models_that_work_on_clips_or_sound_are_available_like_any(
    database: Dsn, home: Path, gateway: Running
) -> None:
    """A model that needs a clip or a sound is available where a provider of it is."""
    works_on = {"video", "audio_url"}
    asked = [model for model in await models(gateway) if works_on & set(model["parameters"]["required"])]
    assert len(asked) > 40 and not any(model["available"] for model in asked)
    keys = {model["key"] for model in asked}
    async with running_gateway(
        database, home, works=False, FAL_KEY="k", RUNWAYML_API_SECRET="key_k"
    ) as other:
        available = {model["key"] for model in await models(other) if model["available"]}
    assert {"luma-ray-2-modify", "veed-fabric-1", "grok-imagine-extend", "runway-act-two"} < available & keys


async def test_a_model_that_needs_a_clip_or_a_sound_says_so(gateway: Running) -> None:
    """Left out, the clip or sound that a model needs is a 400 that names the field."""
    for model in await models(gateway):
        for role in {"video", "audio_url"} & set(model["parameters"]["required"]):
            body = minimal(model)
            del body[role]
            answer = await estimate(gateway, body)
            assert (answer.status, answer.json["error"]["param"]) == (400, role), (model["key"], answer.body)


async def test_the_price_of_a_model_is_the_quote_of_its_defaults(gateway: Running) -> None:
    """The price in the list is to the microdollar what a request with defaults is quoted."""
    for model in await models(gateway):
        answer = await estimate(gateway, minimal(model))
        assert answer.status == 200, answer.body
        if model["price"] is not None:
            assert answer.json["estimated_cost"]["micro"] == model["price"]["micro"], model["key"]
            assert model["price"]["unit"] == "clip"
        assert model["pricing"] or model["price"]["micro"] == 0


async def test_what_the_schema_allows_the_server_takes(gateway: Running) -> None:
    """Every value that a model's schema lists is quoted; what lies beside it is refused by both."""
    for model in (await models(gateway))[:: len(SEED_MODELS) * 5] + await seed_models(gateway):
        schema, body = model["parameters"], minimal(model)
        assert faults(body, schema, {}) == []
        for name, rule in schema["properties"].items():
            if name in NOT_OF_THE_MODEL:
                continue
            for value in _values(rule):
                asked = {**body, name: value}
                assert faults(asked, schema, {}) == [], (model["key"], name, value)
                answer = await estimate(gateway, asked)
                assert answer.status == 200, (model["key"], name, value, answer.body)
            for value in _beside(rule):
                asked = {**body, name: value}
                assert faults(asked, schema, {}), (model["key"], name, value)
                assert (await estimate(gateway, asked)).status == 400, (model["key"], name, value)
        assert faults({**body, "nonsense": 1}, schema, {})


def _values(rule: dict[str, Any]) -> list[Any]:
    bounds = [rule[word] for word in ("minimum", "maximum", "default", "const") if word in rule]
    return [*rule.get("enum", []), *bounds]


def _beside(rule: dict[str, Any]) -> list[Any]:
    beside: list[Any] = [rule["minimum"] - 1] if "minimum" in rule else []
    beside += [rule["maximum"] + 1] if "maximum" in rule else []
    return [*beside, ["a list"]] if rule.get("type") != "array" else beside
