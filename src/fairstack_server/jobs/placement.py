"""Placing jobs: idempotency row, hold, job, event and wake-up of many requests in one transaction.

Concurrent submits share a flush. Each still gets its own answer, in order of arrival, and a flush may be
repeated after an unknown commit: ids are made before it, and what is there already is not written again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fairstack_server.db.coalesce import Batcher
from fairstack_server.db.connections import Connection, Pool
from fairstack_server.ids import Mode
from fairstack_server.jobs.job import State, public_status
from fairstack_server.jobs.queue import Queue
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.wallet import store as wallet
from fairstack_server.wallet.ledger import CapReached, Held, HoldRequest, Insufficient

_FLUSH_LIMIT = 200


@dataclass(frozen=True, slots=True, eq=False)
class NewJob:
    """A job that is about to be placed, with the bytes that its submitter will be answered."""

    id: str
    account_id: str
    key_id: str
    mode: Mode
    model: str
    ask: JSONObject
    settled: JSONObject
    inputs: JSONObject
    quote_micros: int
    tags: Mapping[str, str]
    webhook_url: str | None
    cancel_after_at: datetime | None
    deadline_at: datetime
    created_at: datetime
    answer: bytes
    idempotency_key: str | None = None
    fingerprint: bytes = b""

    @property
    def idempotency_scope(self) -> tuple[str, str, str]:
        """Account, mode and key: what an idempotency key is unique in."""
        return (self.account_id, self.mode, self.idempotency_key or "")


@dataclass(frozen=True, slots=True)
class Placed:
    """The job is there and its price is held."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class Replayed:
    """The idempotency key had a job already; these are the bytes that its first submitter got."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The idempotency key was used for another body."""


PlacementOutcome = Placed | Replayed | KeyReused | Insufficient | CapReached


#: Raises a FairStackError for a job that is not taken in (`admission.py`).
Judge = Callable[[NewJob], None]


class Placement:
    """Writes new jobs."""

    def __init__(self, pool: Pool, queue: Queue, judge: Judge) -> None:
        self._pool = pool
        self._queue = queue
        self._judge = judge
        self._batcher = Batcher(self._flush, self._single, max_batch=_FLUSH_LIMIT)

    async def place(self, job: NewJob) -> PlacementOutcome:
        """Place one job, together with whoever else is placing one now. Raises what `judge` raises."""
        self._judge(job)
        return await self._batcher.do(job)

    async def replay(
        self, account_id: str, mode: Mode, key: str, fingerprint: bytes
    ) -> Replayed | KeyReused | None:
        """What was answered under this idempotency key; None when it is unused."""
        row = await self._pool.fetchrow(
            "select fingerprint, body from idempotency_keys where (account_id, mode, key) = ($1, $2, $3)",
            account_id,
            mode,
            key,
        )
        if row is None:
            return None
        return Replayed(row["body"]) if row["fingerprint"] == fingerprint else KeyReused()

    async def close(self) -> None:
        """Finish what is being written."""
        await self._batcher.close()

    async def _single(self, job: NewJob) -> PlacementOutcome:
        return (await self._flush([job]))[0]

    async def _flush(self, jobs: Sequence[NewJob]) -> list[PlacementOutcome]:
        async with self._pool.acquire() as connection, connection.transaction():
            outcomes = await _already_there(connection, jobs)
            keys = await _claim_keys(connection, [job for job in jobs if job.id not in outcomes])
            outcomes |= keys.outcomes
            fresh = [job for job in jobs if job.id not in outcomes]
            refused = await _hold(connection, fresh)
            await _free_keys(connection, [job for job in fresh if job.id in refused])
            accepted = [job for job in fresh if job.id not in refused]
            await _insert(connection, accepted)
            await self._queue.wake(connection, [job.id for job in accepted])
        outcomes |= refused
        for job in jobs:
            # It waited for a request with its own key that was refused: the key is free again.
            if keys.waits_for.get(job.id) in refused:
                outcomes[job.id] = await self._single(job)
        return [outcomes.get(job.id, Placed(job.answer)) for job in jobs]


Outcomes = dict[str, PlacementOutcome]


@dataclass(frozen=True, slots=True)
class _Keys:
    """Requests whose idempotency key was taken: what they are answered, and whose job has the key."""

    outcomes: Outcomes
    waits_for: Mapping[str, str]


