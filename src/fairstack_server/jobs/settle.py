"""The end of a job: state, money, clip, event and webhook in one transaction, or none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from fairstack_server.db.connections import Connection, Pool
from fairstack_server.db.notices import Notice
from fairstack_server.jobs.job import Attempt, Completion, EndedJob, Failure, Job, State, check_move
from fairstack_server.jobs.store import LeaseLost, add_event, tell
from fairstack_server.wallet import store as wallet
from fairstack_server.webhooks import store as webhooks

#: Writes the public answer of an ended job; the words of the wire live in `api/wire.py`.
RenderEnded = Callable[[EndedJob], bytes]


class Settlement:
    """Ends jobs. Every method raises LeaseLost, having changed nothing, when another worker has the job."""

    def __init__(self, pool: Pool, render: RenderEnded) -> None:
        self._pool = pool
        self._render = render

    async def complete(self, job: Job, done: Completion, cost_micros: int | None, now: datetime) -> Job:
        """The clip is stored and checked: charge exactly what was quoted."""
        ended = replace(_ended(job, State.COMPLETED, now), charge_micros=job.quote_micros, completion=done)
        async with self._pool.acquire() as connection, connection.transaction():
            settled = await self._end(connection, job, ended)
            await wallet.capture(connection, job.id, job.quote_micros, provider_cost_micros=cost_micros)
            await _keep_clip(connection, job.id, done, late=False)
        return settled

    async def fail(
        self,
        job: Job,
        failure: Failure,
        now: datetime,
        *,
        give_up: bool = False,
        loss_micros: int | None = None,
    ) -> Job:
        """No clip: release the hold. `give_up`: its fate is unknown, so a late clip is still looked for.

        `loss_micros`: what the provider bills for a clip that nobody is given.
        """
        ended = replace(_ended(job, State.FAILED, now), failure=failure)
        async with self._pool.acquire() as connection, connection.transaction():
            settled = await self._end(connection, job, ended)
            await wallet.release(connection, job.id)
            if loss_micros:
                await wallet.record_loss(connection, job.id, loss_micros)
            if give_up:
                await connection.execute(
                    "update attempts set outcome = 'given_up', ended_at = now() where nonce = "
                    "(select nonce from attempts where job_id = $1 order by number desc limit 1)",
                    job.id,
                )
        return settled

    async def cancel(self, job: Job, now: datetime) -> Job:
        """Stopped before a clip existed: release the hold."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await self.cancel_in(connection, job, now)

    async def cancel_in(self, connection: Connection, job: Job, now: datetime) -> Job:
        """As `cancel`, within the caller's transaction."""
        settled = await self._end(connection, job, _ended(job, State.CANCELLED, now))
        await wallet.release(connection, job.id)
        return settled

    async def deliver_late(
        self, ended_job: Job, done: Completion, cost_micros: int | None, now: datetime
    ) -> None:
        """Give a clip that came after its job was given up: stored, never charged, one more delivery."""
        late = replace(_ended(ended_job, State.COMPLETED, now), completion=done, late_result=True)
        body = self._render(late)
        async with self._pool.acquire() as connection, connection.transaction():
            fresh = await connection.fetchval(
                "insert into late_results (job_id, body) values ($1, $2) on conflict do nothing returning 1",
                ended_job.id,
                body,
            )
            if fresh is None:
                return
            await _keep_clip(connection, ended_job.id, done, late=True)
            if cost_micros:
                await wallet.record_loss(connection, ended_job.id, cost_micros)
            await webhooks.enqueue_for_job(
                connection, ended_job.account_id, ended_job.mode, ended_job.id, ended_job.webhook_url, body
            )
            await tell(connection, Notice(ended_job.id, "moved"))

    async def bear_loss(self, attempt: Attempt) -> None:
        """Book the cost of a late clip that nobody is given; once, however often it is said."""
        if attempt.cost_micros:
            async with self._pool.acquire() as connection, connection.transaction():
                await wallet.record_loss(connection, attempt.job_id, attempt.cost_micros)

    async def _end(self, connection: Connection, job: Job, ended: EndedJob) -> Job:
        check_move(job.state, ended.state)
        body = self._render(ended)
        changed = await connection.fetchval(
            """
            update jobs set state = $3, terminal = $4, ended_at = $5, worker_id = null
            where id = $1 and fence = $2 and terminal is null
            returning 1
            """,
            job.id,
            job.lease.fence,
            ended.state.value,
            body,
            ended.ended_at,
        )
        if changed is None:
            raise LeaseLost(job.id)
        await add_event(connection, job.id, ended.state)
        await webhooks.enqueue_for_job(connection, job.account_id, job.mode, job.id, job.webhook_url, body)
        await tell(connection, Notice(job.id, "ended"))
        return replace(job, state=ended.state, ended_at=ended.ended_at)


def _ended(job: Job, state: State, now: datetime) -> EndedJob:
    return EndedJob(
        id=job.id,
        state=state,
        model=job.model,
        mode=job.mode,
        created_at=job.created_at,
        ended_at=now,
        charge_micros=0,
        tags=job.tags,
    )


async def _keep_clip(connection: Connection, job_id: str, done: Completion, *, late: bool) -> None:
    facts = {
        "width": done.width,
        "height": done.height,
        "duration": done.duration_seconds,
        "fps": done.fps,
        "audio": done.audio,
    }
    await connection.execute(
        """
        insert into clips (job_id, late, media_key, url, bytes, sha256, poster_url, facts)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        job_id,
        late,
        done.media_key,
        done.url,
        done.bytes,
        done.sha256,
        done.poster_url,
        facts,
    )
