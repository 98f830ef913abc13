"""Notices that the operator's model files changed, so that a running server takes them without a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from fairstack_server.catalog.catalog import Catalog, Reloaded
from fairstack_server.catalog.load import CatalogError, catalog_files

log = structlog.get_logger()

#: Every file with its time, size and place on the disk; another value = something was written.
_Print = frozenset[tuple[str, int, int, int]]


class CatalogWatch:
    """Looks at the operator's folder every few seconds, and reloads the catalog when it changed."""

    def __init__(self, catalog: Catalog, pause_seconds: float) -> None:
        self._catalog = catalog
        self._pause_seconds = pause_seconds
        self._taken = self._before = _print_of(catalog.operator)

    async def run(self) -> None:
        """Look until cancelled; ends at once where the operator has no folder, or the pause is 0."""
        if self._catalog.operator is None or self._pause_seconds <= 0:
            return
        while True:
            await asyncio.sleep(self._pause_seconds)
            try:
                await self.look()
            except Exception:
                # A folder that cannot be read now is looked at again: the watch lives as long as the server.
                log.exception("catalog.watch_broke")

    async def look(self) -> None:
        """Reload if the files changed and are the same as at the look before: never a half-written file.

        Broken files keep the catalog as it was; the log tells once, and they are read again when they change.
        """
        now = await asyncio.to_thread(_print_of, self._catalog.operator)
        settled, self._before = now == self._before, now
        if not settled or now == self._taken:
            return
        self._taken = now
        try:
            await reload_catalog(self._catalog)
        except CatalogError:
            log.warning("catalog.kept", reason="its new files are broken; the models stay as they were")


async def reload_catalog(catalog: Catalog) -> Reloaded:
    """Reload without holding up requests, and log what came of it. Raises CatalogError."""
    try:
        found = await asyncio.to_thread(catalog.reload)
    except CatalogError as error:
        for problem in error.problems:
            log.error("catalog.broken", problem=problem)
        raise
    log.info(
        "catalog.reloaded",
        models=found.models,
        added=found.added,
        changed=found.changed,
        removed=found.removed,
    )
    return found


def _print_of(folder: Path | None) -> _Print:
    """What the model files of a folder look like from outside; one that vanishes meanwhile is left out."""
    if folder is None:
        return frozenset()
    found = set()
    for path in catalog_files(folder):
        try:
            facts = path.stat()
        except OSError:
            continue
        found.add((str(path), facts.st_mtime_ns, facts.st_size, facts.st_ino))
    return frozenset(found)
