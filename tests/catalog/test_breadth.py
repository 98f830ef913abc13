"""How much the catalog holds, and that nothing in it is half there."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.parameter_schema import request_schema
from fairstack_server.pricing import price_of_default_clip
from tests.catalog.conftest import TODAY


def test_there_are_models_of_every_kind_by_many_makers(builtin: Catalog) -> None:
    """At least 250 models of 20 makers, 100 from text and 100 from an image."""
    models = builtin.models()
    kinds = Counter(model.type for model in models)
    assert len(models) >= 250
    assert len({model.vendor for model in models}) >= 20
    assert kinds["t2v"] >= 100
    assert kinds["i2v"] >= 100
    assert {"flf", "r2v", "v2v", "extend", "lipsync"} <= kinds.keys()


def test_every_model_has_a_price_parameters_and_dated_sources(builtin: Catalog) -> None:
    """Nobody meets a model that cannot say what it costs, what it takes and how we know."""
    for model in builtin.models():
        assert price_of_default_clip(model, on=TODAY).micros > 0 or model.vendor == "FairStack", model.key
        assert {"model", "prompt"} <= request_schema(model)["properties"].keys(), model.key
        assert any(re.search(r"20\d\d", source) for source in model.sources), model.key
        assert all(route.source for route in model.routes), model.key
        stated = (*model.prices, *(price for route in model.routes for price in route.costs))
        assert all(date(2025, 1, 1) <= price.since <= TODAY for price in stated), model.key


def test_a_text_model_names_an_image_model_of_its_maker(builtin: Catalog) -> None:
    """Whoever brings an image to a text model is sent to one that exists and takes it."""
    without = [model.key for model in builtin.models() if model.type == "t2v" and model.twin is None]
    assert without == ["infinity-star-t2v", "mochi-1-t2v", "sana-video-t2v"]
    for model in builtin.models():
        twin = builtin.get(model.twin) if model.twin is not None else None
        assert twin is None or (twin.type, twin.capabilities.image) == ("i2v", "required"), model.key


@pytest.mark.parametrize(
    ("key", "tier"),
    [
        ("wan-2-1-t2v", "budget"),
        ("kling-2-1-std-i2v", "standard"),
        ("veo-3", "premium"),
        ("runway-gen-4", "premium"),
    ],
)
def test_the_models_of_the_quality_table_have_its_tiers(builtin: Catalog, key: str, tier: str) -> None:
    """What the API's page says of its example models is what the catalog says."""
    assert builtin.get(key).tier == tier


def test_a_model_is_waited_for_longer_than_it_usually_takes(builtin: Catalog) -> None:
    """No job is given up before a slow day is over."""
    for model in builtin.models():
        assert 10 * model.typical_seconds <= model.longest_seconds <= 3600 or model.vendor == "FairStack"


def test_what_fal_calls_by_another_name_is_not_sold_there(builtin: Catalog) -> None:
    """fal answers for Seedance 1.0 Lite with another model: nobody is sent there for it."""
    for key in ("seedance-1-lite-t2v", "seedance-1-lite-i2v"):
        assert "fal" not in {route.provider for route in builtin.get(key).routes}


def test_no_setting_is_offered_whose_price_is_unknown(builtin: Catalog) -> None:
    """Lengths and sizes that the price pages are silent about are left out."""
    for key in ("pika-2-2-t2v", "pixverse-v5-t2v"):
        assert request_schema(builtin.get(key))["properties"]["duration"]["enum"] == [5]
    assert builtin.get("wan-2-1-14b-t2v").capabilities.resolutions == ("480p", "720p")
    assert builtin.get("vidu-q2-pro-r2v").capabilities.resolutions == ("720p", "1080p")
