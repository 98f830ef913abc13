"""Routes that their provider no longer has: it answered an order with 404 or 410.

They are marked in the database, so that a restart and every other process know it too, until an operator says
otherwise. To the catalog a marked route is one that has ended: quotes, model pages and plans follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.db.connections import Pool
from fairstack_server.jobs.job import Attempt, Job

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GoneRoute:
    """A mark: this route of this model is not used."""

    model: str
    provider: str
    endpoint: str
    said: str
    marked_at: datetime


class GoneRoutes:
    """The marks, and the catalog that they close routes of."""

    def __init__(self, pool: Pool, catalog: Catalog) -> None:
        self._pool = pool
        self._catalog = catalog
        self._marks: tuple[GoneRoute, ...] = ()

    @property
    def marks(self) -> tuple[GoneRoute, ...]:
        """As they were at the last refresh, oldest first."""
        return self._marks

    async def refresh(self) -> None:
        """Read the marks, and close or reopen routes of this process's catalog as they say."""
        self._marks = await read_marks(self._pool)
        self._catalog.close_routes(
            {(mark.model, mark.provider, mark.endpoint): mark.marked_at.date() for mark in self._marks}
        )

    async def mark_gone(self, job: Job, attempt: Attempt, said: str) -> None:
        """No job takes this route again until an operator clears the mark."""
        log.error(
            "route.gone", model=job.model, provider=attempt.provider, endpoint=attempt.endpoint, said=said
        )
        await self._pool.execute(
            "insert into gone_routes (model, provider, endpoint, said) values ($1, $2, $3, $4) "
            "on conflict do nothing",
            job.model,
            attempt.provider,
            attempt.endpoint,
            said,
        )
        await self.refresh()

    async def clear(self, provider: str, model: str | None) -> int:
        """Use this provider's marked routes again, of one model or of all; answers how many there were."""
        cleared = await clear_marks(self._pool, provider, model)
        await self.refresh()
        return cleared


async def read_marks(pool: Pool) -> tuple[GoneRoute, ...]:
    """Every mark, oldest first."""
    rows = await pool.fetch(
        "select model, provider, endpoint, said, marked_at from gone_routes order by marked_at, model"
    )
    return tuple(GoneRoute(**dict(row)) for row in rows)


async def clear_marks(pool: Pool, provider: str, model: str | None) -> int:
    """Delete the marks of this provider, of one model or of all; answers how many there were."""
    rows = await pool.fetch(
        "delete from gone_routes where provider = $1 and ($2::text is null or model = $2) returning 1",
        provider,
        model,
    )
    return len(rows)
