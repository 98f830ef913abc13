"""The queue port: a row is a wake-up, never the truth. The only file that imports pgqueuer.

A job whose row is lost, doubled or handed out twice is still done once: the jobs table decides (`store.py`),
and the sweeper of `worker.py` wakes every unfinished job that nobody holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from importlib.metadata import version

from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job as QueueRow

from fairstack_server.db.connections import Connection, Pool

ENTRYPOINT = "advance"
#: The step of a migration that installs the queue's tables, named anew with each version of it.
QUEUE_SCHEMA = f"pgqueuer {version('pgqueuer')}"
_BATCH = 100
_LOOK_SECONDS = 5.0
#: A row that was picked and not finished for this long is handed out again; taking a job takes milliseconds.
_ROW_SECONDS = 30.0

#: SQL: a queue row will wake the job of table `jobs` ($2: silence after which a worker counts as dead).
HAS_LIVE_ROW = """exists (select 1 from pgqueuer q where q.dedupe_key = jobs.id
                          and (q.status = 'queued' or q.heartbeat > now() - $2::interval))"""


class Queue:
    """Wake-ups of jobs on PgQueuer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._manager: PgQueuer | None = None
        self._stopped = False

    async def wake(self, connection: Connection, job_ids: Sequence[str], delay_seconds: float = 0) -> None:
        """Enqueue one wake-up per job, in the caller's transaction; a job that has one keeps it."""
        if not job_ids:
            return
        count = len(job_ids)
        await Queries(AsyncpgDriver(connection)).enqueue(
            [ENTRYPOINT] * count,
            [job_id.encode() for job_id in job_ids],
            [0] * count,
            execute_after=[timedelta(seconds=delay_seconds)] * count,
            dedupe_key=list(job_ids),
            on_conflict="skip",
        )

    async def wake_again(self, connection: Connection, job_ids: Sequence[str]) -> None:
        """Replace whatever rows these jobs have by fresh ones: their former holder is dead."""
        await connection.execute("delete from pgqueuer where dedupe_key = any($1)", list(job_ids))
        await self.wake(connection, job_ids)

    async def run(self, take: Callable[[str], Awaitable[None]]) -> None:
        """Call `take` with the job id of every wake-up until `stop`; its row is gone when `take` returns."""
        self._manager = manager = PgQueuer(AsyncpgPoolDriver(self._pool))
        if self._stopped:
            return

        @manager.entrypoint(ENTRYPOINT)
        async def advance(row: QueueRow) -> None:
            if row.payload is not None:
                await take(row.payload.decode())

        await manager.qm.run(
            dequeue_timeout=timedelta(seconds=_LOOK_SECONDS),
            batch_size=_BATCH,
            heartbeat_timeout=timedelta(seconds=_ROW_SECONDS),
        )

    def stop(self) -> None:
        """Take no more wake-ups; `run` returns."""
        self._stopped = True
        if self._manager is not None:
            self._manager.shutdown.set()


async def install_queue_schema(connection: Connection) -> None:
    """Create or upgrade PgQueuer's own tables; safe to repeat."""
    queries = Queries(AsyncpgDriver(connection))
    if not await queries.schema_is_installed():
        await queries.install()
        return
    await queries.upgrade()
