"""Finding models by key, alias and filter."""

from __future__ import annotations

import pytest

from fairstack_server.catalog.catalog import Catalog, ModelFilter
from fairstack_server.errors import BadRequest
from fairstack_server.providers.registry import REQUIRED_SETTINGS

_GEN_4 = ["runway-gen4-turbo-i2v"]
_GEN_4_ALEPH = ["runway-gen4-aleph-v2v"]


@pytest.mark.parametrize(
    ("alias", "key"),
    [
        ("runway-gen-4", "runway-gen4-turbo-i2v"),
        ("veo-3-t2v", "veo-3"),
        ("veo-3-1-quality", "veo-3-1"),
        ("seedance-v1-5-pro-i2v", "seedance-1-5-pro-i2v"),
        ("kling-3-0-std", "kling-3-std-t2v"),
    ],
)
def test_an_alias_names_its_model(builtin: Catalog, alias: str, key: str) -> None:
    """The names that people know lead to the key."""
    assert builtin.get(alias).key == key


@pytest.mark.parametrize(
    ("asked", "closest"),
    [
        ("kling-2-1-i2v", "kling-2-1-std-i2v"),
        ("wan-2-1", "wan-2-1-t2v"),
        ("VEO-3", "veo-3"),
        ("runway-gen4", "runway-gen4-turbo-i2v"),
        ("kling 2.1 std", "kling-2-1-std-i2v"),
        ("Wan_2.1_T2V", "wan-2-1-t2v"),
        ("wan-2-1-t2w", "wan-2-1-t2v"),
    ],
)
def test_an_unknown_model_names_the_closest_and_the_list(builtin: Catalog, asked: str, closest: str) -> None:
    """A mistyped key is one glance away from the right one."""
    with pytest.raises(BadRequest) as caught:
        builtin.get(asked)
    error = caught.value
    assert (error.code, error.param, error.status) == ("unknown_model", "model", 400)
    assert f'No model "{asked}". Closest: {closest}' in error.message
    assert error.message.endswith("List: GET /v1/models")
    assert isinstance(error.allowed, list)
    assert error.allowed[0] == closest


@pytest.mark.parametrize("asked", ["foo-bar-t2v", "banana", "gpt-4", "-", ""])
def test_what_is_like_no_model_gets_no_guess(builtin: Catalog, asked: str) -> None:
    """A name that resembles nothing is told the list, and no model that it cannot have meant."""
    with pytest.raises(BadRequest) as caught:
        builtin.get(asked)
    assert caught.value.allowed is None
    assert caught.value.message == f'No model "{asked}". List: GET /v1/models'


def test_a_key_of_a_megabyte_is_answered_short(builtin: Catalog) -> None:
    """What somebody sent is neither compared nor sent back at length, nor with its control characters."""
    with pytest.raises(BadRequest) as caught:
        builtin.get("\x1b[2J" + "k" * 1_000_000)
    assert len(caught.value.message) < 200
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        (ModelFilter(type="lipsync"), ["kling-avatar-2-pro", "kling-avatar-2-std", "veed-fabric-1"]),
        (ModelFilter(type="extend", tier="standard", provider="xai"), ["grok-imagine-extend"]),
        (ModelFilter(provider="Runway", tier="premium"), ["runway-aleph-2-v2v", *_GEN_4_ALEPH, *_GEN_4]),
        (ModelFilter(provider="local"), ["local-parallax-i2v", "local-scene-t2v"]),
        (ModelFilter(q="gen-4 STEADY"), _GEN_4),
        (ModelFilter(status="deprecated"), ["sora-2-i2v", "sora-2-pro-i2v", "sora-2-pro-t2v", "sora-2-t2v"]),
        (ModelFilter(q="no such words"), []),
    ],
)
def test_models_are_filtered(builtin: Catalog, wanted: ModelFilter, keys: list[str]) -> None:
    """Each filter of GET /v1/models narrows the list to what it names."""
    assert [model.key for model in builtin.models(wanted)] == keys


def test_a_provider_is_a_maker_or_one_who_renders(builtin: Catalog) -> None:
    """`provider=google` finds what Google made; `provider=fal` what fal renders, whoever made it."""
    google = builtin.models(ModelFilter(provider="google"))
    assert {model.vendor for model in google} == {"Google"}
    makers = {model.vendor for model in builtin.models(ModelFilter(provider="fal"))}
    assert len(makers) >= 20


def test_how_to_enable_names_the_settings_that_would_help(builtin: Catalog) -> None:
    """Only providers that this server speaks to, and only routes with a known cost, are promised."""
    spoken = {"local", "fal", "openai_videos"}
    assert builtin.how_to_enable(builtin.get("kling-2-1-std-i2v"), spoken) == (
        "Set FAL_KEY (fal.ai). A test key (fs_test_…) gets a stand-in clip of any model, without a provider."
    )
    assert "OPENAI_VIDEOS_URL" in builtin.how_to_enable(builtin.get("wan-2-1-t2v"), spoken)
    assert "FAL_KEY" not in builtin.how_to_enable(builtin.get("wan-2-1-t2v"), spoken)
    assert "speaks to none" in builtin.how_to_enable(builtin.get("runway-gen4-turbo-i2v"), spoken)


def test_provider_files_and_the_registry_ask_for_the_same_settings(builtin: Catalog) -> None:
    """What a user is told to set is what the server looks for."""
    told = {facts.key: facts.settings for facts in builtin.providers.values() if facts.settings}
    assert told == {key: REQUIRED_SETTINGS[key] for key in told}
