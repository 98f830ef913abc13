"""A job's whole life, from the queue to its end. Read this first.

    queued ──> submitting ──> running ──> storing ──> completed
      │            │  └─> submit_unknown ─┘  │           (charged exactly what was quoted)
      └────────────┴──────────┴──────────────┴──> failed | cancelled
                                                         (charged nothing)

`advance` takes one job to its end and may be repeated after a crash at any line. What makes that safe:

* The intent to submit is committed before the first byte leaves. A worker that finds an intent of another one
  never assumes that it was not sent: it reconciles by the provider's submit class.
* Only class A (the provider honours our nonce as idempotency key) is ever sent again, while it remembers it.
* A receipt is written as soon as it is known, by whoever knows it, and never changes.
* Every write of state or money is fenced. A worker that froze and woke up gets LeaseLost and stops.
* The end is one transaction: state, money, clip, event, webhook (`settle.py`).

Providers translate; this module owns every loop, wait, retry and limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

import structlog

from fairstack_server.clock import Clock
from fairstack_server.db.notices import Notice, Notices
from fairstack_server.jobs.asking import look, stop
from fairstack_server.jobs.failures import NO_TIME_LEFT, failure_of, not_a_clip, unknown_fate
from fairstack_server.jobs.finding import find_task
from fairstack_server.jobs.found_clips import remembered, where
from fairstack_server.jobs.gates import Gates
from fairstack_server.jobs.job import Attempt, AttemptOutcome, Failure, Job, State
from fairstack_server.jobs.ports import KeepsClips, MarksGone, NotAClip, PlannedAttempt, PlansAttempts
from fairstack_server.jobs.settle import Settlement
from fairstack_server.jobs.store import JobStore, LeaseLost
from fairstack_server.jobs.turns import LendsRoom, Turns
from fairstack_server.jobs.waits import LONGEST_PAUSE_SECONDS, Waits, broken_pause, poll_pause, unbroken
from fairstack_server.providers.base import (
    CanResend,
    Failed,
    Fault,
    Pending,
    Provider,
    ProviderError,
    RateLimitedUpstream,
    Submission,
    SubmitClass,
    Succeeded,
)

log = structlog.get_logger()

_FIRST_SEARCH_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0
_STAGE_PAUSE_SECONDS = 5.0
_PROGRESS_STEP = 0.01


@dataclass(frozen=True, slots=True)
class Pace:
    """The lifecycle's own limits."""

    store_attempts: int = 20
    send_grace_seconds: float = 10.0


