"""How long the lifecycle waits and what ends a wait; and what must not be broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from fairstack_server.clock import Clock
from fairstack_server.db.notices import Notice
from fairstack_server.db.outage import DATABASE_DOWN
from fairstack_server.jobs.job import Attempt, Job
from fairstack_server.jobs.store import JobStore
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import Pending

log = structlog.get_logger()

T = TypeVar("T")

LONGEST_PAUSE_SECONDS = 30.0
_FIRST_LOOK_SECONDS = 0.25
_FIRST_BROKEN_LOOK_SECONDS = 5.0
_RECEIPT_RETRY_SECONDS = 0.5


def poll_pause(pending: Pending, polls: int) -> float:
    """Seconds to the next look: what the provider asks for, else about a tenth of the time so far."""
    if pending.retry_after_seconds is not None:
        return min(max(pending.retry_after_seconds, 0.1), LONGEST_PAUSE_SECONDS)
    return min(LONGEST_PAUSE_SECONDS, _FIRST_LOOK_SECONDS * 1.1**polls)


def broken_pause(in_a_row: int) -> float:
    """Seconds to the next look after so many that broke: a provider that is down is asked ever less."""
    return min(LONGEST_PAUSE_SECONDS, _FIRST_BROKEN_LOOK_SECONDS * 2.0 ** (in_a_row - 1))


class Waits:
    """Waits of a job, each ended early by what happens to it."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def is_over(self, job: Job) -> bool:
        """There is no more to wait for: its user wants it cancelled, or its time is up."""
        now = self._clock.now()
        return job.cancel_wanted(now) or now >= job.deadline_at

    async def wait(
        self,
        job: Job,
        inbox: asyncio.Queue[Notice],
        seconds: float,
        call: asyncio.Future[Any] | None = None,
    ) -> Job:
        """Wait, but not past the deadline, and only until a wish to cancel, a callback or `call` comes."""
        until = self._clock.monotonic() + min(seconds, self._until_next_limit(job))
        while (left := until - self._clock.monotonic()) > 0:
            notice = await _next(inbox, left, call)
            if notice is None or notice.kind == "callback":
                break
            # "moved" also comes when notices may have been missed: the wish is read from the table.
            if notice.kind in ("cancel", "moved") and not job.cancel_requested_at:
                now_known = await self._store.job(job.id)
                if now_known is not None and now_known.cancel_requested_at is not None:
                    return replace(job, cancel_requested_at=now_known.cancel_requested_at)
        return job

    async def keep_receipt(self, job: Job, attempt: Attempt, ref: JSONObject, source: str) -> None:
        """The only copy of a paid task's ref is in our hands: an outage of the database is waited out."""
        while True:
            try:
                return await self._store.write_receipt(attempt, ref, source)
            except DATABASE_DOWN as error:
                log.warning("job.receipt_waits", job=job.id, error=type(error).__name__)
                if self._clock.now() >= job.deadline_at:
                    raise
                await self._clock.sleep(_RECEIPT_RETRY_SECONDS)

    def _until_next_limit(self, job: Job) -> float:
        """Seconds to the deadline, or to `cancel_after` if that comes first."""
        now = self._clock.now()
        limits = [job.deadline_at]
        if job.cancel_after_at is not None and job.cancel_after_at > now:
            limits.append(job.cancel_after_at)
        return max(0.05, (min(limits) - now).total_seconds())


async def _next(
    inbox: asyncio.Queue[Notice], seconds: float, call: asyncio.Future[Any] | None
) -> Notice | None:
    """The next notice; None when the time was over or `call` came first."""
    if call is None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await inbox.get()
        return None
    told = asyncio.ensure_future(inbox.get())
    try:
        await asyncio.wait({told, call}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return told.result() if told.done() else None
    finally:
        told.cancel()


async def unbroken(work: Awaitable[T], grace_seconds: float) -> T:
    """Let a send that has begun come to its end although we are being stopped: its receipt is kept."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            async with asyncio.timeout(grace_seconds):
                await task
        raise
