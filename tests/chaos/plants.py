"""Bugs that are planted on purpose, each in the lives of one run: the campaign must find every one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fairstack_server.jobs import placement, settle
from fairstack_server.jobs.failures import unknown_fate
from fairstack_server.jobs.job import Attempt, State
from fairstack_server.jobs.lifecycle import Lifecycle
from fairstack_server.jobs.store import JobStore, LeaseLost
from fairstack_server.wallet import store as wallet
from fairstack_server.webhooks import store as webhooks
from tests.chaos.cases import Blow, Case, Klass
from tests.swap import swap

#: What comes too late: long enough for a crash to come first, on the fast clock of a life.
_LATE_SECONDS = 3.0


class Late:
    """Work that is put off, as somebody might who wants to answer sooner."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def put_off(self, work: Awaitable[object]) -> None:
        """Do it after a while."""

        async def wait() -> None:
            await asyncio.sleep(_LATE_SECONDS)
            await work

        self._tasks.add(asyncio.ensure_future(wait()))


def resend() -> None:
    """An order whose fate is unknown is sent again, whatever its provider promises."""

    async def look_for(self: Any, job: Any, attempt: Any) -> Any:
        provider = self._providers[attempt.provider]
        answer = await provider.submit(await self._planner.order_of(job, attempt))
        await self._waits.keep_receipt(job, attempt, answer.ref, "reconcile")
        return await self._store.move(job, State.RUNNING)

    swap(Lifecycle, _look_for=look_for)


def late_receipt() -> None:
    """The provider's receipt is kept a little after the job has moved on."""
    late, write = Late(), JobStore.write_receipt

    async def put_off(self: Any, attempt: Attempt, ref: Any, source: str) -> None:
        late.put_off(write(self, attempt, ref, source))

    swap(JobStore, write_receipt=put_off)


def freed_hold() -> None:
    """An order whose answer was lost fails at once, and its hold is released."""

    async def give_up(self: Any, job: Any, attempt: Any) -> Any:
        return await self._settlement.fail(job, unknown_fate(job), self._clock.now())

    swap(Lifecycle, _look_for=give_up)


def late_outbox() -> None:
    """The webhook is put into the outbox a little after the commit that ends the job."""
    late, end, enqueue = Late(), settle.Settlement._end, webhooks.enqueue_for_job

    async def nothing(*_: Any) -> None:
        return None

    async def ended(self: Any, connection: Any, job: Any, ended_job: Any) -> Any:
        swap(webhooks, enqueue_for_job=nothing)
        settled = await end(self, connection, job, ended_job)

        async def tell() -> None:
            async with self._pool.acquire() as another:
                body = self._render(ended_job)
                await enqueue(another, job.account_id, job.mode, job.id, job.webhook_url, body)

        late.put_off(tell())
        return settled

    swap(settle.Settlement, _end=ended)


def late_charge() -> None:
    """The charge is booked a little after the commit that ends the job."""
    late, capture, complete = Late(), wallet.capture, settle.Settlement.complete

    async def completing(self: Any, job: Any, *arguments: Any) -> Any:
        async def nothing(*_: Any, **__: Any) -> None:
            return None

        async def charge() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                await capture(connection, job.id, job.quote_micros)

        swap(wallet, capture=nothing)
        late.put_off(charge())
        return await complete(self, job, *arguments)

    swap(settle.Settlement, complete=completing)


def lost_key() -> None:
    """The idempotency key is not kept with its job."""

    async def none(*_: Any) -> Any:
        return placement._Keys({}, {})

    swap(placement, _claim_keys=none)


def no_fence() -> None:
    """Whoever thinks that it has a job may move it and end it, also when another has taken it."""
    move, end = JobStore._move_in, settle.Settlement._end

    async def newest(connection: Any, job: Any) -> Any:
        row = await connection.fetchrow(
            "select worker_id, fence from jobs where id = $1 and terminal is null", job.id
        )
        if row is None:
            raise LeaseLost(job.id)
        return replace(job, lease=replace(job.lease, worker_id=row["worker_id"], fence=row["fence"]))

    async def moving(self: Any, connection: Any, job: Any, *rest: Any) -> Any:
        return await move(self, connection, await newest(connection, job), *rest)

    async def ending(self: Any, connection: Any, job: Any, ended: Any) -> Any:
        return await end(self, connection, await newest(connection, job), ended)

    async def ours(*_: Any) -> bool:
        return True

    swap(JobStore, _move_in=moving)
    swap(settle.Settlement, _end=ending)
    swap(JobStore, still_ours=ours)


def _after(klass: Klass, point: str) -> Case:
    return Case(klass, 0, (Blow("kill", point),))


_SLOW = next(seed for seed in range(5, 1000, 5) if Case("D", seed, ()).script().render_polls == 2)
"""A seed with which class D takes its time."""
_JOB_HAS_ENDED = _after("B", "after commit @ jobs.settle.Settlement.complete #1")


@dataclass(frozen=True, slots=True)
class Plant:
    """A bug, and a case of the ordinary ones in which it does harm."""

    grow: Callable[[], None]
    case: Case


PLANTS: Mapping[str, Plant] = {
    plant.__name__: Plant(plant, case)
    for plant, case in (
        (resend, _after("D", "answer begins @ providers.runway.Runway.submit #1")),
        (late_receipt, _after("C", "after commit @ jobs.store.JobStore.end_attempt #1")),
        (freed_hold, _after("C", "answer begins @ providers.openai_videos.OpenAIVideos._create #1")),
        (late_outbox, _JOB_HAS_ENDED),
        (late_charge, _JOB_HAS_ENDED),
        (lost_key, _after("A", "before answer @ api /v1/generations/video #1")),
        (no_fence, Case("D", _SLOW, (Blow("freeze", "after write @ jobs.store.JobStore.claim #1"),))),
    )
}
