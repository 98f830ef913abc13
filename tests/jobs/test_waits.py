"""What ends a wait of the lifecycle: a notice, a limit, and a stop that comes at the very same moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

import pytest

from fairstack_server.db.notices import Notice
from fairstack_server.jobs.job import Job, Lease, State
from fairstack_server.jobs.store import JobStore
from fairstack_server.jobs.waits import Waits, unbroken
from tests.jobs.clock import START, StandingClock

JOB = Job(
    id="job_waits",
    account_id="acc_waits",
    key_id="key_waits",
    mode="test",
    state=State.RUNNING,
    model="wan-2-1-t2v",
    ask={},
    settled={},
    inputs={},
    quote_micros=48_000,
    tags={},
    webhook_url=None,
    lease=Lease(worker_id=1, fence=1),
    created_at=START,
    deadline_at=START + timedelta(hours=1),
)


async def test_a_stop_that_comes_with_a_notice_still_stops() -> None:
    """A worker that is told to stop while a notice wakes its job lets the job go, instead of waiting on."""
    inbox: asyncio.Queue[Notice] = asyncio.Queue()
    waits = Waits(cast(JobStore, None), StandingClock())
    waiting = asyncio.create_task(waits.wait(JOB, inbox, 600.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    inbox.put_nowait(Notice(JOB.id, "callback"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_send_that_ends_as_the_stop_comes_keeps_what_it_learned() -> None:
    """The stop waits for a send under way, and is a stop all the same."""
    answered, kept = asyncio.Event(), list[str]()

    async def send() -> None:
        await answered.wait()
        kept.append("receipt")

    sending = asyncio.create_task(unbroken(send(), 5.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    sending.cancel()
    answered.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert kept == ["receipt"]
