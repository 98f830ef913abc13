"""The catalog that a running server asks: which model is this, which models are there."""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from fairstack_server.catalog.closed_routes import RouteKey, with_closed
from fairstack_server.catalog.load import Snapshot, builtin_dir, read_catalog
from fairstack_server.catalog.model import Model, ModelType, ProviderFacts, Status, Tier
from fairstack_server.errors import BadRequest

_SHOWN_KEY_CHARACTERS = 80
_IN_THE_SANDBOX = "A test key (fs_test_…) gets a stand-in clip of any model, without a provider."
_MOST_CLOSE_KEYS = 3
#: How much alike two keys are, from 0 to 1, for one to be a slip for the other; below, it is a guess.
_NEARLY, _ALIKE = 0.9, 0.65
#: What people write instead of a dash: wan 2.1, wan_2_1.
_NOT_OF_KEYS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFilter:
    """Which models to list; None = any."""

    type: ModelType | None = None
    tier: Tier | None = None
    status: Status | None = None
    provider: str | None = None
    """The maker, or a provider that renders the model."""
    q: str | None = None
    """Words that all occur in key, name, maker, aliases or description."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload found: how many models there are, and the keys of those that are not as before."""

    models: int
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Catalog:
    """All models, as read from files; a reload swaps the whole at once."""

    def __init__(self, builtin: Path | None = None, operator: Path | None = None) -> None:
        """Read the built-in catalog and the operator's folder. Raises CatalogError naming file:line."""
        self.builtin = builtin if builtin is not None else builtin_dir()
        """The folder that came with the server."""
        self.operator = operator
        """The operator's own folder, if there is one."""
        self._read = self._snapshot = read_catalog(self.builtin, operator)
        self._closed: Mapping[RouteKey, date] = {}
        self._reloading = threading.Lock()
        # Of its own, for the event loop closes routes: it must not wait until a reload has read all files.
        self._swapping = threading.Lock()

    @property
    def snapshot(self) -> Snapshot:
        """Everything as it is now; later reloads do not change it."""
        return self._snapshot

    @property
    def providers(self) -> Mapping[str, ProviderFacts]:
        """Providers by key."""
        return self._snapshot.providers

    def reload(self) -> Reloaded:
        """Read the files again, and swap all models at once; callable from any thread.

        Raises CatalogError naming file:line, and keeps what there was, when they are broken. What was quoted
        and ordered before keeps its price and its route.
        """
        with self._reloading:
            read = read_catalog(self.builtin, self.operator)
            with self._swapping:
                old, self._read = self._snapshot, read
                new = self._snapshot = with_closed(read, self._closed)
        return _reloaded(old, new)

    def close_routes(self, closed: Mapping[RouteKey, date]) -> None:
        """These routes, and no others, are closed beyond what the files say, also after a reload."""
        with self._swapping:
            if closed == self._closed:
                return
            self._snapshot, self._closed = with_closed(self._read, closed), dict(closed)

    def get(self, key_or_alias: str) -> Model:
        """The model of this key or alias. Raises BadRequest `unknown_model` with the closest keys."""
        snapshot = self._snapshot
        model = snapshot.models.get(snapshot.aliases.get(key_or_alias, key_or_alias))
        if model is None:
            raise _unknown_model(key_or_alias, snapshot)
        return model

    def models(self, wanted: ModelFilter | None = None) -> list[Model]:
        """The models that pass the filter, in the order of their keys."""
        return [model for model in self._snapshot.models.values() if wanted is None or _passes(model, wanted)]

    def how_to_enable(self, model: Model, spoken: Collection[str]) -> str:
        """What would give the model a route, and what works without one; `spoken`: providers spoken to."""
        ways = [
            f"{' and '.join(facts.settings)} ({facts.name})"
            for route in model.routes
            if route.provider in spoken and route.costs and (facts := self.providers.get(route.provider))
            if facts.settings
        ]
        if not ways:
            makers = ", ".join(dict.fromkeys(route.provider for route in model.routes))
            return f"This server speaks to none of its providers yet ({makers}). {_IN_THE_SANDBOX}"
        return f"Set {', or '.join(dict.fromkeys(ways))}. {_IN_THE_SANDBOX}"


def _reloaded(old: Snapshot, new: Snapshot) -> Reloaded:
    return Reloaded(
        len(new.models),
        added=tuple(key for key in new.models if key not in old.models),
        changed=tuple(key for key, model in new.models.items() if old.models.get(key, model) != model),
        removed=tuple(key for key in old.models if key not in new.models),
    )


def _passes(model: Model, wanted: ModelFilter) -> bool:
    return (
        wanted.type in (None, model.type)
        and wanted.tier in (None, model.tier)
        and wanted.status in (None, model.status)
        and (wanted.provider is None or wanted.provider.casefold() in _providers_of(model))
        and (wanted.q is None or _has_words(model, wanted.q))
    )


def _providers_of(model: Model) -> set[str]:
    maker = model.vendor.casefold()
    return {maker, *_words(maker), *(route.provider.casefold() for route in model.routes)}


def _words(text: str) -> Iterator[str]:
    return (word.strip("()") for word in text.split())


def _has_words(model: Model, query: str) -> bool:
    text = " ".join((model.key, model.name, model.vendor, *model.aliases, model.description)).casefold()
    return all(word in text for word in query.casefold().split())


def _unknown_model(asked: str, snapshot: Snapshot) -> BadRequest:
    # Compared short: the difference is quadratic in the length, and the key comes from anybody.
    shown = asked[:_SHOWN_KEY_CHARACTERS]
    keys = _closest_keys(shown, {**{key: key for key in snapshot.models}, **snapshot.aliases})
    closest = f" Closest: {', '.join(keys)}." if keys else ""
    return BadRequest(
        f'No model "{_printable(shown)}".{closest} List: GET /v1/models',
        code="unknown_model",
        param="model",
        allowed=keys or None,
    )


def _closest_keys(asked: str, names: Mapping[str, str]) -> list[str]:
    """The few keys that may have been meant: spelt nearly so, else beginning so, else spelt alike."""
    wanted = _NOT_OF_KEYS.sub("-", asked.casefold()).strip("-")
    # Of equally long ones the last: newer versions, and text to video, which needs no file.
    begun = sorted(sorted(names, reverse=True), key=len) if wanted else []
    begun = [name for name in begun if name.startswith(wanted)]
    close = difflib.get_close_matches(wanted, names, n=_MOST_CLOSE_KEYS, cutoff=_NEARLY if begun else _ALIKE)
    return list(dict.fromkeys(names[name] for name in (*close, *begun)))[:_MOST_CLOSE_KEYS]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
