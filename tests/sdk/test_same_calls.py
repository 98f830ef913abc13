"""The same calls in every language: spec/client_calls.json is the list."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from fairstack import FairStack, Job, Result, client, webhooks

ROOT = Path(__file__).parents[2]
LIST = json.loads((ROOT / "spec" / "client_calls.json").read_text())
PARTS = {
    "client": FairStack,
    "client.api_keys": client.ApiKeys,
    "client.credits": client.CreditsCalls,
    "client.files": client.Files,
    "client.generate": client.Generate,
    "client.jobs": client.Jobs,
    "client.ledger": client.Ledger,
    "client.models": client.Models,
    "client.webhooks": webhooks,
    "job": Job,
    "result": Result,
}


@pytest.mark.parametrize("place", LIST["calls"])
def test_every_language_has_these_calls(place: str) -> None:
    """Here are the calls that every language has, those that are Python's own, and none besides."""
    expected = {*LIST["calls"][place], *LIST["only"]["python"].get(place, [])}
    assert calls_of(PARTS[place]) == expected


def test_every_part_of_the_client_is_listed() -> None:
    """What hangs on a client is in the list, under the name that it has there."""
    parts = {f"client.{name}" for name in vars(FairStack("fs_test_a")) if not name.startswith("_")}
    assert parts == {place for place in LIST["calls"] if place.startswith("client.")}
    assert set(PARTS) == set(LIST["calls"])


def calls_of(place: Any) -> set[str]:
    """Public functions of a class, or those that a module defines."""
    return {
        name
        for name, value in inspect.getmembers(place, inspect.isfunction)
        if not name.startswith("_") and (inspect.isclass(place) or value.__module__ == place.__name__)
    }
