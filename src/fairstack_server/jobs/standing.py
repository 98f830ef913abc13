"""What this process knows of routes and providers beyond its own eyes, kept fresh from the database."""

from __future__ import annotations

import structlog

from fairstack_server.clock import Clock
from fairstack_server.db.outage import DATABASE_DOWN
from fairstack_server.jobs.gone import GoneRoutes
from fairstack_server.jobs.reports import ProviderReports

log = structlog.get_logger()

_REFRESH_SECONDS = 2.0


class Standing:
    """Marks of gone routes, and who takes no orders."""

    def __init__(self, gone: GoneRoutes, reports: ProviderReports, clock: Clock) -> None:
        self._gone = gone
        self._reports = reports
        self._clock = clock

    async def refresh(self) -> None:
        """Read both once."""
        await self._gone.refresh()
        await self._reports.refresh()

    async def keep_fresh(self) -> None:
        """Read both again and again; while the database is away, what was known last counts."""
        while True:
            await self._clock.sleep(_REFRESH_SECONDS)
            try:
                await self.refresh()
            except DATABASE_DOWN as error:
                log.warning("standing.database_down", error=type(error).__name__)
            except Exception:
                # It must outlive whatever a cut connection raises.
                log.exception("standing.broke")
