"""Reads the folders of the catalog: the built-in one and the operator's, whose files win.

    <folder>/models/<vendor>/<key>.toml    one file = one model, the file name is its key
    <folder>/providers/<provider>.toml     who renders, and which settings enable it
    <operator's folder>/overrides.toml     the operator's own prices and costs

Everything that is wrong in any file is collected and told at once, with file:line and what would be right.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fairstack_server.catalog.build import (
    EntryError,
    Place,
    build_model,
    build_provider,
    overridden_cost,
    overridden_price,
)
from fairstack_server.catalog.entry import ModelEntry, OverridesEntry, ProviderEntry
from fairstack_server.catalog.locate import explain, line_of
from fairstack_server.catalog.model import Model, ProviderFacts

OVERRIDES_FILE = "overrides.toml"
_SYNTAX_POSITION = re.compile(r" ?\(at line (\d+), column \d+\)$")
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROVIDER_KEY = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")

#: Read models that are remembered, by their text: the built-in ones and as many of the operator's.
_MODELS_KEPT = 1000

T = TypeVar("T")
EntryT = TypeVar("EntryT", bound=msgspec.Struct)


class CatalogError(ValueError):
    """The catalog cannot be used; one line per problem, each `file:line: what is wrong`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All models and providers as they were when the files were read; never changes."""

    models: Mapping[str, Model]
    """By key, in the order of the keys."""
    aliases: Mapping[str, str]
    """Alias -> key."""
    providers: Mapping[str, ProviderFacts]


@dataclass(slots=True)
class _Reading:
    """What was read so far, and from where."""

    models: dict[str, Model] = field(default_factory=dict)
    providers: dict[str, ProviderFacts] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def refuse(self, path: Path, text: str, place: Place, message: str) -> None:
        """Note a problem at that place of that file."""
        named = ".".join(str(step) for step in place)
        self.problems.append(f"{path}:{line_of(text, place)}: {f'{named}: ' if named else ''}{message}")


def builtin_dir(package: Path | None = None) -> Path:
    """The catalog that came with this server: inside the installed package, else at the root of the checkout.

    `package` is the folder of `fairstack_server`. Raises CatalogError when there is no catalog.
    """
    package = package if package is not None else Path(str(resources.files("fairstack_server")))
    installed = package / "_catalog"
    checkout = package.parent.parent / "catalog"
    for folder in (installed, checkout):
        if (folder / "models").is_dir():
            return folder
    raise CatalogError([f"{installed}: there is no catalog here; install the package again"])


def catalog_files(folder: Path) -> Iterator[Path]:
    """Every TOML file at any depth; not what editors and mounts keep under names that begin with a dot."""
    for path in folder.rglob("*.toml"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def read_catalog(builtin: Path, operator: Path | None = None) -> Snapshot:
    """Read both folders. Raises CatalogError with every problem of every file."""
    reading = _Reading()
    _read_folder(builtin, reading)
    if operator is not None:
        if not operator.is_dir():
            raise CatalogError([f"{operator}: FAIRSTACK_CATALOG_DIR names no folder"])
        own = _Reading()
        _read_folder(operator, own)
        reading.models.update(own.models)
        reading.providers.update(own.providers)
        reading.files.update(own.files)
        reading.problems.extend(own.problems)
        _read_overrides(operator / OVERRIDES_FILE, reading)
    _refuse_unpriced(reading)
    aliases = _collect_aliases(reading)
    if reading.problems:
        raise CatalogError(sorted(reading.problems))
    models = dict(sorted(reading.models.items()))
    return Snapshot(models, aliases, dict(sorted(reading.providers.items())))


def _read_folder(folder: Path, reading: _Reading) -> None:
    """Read providers/ and every other TOML file, at any depth, as a model."""
    providers = folder / "providers"
    for path in sorted(catalog_files(folder)):
        if path.parent == providers:
            _read_provider(path, reading)
        elif path != folder / OVERRIDES_FILE:
            _read_model(path, reading)


def _read_model(path: Path, reading: _Reading) -> None:
    key = path.stem
    if not _KEY.fullmatch(key):
        reading.refuse(
            path, "", (), f"the file name is the key of a model: {key!r} is not lower-case-with-dashes"
        )
        return
    if key in reading.files:
        reading.refuse(path, "", (), f"the model {key!r} is in {reading.files[key]} too: remove one")
        return
    reading.files[key] = path
    model = _read_file(path, ModelEntry, lambda text: _model_of(key, text), reading)
    if model is not None:
        reading.models[key] = model


@lru_cache(maxsize=_MODELS_KEPT)
def _model_of(key: str, text: str) -> Model:
    """What a file says is in its text alone, so a reload works on those that changed."""
    return build_model(key, _entry_of(text, ModelEntry))


def _read_provider(path: Path, reading: _Reading) -> None:
    if not _PROVIDER_KEY.fullmatch(path.stem):
        reading.refuse(path, "", (), f"the file name is the key of a provider: {path.stem!r} is none")
        return
    provider = _read_file(
        path, ProviderEntry, lambda text: build_provider(path.stem, _entry_of(text, ProviderEntry)), reading
    )
    if provider is not None:
        reading.providers[path.stem] = provider


def _read_overrides(path: Path, reading: _Reading) -> None:
    def apply(text: str) -> None:
        _apply_overrides(_entry_of(text, OverridesEntry), reading.models)

    if path.exists():
        _read_file(path, OverridesEntry, apply, reading)


def _entry_of(text: str, kind: type[EntryT]) -> EntryT:
    # Decimal from the first character on: an amount of money is never a float.
    return msgspec.convert(tomllib.loads(text, parse_float=Decimal), kind)


def _read_file(path: Path, kind: type[Any], make: Callable[[str], T], reading: _Reading) -> T | None:
    """What `make` makes of the text of a file; None when it is broken, which has been noted."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reading.refuse(path, "", (), f"cannot be read: {error}")
        return None
    try:
        return make(text)
    except tomllib.TOMLDecodeError as error:
        position = _SYNTAX_POSITION.search(str(error))
        line = position[1] if position else len(text.splitlines()) or 1
        reading.problems.append(f"{path}:{line}: not TOML: {_SYNTAX_POSITION.sub('', str(error))}")
    except msgspec.ValidationError as error:
        reading.refuse(path, text, *explain(error, kind))
    except EntryError as error:
        reading.refuse(path, text, error.place, str(error))
    return None


