"""The jobs table and its companions: every query there is, each in its own function.

Writes of state are fenced: they name the worker and the fence that they were made under, and change nothing
when another worker has taken the job since. Receipts are not fenced: a paid task's ref is taken from anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from fairstack_server.db.connections import Connection, Pool
from fairstack_server.db.notices import CHANNEL, Notice, NoticeKind, notice_text
from fairstack_server.jobs.job import (
    Attempt,
    AttemptOutcome,
    Job,
    State,
    check_move,
    public_status,
)
from fairstack_server.jobs.queue import HAS_LIVE_ROW
from fairstack_server.jobs.rows import attempt_of_row, job_of_row
from fairstack_server.jsonvalue import JSONObject

#: Session-level advisory locks (class, worker id) that live workers hold.
WORKER_LOCK_CLASS = 0x46_53_57  # "FSW"


class LeaseLost(Exception):
    """Another worker has taken the job: this one may write nothing more."""


# --- claiming

# A worker is alive while its session holds its advisory lock and it was seen lately.
_LIVE_WORKERS = """
    select w.id from workers w
    join pg_locks l on l.locktype = 'advisory' and l.classid = $1::int::oid and l.objid = w.id::int::oid
                   and l.objsubid = 2 and l.granted and l.database = (select oid from pg_database
                                                                      where datname = current_database())
    where w.ended_at is null and w.seen_at > now() - $2::interval
"""

_CLAIM = f"""
    update jobs set worker_id = $3, fence = fence + 1, started_at = coalesce(started_at, now())
    where id = $4 and terminal is null
      and (worker_id is null or worker_id = $3 or worker_id not in ({_LIVE_WORKERS}))
    returning *
"""


# An attempt of another job that asks the same of the same route, whose answer has not come yet.
#: Other attempts without a receipt whose order is equal to that of the attempt $1.
_EQUAL_ORDERS = """
    from attempts mine join jobs my_job on my_job.id = mine.job_id
    join attempts other on (other.provider, other.endpoint) = (mine.provider, mine.endpoint)
                       and other.nonce <> mine.nonce
    join jobs their_job on their_job.id = other.job_id
                       and their_job.settled = my_job.settled
                       and their_job.ask ->> 'prompt' = my_job.ask ->> 'prompt'
    where mine.nonce = $1 and not exists (select 1 from receipts r where r.nonce = other.nonce)
"""
_EQUAL_ORDER_ON_ITS_WAY = (
    f"select 1 {_EQUAL_ORDERS} and other.outcome is null and their_job.terminal is null limit 1"
)
#: Those that were given up count: their tasks are in the list as well.
_LOST_EQUALS = f"select count(*) {_EQUAL_ORDERS} and other.outcome in ('unknown', 'given_up')"

#: One task's receipts are written one after the other, so that the first of them is everybody's first.
_KEEP_RECEIPT = """
    with turn as (select pg_advisory_xact_lock(hashtextextended($4, 0)))
    insert into receipts (nonce, ref, source) select $1::text, $2::jsonb, $3::text from turn
"""
_OWN_RECEIPT = """
    select r.ref from receipts r join attempts a using (nonce)
    where r.nonce = $1 and not exists (
        select 1 from receipts earlier join attempts other using (nonce)
        where earlier.ref ->> 'id' = r.ref ->> 'id' and earlier.id < r.id
          and other.provider = a.provider and other.nonce <> a.nonce)
    order by r.id desc limit 1
