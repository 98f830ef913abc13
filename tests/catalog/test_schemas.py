"""JSON Schemas: of requests, and of the files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.combinations import every_ask, every_choice
from fairstack_server.catalog.generate import main, stale_files
from fairstack_server.catalog.inputs import default_ask
from fairstack_server.catalog.model import Model
from fairstack_server.catalog.parameter_schema import request_schema
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.errors import BadRequest

ROOT = Path(__file__).resolve().parents[2]


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Judge a value by the words that our schemas use."""
    if "const" in schema and value is not schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and not low <= value <= high:
        return False
    return "multipleOf" not in schema or value % schema["multipleOf"] == 0


def body_of(ask: VideoAsk) -> dict[str, Any]:
    """The request as JSON would have it."""
    fields = ("duration", "aspect_ratio", "resolution", "audio", "seed", "options", "image")
    values = {name: getattr(ask, name) for name in fields}
    return {name: json_value(value) for name, value in values.items() if value is not None}


def json_value(value: Any) -> Any:
    """The value as JSON would have it."""
    return float(value) if isinstance(value, Decimal) else value


def test_every_request_that_a_schema_allows_is_taken(builtin: Catalog) -> None:
    """The schema that is served and the check that is made agree on every setting of every model."""
    for model in builtin.models():
        properties = request_schema(model)["properties"]
        for ask, _ in every_choice(model):
            assert all(fits(properties[name], value) for name, value in body_of(ask).items())


@pytest.mark.parametrize(
    "asked",
    [
        {"duration": 1},
        {"duration": 5.5},
        {"duration": 11},
        {"aspect_ratio": "5:7"},
        {"resolution": "8k"},
        {"seed": -1},
        {"seed": 2**40},
    ],
)
def test_what_the_schema_forbids_is_refused(builtin: Catalog, asked: dict[str, Any]) -> None:
    """And the other way round: a value gets through where the schema has it, and nowhere else."""
    ((name, value),) = asked.items()
    refusals = 0
    for model in builtin.models():
        properties = request_schema(model)["properties"]
        allowed = name in properties and fits(properties[name], value)
        assert refused(model, asked) is not allowed, model.key
        refusals += not allowed
    assert refusals > 100


def refused(model: Model, asked: dict[str, Any]) -> bool:
    """Whether the model refuses its least request with this on top."""
    try:
        resolve(model, replace(next(every_ask(model)), **asked))
    except BadRequest:
        return True
    return False


def test_a_schema_states_the_defaults_that_are_filled_in(builtin: Catalog) -> None:
    """What the schema calls the default is what a request without the field gets."""
    for model in builtin.models():
        schema = request_schema(model)
        least = next(every_ask(model))
        settled = resolve(
            model, replace(least, duration=None, aspect_ratio=None, resolution=None, audio=None)
        )
        for name in ("duration", "aspect_ratio", "resolution", "audio"):
            stated = schema["properties"].get(name, {})
            # 10.8 seconds are a Decimal here and a number of JSON there.
            assert "default" not in stated or stated["default"] == json_value(getattr(settled, name))


def test_a_schema_requires_what_the_model_needs(builtin: Catalog) -> None:
    """Unknown fields are forbidden, and an image model requires its image."""
    schema = request_schema(builtin.get("kling-2-1-std-i2v"))
    assert schema["required"] == ["model", "prompt", "image"]
    assert schema["additionalProperties"] is False
    assert "seed" not in schema["properties"]


def test_a_schema_requires_every_file_without_which_a_model_refuses(builtin: Catalog) -> None:
    """Whoever leaves out one required field is refused, and told which one it is."""
    for model in builtin.models():
        for name in set(request_schema(model)["required"]) - {"model"}:
            without: dict[str, Any] = {name: None}
            with pytest.raises(BadRequest) as caught:
                resolve(model, replace(default_ask(model), **without))
            assert caught.value.param == name


def test_generated_files_are_fresh() -> None:
    """`python -m fairstack_server.catalog.generate` has been run since the catalog last changed."""
    assert stale_files(ROOT) == []


def test_a_stale_file_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the generated files the check says which are missing; after writing them it is content."""
    (tmp_path / "catalog").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    for name in ("models", "providers"):
        (tmp_path / "real" / name).symlink_to(ROOT / "catalog" / name)
    monkeypatch.chdir(tmp_path)
    assert main(["--check"]) == 1
    assert "docs/reference/models.md is stale" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_the_editors_schema_takes_amounts_as_numbers_and_as_text() -> None:
    """Both `usd = 0.1` and `usd = "0.1"` are right in a file, and an editor must not say otherwise."""
    schema = json.loads((ROOT / "catalog" / "schema" / "model.schema.json").read_text())
    assert set(schema["$defs"]["RateEntry"]["properties"]["usd"]["type"]) == {"string", "number"}
    assert schema["$defs"]["ModelEntry"]["additionalProperties"] is False


def test_the_page_of_models_names_every_model_and_its_price(builtin: Catalog) -> None:
    """The page lists each model once in its table."""
    page = (ROOT / "docs" / "reference" / "models.md").read_text()
    listed = re.findall(r"^\| \[`([^`]+)`\]", page, flags=re.MULTILINE)
    assert listed == [model.key for model in builtin.models()]
    assert "| $0.048 |" in page
