"""The worker's chores and rooms: what keeps one fault, one account or one stop from holding up the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.db.connections import Pool
from fairstack_server.db.dsn import Dsn
from fairstack_server.jobs.queue import Queue
from fairstack_server.jobs.store import JobStore
from tests.gateway.running import Running, running_gateway

WAN = {"model": "wan-2-1-t2v", "prompt": "A red kite over the sea"}
ENDLESS = {**WAN, "prompt": "test:slow 600"}


async def placed(gateway: Running, body: dict[str, Any], key: str) -> str:
    """The id of a sandbox job that was taken in."""
    return str((await gateway.submit(body, key=key)).json["id"])


async def claimed(pool: Pool, count: int) -> None:
    """Wait until so many unfinished jobs are written to a worker's name."""
    async with asyncio.timeout(20):
        while await pool.fetchval("select count(*) from jobs where worker_id is not null") < count:
            await asyncio.sleep(0.02)


async def test_a_chore_outlives_its_faults(
    database: Dsn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose wake-up was lost is found by the sweep, although the sweep broke twice by a bug."""
    orphans, wake, sweeps, losses = JobStore.orphans, Queue.wake, [0], iter(range(1))

    async def broken_twice(self: JobStore, *arguments: Any) -> list[str]:
        sweeps[0] += 1
        if sweeps[0] in (2, 3):
            raise ZeroDivisionError("a bug")
        return await orphans(self, *arguments)

    async def lost_once(self: Queue, *arguments: Any) -> None:
        if next(losses, None) is None:
            await wake(self, *arguments)

    monkeypatch.setattr(JobStore, "orphans", broken_twice)
    monkeypatch.setattr(Queue, "wake", lost_once)
    async with running_gateway(database, home, sweep_seconds="0.1") as gateway:
        async with asyncio.timeout(20):
            while not sweeps[0]:
                await asyncio.sleep(0.01)
        job_id = await placed(gateway, WAN, gateway.keys.test)
        job = await gateway.wait(job_id, key=gateway.keys.test)
        assert job["status"] == "completed", job
        workers = await gateway.gateway.pool.fetchval("select count(*) from workers")
    assert (sweeps[0] > 3, workers, next(losses, None)) == (True, 1, None)


async def test_who_waits_for_a_sandbox_place_takes_nobodys_room(database: Dsn, home: Path) -> None:
    """One account's waiting jobs fill no worker: another account's job gets through beside them."""
    async with running_gateway(database, home, worker_jobs="2", sandbox_in_flight="1") as gateway:
        for _ in range(4):
            await placed(gateway, ENDLESS, gateway.keys.test)
        await claimed(gateway.gateway.pool, 3)
        _, other = await gateway.other_account()
        job = await gateway.wait(await placed(gateway, WAN, other), key=other)
        assert job["status"] == "completed", job


async def test_no_job_is_begun_after_a_stop(database: Dsn, home: Path) -> None:
    """A job that waited for room when the stop came is left to the next worker, like those in hand."""
    async with running_gateway(database, home, worker_jobs="1") as gateway:
        pool = gateway.gateway.pool
        await placed(gateway, ENDLESS, gateway.keys.test)
        await claimed(pool, 1)
        for _ in range(3):
            await placed(gateway, ENDLESS, gateway.keys.test)
        async with asyncio.timeout(20):
            while await pool.fetchval("select count(*) from pgqueuer where status = 'picked'") < 1:
                await asyncio.sleep(0.02)
        await gateway.gateway.stop_working()
        assert await pool.fetchval("select count(*) from jobs where worker_id is not null") == 0
        assert await pool.fetchval("select count(*) from jobs where terminal is null") == 4


async def test_a_claim_counts_as_lost_at_the_second_sweep(
    database: Dsn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job in the worker's name that it has not in hand: at the first sweep a claim may be under way."""
    orphans, told = JobStore.orphans, list[list[str]]()

    async def heard(self: JobStore, worker_id: int, lost: Sequence[str], limit: int) -> list[str]:
        told.append(list(lost))
        return await orphans(self, worker_id, lost, limit)

    async with running_gateway(database, home, sweep_seconds="0.2") as gateway:
        pool = gateway.gateway.pool
        async with asyncio.timeout(20):
            while (worker := await pool.fetchval("select max(id) from workers")) is None:
                await asyncio.sleep(0.02)
        wake = Queue.wake

        async def into_nowhere(self: Queue, connection: Any, job_ids: Sequence[str]) -> None:
            await connection.execute(
                "update jobs set worker_id = $2 where id = any($1)", list(job_ids), worker
            )

        monkeypatch.setattr(Queue, "wake", into_nowhere)
        monkeypatch.setattr(JobStore, "orphans", heard)
        job_id = await placed(gateway, WAN, gateway.keys.test)
        monkeypatch.setattr(Queue, "wake", wake)
        job = await gateway.wait(job_id, key=gateway.keys.test)
        assert job["status"] == "completed", job
    assert [job_id] in told
    seen = 0
    for lost in told[: told.index([job_id])]:
        seen += lost == []
    assert seen >= 1


async def test_late_looks_begin_where_a_clip_is_sure(pool: Pool) -> None:
    """Hundreds of lost answers do not keep the one task that is known from being looked at."""
    await pool.execute(
        """
        insert into accounts (id, name) values ('acct_1', 'a');
        insert into api_keys (id, account_id, mode, name, hash, prefix, scopes)
            values ('key_1', 'acct_1', 'live', 'k', 'h', 'p', '{}');
        insert into workers (name) values ('w');
        insert into jobs (id, account_id, key_id, mode, state, model, ask, settled, quote_micros, deadline_at,
                          terminal, ended_at, created_at)
            select 'job_' || n, 'acct_1', 'key_1', 'live', 'failed', 'm', '{}', '{}', 1, now(), 'x', now(),
                   now() - make_interval(mins => 300 - n)
            from generate_series(1, 300) n;
        insert into attempts (nonce, job_id, number, provider, endpoint, order_json, worker_id, fence,
                              outcome, created_at)
            select 'n' || n, 'job_' || n, 1, 'fal', 'e', '{}', (select max(id) from workers), 1, 'given_up',
                   now() - make_interval(mins => 300 - n)
            from generate_series(1, 300) n;
        insert into receipts (nonce, ref, source) values ('n300', '{"id": "task"}', 'callback');
        """
    )
    store = JobStore(pool, 30.0)
    since = await pool.fetchval("select now() - interval '1 hour'")
    looks = [await store.given_up(since, 100) for _ in range(2)]
    assert [look[0].nonce for look in looks] == ["n300", "n300"]
    first, second = ({attempt.nonce for attempt in look} for look in looks)
    assert first != second, "the others take turns by chance"


async def test_a_worker_that_breaks_at_its_start_leaves_nothing_behind(
    database: Dsn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next life works, and the broken one has ended: its lock keeps no job from anybody."""
    orphans, faults = JobStore.orphans, iter(range(1))

    async def broken_once(self: JobStore, *arguments: Any) -> list[str]:
        if next(faults, None) is not None:
            raise ZeroDivisionError("a bug")
        return await orphans(self, *arguments)

    monkeypatch.setattr(JobStore, "orphans", broken_once)
    async with running_gateway(database, home) as gateway:
        job = await gateway.wait(await placed(gateway, WAN, gateway.keys.test), key=gateway.keys.test)
        assert job["status"] == "completed", job
        rows = await gateway.gateway.pool.fetch(
            "select ended_at is not null as ended from workers order by id"
        )
        assert [row["ended"] for row in rows] == [True, False]
