"""What an operator wants to know first: what is set up, what is not, and what would enable it."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.load import CatalogError
from fairstack_server.clock import SystemClock
from fairstack_server.db.embedded import EmbeddedPostgres
from fairstack_server.db.home_lock import read_holder
from fairstack_server.providers.base import KeyCheck
from fairstack_server.providers.check_keys import check_keys
from fairstack_server.providers.http import provider_sessions
from fairstack_server.providers.registry import REQUIRED_SETTINGS, SPOKEN, build_providers, missing_setting
from fairstack_server.settings import Settings

_EXAMPLES = 3
_NAME_CHARACTERS = 13


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for the operator; `is_wrong` where it needs a hand: a key that is refused."""

    text: str
    is_wrong: bool = False


async def examine(settings: Settings, *, offline: bool = False) -> AsyncIterator[Finding]:
    """One finding after the other, as it comes; starts nothing.

    Every configured provider is asked about its key by a call that costs nothing, all of them at once and
    within ten seconds; none is with `offline`.
    """
    yield Finding(f"data folder   {settings.home}")
    yield Finding(f"database      {_database(settings)}")
    holder = read_holder(settings.home)
    running = f"running at {holder.url}" if holder else "not running; start it: fairstack serve"
    yield Finding(f"server        {running}")
    engine = "ready" if has_local_engine() else "not installed; pip install 'fairstack[local]'"
    yield Finding(f"local engine  {engine}")
    yield Finding("providers, as this shell is set (a running server keeps what it was started with):")
    try:
        enabled = _enabled(settings)
    except CatalogError as error:
        for problem in error.problems:
            yield Finding(f"catalog       {problem}", is_wrong=True)
        return
    missing = {name: missing_setting(name, settings.providers) for name in enabled}
    for name, models in enabled.items():
        if missing[name] is not None:
            yield _line(name, f"set {' and '.join(REQUIRED_SETTINGS[name])}: {_some(models)}")
        elif offline:
            yield _line(name, f"configured, not asked: {_some(models)}")
    if not offline:
        async for finding in _asked(settings, enabled):
            yield finding


async def _asked(settings: Settings, enabled: Mapping[str, list[str]]) -> AsyncIterator[Finding]:
    """Ask every configured provider about its key."""
    async with provider_sessions() as sessions:
        providers = build_providers(settings, sessions, SystemClock())
        if providers:
            yield Finding(f"asking {', '.join(sorted(providers))} about their keys, which costs nothing:")
        async for name, told in check_keys(providers):
            models = _some(enabled.get(name, []))
            match told:
                case KeyCheck(accepted=True, message=message):
                    yield _line(name, f"{message}: {models}")
                case KeyCheck(message=message):
                    settings_named = " and ".join(REQUIRED_SETTINGS[name])
                    yield _line(name, f"REFUSED, {message}; check {settings_named}: {models}", is_wrong=True)
                case str(message):
                    yield _line(name, f"configured, but no answer ({message}): {models}")
                case None:
                    yield _line(name, f"configured; it has no free call to ask: {models}")


def has_local_engine() -> bool:
    """Whether the libraries of the embedded engine are installed."""
    needed = ("numba", "numpy", "cv2", "av", "onnxruntime")
    return all(importlib.util.find_spec(name) is not None for name in needed)


def _line(provider: str, text: str, *, is_wrong: bool = False) -> Finding:
    return Finding(f"{provider:{_NAME_CHARACTERS}} {text}", is_wrong)


def _database(settings: Settings) -> str:
    if settings.database_url:
        return "FAIRSTACK_DATABASE_URL"
    status = EmbeddedPostgres(settings.home).status()
    where = f" in {status.folder}" if isinstance(status.folder, Path) else ""
    return f"embedded, {'running' if status.running else 'stopped'}{where}"


def _enabled(settings: Settings) -> Mapping[str, list[str]]:
    """Provider -> the models that have a route of known cost there, open today."""
    today = SystemClock().now().date()
    models = Catalog(operator=settings.catalog_dir).models()
    return {
        provider: [
            model.key
            for model in models
            if any(
                route.provider == provider
                and route.costs
                and (route.end_of_life is None or route.end_of_life > today)
                for route in model.routes
            )
        ]
        for provider in sorted(SPOKEN & set(REQUIRED_SETTINGS))
    }


def _some(models: list[str]) -> str:
    """How many models, and a few of them."""
    if not models:
        return "no model has a known cost there; state one in $FAIRSTACK_CATALOG_DIR/overrides.toml"
    shown = ", ".join(models[:_EXAMPLES]) + (", …" if len(models) > _EXAMPLES else "")
    return f"{len(models)} {'model' if len(models) == 1 else 'models'} ({shown})"