class Lifecycle:
    """Takes jobs through their lives."""

    def __init__(
        self,
        store: JobStore,
        settlement: Settlement,
        planner: PlansAttempts,
        keeper: KeepsClips,
        providers: Mapping[str, Provider],
        gates: Gates,
        gone: MarksGone,
        notices: Notices,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._store = store
        self._settlement = settlement
        self._planner = planner
        self._keeper = keeper
        self._providers = providers
        self._gates = gates
        self._gone = gone
        self._notices = notices
        self._clock = clock
        self._pace = pace
        self._waits = Waits(store, clock)
        self._turns = Turns(store, planner, gates, self._waits, clock)

    async def advance(self, job: Job, lend_room: LendsRoom) -> None:
        """Take a claimed job to its end. Raises LeaseLost when another worker has it; safe to repeat.

        `lend_room` is used while the job waits for its turn at a provider: it takes nobody's room then.
        """
        try:
            await self._advance(job, lend_room)
        finally:
            self._gates.leave(job.id)

    async def _advance(self, job: Job, lend_room: LendsRoom) -> None:
        async with self._notices.of_job(job.id) as inbox:
            while not job.ended:
                match job.state:
                    case State.QUEUED:
                        job = await self._submit(job, inbox, lend_room)
                    case State.SUBMITTING:
                        job = await self._recover_intent(job)
                    case State.SUBMIT_UNKNOWN:
                        job = await self._reconcile(job, inbox)
                    case State.RUNNING:
                        job = await self._follow(job, inbox)
                    case State.STORING:
                        job = await self._keep(job, inbox)
                    case State.COMPLETED | State.FAILED | State.CANCELLED:
                        return
                    case _:
                        assert_never(job.state)

    # --- queued -> submitting -> running

    async def _submit(self, job: Job, inbox: asyncio.Queue[Notice], lend_room: LendsRoom) -> Job:
        """Choose a route, wait for a turn there, commit the intent, send the order once."""
        job, planned = await self._turns.take(job, inbox, lend_room)
        if self._cancel_wanted(job):
            return await self._settlement.cancel(job, self._clock.now())
        if isinstance(planned, Failure):
            return await self._fail(job, planned)
        if planned is None or self._clock.now() >= job.deadline_at:
            return await self._fail(job, NO_TIME_LEFT)
        # Saved before anything is sent: a crash after this line must not submit twice.
        job = await self._store.write_intent(job, planned.attempt)
        sent = await unbroken(self._send(job, planned), self._pace.send_grace_seconds)
        if sent.state is not State.QUEUED:
            return sent
        self._gates.leave(job.id)
        return await self._wait(sent, inbox, await self._retry_pause(sent))

    async def _send(self, job: Job, planned: PlannedAttempt) -> Job:
        """Send one order whose intent is committed, and record exactly what is known of it."""
        attempt, provider = planned.attempt, self._providers[planned.attempt.provider]
        gate = self._gates.of(attempt.provider)
        # A worker that froze between intent and send finds here that its lease is gone.
        if not await self._store.still_ours(job):
            raise LeaseLost(job.id)
        log.info("job.submitting", job=job.id, provider=attempt.provider, attempt=attempt.number)
        try:
            answer = await provider.submit(planned.order)
        except ProviderError as error:
            gate.broke(error)
            return await self._call_broke(job, attempt, error)
        gate.answered(took=isinstance(answer, Submission | Succeeded))
        match answer:
            case Submission(ref):
                await self._waits.keep_receipt(job, attempt, ref, "answer")
                return await self._store.end_attempt(job, attempt, "submitted", State.RUNNING)
            case Succeeded():
                # No receipt will lead to this clip again: where it is, is kept in the same write.
                place = where(answer)
                job = await self._store.end_attempt(job, attempt, "submitted", State.STORING, clip=place)
                return await self._store_clip(job, answer)
            case Failed():
                return await self._refused(job, attempt, answer)
            case RateLimitedUpstream(retry_after):
                gate.pause(retry_after)
                return await self._store.end_attempt(job, attempt, "rate_limited", State.QUEUED)
            case _:
                assert_never(answer)

    async def _retry_pause(self, job: Job) -> float:
        """Seconds before the next try: ever more where nobody could be reached; else the gates decide."""
        attempts = await self._store.attempts(job.id)
        if attempts[-1].outcome == "rate_limited" and self._gates.of(attempts[-1].provider).is_stage:
            return _STAGE_PAUSE_SECONDS
        if attempts[-1].outcome != "not_sent":
            return 0.0
        return min(_LONGEST_RETRY_SECONDS, 2.0 ** (sum(a.outcome == "not_sent" for a in attempts) - 1))

    async def _call_broke(self, job: Job, attempt: Attempt, error: ProviderError) -> Job:
        """Not sent: free to try again. Possibly sent: never sent again, but looked for."""
        log.warning(
            "job.submit_broke", job=job.id, provider=attempt.provider, sent=error.sent, error=str(error)
        )
        if error.sent:
            return await self._store.end_attempt(job, attempt, "unknown", State.SUBMIT_UNKNOWN, str(error))
        outcome: AttemptOutcome = "unusable" if error.permanent else "not_sent"
        if error.fault is Fault.ROUTE:
            outcome = "gone"
            await self._gone.mark_gone(job, attempt, str(error))
        return await self._store.end_attempt(job, attempt, outcome, State.QUEUED, str(error))

    async def _refused(self, job: Job, attempt: Attempt, failed: Failed) -> Job:
        """The provider looked and said no. A moderation refusal is final; else another route may be tried."""
        if failed.reason == "content_filtered":
            await self._store.note_outcome(attempt, "refused", failed.message)
            return await self._fail(job, Failure("content_filtered", failed.message))
        return await self._store.end_attempt(job, attempt, "refused", State.QUEUED, failed.message)

    # --- submitting, found after a crash

    async def _recover_intent(self, job: Job) -> Job:
        """An intent of a former life: whether it was sent is not known, so it counts as sent."""
        attempt = await self._newest_attempt(job)
        if await self._store.receipt(attempt.nonce) is not None:
            return await self._store.end_attempt(job, attempt, "submitted", State.RUNNING)
        log.warning("job.intent_without_receipt", job=job.id, provider=attempt.provider)
        return await self._store.end_attempt(job, attempt, "unknown", State.SUBMIT_UNKNOWN)

    # --- submit_unknown

    async def _reconcile(self, job: Job, inbox: asyncio.Queue[Notice]) -> Job:
        """Find out what became of an order whose answer was lost, by what its provider offers for that."""
        attempt = await self._newest_attempt(job)
        self._gates.occupy(attempt.provider, job.id)
        tries = 0
        while self._clock.now() < job.deadline_at:
            if await self._store.receipt(attempt.nonce) is not None:
                return await self._store.move(job, State.RUNNING)
            outcome = await self._look_for(job, attempt)
            if outcome is not None:
                return outcome
            await self._wait(job, inbox, min(LONGEST_PAUSE_SECONDS, _FIRST_SEARCH_SECONDS * 2**tries))
            tries += 1
        return await self._give_up(job)

    async def _look_for(self, job: Job, attempt: Attempt) -> Job | None:
        provider = self._providers.get(attempt.provider)
        if provider is None:
            return None
        try:
            match provider.submit_class:
                case SubmitClass.A:
                    return await self._send_again(job, attempt, provider)
                case SubmitClass.B | SubmitClass.C:
                    return await self._find(job, attempt, provider)
                case SubmitClass.D:
                    return None
                case _:
                    assert_never(provider.submit_class)
        except ProviderError as error:
            log.warning("job.reconcile_broke", job=job.id, provider=attempt.provider, error=str(error))
            return None

    async def _send_again(self, job: Job, attempt: Attempt, provider: Provider) -> Job | None:
        """The provider promises that one nonce is one task: sending again asks, it does not order.

        Once the provider may have forgotten the nonce it would order: then the job waits, as with class D.
        """
        age = self._clock.now() - attempt.created_at
        if not isinstance(provider, CanResend) or age > provider.resend_within:
            return None
        if not await self._store.still_ours(job):
            raise LeaseLost(job.id)
        answer = await provider.submit(await self._planner.order_of(job, attempt))
        match answer:
            case Submission(ref):
                await self._waits.keep_receipt(job, attempt, ref, "reconcile")
                return await self._store.move(job, State.RUNNING)
            case Succeeded():
                return await self._found_clip(await self._store.move(job, State.RUNNING), answer)
            case Failed():
                return await self._fail(job, failure_of(answer))
            case RateLimitedUpstream():
                return None
            case _:
                assert_never(answer)

    async def _find(self, job: Job, attempt: Attempt, provider: Provider) -> Job | None:
        if await find_task(self._store, self._planner, provider, job, attempt) is None:
            return None
        return await self._store.move(job, State.RUNNING)

    # --- running

    async def _follow(self, job: Job, inbox: asyncio.Queue[Notice]) -> Job:
        """Poll until the provider is done, telling progress and passing on a wish to cancel."""
        attempt = await self._newest_attempt(job)
        ref = await self._store.receipt(attempt.nonce)
        provider = self._providers.get(attempt.provider)
        if ref is None or provider is None:
            await self._wait(job, inbox, LONGEST_PAUSE_SECONDS)
            return job if self._clock.now() < job.deadline_at else await self._give_up(job)
        self._gates.occupy(attempt.provider, job.id)
        cancel_asked, told, polls, broken = False, -1.0, 0, 0
        while True:
            if not cancel_asked and self._cancel_wanted(job):
                cancel_asked = True
                if await stop(job, provider, ref):
                    return await self._settlement.cancel(job, self._clock.now())
            seen = await look(job, provider, ref)
            if isinstance(seen, Succeeded):
                return await self._found_clip(job, seen)
            if isinstance(seen, Failed):
                return await self._ended_without_clip(job, seen)
            if self._clock.now() >= job.deadline_at:
                return await self._give_up(job)
            if seen is None:
                broken += 1
                job = await self._wait(job, inbox, broken_pause(broken))
                continue
            told, broken = await self._tell_progress(job, seen, told), 0
            job = await self._wait(job, inbox, poll_pause(seen, polls))
            polls += 1

    async def _ended_without_clip(self, job: Job, failed: Failed) -> Job:
        if failed.reason == "cancelled" and self._cancel_wanted(job):
            return await self._settlement.cancel(job, self._clock.now())
        return await self._fail(job, failure_of(failed))

    async def _tell_progress(self, job: Job, pending: Pending, told: float) -> float:
        progress = pending.progress
        if progress is None or progress - told < _PROGRESS_STEP:
            return told
        with suppress(OSError):
            await self._store.tell(job.id, "progress", min(max(progress, 0.0), 1.0))
        return progress

    # --- storing -> completed

    async def _found_clip(self, job: Job, succeeded: Succeeded) -> Job:
        """The provider is done: remember where the clip is (without any key) and go on to store it."""
        stored = await self._store.move(job, State.STORING, clip=where(succeeded))
        return await self._store_clip(stored, succeeded)

    async def _keep(self, job: Job, inbox: asyncio.Queue[Notice]) -> Job:
        """Store a clip that was found earlier; its address is asked for afresh, for addresses expire."""
        attempt = await self._newest_attempt(job)
        ref = await self._store.receipt(attempt.nonce)
        provider = self._providers.get(attempt.provider)
        for tries in range(self._pace.store_attempts):
            found = remembered(job) if ref is None else None
            if ref is not None and provider is not None:
                seen = await look(job, provider, ref)
                found = seen if isinstance(seen, Succeeded) else None
                if isinstance(seen, Failed):
                    return await self._fail(job, failure_of(seen))
            if found is not None:
                job = await self._store_clip(job, found)
                if job.ended:
                    return job
            await self._wait(job, inbox, min(LONGEST_PAUSE_SECONDS, 2.0**tries))
        return await self._give_up(job)

    async def _store_clip(self, job: Job, found: Succeeded) -> Job:
        """Bring the clip into our store and settle. A passing fault leaves the job in `storing`."""
        self._gates.leave(job.id)
        attempt = await self._newest_attempt(job)
        try:
            done = await self._keeper.keep(job, attempt, found.clip, found.facts)
        except NotAClip as error:
            log.error("job.not_a_clip", job=job.id, provider=attempt.provider, error=str(error))
            return await self._fail(job, not_a_clip(error), attempt.cost_micros if error.is_billed else None)
        except OSError as error:
            log.warning("job.store_broke", job=job.id, provider=attempt.provider, error=str(error))
            return job
        settled = await self._settlement.complete(job, done, attempt.cost_micros, self._clock.now())
        log.info("job.completed", job=job.id, provider=attempt.provider, bytes=done.bytes)
        return settled

    # --- ends and waits

    async def _fail(self, job: Job, failure: Failure, loss_micros: int | None = None) -> Job:
        log.info("job.failed", job=job.id, code=failure.code)
        return await self._settlement.fail(job, failure, self._clock.now(), loss_micros=loss_micros)

    async def _give_up(self, job: Job) -> Job:
        """The longest job time is over: release the money, and keep looking for a late clip (ruling 10)."""
        log.error("job.given_up", job=job.id, state=job.state.value)
        return await self._settlement.fail(job, unknown_fate(job), self._clock.now(), give_up=True)

    async def _newest_attempt(self, job: Job) -> Attempt:
        return (await self._store.attempts(job.id))[-1]

    def _cancel_wanted(self, job: Job) -> bool:
        return job.cancel_wanted(self._clock.now())

    async def _wait(self, job: Job, inbox: asyncio.Queue[Notice], seconds: float) -> Job:
        return await self._waits.wait(job, inbox, seconds)
