"""Wake-ups on the model: what `jobs/queue.py` does with PgQueuer and its table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, cast

from fairstack_server.clock import Clock
from fairstack_server.db.connections import Connection, Pool
from fairstack_server.jobs import queue as real
from tests.simulation.database.statements import Meanings, value
from tests.simulation.database.tables import Conflict, Row, Transaction

QUEUE = Meanings()

Rows = Sequence[Row]

_WAKE, _FORGET, _PICK, _DONE = "queue: wake", "queue: forget", "queue: pick", "queue: done"


@QUEUE.of(_WAKE)
def wake(tx: Transaction, job_ids: Sequence[str]) -> Rows:
    """One row for each job that has none."""
    for job_id in job_ids:
        row = {"id": tx.database.serial(), "dedupe_key": job_id, "status": "queued", "heartbeat": tx.now}
        try:
            tx.insert("queue", row)
        except Conflict:
            continue
    tx.notify("queue", "")
    return []


@QUEUE.of(_FORGET)
def forget(tx: Transaction, job_ids: Sequence[str]) -> Rows:
    """Delete whatever rows these jobs have."""
    for row in list(tx.all("queue")):
        if row["dedupe_key"] in job_ids:
            tx.delete("queue", row)
    return []


@QUEUE.of(_PICK)
def pick(tx: Transaction, silence: timedelta, limit: int) -> Rows:
    """Take rows that wait, and those whose holder has been silent for too long."""
    picked: list[Row] = []
    for row in tx.all("queue"):
        if row["status"] != "queued" and row["heartbeat"] > tx.now - silence:
            continue
        if len(picked) < limit and tx.try_lock("queue", row["id"]):
            picked.append(tx.update("queue", row, status="picked", heartbeat=tx.now))
    return picked


@QUEUE.of(_DONE)
def done(tx: Transaction, number: int) -> Rows:
    """The job of this row is in hand."""
    row = tx.get("queue", number)
    if row is not None:
        tx.delete("queue", row)
    return value(None)


class MemoryQueue(real.Queue):
    """The queue port on the model."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        super().__init__(pool)
        self._clock = clock
        self._woken = asyncio.Event()

    async def wake(self, connection: Connection, job_ids: Sequence[str], delay_seconds: float = 0) -> None:
        """Enqueue one wake-up per job, in the caller's transaction; a job that has one keeps it."""
        if job_ids:
            await connection.execute(_WAKE, list(job_ids))

    async def wake_again(self, connection: Connection, job_ids: Sequence[str]) -> None:
        """Replace whatever rows these jobs have by fresh ones."""
        await connection.execute(_FORGET, list(job_ids))
        await self.wake(connection, job_ids)

    async def run(self, take: Callable[[str], Awaitable[None]]) -> None:
        """Call `take` for every wake-up until `stop`; its row is gone when `take` returns."""
        running: set[asyncio.Task[Any]] = set()
        while not self._stopped:
            self._woken.clear()
            rows = await self._pool.fetch(_PICK, timedelta(seconds=real._ROW_SECONDS), real._BATCH)
            for row in rows:
                task = asyncio.create_task(self._take(take, cast(Row, row)))
                running.add(task)
                task.add_done_callback(running.discard)
            try:
                async with asyncio.timeout(real._LOOK_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                continue
        if running:
            await asyncio.wait(running)

    def heard(self) -> None:
        """Something may be waiting."""
        self._woken.set()

    def stop(self) -> None:
        """Take no more wake-ups; `run` returns."""
        self._stopped = True
        self._woken.set()

    async def _take(self, take: Callable[[str], Awaitable[None]], row: Row) -> None:
        try:
            await take(row["dedupe_key"])
        finally:
            await self._pool.execute(_DONE, row["id"])
