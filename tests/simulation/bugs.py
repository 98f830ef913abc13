"""Bugs that are planted one at a time, to show that the simulation finds them.

Each is a part that differs from the real one in one place, or a schema that lacks one guard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from fairstack_server.db.connections import Pool
from fairstack_server.db.notices import Notice
from fairstack_server.db.outage import DATABASE_DOWN
from fairstack_server.jobs import placement as placing
from fairstack_server.jobs.failures import unknown_fate
from fairstack_server.jobs.job import Attempt, Completion, EndedJob, Job, State
from fairstack_server.jobs.lifecycle import Lifecycle
from fairstack_server.jobs.placement import NewJob, Placement, PlacementOutcome
from fairstack_server.jobs.settle import Settlement
from fairstack_server.jobs.store import JobStore
from fairstack_server.jobs.waits import Waits
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import Provider, ProviderError, Submission, SubmitClass, Succeeded
from fairstack_server.wallet import store as wallet
from fairstack_server.webhooks import store as webhooks
from tests.simulation.database.connection import Statements
from tests.simulation.database.statements import Meanings, find_all, only
from tests.simulation.database.tables import Row, Transaction
from tests.simulation.server import Callbacks, Parts, completion_at
from tests.simulation.simulation import Bug

_OVERWRITE = "planted: overwrite receipt"
_ANY_RECEIPT = "planted: any receipt"
PLANTED_SQL = Meanings()


@PLANTED_SQL.of(_OVERWRITE)
def overwrite_receipt(tx: Transaction, nonce: str, ref: JSONObject, source: str) -> Sequence[Row]:
    """Insert or update, as a table without append-only receipts would."""
    rows = find_all(tx, "receipts", nonce=nonce)
    if rows:
        tx.update("receipts", rows[0], ref=ref, source=source)
    else:
        row = {"id": tx.database.serial(), "nonce": nonce, "ref": ref, "source": source}
        tx.insert("receipts", row | {"received_at": tx.now})
    return []


@PLANTED_SQL.of(_ANY_RECEIPT)
def any_receipt(tx: Transaction, nonce: str) -> Sequence[Row]:
    """The newest ref of an attempt, whoever has the task."""
    rows = sorted(find_all(tx, "receipts", nonce=nonce), key=lambda row: -int(row["id"]))
    return only(rows[:1], "ref")


class TellsAfterwards(Settlement):
    """The webhook is put into the outbox after the commit, in a transaction of its own."""

    async def complete(self, job: Job, done: Completion, cost_micros: int | None, now: datetime) -> Job:
        """As it should be, but for the outbox."""
        settled = await super().complete(replace(job, webhook_url=None), done, cost_micros, now)
        body = self._render(
            EndedJob(
                job.id, State.COMPLETED, job.model, job.mode, job.created_at, now, job.quote_micros, {}, done
            )
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await webhooks.enqueue_for_job(
                connection, job.account_id, job.mode, job.id, job.webhook_url, body
            )
        return settled


class ChargesAgain(Settlement):
    """A capture whose commit was not confirmed is made again."""

    async def complete(self, job: Job, done: Completion, cost_micros: int | None, now: datetime) -> Job:
        """As it should be; then, when in doubt, once more."""
        try:
            return await super().complete(job, done, cost_micros, now)
        except DATABASE_DOWN:
            async with self._pool.acquire() as connection, connection.transaction():
                await wallet.capture(connection, job.id, job.quote_micros, cost_micros)
            raise


class SendsAgain(Lifecycle):
    """A call that broke is tried again, whether it was sent or not."""

    async def _call_broke(self, job: Job, attempt: Attempt, error: ProviderError) -> Job:
        error.sent = False
        return await super()._call_broke(job, attempt, error)


class FreesUnknown(Lifecycle):
    """An order whose answer was lost counts as failed."""

    async def _reconcile(self, job: Job, inbox: asyncio.Queue[Notice]) -> Job:
        return await self._fail(job, unknown_fate(job))


class OverwritesReceipts(JobStore):
    """The newest receipt replaces the one before."""

    async def write_receipt(self, attempt: Attempt, ref: JSONObject, source: str) -> None:
        """Insert or update."""
        await self._pool.execute(_OVERWRITE, attempt.nonce, ref, source)


class _TriesOnce(Waits):
    async def keep_receipt(self, job: Job, attempt: Attempt, ref: JSONObject, source: str) -> None:
        """Once; what an outage takes is gone."""
        with suppress(*DATABASE_DOWN):
            await self._store.write_receipt(attempt, ref, source)


class DropsReceipts(Lifecycle):
    """A receipt that cannot be written at once is dropped."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._waits = _TriesOnce(self._store, self._clock)


class OrdersAgain(Lifecycle):
    """A vendor with a list is sent the order again instead of being asked."""

    async def _find(self, job: Job, attempt: Attempt, provider: Provider) -> Job | None:
        if provider.submit_class is SubmitClass.B:
            return await super()._find(job, attempt, provider)
        answer = await provider.submit(await self._planner.order_of(job, attempt))
        if not isinstance(answer, Submission):
            return None
        await self._waits.keep_receipt(job, attempt, answer.ref, "reconcile")
        return await self._store.move(job, State.RUNNING)


class SettlesFirst(Lifecycle):
    """The charge comes before the clip is in the store."""

    async def _store_clip(self, job: Job, found: Succeeded) -> Job:
        attempt = await self._newest_attempt(job)
        done = completion_at(f"video/{attempt.nonce}/clip.mp4")
        settled = await self._settlement.complete(job, done, attempt.cost_micros, self._clock.now())
        await self._keeper.keep(job, attempt, found.clip, found.facts)
        return settled


