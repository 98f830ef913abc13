"""The worker: takes wake-ups from the queue, gives each job to the lifecycle, and mends what got lost.

A worker is known to be alive by a session-level advisory lock and a heartbeat in its row. When it dies, the
lock falls with its connection and the next sweep of any worker frees its jobs at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg
import structlog

from fairstack_server.clock import Clock
from fairstack_server.db.connections import OwnConnection, Pool
from fairstack_server.jobs.late import LateResults
from fairstack_server.jobs.lifecycle import Lifecycle
from fairstack_server.jobs.queue import Queue
from fairstack_server.jobs.store import WORKER_LOCK_CLASS, JobStore, LeaseLost

log = structlog.get_logger()

_HEARTBEATS_PER_TIMEOUT = 4
_SWEEP_LIMIT = 1000
_RETRY_SECONDS = 2.0


class Worker:
    """One worker of this process."""

    def __init__(
        self,
        pool: Pool,
        connect: Callable[[], Awaitable[OwnConnection]],
        queue: Queue,
        store: JobStore,
        lifecycle: Lifecycle,
        late: LateResults,
        clock: Clock,
        *,
        worker_timeout_seconds: float,
        sweep_seconds: float,
        sandbox_in_flight: int,
    ) -> None:
        self._pool = pool
        self._connect = connect
        self._queue = queue
        self._store = store
        self._lifecycle = lifecycle
        self._late = late
        self._clock = clock
        self._timeout = worker_timeout_seconds
        self._sweep_seconds = sweep_seconds
        self._sandbox_in_flight = sandbox_in_flight
        self._sandbox_places: dict[str, asyncio.Semaphore] = {}
        self._id = 0
        self._alive: OwnConnection | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self) -> None:
        """Work until `stop`; jobs in flight are then handed back."""
        await self._register()
        chores = [
            asyncio.create_task(self._repeat(self._beat, self._timeout / _HEARTBEATS_PER_TIMEOUT)),
            asyncio.create_task(self._repeat(self._sweep, self._sweep_seconds)),
            asyncio.create_task(self._repeat(self._late.look, self._late.pause_seconds)),
        ]
        try:
            await self._queue.run(self._handle)
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            await self._sign_off()

    async def stop(self) -> None:
        """Take no more jobs, let sends that have begun finish, hand everything else back."""
        self._stopping = True
        self._queue.stop()
        for task in list(self._handlers):
            task.cancel()
        if self._handlers:
            await asyncio.wait(list(self._handlers))

    async def _register(self) -> None:
        self._alive = await self._connect()
        name = f"{socket.gethostname()}:{os.getpid()}"
        self._id = await self._alive.fetchval("insert into workers (name) values ($1) returning id", name)
        await self._alive.execute("select pg_advisory_lock($1::int, $2::int)", WORKER_LOCK_CLASS, self._id)
        log.info("worker.started", worker=self._id)
        await self._sweep()

    async def _sign_off(self) -> None:
        if self._alive is None or self._alive.is_closed():
            return
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self._alive.execute("update workers set ended_at = now() where id = $1", self._id)
            await self._alive.close()
        log.info("worker.stopped", worker=self._id)

    async def _handle(self, job_id: str) -> None:
        """Take one job to its end in a task of its own, so that a stop can cancel it and hand it back."""
        if self._stopping:
            return
        task = asyncio.create_task(self._work_on(job_id), name=job_id)
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        # A cancelled handler is no failure of its queue row: the job was handed back.
        with suppress(asyncio.CancelledError):
            await task

    async def _work_on(self, job_id: str) -> None:
        waiting = await self._store.job(job_id)
        if waiting is None or waiting.ended:
            return
        if waiting.mode == "live":
            await self._take_to_its_end(job_id)
            return
        # Not claimed while it waits for a place, so that a cancel can still end it on the spot.
        places = self._sandbox_places.setdefault(
            waiting.account_id, asyncio.Semaphore(self._sandbox_in_flight)
        )
        async with places:
            await self._take_to_its_end(job_id)

    async def _take_to_its_end(self, job_id: str) -> None:
        job = await self._store.claim(job_id, self._id)
        if job is None:
            return
        try:
            await self._lifecycle.advance(job)
        except LeaseLost:
            log.warning("job.lease_lost", job=job_id, worker=self._id)
        except asyncio.CancelledError:
            await asyncio.shield(self._store.hand_back(job))
            raise
        except Exception:
            # Whatever it was, the job is not lost: the sweep gives it another life until its deadline.
            log.exception("job.step_broke", job=job_id)
            await self._clock.sleep(_RETRY_SECONDS)
            await self._store.hand_back(job)

    async def _beat(self) -> None:
        """Say that this worker lives; renew the lock if its connection was lost."""
        if self._alive is None or self._alive.is_closed():
            self._alive = await self._connect()
            await self._alive.execute(
                "select pg_advisory_lock($1::int, $2::int)", WORKER_LOCK_CLASS, self._id
            )
        await self._alive.execute("update workers set seen_at = now() where id = $1", self._id)

    async def _sweep(self) -> None:
        """Wake every unfinished job that no live worker holds and no queue row will wake."""
        found = await self._store.orphans(_SWEEP_LIMIT)
        if not found:
            return
        log.info("worker.swept", jobs=len(found))
        async with self._pool.acquire() as connection, connection.transaction():
            await self._queue.wake_again(connection, found)

    async def _repeat(self, chore: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            await self._clock.sleep(seconds)
            try:
                await chore()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("worker.chore_broke", chore=chore.__name__, error=str(error))
