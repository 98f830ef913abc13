"""Which provider a job goes to next, and waiting for its turn there: queued, without an attempt spent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import structlog

from fairstack_server.clock import Clock
from fairstack_server.db.notices import Notice
from fairstack_server.jobs.gates import Gate, Gates
from fairstack_server.jobs.job import Failure, Job
from fairstack_server.jobs.line import Turn
from fairstack_server.jobs.ports import PlannedAttempt, PlansAttempts
from fairstack_server.jobs.store import JobStore
from fairstack_server.jobs.waits import Waits

log = structlog.get_logger()

#: Gives the worker's room for a job to others for as long as the block runs.
LendsRoom = Callable[[], AbstractAsyncContextManager[None]]

_LONGEST_WAIT_SECONDS = 3600.0


class Turns:
    """Finds every queued job its route and its turn."""

    def __init__(
        self, store: JobStore, planner: PlansAttempts, gates: Gates, waits: Waits, clock: Clock
    ) -> None:
        self._store = store
        self._planner = planner
        self._gates = gates
        self._waits = waits
        self._clock = clock

    async def take(
        self, job: Job, inbox: asyncio.Queue[Notice], lend_room: LendsRoom
    ) -> tuple[Job, PlannedAttempt | Failure | None]:
        """The attempt whose turn has come; or why there is none; None when the wait was ended.

        The first route of the entry whose provider is open is waited for; with none open, the first. Its
        place is the job's until `Gates.leave`.
        """
        while not self._waits.is_over(job):
            earlier = await self._store.attempts(job.id)
            route = self._planner.choose(job, earlier, self._clock.now(), self._gates.shut)
            if isinstance(route, Failure):
                return job, route
            gate = self._gates.of(route.route.provider)
            turn = gate.line_up(job.id, job.account_id)
            if not turn.has_come:
                job = await self._wait(job, gate, turn, inbox, lend_room)
                # In the meantime the route may be gone, or its price may have changed: choose again.
                shut = self._gates.shut - {route.route.provider}
                if not turn.has_come or self._planner.choose(job, earlier, self._clock.now(), shut) != route:
                    gate.withdraw(turn)
                    continue
            return job, await self._planner.plan(job, route, earlier, self._clock.now())
        return job, None

    async def _wait(
        self, job: Job, gate: Gate, turn: Turn, inbox: asyncio.Queue[Notice], lend_room: LendsRoom
    ) -> Job:
        log.info("job.waits", job=job.id, provider=gate.provider.name, why=gate.why_wait)
        try:
            async with lend_room():
                while not turn.called.done() and not self._waits.is_over(job):
                    job = await self._waits.wait(job, inbox, _LONGEST_WAIT_SECONDS, turn.called)
        except BaseException:
            gate.withdraw(turn)
            raise
        return job
