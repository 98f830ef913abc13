"""How the workers see their providers, told to the operator and to the processes that take jobs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import msgspec

from fairstack_server.db.connections import Pool
from fairstack_server.jsonvalue import JSONObject

_LIVE_WORKERS = "select id from workers where ended_at is null and seen_at > now() - $1::interval"


class Said(msgspec.Struct, frozen=True):
    """Something that a provider's call came to; safe to show."""

    message: str
    at: str


class KeySeen(msgspec.Struct, frozen=True):
    """What a free call said of our key."""

    accepted: bool
    message: str
    checked_at: str


class ProviderReport(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as one worker, or all of them together, see it; times are ISO 8601."""

    state: str
    permanent: bool
    why: str | None
    since: str | None
    next_probe_at: str | None
    paused_until: str | None
    in_flight: int
    waiting: int
    last_success_at: str | None
    last_error: Said | None
    key: KeySeen | None


class ProviderReports:
    """The reports of all live workers."""

    def __init__(self, pool: Pool, worker_timeout_seconds: float) -> None:
        self._pool = pool
        self._timeout = timedelta(seconds=worker_timeout_seconds)
        self._written: Mapping[str, JSONObject] = {}
        self._refusing: frozenset[str] = frozenset()

    @property
    def refusing(self) -> frozenset[str]:
        """Providers that took no orders at the last refresh, and that time alone will not mend."""
        return self._refusing

    async def refresh(self) -> None:
        """Read who refuses."""
        reports = await self._read()
        self._refusing = frozenset(
            name for name, each in reports.items() if all(report.permanent for report in each)
        )

    async def merged(self) -> Mapping[str, ProviderReport]:
        """Provider -> what all workers see together; a provider that no live worker has is missing."""
        return {name: merge(reports) for name, reports in (await self._read()).items()}

    async def write(self, worker_id: int, reports: Mapping[str, JSONObject]) -> None:
        """Write what changed since the last time."""
        changed = {name: report for name, report in reports.items() if self._written.get(name) != report}
        if not changed:
            return
        await self._pool.execute(
            """
            insert into provider_reports (worker_id, provider, report)
            select $1, name, report from unnest($2::text[], $3::jsonb[]) as told (name, report)
            on conflict (worker_id, provider) do update set report = excluded.report, updated_at = now()
            """,
            worker_id,
            list(changed),
            list(changed.values()),
        )
        self._written = dict(reports)

    async def forget_the_dead(self) -> None:
        """Delete the reports of workers that ended; they are read by nobody."""
        await self._pool.execute(
            f"delete from provider_reports where worker_id not in ({_LIVE_WORKERS})", self._timeout
        )

    async def _read(self) -> dict[str, list[ProviderReport]]:
        rows = await self._pool.fetch(
            f"select provider, report from provider_reports where worker_id in ({_LIVE_WORKERS})",
            self._timeout,
        )
        reports: dict[str, list[ProviderReport]] = {}
        for row in rows:
            reports.setdefault(row["provider"], []).append(msgspec.convert(row["report"], ProviderReport))
        return reports


def merge(reports: Sequence[ProviderReport]) -> ProviderReport:
    """The worst state of any worker, the sum of what is on its way, the newest of what was said."""
    worst = max(reports, key=_badness)
    return msgspec.structs.replace(
        worst,
        paused_until=_newest(reports, lambda each: each.paused_until, lambda at: at),
        in_flight=sum(each.in_flight for each in reports),
        waiting=sum(each.waiting for each in reports),
        last_success_at=_newest(reports, lambda each: each.last_success_at, lambda at: at),
        last_error=_newest(reports, lambda each: each.last_error, lambda said: cast(Said, said).at),
        key=_newest(reports, lambda each: each.key, lambda key: cast(KeySeen, key).checked_at),
    )


def _badness(report: ProviderReport) -> tuple[bool, int]:
    return report.permanent, ("closed", "trying", "open").index(report.state)


def _newest(
    reports: Sequence[ProviderReport], what: Callable[[ProviderReport], Any], at: Callable[[Any], str]
) -> Any:
    told = [what(report) for report in reports if what(report) is not None]
    return max(told, key=at) if told else None