async def _already_there(connection: Connection, jobs: Sequence[NewJob]) -> Outcomes:
    """Jobs that an earlier flush, whose commit was not confirmed, did write."""
    rows = await connection.fetch("select id from jobs where id = any($1)", [job.id for job in jobs])
    there = {row["id"] for row in rows}
    return {job.id: Placed(job.answer) for job in jobs if job.id in there}


async def _claim_keys(connection: Connection, jobs: Sequence[NewJob]) -> _Keys:
    """Write the idempotency rows; of equal keys in one flush the first request gets it."""
    keyed = [job for job in jobs if job.idempotency_key is not None]
    if not keyed:
        return _Keys({}, {})
    first: dict[tuple[str, str, str], NewJob] = {}
    for job in keyed:
        first.setdefault(job.idempotency_scope, job)
    firsts = sorted(first.values(), key=lambda job: job.idempotency_scope)
    await connection.execute(
        """
        insert into idempotency_keys (account_id, mode, key, fingerprint, job_id, body)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bytea[])
        on conflict do nothing
        """,
        [job.account_id for job in firsts],
        [job.mode for job in firsts],
        [job.idempotency_key for job in firsts],
        [job.fingerprint for job in firsts],
        [job.id for job in firsts],
        [job.answer for job in firsts],
    )
    rows = await connection.fetch(
        """
        select account_id, mode, key, fingerprint, job_id, body from idempotency_keys
        where (account_id, mode, key) in (select * from unnest($1::text[], $2::text[], $3::text[]))
        """,
        [job.account_id for job in firsts],
        [job.mode for job in firsts],
        [job.idempotency_key for job in firsts],
    )
    holder = {(row["account_id"], row["mode"], row["key"]): row for row in rows}
    taken = {job: holder[job.idempotency_scope] for job in keyed}
    taken = {job: row for job, row in taken.items() if row["job_id"] != job.id}
    return _Keys(
        {
            job.id: Replayed(row["body"]) if row["fingerprint"] == job.fingerprint else KeyReused()
            for job, row in taken.items()
        },
        {job.id: row["job_id"] for job, row in taken.items()},
    )


async def _free_keys(connection: Connection, refused: Sequence[NewJob]) -> None:
    """A refusal before acceptance uses up no idempotency key."""
    if any(job.idempotency_key is not None for job in refused):
        await connection.execute(
            """
            delete from idempotency_keys k
            using unnest($1::text[], $2::text[], $3::text[], $4::text[])
                as gone (account_id, mode, key, job_id)
            where (k.account_id, k.mode, k.key, k.job_id)
                = (gone.account_id, gone.mode, gone.key, gone.job_id)
            """,
            [job.account_id for job in refused],
            [job.mode for job in refused],
            [job.idempotency_key for job in refused],
            [job.id for job in refused],
        )


async def _hold(connection: Connection, jobs: Sequence[NewJob]) -> Outcomes:
    """Hold the price of each; the outcomes are of those that were refused."""
    requests = [HoldRequest(job.id, job.account_id, job.key_id, job.mode, job.quote_micros) for job in jobs]
    held = await wallet.hold_many(connection, requests)
    return {job.id: outcome for job, outcome in zip(jobs, held, strict=True) if not isinstance(outcome, Held)}


async def _insert(connection: Connection, jobs: Sequence[NewJob]) -> None:
    if not jobs:
        return
    await connection.executemany(
        """
        insert into jobs (id, account_id, key_id, mode, state, model, ask, settled, inputs, quote_micros,
                          tags, webhook_url, cancel_after_at, deadline_at, created_at)
        values ($1, $2, $3, $4, 'queued', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        [
            (
                job.id,
                job.account_id,
                job.key_id,
                job.mode,
                job.model,
                job.ask,
                job.settled,
                job.inputs,
                job.quote_micros,
                dict(job.tags),
                job.webhook_url,
                job.cancel_after_at,
                job.deadline_at,
                job.created_at,
            )
            for job in jobs
        ],
    )
    await connection.execute(
        "insert into job_events (job_id, status) select id, $2 from unnest($1::text[]) id",
        [job.id for job in jobs],
        public_status(State.QUEUED),
    )
