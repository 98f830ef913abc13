"""Random acts on a stage, each a call of the gateway's own code, and what is to be seen of it afterwards."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from fairstack_server.accounts.store import Caller
from fairstack_server.api.wire import ended_job
from fairstack_server.clock import SystemClock
from fairstack_server.errors import FairStackError
from fairstack_server.jobs.cancel import Cancelling
from fairstack_server.jobs.job import Attempt, AttemptOutcome, Failure, IllegalMove, Job, State
from fairstack_server.jobs.placement import NewJob, Placement
from fairstack_server.jobs.reading import JobReader
from fairstack_server.jobs.reports import ProviderReports
from fairstack_server.jobs.settle import Settlement
from fairstack_server.jobs.store import JobStore, LeaseLost
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.webhooks import store as webhooks
from fairstack_server.webhooks.schedule import Delivered, GivenUp, Gone, Retry, Verdict
from fairstack_server.webhooks.store import Attempted, Claimed
from tests.simulation.database.tables import Row
from tests.simulation.server import completion_at
from tests.simulation.stages import Stage
from tests.simulation.users import ACCOUNT, KEY

_TIMEOUT_SECONDS = 30.0
_REPORT: JSONObject = dict.fromkeys(
    ("why", "since", "next_probe_at", "paused_until", "last_success_at", "last_error", "key")
) | {"state": "closed", "permanent": False, "in_flight": 0, "waiting": 0}
_START = datetime(2100, 1, 1, tzinfo=UTC)
#: Tables that are compared at the end, with the columns that differ by the hour or the counter left out.
TABLES: Mapping[str, frozenset[str]] = {
    "jobs": frozenset({"worker_id", "started_at", "ended_at", "cancel_requested_at", "created_at"}),
    "attempts": frozenset({"worker_id", "ended_at"}),
    "receipts": frozenset({"id", "received_at"}),
    "job_events": frozenset({"seq", "created_at"}),
    "clips": frozenset({"created_at"}),
    "late_results": frozenset({"created_at", "body"}),
    "idempotency_keys": frozenset({"created_at"}),
    "wallets": frozenset(),
    "ledger_transactions": frozenset({"seq", "created_at"}),
    "ledger_entries": frozenset(),
    "spending": frozenset({"month"}),
    "webhook_secrets": frozenset({"created_at"}),
    "webhook_endpoints": frozenset({"created_at", "reason", "disabled_at"}),
    "webhook_deliveries": frozenset({"created_at", "next_at", "body"}),
    "webhook_attempts": frozenset(),
    "queue": frozenset(),
}


class Acts:
    """The acts of one seed on one stage. The same seed does the same on every stage."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._dice = random.Random(seed)
        pool = stage.pool
        self._store = JobStore(pool, _TIMEOUT_SECONDS)
        self._settlement = Settlement(pool, ended_job)
        self._placement = Placement(pool, stage.queue, lambda _job: None)
        self._reader = JobReader(pool)
        self._cancelling = Cancelling(pool, self._store, self._settlement, SystemClock())
        self._workers: list[int] = []
        self._job_ids: list[str] = []
        self._jobs: list[Job] = []
        self._attempts: list[Attempt] = []
        self._claimed: list[Claimed] = []
        self._now = _START
        self._count = 0

    async def act(self) -> Any:
        """Do one thing; what is to be seen of it."""
        acts: Sequence[Callable[[], Awaitable[Any]]] = (
            *(self._place,) * 3,
            self._hire,
            self._fate,
            self._rows,
            *(self._claim,) * 4,
            self._let_go,
            self._sweep,
            *(self._move,) * 3,
            *(self._intend,) * 4,
            *(self._end_attempt,) * 3,
            *(self._receipt,) * 3,
            *(self._search,) * 2,
            *(self._end,) * 3,
            self._late,
            *(self._cancel,) * 3,
            self._report,
            *(self._take_due,) * 2,
            *(self._record,) * 3,
        )
        act = self._dice.choice(acts)
        self._count += 1
        try:
            return act.__name__, await act()
        except (LeaseLost, IllegalMove, FairStackError, asyncpg.IntegrityConstraintViolationError) as error:
            return act.__name__, type(error).__name__

    async def tables(self) -> Mapping[str, Sequence[str]]:
        """Every table as it stands, without what differs by the hour."""
        return {
            table: sorted(str(sorted(_seen(row, left_out).items())) for row in await self._stage.rows(table))
            for table, left_out in TABLES.items()
        }

    # --- acts

    async def _place(self) -> Any:
        self._count += 1
        number = self._count
        key = self._dice.choice([None, "k1", "k2", f"k{number}"])
        job = NewJob(
            id=f"job_{number}",
            account_id=ACCOUNT,
            key_id=KEY,
            mode="live",
            model="m",
            ask={"prompt": self._dice.choice(["a kite", "a fox"])},
            settled={"duration": 5},
            inputs={},
            quote_micros=self._dice.choice([0, 10, 400]),
            tags={},
            webhook_url=self._dice.choice([None, "https://one.test/x", "https://two.test/x"]),
            cancel_after_at=None,
            deadline_at=_START,
            created_at=_START + timedelta(seconds=number),
            answer=b"answer %d" % number,
            idempotency_key=key,
            fingerprint=self._dice.choice([b"1", b"2"]),
        )
        outcome = await self._placement.place(job)
        self._job_ids.append(job.id)
        return outcome, None if key is None else await self._placement.replay(ACCOUNT, "live", key, b"1")

    async def _hire(self) -> Any:
        self._workers.append(await self._stage.hire())

    async def _fate(self) -> Any:
        worker_id = self._worker()
        if worker_id is not None:
            await self._dice.choice([self._stage.bury, self._stage.silence])(worker_id)

    async def _rows(self) -> Any:
        if self._dice.random() < 0.5:
            await self._stage.pick_rows(stale=self._dice.random() < 0.5)
            return
        async with self._stage.pool.acquire() as connection, connection.transaction():
            await self._stage.queue.wake_again(connection, self._job_ids[-2:])

    async def _claim(self) -> Any:
        worker_id = self._worker()
        if worker_id is None or not self._job_ids:
            return None
        job = await self._store.claim(self._dice.choice(self._job_ids), worker_id)
        if job is not None:
            self._jobs.append(job)
        return self._look(job)

    async def _let_go(self) -> Any:
        job = self._job()
        if job is None:
            return None
        before = await self._store.still_ours(job)
        if self._dice.random() < 0.5:
            await self._store.hand_back(job)
        return before, sorted(await self._store.claimed_by(job.lease.worker_id))

    async def _sweep(self) -> Any:
        worker_id = self._worker()
        if worker_id is None:
            return None
        lost = [job_id for job_id in self._job_ids if self._dice.random() < 0.3]
        return sorted(await self._store.orphans(worker_id, lost, 100))

    async def _move(self) -> Any:
        job = self._job()
        if job is None:
            return None
        state = self._dice.choice([State.RUNNING, State.STORING, State.SUBMIT_UNKNOWN])
        clips: Sequence[JSONObject | None] = (None, {"url": "u"})
        clip = self._dice.choice(clips)
        moved = await self._store.move(job, state, clip=clip)
        return self._keep(moved)

    async def _intend(self) -> Any:
        job = self._job()
        if job is None:
            return None
        self._count += 1
        number = len(await self._store.attempts(job.id)) + self._dice.choice([1, 1, 1, 0])
        at = _START + timedelta(seconds=self._count)
        attempt = Attempt(f"n{self._count}", job.id, number, "fal", "e", {}, 7, at)
        moved = await self._store.write_intent(job, attempt)
        self._attempts.append(attempt)
        return self._keep(moved)

    async def _end_attempt(self) -> Any:
        attempt = self._attempt()
        jobs = [job for job in self._jobs if attempt is not None and job.id == attempt.job_id]
        if attempt is None or not jobs:
            return None
        ways: Sequence[tuple[AttemptOutcome, State]] = (
            ("not_sent", State.QUEUED),
            ("unknown", State.SUBMIT_UNKNOWN),
            ("submitted", State.RUNNING),
            ("submitted", State.STORING),
        )
        outcome, state = self._dice.choice(ways)
        moved = await self._store.end_attempt(jobs[-1], attempt, outcome, state, "said")
        return self._keep(moved)

    async def _receipt(self) -> Any:
        attempt = self._attempt()
        if attempt is None:
            return None
        ref: JSONObject = {"id": self._dice.choice(["t1", "t2", "t3"])}
        if self._dice.random() < 0.3:
            await self._store.write_receipt(attempt, ref, "answer")
            return await self._store.receipt(attempt.nonce)
        source = self._dice.choice(["reconcile", "callback"])
        found = await self._store.write_found(attempt, ref, source)
        return found, await self._store.receipt(attempt.nonce)

    async def _search(self) -> Any:
        attempt = self._attempt()
        if attempt is None:
            return None
        held = await self._store.held_by_others(attempt, ["t1", "t2"])
        given_up = await self._store.given_up(datetime(2000, 1, 1, tzinfo=UTC), 100)
        return (
            sorted(held),
            await self._store.count_lost_equals(attempt),
            sorted(each.nonce for each in given_up),
            await self._store.attempt(attempt.nonce),
        )

    async def _end(self) -> Any:
        job = self._job()
        if job is None:
            return None
        now = datetime.now(UTC)
        way = self._dice.randrange(4)
        if way == 0:
            done = completion_at(f"video/{job.id}/clip.mp4")
            return self._keep(await self._settlement.complete(job, done, 7, now))
        if way == 1:
            return self._keep(await self._settlement.cancel(job, now))
        failure = Failure("generation_failed", "said")
        return self._keep(await self._settlement.fail(job, failure, now, give_up=way == 2))

    async def _late(self) -> Any:
        given_up = await self._store.given_up(datetime(2000, 1, 1, tzinfo=UTC), 100)
        for attempt in sorted(given_up, key=lambda each: each.nonce)[:1]:
            job = await self._store.job(attempt.job_id)
            if job is not None:
                done = completion_at(f"video/{job.id}/late.mp4")
                await self._settlement.deliver_late(job, done, attempt.cost_micros, datetime.now(UTC))
        return len(given_up)

    async def _cancel(self) -> Any:
        if not self._job_ids:
            return None
        caller = Caller(ACCOUNT, KEY, "live", frozenset())
        record = await self._reader.get(caller, self._dice.choice(self._job_ids))
        return await self._cancelling.cancel(record)

    async def _report(self) -> Any:
        worker_id = self._worker()
        if worker_id is None:
            return None
        reports = ProviderReports(self._stage.pool, _TIMEOUT_SECONDS)
        await reports.write(worker_id, {"fal": _REPORT | {"in_flight": self._dice.randint(0, 3)}})
        if self._dice.random() < 0.3:
            await reports.forget_the_dead()
        return await reports.merged()

    async def _take_due(self) -> Any:
        # One of a host at a time, each at a time of its own: between equals the order is anybody's.
        self._now += timedelta(hours=self._dice.randint(1, 40))
        async with self._stage.pool.acquire() as connection:
            claimed = await webhooks.claim(
                connection,
                self._now,
                limit=self._dice.randint(1, 5),
                per_host=1,
                taken={"one.test": self._dice.randint(0, 1)},
                lease=timedelta(seconds=60),
            )
        self._claimed += sorted(claimed, key=lambda each: each.id)
        return sorted((each.id, each.lease, each.attempt, len(each.secrets)) for each in claimed)

    async def _record(self) -> Any:
        if not self._claimed:
            return None
        claimed = self._dice.choice(self._claimed)
        verdicts: Sequence[tuple[Verdict, Any, int | None]] = (
            (Delivered(), "delivered", 204),
            (Retry(600.0), "unreachable", None),
            (Retry(600.0), "http_error", 500),
            (GivenUp(), "http_error", 500),
            (Gone(), "gone", 410),
        )
        self._now += timedelta(seconds=1)
        verdict, outcome, status = self._dice.choice(verdicts)
        attempted = Attempted(self._now, outcome, status, 12)
        async with self._stage.pool.acquire() as connection, connection.transaction():
            kept = await webhooks.record(connection, claimed, attempted, verdict)
            dead = kept and await webhooks.disable_if_dead(connection, claimed, attempted)
            return kept, dead, await webhooks.next_due(connection, self._now)

    # --- choices

    def _worker(self) -> int | None:
        return self._dice.choice(self._workers) if self._workers else None

    def _job(self) -> Job | None:
        """Mostly a job as it was seen last, at times as it was long ago."""
        if not self._jobs:
            return None
        newest = {job.id: job for job in self._jobs}
        return self._dice.choice(list(newest.values()) if self._dice.random() < 0.8 else self._jobs)

    def _attempt(self) -> Attempt | None:
        return self._dice.choice(self._attempts) if self._attempts else None

    def _keep(self, job: Job) -> Any:
        self._jobs.append(job)
        return self._look(job)

    def _look(self, job: Job | None) -> Any:
        """A job without times, its worker by the order of hiring."""
        if job is None:
            return None
        hired = self._workers.index(job.lease.worker_id) if job.lease.worker_id in self._workers else None
        return job.id, job.state, hired, job.lease.fence, job.clip, job.cancel_requested_at is not None


def _seen(row: Row, left_out: frozenset[str]) -> Row:
    seen = {
        name: _ordered(value) for name, value in row.items() if name not in left_out and name != "terminal"
    }
    if "terminal" in row:
        seen["ended"] = row["terminal"] is not None
    return seen


def _ordered(value: Any) -> Any:
    """JSON with its members in one order."""
    return sorted(value.items()) if isinstance(value, dict) else value