"""


class JobStore:
    """Jobs in PostgreSQL."""

    def __init__(self, pool: Pool, worker_timeout_seconds: float) -> None:
        self._pool = pool
        self._worker_timeout = timedelta(seconds=worker_timeout_seconds)

    async def claim(self, job_id: str, worker_id: int) -> Job | None:
        """Take an unfinished job that no live worker holds; None when there is nothing to take."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(
                _CLAIM, WORKER_LOCK_CLASS, self._worker_timeout, worker_id, job_id
            )
        return job_of_row(row) if row is not None else None

    async def hand_back(self, job: Job) -> None:
        """Leave an unfinished job to whoever comes next."""
        await self._pool.execute(
            "update jobs set worker_id = null "
            "where id = $1 and worker_id = $2 and fence = $3 and terminal is null",
            job.id,
            job.lease.worker_id,
            job.lease.fence,
        )

    async def still_ours(self, job: Job) -> bool:
        """Whether this worker's fence is still the newest; asked just before anything is sent."""
        found = await self._pool.fetchval(
            "select 1 from jobs where id = $1 and worker_id = $2 and fence = $3 and terminal is null",
            job.id,
            job.lease.worker_id,
            job.lease.fence,
        )
        return found is not None

    async def claimed_by(self, worker_id: int) -> list[str]:
        """Unfinished jobs that are written to this worker's name."""
        rows = await self._pool.fetch(
            "select id from jobs where worker_id = $1 and terminal is null", worker_id
        )
        return [row["id"] for row in rows]

    async def orphans(self, worker_id: int, lost: Sequence[str], limit: int) -> list[str]:
        """Unfinished jobs that nobody works on and no live row will wake: free them and name them.

        `lost` are those to the asking worker's own name that it has not in hand.
        """
        rows = await self._pool.fetch(
            f"""
            update jobs set worker_id = null
            where id in (
                select id from jobs
                where terminal is null
                  and case when worker_id is null then not {HAS_LIVE_ROW}
                           when worker_id = $3 then id = any($4)
                           else worker_id not in ({_LIVE_WORKERS}) end
                order by created_at limit $5 for update skip locked)
            returning id
            """,
            WORKER_LOCK_CLASS,
            self._worker_timeout,
            worker_id,
            list(lost),
            limit,
        )
        return [row["id"] for row in rows]

    # --- moving

    async def move(self, job: Job, state: State, *, clip: JSONObject | None = None) -> Job:
        """Change the state under the fence, with its event. Raises LeaseLost."""
        check_move(job.state, state)
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._move_in(connection, job, state, clip)

    async def _move_in(
        self, connection: Connection, job: Job, state: State, clip: JSONObject | None = None
    ) -> Job:
        row = await connection.fetchrow(
            """
            update jobs set state = $4, clip = coalesce($5, clip)
            where id = $1 and worker_id = $2 and fence = $3 and terminal is null
            returning *
            """,
            job.id,
            job.lease.worker_id,
            job.lease.fence,
            state.value,
            clip,
        )
        if row is None:
            raise LeaseLost(job.id)
        if public_status(job.state) != public_status(state):
            await add_event(connection, job.id, state)
            await tell(connection, Notice(job.id, "moved"))
        return job_of_row(row)

    async def write_intent(self, job: Job, attempt: Attempt) -> Job:
        """Commit that this order is about to be sent: after this, nobody may assume that it was not."""
        check_move(job.state, State.SUBMITTING)
        async with self._pool.acquire() as connection, connection.transaction():
            moved = await self._move_in(connection, job, State.SUBMITTING)
            await connection.execute(
                """
                insert into attempts (nonce, job_id, number, provider, endpoint, order_json, cost_micros,
                                      worker_id, fence, created_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                """,
                attempt.nonce,
                attempt.job_id,
                attempt.number,
                attempt.provider,
                attempt.endpoint,
                attempt.order,
                attempt.cost_micros,
                job.lease.worker_id,
                job.lease.fence,
                attempt.created_at,
            )
        return moved

    async def end_attempt(
        self,
        job: Job,
        attempt: Attempt,
        outcome: AttemptOutcome,
        state: State,
        message: str | None = None,
        *,
        clip: JSONObject | None = None,
    ) -> Job:
        """Record what came of an attempt together with the state that follows from it. Raises LeaseLost."""
        check_move(job.state, state)
        async with self._pool.acquire() as connection, connection.transaction():
            moved = await self._move_in(connection, job, state, clip)
            await _note_outcome(connection, attempt, outcome, message)
        return moved

    async def note_outcome(self, attempt: Attempt, outcome: AttemptOutcome, message: str) -> None:
        """Record what came of an attempt, where no move of the job goes with it."""
        async with self._pool.acquire() as connection:
            await _note_outcome(connection, attempt, outcome, message)

    async def attempts(self, job_id: str) -> list[Attempt]:
        """All attempts of a job, oldest first."""
        rows = await self._pool.fetch("select * from attempts where job_id = $1 order by number", job_id)
        return [attempt_of_row(row) for row in rows]

    async def attempt(self, nonce: str) -> Attempt | None:
        """The attempt of a nonce, as a callback URL names it."""
        row = await self._pool.fetchrow("select * from attempts where nonce = $1", nonce)
        return attempt_of_row(row) if row is not None else None

    # --- receipts: append-only, from anybody, at any time

    async def write_receipt(self, attempt: Attempt, ref: JSONObject, source: str) -> None:
        """Keep a provider's receipt. Not fenced: the ref of a paid task is never thrown away."""
        await self._pool.execute(_KEEP_RECEIPT, attempt.nonce, ref, source, _task_of(attempt, ref))

    async def write_found(self, attempt: Attempt, ref: JSONObject, source: str = "reconcile") -> bool:
        """Keep a ref that somebody else than our own submit told; False when another attempt has the task.

        Two equal orders look alike to a list: whoever has a receipt of the task owns it, and while an equal
        order is on its way the task may be that one's. A callback came to the attempt's own nonce: no doubt.
        """
        task = _task_of(attempt, ref)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", task)
            owner = await connection.fetchval(
                """
                select a.nonce from receipts r join attempts a using (nonce)
                where r.ref ->> 'id' = $1 and a.provider = $2 and a.nonce <> $3 limit 1
                """,
                str(ref.get("id")),
                attempt.provider,
                attempt.nonce,
            )
            if owner is not None:
                return False
            doubtful = source != "callback"
            if doubtful and await connection.fetchval(_EQUAL_ORDER_ON_ITS_WAY, attempt.nonce):
                return False
            await connection.execute(_KEEP_RECEIPT, attempt.nonce, ref, source, task)
        return True

    async def held_by_others(self, attempt: Attempt, task_ids: Sequence[str]) -> set[str]:
        """Which of these tasks of the attempt's provider another attempt has a receipt of."""
        rows = await self._pool.fetch(
            """
            select r.ref ->> 'id' as task from receipts r join attempts a using (nonce)
            where r.ref ->> 'id' = any($1) and a.provider = $2 and a.nonce <> $3
            """,
            list(task_ids),
            attempt.provider,
            attempt.nonce,
        )
        return {row["task"] for row in rows}

    async def count_lost_equals(self, attempt: Attempt) -> int:
        """How many orders equal to this attempt's, itself included, were sent and have no known task."""
        return 1 + int(await self._pool.fetchval(_LOST_EQUALS, attempt.nonce))

    async def receipt(self, nonce: str) -> JSONObject | None:
        """Newest ref of an attempt whose task is its own.

        The answer to an order may come long after, from a worker that froze. If the search has by then given
        its task to an equal order, it stays there: one task never pays two jobs.
        """
        return cast(JSONObject | None, await self._pool.fetchval(_OWN_RECEIPT, nonce))

    # --- late results (ruling 10)

    async def given_up(self, since: datetime, limit: int) -> list[Attempt]:
        """Attempts whose job was given up after `since` and has no late result yet."""
        rows = await self._pool.fetch(
            """
            select a.* from attempts a join jobs j on j.id = a.job_id
            where a.outcome = 'given_up' and j.ended_at > $1
              and not exists (select 1 from late_results l where l.job_id = a.job_id)
            order by exists (select 1 from receipts r where r.nonce = a.nonce) desc, random() limit $2
            """,
            since,
            limit,
        )
        return [attempt_of_row(row) for row in rows]

    async def close_late(self, attempt: Attempt, message: str) -> None:
        """Nothing more will come of a given-up attempt."""
        await self.note_outcome(attempt, "unknown", message)

    async def job(self, job_id: str) -> Job | None:
        """A job as it stands."""
        row = await self._pool.fetchrow("select * from jobs where id = $1", job_id)
        return job_of_row(row) if row is not None else None

    # --- cancelling

    async def request_cancel(self, job_id: str) -> None:
        """Note the user's wish and tell the worker that holds the job."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "update jobs set cancel_requested_at = coalesce(cancel_requested_at, now()) "
                "where id = $1 and terminal is null",
                job_id,
            )
            await tell(connection, Notice(job_id, "cancel"))

    async def claim_unstarted(self, connection: Connection, job_id: str) -> Job | None:
        """Take a queued job, in the caller's transaction, to cancel it on the spot.

        Also from a worker that has it in hand: as long as it is queued nothing is on its way, and the
        worker's own next write finds its lease gone.
        """
        row = await connection.fetchrow(
            """
            update jobs set fence = fence + 1
            where id = $1 and state = 'queued' and terminal is null
            returning *
            """,
            job_id,
        )
        return job_of_row(row) if row is not None else None

    async def tell(self, job_id: str, kind: NoticeKind, progress: float | None = None) -> None:
        """Send a notice outside any transaction."""
        async with self._pool.acquire() as connection:
            await tell(connection, Notice(job_id, kind, progress))


async def _note_outcome(
    connection: Connection, attempt: Attempt, outcome: AttemptOutcome, message: str | None
) -> None:
    await connection.execute(
        "update attempts set outcome = $2, message = $3, ended_at = now() where nonce = $1",
        attempt.nonce,
        outcome,
        message,
    )


async def add_event(connection: Connection, job_id: str, state: State) -> None:
    """Append what users see happen."""
    await connection.execute(
        "insert into job_events (job_id, status) values ($1, $2)", job_id, public_status(state)
    )


async def tell(connection: Connection, notice: Notice) -> None:
    """NOTIFY; inside a transaction it goes out with the commit."""
    await connection.execute("select pg_notify($1, $2)", CHANNEL, notice_text(notice))


async def tell_many(connection: Connection, notices: Sequence[Notice]) -> None:
    """Several notices in one round trip."""
    await connection.execute(
        "select pg_notify($1, text) from unnest($2::text[]) text", CHANNEL, [notice_text(n) for n in notices]
    )


def _task_of(attempt: Attempt, ref: JSONObject) -> str:
    """A task among those of all providers."""
    return f"{attempt.provider}:{ref.get('id')}"
