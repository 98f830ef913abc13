"""What the operator's commands on the catalog tell: one model, one quote, what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairstack_server.catalog.ask_words import ask_of_words
from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.differences import Difference, differences
from fairstack_server.catalog.model_page import model_section
from fairstack_server.catalog.parameters import resolve
from fairstack_server.errors import BadRequest
from fairstack_server.pricing import quote
from tests.catalog.conftest import TODAY, WriteModel, least


@pytest.mark.parametrize(
    ("key", "words", "micros"),
    [
        ("kling-2-1-std-i2v", "", 280_000),
        ("kling-2-1-std-i2v", "duration=10 aspect_ratio=16:9 options.cfg_scale=0.5", 560_000),
        ("veo-3", "audio=false resolution=1080p seed=7", 1_600_000),
        ("grok-imagine-r2v", "images=3", 8 * 70_000 + 3 * 2_000),
        ("kling-avatar-2-pro", "input_seconds=12.5", 1_437_500),
        ("kling-o3-pro-r2v", "image=yes end_image=yes", 560_000),
    ],
)
def test_a_quote_is_asked_for_in_words(builtin: Catalog, key: str, words: str, micros: int) -> None:
    """Settings as one types them; files need no address to be priced."""
    model = builtin.get(key)
    settled = resolve(model, ask_of_words(model, words.split()))
    assert quote(model, settled, on=TODAY).micros == micros


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("duration", "write name=value"),
        ("lenght=5", "No setting is called 'lenght'. There are duration"),
        ("images=many", "how many"),
        ("input_seconds=-1", "a number of seconds"),
        ("input_seconds=long", "a number of seconds"),
    ],
)
def test_a_word_that_means_nothing_is_named(builtin: Catalog, word: str, said: str) -> None:
    """A slip of the pen is told, with what there is."""
    with pytest.raises(BadRequest, match=said):
        ask_of_words(builtin.get("grok-imagine-r2v"), [word])


def test_two_catalogs_tell_what_changed(tmp_path: Path, folder: Path, write: WriteModel) -> None:
    """New and lost models, moved prices, other entries; nothing of what stayed."""
    for key in ("gone", "dearer", "renamed", "same"):
        write(key, least())
    old = Catalog(folder).snapshot
    (folder / "models" / "gone.toml").unlink()
    write("fresh", least())
    write("dearer", least(rates='{ usd = "0.25" }'))
    write("renamed", least().replace('name = "Tiny"', 'name = "Small"'))
    assert differences(old, Catalog(folder).snapshot, on=TODAY) == [
        Difference("dearer", "price", "the default clip was $0.10 and is $0.25"),
        Difference("fresh", "added", "new, $0.10 for the default clip"),
        Difference("gone", "removed", "no longer there"),
        Difference("renamed", "changed", "changed: name"),
    ]


def test_a_catalog_does_not_differ_from_itself(builtin: Catalog) -> None:
    """Reading the same files twice is no change."""
    assert differences(builtin.snapshot, Catalog().snapshot, on=TODAY) == []


def test_a_model_is_told_with_its_prices_and_sources(builtin: Catalog) -> None:
    """Everything that a person would ask of one model stands in its section."""
    text = model_section(builtin.get("pixverse-v5-6-t2v"), on=TODAY)
    for said in ("PixVerse", "duration 5", "1080p", "audio on", "Sources:", "https://fal.ai/models/"):
        assert said in text
