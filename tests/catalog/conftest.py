"""A catalog in a temporary folder, written file by file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.model import Model
from fairstack_server.catalog.request import VideoAsk

TODAY = date(2026, 11, 22)

#: The least that a model file must say; `{capabilities}` and `{more}` take what a test is about.
LEAST = """
name = "Tiny"
vendor = "Nobody"
type = "t2v"
tier = "budget"
description = "A model of a test."
sources = ["A test of 2026"]
{top}
[capabilities]
{capabilities}
[[routes]]
provider = "fal"
endpoint = "nobody/tiny"
source = "A test"
[routes.field_map]
prompt = "prompt"
[[routes.costs]]
since = 2026-01-01
unit = "{unit}"
source = "A test"
rates = [{rates}]
{more}
"""


def least(**parts: str) -> str:
    """The text of a small model file, with these parts filled in."""
    filled = {"top": "", "capabilities": "", "unit": "clip", "rates": '{ usd = "0.1" }', "more": "", **parts}
    text = LEAST
    for name, part in filled.items():
        text = text.replace(f"{{{name}}}", part)
    return text


@pytest.fixture(scope="session")
def builtin() -> Catalog:
    """The catalog that ships with the server."""
    return Catalog()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty catalog folder."""
    (tmp_path / "models").mkdir()
    return tmp_path


WriteModel = Callable[[str, str], Path]


@pytest.fixture
def write(folder: Path) -> WriteModel:
    """Write a model file into the folder."""

    def write_file(key: str, text: str) -> Path:
        path = folder / "models" / f"{key}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


MakeModel = Callable[..., Model]


@pytest.fixture
def make(folder: Path, write: WriteModel) -> MakeModel:
    """The model of a small file with these parts."""

    def make_model(**parts: str) -> Model:
        write("tiny", least(**parts))
        return Catalog(folder).get("tiny")

    return make_model


def ask(**asked: object) -> VideoAsk:
    """A request with a prompt and these fields."""
    fields: dict[str, Any] = {"model": "any", "prompt": "a dog on a beach", **asked}
    return VideoAsk(**fields)
