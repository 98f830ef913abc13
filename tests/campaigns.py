"""What the campaigns share: a PostgreSQL of their own, and a table of figures that says what holds.

A campaign is a long proof that is run by hand or by `make`, beside the quick tests: it prints its figures and
ends with 1 when one of them does not hold.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from fairstack_server.db.dsn import Dsn
from fairstack_server.db.embedded import EmbeddedPostgres
from tests.conftest import copied_database, make_folder, make_template

_PROGRESS_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table, and whether it holds."""

    what: str
    said: str
    holds: bool = True


def report(figures: Iterable[Figure], *notes: str) -> int:
    """Print the table; 0 when every line holds, else 1."""
    shown = list(figures)
    for figure in shown:
        sys.stdout.write(f"{'ok ' if figure.holds else 'NOT'}  {figure.what:28} {figure.said}\n")
    for note in notes:
        sys.stdout.write(f"     {note}\n")
    sys.stdout.flush()
    return 0 if all(figure.holds for figure in shown) else 1


class Progress:
    """Says on stderr how far a long run is, twice a minute at most."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def tell(self, said: str) -> None:
        """What there is to say now; most of it is left unsaid."""
        if time.monotonic() - self._told_at < _PROGRESS_SECONDS:
            return
        self._told_at = time.monotonic()
        sys.stderr.write(f"     … {said}\n")
        sys.stderr.flush()


@asynccontextmanager
async def campaign_database() -> AsyncIterator[Dsn]:
    """A migrated database on a PostgreSQL that lives as long as the block, durable as in production."""
    task = asyncio.current_task()
    if task is not None:
        # Ended from outside, a campaign still takes its PostgreSQL with it.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    folder = make_folder()
    server = EmbeddedPostgres(folder)
    try:
        dsn = await server.start()
        admin = await asyncpg.connect(server.admin_dsn.url)
        try:
            await make_template(admin, dsn)
            async with copied_database(admin, server) as database:
                yield database
        finally:
            await admin.close()
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)