def _apply_overrides(entry: OverridesEntry, models: dict[str, Model]) -> None:
    for key, priced in entry.models.items():
        place: Place = ("models", key)
        if key not in models:
            raise EntryError(place, f"there is no model {key!r} to price")
        models[key] = replace(models[key], prices=(overridden_price(priced, place),))
    for name, costed in entry.routes.items():
        place = ("routes", name)
        key, _, provider = name.partition(":")
        if key not in models or provider not in {route.provider for route in models[key].routes}:
            raise EntryError(place, f'there is no route {name!r}; write "model:provider"')
        cost = overridden_cost(costed, place)
        routes = tuple(
            replace(route, costs=(cost,)) if route.provider == provider else route
            for route in models[key].routes
        )
        models[key] = replace(models[key], routes=routes)


def _refuse_unpriced(reading: _Reading) -> None:
    for key, model in reading.models.items():
        if not model.prices and not any(route.costs for route in model.routes):
            message = "there is neither a price nor a route with a cost: state one, here or in overrides.toml"
            reading.refuse(reading.files[key], "", ("prices",), message)


def _collect_aliases(reading: _Reading) -> dict[str, str]:
    aliases: dict[str, str] = {}
    for key, model in sorted(reading.models.items()):
        for alias in model.aliases:
            owner = alias if alias in reading.models else aliases.get(alias)
            if owner is not None:
                reading.refuse(
                    reading.files[key], "", ("aliases",), f"the alias {alias!r} already names {owner!r}"
                )
            aliases[alias] = key
    return aliases
