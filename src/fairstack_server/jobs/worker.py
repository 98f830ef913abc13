"""The worker: takes wake-ups from the queue, gives each job to the lifecycle, and mends what got lost.

A wake-up is done as soon as its job is in hand: from then on the jobs table says whose it is.

A worker is known to be alive by a session-level advisory lock and a heartbeat in its row. When it dies, the
lock falls with its connection and the next sweep of any worker frees its jobs at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from fairstack_server.clock import Clock
from fairstack_server.db.connections import OwnConnection, Pool
from fairstack_server.db.notices import Notice, Notices
from fairstack_server.db.outage import DATABASE_DOWN
from fairstack_server.jobs.gates import Gates
from fairstack_server.jobs.job import Job
from fairstack_server.jobs.late import LateResults
from fairstack_server.jobs.lifecycle import Lifecycle
from fairstack_server.jobs.queue import Queue
from fairstack_server.jobs.reports import ProviderReports
from fairstack_server.jobs.store import WORKER_LOCK_CLASS, JobStore, LeaseLost

log = structlog.get_logger()

_BEATS_PER_TIMEOUT = 4
_SWEEP_LIMIT = 1000
_RETRY_SECONDS = 2.0
_WAITING_PER_ROOM = 8
_PROBE_SECONDS = 1.0
_REPORT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How much one worker takes on, and when it counts as dead."""

    jobs: int
    timeout_seconds: float
    sweep_seconds: float
    sandbox_in_flight: int


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
        gates: Gates,
        reports: ProviderReports,
        notices: Notices,
        clock: Clock,
        limits: WorkerLimits,
    ) -> None:
        self._pool = pool
        self._connect = connect
        self._queue = queue
        self._store = store
        self._lifecycle = lifecycle
        self._late = late
        self._gates = gates
        self._reports = reports
        self._notices = notices
        self._clock = clock
        self._limits = limits
        self._id = 0
        self._alive: OwnConnection | None = None
        self._in_hand: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(limits.jobs)
        self._outside = 0
        self._not_in_hand: set[str] = set()
        self._sandbox_places: dict[str, asyncio.Semaphore] = {}
        self._stopping = False

    async def run(self) -> None:
        """Work until `stop`; jobs in hand are then handed back. A lost database is waited for."""
        while not self._stopping:
            try:
                await self._work()
            except DATABASE_DOWN as error:
                log.warning("worker.database_down", error=type(error).__name__)
                await self._clock.sleep(_RETRY_SECONDS)
            except Exception:
                # A connection that is cut in the middle of a statement raises what it likes.
                log.exception("worker.broke")
                await self._clock.sleep(_RETRY_SECONDS)

    async def stop(self) -> None:
        """Take no more jobs, let sends that have begun finish, hand everything else back."""
        self._stopping = True
        self._queue.stop()
        tasks = list(self._in_hand.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._gates.close()

    async def _work(self) -> None:
        await self._register()
        chores = [
            asyncio.create_task(self._repeat(self._beat, self._limits.timeout_seconds / _BEATS_PER_TIMEOUT)),
            asyncio.create_task(self._repeat(self._sweep, self._limits.sweep_seconds)),
            asyncio.create_task(self._repeat(self._late.look, self._late.pause_seconds)),
            asyncio.create_task(self._repeat(self._gates.probe, _PROBE_SECONDS)),
            asyncio.create_task(self._repeat(self._report, _REPORT_SECONDS)),
        ]
        try:
            await self._queue.run(self._take)
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            await self._sign_off()

    async def _register(self) -> None:
        if self._alive is not None:
            # Of a life that broke: its lock would keep its jobs from everybody.
            await self._sign_off()
        self._alive = await self._connect()
        name = f"{socket.gethostname()}:{os.getpid()}"
        self._id = await self._alive.fetchval("insert into workers (name) values ($1) returning id", name)
        await self._hold_lock(self._alive)
        log.info("worker.started", worker=self._id)
        await self._reports.forget_the_dead()
        await self._sweep()

    async def _hold_lock(self, connection: OwnConnection) -> None:
        """The sign of life that falls with this connection."""
        await connection.execute("select pg_advisory_lock($1::int, $2::int)", WORKER_LOCK_CLASS, self._id)

    async def _sign_off(self) -> None:
        if self._alive is None or self._alive.is_closed():
            return
        with suppress(*DATABASE_DOWN):
            await self._alive.execute("update workers set ended_at = now() where id = $1", self._id)
            await self._alive.close()
        log.info("worker.stopped", worker=self._id)

    async def _take(self, job_id: str) -> None:
        """Take a job in hand; returns at once, or when there is room again."""
        if self._stopping or job_id in self._in_hand:
            return
        await self._room.acquire()
        # Both may have changed while it waited for room.
        if self._stopping or job_id in self._in_hand:
            self._room.release()
            return
        task = asyncio.create_task(self._work_on(job_id), name=job_id)
        self._in_hand[job_id] = task
        task.add_done_callback(lambda _: self._let_go(job_id))

    def _let_go(self, job_id: str) -> None:
        self._in_hand.pop(job_id, None)
        self._room.release()

    async def _work_on(self, job_id: str) -> None:
        """Claim the job and take it to its end; afterwards it is ended or somebody else's."""
        job = await self._store.claim(job_id, self._id)
        if job is None:
            return
        try:
            async with self._place(job) as placed:
                await self._lifecycle.advance(placed, self._lend_room)
        except LeaseLost:
            log.warning("job.lease_lost", job=job_id, worker=self._id)
        except asyncio.CancelledError:
            await asyncio.shield(self._store.hand_back(job))
            raise
        except DATABASE_DOWN as error:
            # Nothing can be written now, not even that we let go: the sweep finds the job when it is over.
            log.warning("job.database_down", job=job_id, error=type(error).__name__)
            await self._clock.sleep(_RETRY_SECONDS)
        except Exception:
            # Whatever it was, the job is not lost: the sweep gives it another life until its deadline.
            log.exception("job.step_broke", job=job_id)
            await self._clock.sleep(_RETRY_SECONDS)
            await self._store.hand_back(job)

    @asynccontextmanager
    async def _place(self, job: Job) -> AsyncIterator[Job]:
        """A live job's place is always free; a test job waits for one of its account's few."""
        if job.mode == "live":
            yield job
            return
        places = self._sandbox_places.setdefault(
            job.account_id, asyncio.Semaphore(self._limits.sandbox_in_flight)
        )
        async with self._lend_room():
            placed = await self._wait_for_place(job, places)
        if not placed:
            # Cancelled while it waited: its end needs no place.
            yield replace(job, cancel_requested_at=self._clock.now())
            return
        try:
            yield job
        finally:
            places.release()

    @asynccontextmanager
    async def _lend_room(self) -> AsyncIterator[None]:
        """Who waits takes nobody's room, as long as not too many wait."""
        if self._outside >= self._limits.jobs * _WAITING_PER_ROOM:
            yield
            return
        self._outside += 1
        self._room.release()
        try:
            yield
        finally:
            self._outside -= 1
            await self._room.acquire()

    async def _wait_for_place(self, job: Job, places: asyncio.Semaphore) -> bool:
        """Wait for a place, or for a wish to cancel, which needs none."""
        async with self._notices.of_job(job.id) as inbox:
            waiting, told = asyncio.create_task(places.acquire()), asyncio.create_task(_cancel_told(inbox))
            try:
                await asyncio.wait({waiting, told}, return_when=asyncio.FIRST_COMPLETED)
                return waiting.done()
            except asyncio.CancelledError:
                if waiting.done():
                    places.release()
                raise
            finally:
                waiting.cancel()
                told.cancel()

    async def _beat(self) -> None:
        """Say that this worker lives; renew the lock if its connection was lost."""
        if self._alive is None or self._alive.is_closed():
            self._alive = await self._connect()
            await self._hold_lock(self._alive)
        await self._alive.execute("update workers set seen_at = now() where id = $1", self._id)

    async def _report(self) -> None:
        """Tell the operator, and the processes that take jobs in, how this worker sees its providers."""
        await self._reports.write(self._id, self._gates.reports())

    async def _sweep(self) -> None:
        """Wake every unfinished job that no live worker holds and no queue row will wake."""
        ours = {job_id for job_id in await self._store.claimed_by(self._id) if job_id not in self._in_hand}
        # Lost only if it was so at the last sweep too: a claim may have been made while we asked.
        lost, self._not_in_hand = ours & self._not_in_hand, ours
        found = await self._store.orphans(self._id, sorted(lost), _SWEEP_LIMIT)
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
            except DATABASE_DOWN as error:
                log.warning("worker.chore_broke", chore=chore.__name__, error=type(error).__name__)
            except Exception:
                # A chore that ended would leave jobs behind for good.
                log.exception("worker.chore_failed", chore=chore.__name__)


async def _cancel_told(inbox: asyncio.Queue[Notice]) -> None:
    """Return when the job's user wants it cancelled."""
    while (await inbox.get()).kind != "cancel":
        pass
