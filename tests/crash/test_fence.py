"""A worker that froze and woke up can change neither state nor money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fairstack_server.api.wire import ended_job
from fairstack_server.db.dsn import Dsn
from fairstack_server.jobs.job import Failure, Job, State
from fairstack_server.jobs.settle import Settlement
from fairstack_server.jobs.store import JobStore, LeaseLost
from tests.gateway.running import Running, running_gateway

WAN = {"model": "wan-2-1-t2v", "prompt": "A red kite over the sea"}


async def _taken_over(gateway: Running, database: Dsn) -> tuple[JobStore, Job, Job]:
    """A job that worker 1 claimed, and that worker 2 took when worker 1 had been silent for too long."""
    submitted = await gateway.submit(WAN, key=gateway.keys.test)
    store = JobStore(gateway.gateway.pool, worker_timeout_seconds=30)
    first, second = [
        await gateway.gateway.pool.fetchval("insert into workers (name) values ($1) returning id", name)
        for name in ("frozen", "successor")
    ]
    frozen = await store.claim(submitted.json["id"], first)
    successor = await store.claim(submitted.json["id"], second)
    assert frozen is not None and successor is not None
    assert successor.lease.fence > frozen.lease.fence
    return store, frozen, successor


async def test_a_frozen_worker_can_move_nothing(database: Dsn, home: Path) -> None:
    """Every fenced write of a worker that lost its job is refused: state, failure, completion, hand-back."""
    async with running_gateway(database, home, works=False) as gateway:
        store, frozen, successor = await _taken_over(gateway, database)
        settlement = Settlement(gateway.gateway.pool, ended_job)
        now = datetime.now(UTC)
        with pytest.raises(LeaseLost):
            await store.move(frozen, State.CANCELLED)
        with pytest.raises(LeaseLost):
            await settlement.fail(frozen, Failure("generation_failed", "too late"), now)
        with pytest.raises(LeaseLost):
            await settlement.cancel(frozen, now)
        await store.hand_back(frozen)
        assert not await store.still_ours(frozen)
        assert await store.still_ours(successor)
        assert await gateway.money(key=gateway.keys.test) == (100_000_000 - 48_000, 48_000)


async def test_a_live_worker_keeps_its_job(database: Dsn, home: Path) -> None:
    """While a worker holds its lock and is heard of, nobody else can claim its job."""
    async with running_gateway(database, home, works=True) as gateway:
        submitted = await gateway.submit({**WAN, "prompt": "test:slow 60"}, key=gateway.keys.test)
        store = gateway.gateway.jobs
        pool = gateway.gateway.pool
        while await pool.fetchval("select worker_id from jobs") is None:
            pass
        other = await pool.fetchval("insert into workers (name) values ('other') returning id")
        assert await store.claim(submitted.json["id"], other) is None
        await pool.execute("update workers set seen_at = $1", datetime.now(UTC) - timedelta(hours=1))
        assert await store.claim(submitted.json["id"], other) is not None
