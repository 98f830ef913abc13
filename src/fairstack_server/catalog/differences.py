"""What two catalogs do not agree about: for an operator before an upgrade, for a reviewer of prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date
from typing import Literal

from fairstack_server.catalog.load import Snapshot
from fairstack_server.catalog.model import Model
from fairstack_server.money import display
from fairstack_server.pricing import price_of_default_clip

#: Fields of a model whose change is told by name alone, unless a figure says more.
_TOLD_BY_FIGURE = frozenset({"prices", "routes"})


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One thing that changed, in a sentence."""

    model: str
    kind: Literal["added", "changed", "price", "removed"]
    message: str


def differences(old: Snapshot, new: Snapshot, *, on: date) -> list[Difference]:
    """Models added and removed, default prices that moved and entries that changed; in the order of keys."""
    found = [
        Difference(key, "added", f"new, {_price(new.models[key], on)} for the default clip")
        for key in new.models - old.models.keys()
    ]
    found += [Difference(key, "removed", "no longer there") for key in old.models.keys() - new.models.keys()]
    for key in old.models.keys() & new.models.keys():
        found += _changes(old.models[key], new.models[key], on)
    return sorted(found)


def _changes(old: Model, new: Model, on: date) -> Iterator[Difference]:
    before, after = _price(old, on), _price(new, on)
    if before != after:
        yield Difference(new.key, "price", f"the default clip was {before} and is {after}")
    changed = [item.name for item in fields(Model) if getattr(old, item.name) != getattr(new, item.name)]
    told = [name for name in changed if name not in _TOLD_BY_FIGURE or before == after]
    if told:
        yield Difference(new.key, "changed", f"changed: {', '.join(told)}")


def _price(model: Model, on: date) -> str:
    return display(price_of_default_clip(model, on=on).micros)
