"""Late results: a job that was given up stays failed and free, but its clip is still looked for and given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog

from fairstack_server.clock import Clock
from fairstack_server.jobs.finding import find_task
from fairstack_server.jobs.job import Attempt, Job
from fairstack_server.jobs.ports import KeepsClips, NotAClip, PlansAttempts
from fairstack_server.jobs.settle import Settlement
from fairstack_server.jobs.store import JobStore
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import Failed, Provider, ProviderError, Succeeded

log = structlog.get_logger()

_LOOKED_AT_ONCE = 100


class LateResults:
    """Looks for the clips of given-up jobs for a day."""

    def __init__(
        self,
        store: JobStore,
        settlement: Settlement,
        planner: PlansAttempts,
        keeper: KeepsClips,
        providers: Mapping[str, Provider],
        clock: Clock,
        *,
        pause_seconds: float,
        patience: timedelta = timedelta(hours=24),
    ) -> None:
        self._store = store
        self._settlement = settlement
        self._planner = planner
        self._keeper = keeper
        self._providers = providers
        self._clock = clock
        self.pause_seconds = pause_seconds
        self._patience = patience

    async def look(self) -> None:
        """Look once for every given-up attempt; give what is found."""
        for attempt in await self._store.given_up(self._clock.now() - self._patience, _LOOKED_AT_ONCE):
            job = await self._store.job(attempt.job_id)
            provider = self._providers.get(attempt.provider)
            if job is None or provider is None:
                continue
            try:
                await self._look_at(job, attempt, provider)
            except Exception as error:
                # One clip that cannot be had must not stop the others.
                said = str(error) if isinstance(error, ProviderError) else type(error).__name__
                log.warning("late.look_broke", job=job.id, provider=provider.name, error=said)

    async def _look_at(self, job: Job, attempt: Attempt, provider: Provider) -> None:
        ref = await self._ref(job, attempt, provider)
        if ref is None:
            return
        found = await provider.poll(ref)
        if isinstance(found, Failed):
            await self._store.close_late(attempt, found.message)
        if not isinstance(found, Succeeded):
            return
        try:
            done = await self._keeper.keep(job, attempt, found.clip, found.facts)
        except NotAClip as error:
            if error.is_billed:
                await self._settlement.bear_loss(attempt)
            await self._store.close_late(attempt, str(error))
            return
        await self._settlement.deliver_late(job, done, attempt.cost_micros, self._clock.now())
        log.info("late.given", job=job.id, provider=provider.name)

    async def _ref(self, job: Job, attempt: Attempt, provider: Provider) -> JSONObject | None:
        ref = await self._store.receipt(attempt.nonce)
        return ref or await find_task(self._store, self._planner, provider, job, attempt)
