"""Cancelling at the user's wish: on the spot while nothing was sent, else passed on to the worker."""

from __future__ import annotations

from typing import Literal

from fairstack_server.clock import Clock
from fairstack_server.db.connections import Pool
from fairstack_server.db.notices import Notice
from fairstack_server.errors import Conflict
from fairstack_server.jobs.job import State
from fairstack_server.jobs.reading import JobRecord
from fairstack_server.jobs.settle import Settlement
from fairstack_server.jobs.store import JobStore, tell

Cancellation = Literal["stopped", "requested", "too_late"]


def came_of(cancellation: Cancellation, now: JobRecord) -> Cancellation:
    """What came of a wish that was passed on, if the job has ended in the meantime."""
    if cancellation != "requested" or now.terminal is None:
        return cancellation
    return "stopped" if now.state is State.CANCELLED else "too_late"


class Cancelling:
    """Cancels jobs."""

    def __init__(self, pool: Pool, store: JobStore, settlement: Settlement, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._settlement = settlement
        self._clock = clock

    async def cancel(self, record: JobRecord) -> Cancellation:
        """`stopped`: it has ended, the hold is released. `requested`: its worker knows. Raises Conflict."""
        if record.terminal is not None:
            raise Conflict(f"Job {record.id} is {record.state.value}: it cannot be cancelled any more.")
        async with self._pool.acquire() as connection, connection.transaction():
            job = await self._store.claim_unstarted(connection, record.id)
            if job is not None:
                await self._settlement.cancel_in(connection, job, self._clock.now())
                # A worker that waits with it for a place or a second try need not wait any longer.
                await tell(connection, Notice(record.id, "cancel"))
                return "stopped"
        await self._store.request_cancel(record.id)
        return "requested"