class TrustsCallbacks(Callbacks):
    """A callback that says "done" ends the job, without a look at the task."""

    async def hear(self, vendor: str, nonce: str, body: bytes) -> None:
        """Note it, and believe it."""
        await super().hear(vendor, nonce, body)
        server = self._server
        attempt = await server.store.attempt(nonce)
        job = None if attempt is None else await server.store.job(attempt.job_id)
        if attempt is None or job is None or job.state is not State.RUNNING:
            return
        moved = await server.store.move(job, State.STORING)
        done = completion_at(f"video/{nonce}/clip.mp4")
        await server.settlement.complete(moved, done, attempt.cost_micros, server.now())


class CancelsAtOnce(Lifecycle):
    """A wish to cancel releases the money, whatever the vendor goes on doing."""

    async def _follow(self, job: Job, inbox: asyncio.Queue[Notice]) -> Job:
        if self._cancel_wanted(job):
            return await self._settlement.cancel(job, self._clock.now())
        return await super()._follow(job, inbox)


class NotesKeysAfterwards(Placement):
    """The row of the idempotency key is written when the job is there already."""

    async def _flush(self, jobs: Sequence[NewJob]) -> list[PlacementOutcome]:
        async with self._pool.acquire() as connection, connection.transaction():
            await placing._hold(connection, jobs)
            await placing._insert(connection, jobs)
            await self._queue.wake(connection, [job.id for job in jobs])
        async with self._pool.acquire() as connection, connection.transaction():
            await placing._claim_keys(connection, jobs)
        return [placing.Placed(job.answer) for job in jobs]


class ForgetsTheFormerLife(Lifecycle):
    """An intent that is found after a crash counts as not sent."""

    async def _recover_intent(self, job: Job) -> Job:
        attempt = await self._newest_attempt(job)
        if await self._store.receipt(attempt.nonce) is not None:
            return await super()._recover_intent(job)
        return await self._store.end_attempt(job, attempt, "not_sent", State.QUEUED)


class TrustsTheQueue(JobStore):
    """A job without a wake-up is left to itself."""

    async def orphans(self, worker_id: int, lost: Sequence[str], limit: int) -> list[str]:
        """Only those of dead workers."""
        found = await super().orphans(worker_id, lost, limit)
        return [job_id for job_id in found if job_id in lost]


class TakesAnyTask(JobStore):
    """A task in a vendor's list is taken without asking whose it is."""

    async def held_by_others(self, attempt: Attempt, task_ids: Sequence[str]) -> set[str]:
        """Nobody's."""
        return set()

    async def write_found(self, attempt: Attempt, ref: JSONObject, source: str = "reconcile") -> bool:
        """Taken."""
        await self.write_receipt(attempt, ref, source)
        return True

    async def receipt(self, nonce: str) -> JSONObject | None:
        """Whatever is written there."""
        ref: JSONObject | None = await self._pool.fetchval(_ANY_RECEIPT, nonce)
        return ref


class DoubtsCallbacks(JobStore):
    """A callback is taken for as doubtful as a list, and told that it was heard."""

    async def write_found(self, attempt: Attempt, ref: JSONObject, source: str = "reconcile") -> bool:
        """Not while an equal order is on its way."""
        return await super().write_found(attempt, ref)


class SendsUnsaved(JobStore):
    """The intent is written in the background, while the order is on its way."""

    def __init__(self, pool: Pool, worker_timeout_seconds: float) -> None:
        super().__init__(pool, worker_timeout_seconds)
        self._later: set[asyncio.Task[Job]] = set()

    async def write_intent(self, job: Job, attempt: Attempt) -> Job:
        """Soon."""
        writing = asyncio.create_task(self._write(job, attempt))
        self._later.add(writing)
        await asyncio.sleep(0)
        return replace(job, state=State.SUBMITTING)

    async def _write(self, job: Job, attempt: Attempt) -> Job:
        await asyncio.sleep(0.5)
        return await super().write_intent(job, attempt)


def _bug(name: str, *without: str, **parts: type[Any]) -> tuple[str, Bug]:
    return name, Bug(name, Parts(**cast(Any, parts)), frozenset(without), Statements(PLANTED_SQL))


#: Name -> bug.
BUGS: Mapping[str, Bug] = dict(
    [
        _bug("double capture", "one_settle_per_job", "wallet_check", settlement=ChargesAgain),
        _bug("lease without fence", "fence"),
        _bug("outbox outside the transaction", settlement=TellsAfterwards),
        _bug("retry after sent", lifecycle=SendsAgain),
        _bug("hold freed on unknown", lifecycle=FreesUnknown),
        _bug("receipt overwritten", "receipts", store=OverwritesReceipts),
        _bug("receipt dropped in an outage", lifecycle=DropsReceipts),
        _bug("re-POST of class C", lifecycle=OrdersAgain),
        _bug("settle before store", lifecycle=SettlesFirst),
        _bug("callback trusted without looking", hears_callbacks=TrustsCallbacks),
        _bug("sweep takes a live worker's job", "liveness"),
        _bug("cancel releases while the render goes on", lifecycle=CancelsAtOnce),
        _bug("idempotency row outside the transaction", placement=NotesKeysAfterwards),
        _bug("intent of a former life not sent", lifecycle=ForgetsTheFormerLife),
        _bug("queue row is the truth", store=TrustsTheQueue),
        _bug("one task for two jobs", store=TakesAnyTask),
        _bug("callback doubted like a list", store=DoubtsCallbacks),
        _bug("intent saved after the send", store=SendsUnsaved),
    ]
)
