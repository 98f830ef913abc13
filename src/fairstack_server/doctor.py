"""What an operator wants to know first: what is set up, what is not, and what would enable it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.db.embedded import EmbeddedPostgres
from fairstack_server.db.home_lock import read_holder
from fairstack_server.providers.registry import REQUIRED_SETTINGS, SPOKEN, missing_setting
from fairstack_server.settings import Settings

_EXAMPLES = 3


async def examine(settings: Settings) -> list[str]:
    """One line per finding; calls no provider and starts nothing."""
    lines = [f"data folder   {settings.home}", f"database      {_database(settings)}"]
    holder = read_holder(settings.home)
    running = f"running at {holder.url}" if holder else "not running; start it: fairstack serve"
    lines.append(f"server        {running}")
    engine = "ready" if has_local_engine() else "not installed; pip install 'fairstack[local]'"
    lines.append(f"local engine  {engine}")
    lines.append("providers, as this shell is set (a running server keeps what it was started with):")
    lines.extend(_providers(settings))
    return lines


def has_local_engine() -> bool:
    """Whether the libraries of the embedded engine are installed."""
    needed = ("numba", "numpy", "cv2", "av", "onnxruntime")
    return all(importlib.util.find_spec(name) is not None for name in needed)


def _database(settings: Settings) -> str:
    if settings.database_url:
        return "FAIRSTACK_DATABASE_URL"
    status = EmbeddedPostgres(settings.home).status()
    where = f" in {status.folder}" if isinstance(status.folder, Path) else ""
    return f"embedded, {'running' if status.running else 'stopped'}{where}"


def _providers(settings: Settings) -> list[str]:
    models = Catalog(operator=settings.catalog_dir).models()
    lines = []
    for provider in sorted(SPOKEN & set(REQUIRED_SETTINGS)):
        enabled = [m.key for m in models if any(r.provider == provider and r.costs for r in m.routes)]
        missing = missing_setting(provider, settings.providers)
        state = "configured" if missing is None else f"set {' and '.join(REQUIRED_SETTINGS[provider])}"
        lines.append(f"{provider:13} {state}: {_some(enabled)}")
    return lines


def _some(models: list[str]) -> str:
    """How many models, and a few of them."""
    if not models:
        return "no model has a known cost there; state one in $FAIRSTACK_CATALOG_DIR/overrides.toml"
    shown = ", ".join(models[:_EXAMPLES]) + (", …" if len(models) > _EXAMPLES else "")
    return f"{len(models)} {'model' if len(models) == 1 else 'models'} ({shown})"
