"""The receipt of a paid task is kept through an outage, and pictures of accepted jobs through anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fairstack_server.db.dsn import Dsn
from fairstack_server.jobs.store import JobStore
from tests.gateway.running import running_gateway
from tests.upstreams.openai_videos import FakeOpenAIVideos

WAN = {"model": "wan-2-1-t2v", "prompt": "A red kite over the sea"}


async def test_a_receipt_waits_for_the_database(
    database: Dsn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away just when the provider has answered: the receipt is written when it is back."""
    write, refusals = JobStore.write_receipt, iter(range(2))

    async def away_twice(self: JobStore, *arguments: Any) -> None:
        if next(refusals, None) is not None:
            raise asyncpg.CannotConnectNowError("the database system is starting up")
        await write(self, *arguments)

    monkeypatch.setattr(JobStore, "write_receipt", away_twice)
    async with FakeOpenAIVideos() as engine:
        settings: dict[str, Any] = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": engine.key}
        async with running_gateway(database, home, **settings) as gateway:
            await gateway.grant(1_000_000)
            submitted = await gateway.submit(WAN)
            job = await gateway.wait(submitted.json["id"])
            assert job["status"] == "completed", job
            sources = await gateway.gateway.pool.fetch("select source from receipts")
            assert [row["source"] for row in sources] == ["answer"]
            assert list(engine.log.billed.values()) == [1]


async def test_an_equal_order_on_its_way_keeps_its_task(database: Dsn, home: Path) -> None:
    """While an equal order waits for its answer, a task in the list is not given to another job."""
    async with FakeOpenAIVideos() as engine:
        settings: dict[str, Any] = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": engine.key}
        async with running_gateway(database, home, works=False, **settings) as gateway:
            await gateway.grant(1_000_000)
            first, second = [(await gateway.submit(WAN)).json["id"] for _ in range(2)]
            store, pool = gateway.gateway.jobs, gateway.gateway.pool
            worker = await pool.fetchval("insert into workers (name) values ('w') returning id")
            for nonce, job_id in (("n1", first), ("n2", second)):
                await pool.execute(
                    """
                    insert into attempts
                        (nonce, job_id, number, provider, endpoint, order_json, worker_id, fence)
                    values ($1, $2, 1, 'openai_videos', 'wan', '{}', $3, 1)
                    """,
                    nonce,
                    job_id,
                    worker,
                )
            lost = await store.attempt("n2")
            assert lost is not None
            assert not await store.write_found(lost, {"id": "video_1"})
            first_order = await store.attempt("n1")
            assert first_order is not None
            await store.write_receipt(first_order, {"id": "video_1"}, "answer")
            assert not await store.write_found(lost, {"id": "video_1"})
            assert await store.write_found(lost, {"id": "video_2"})


async def test_an_answer_that_comes_after_the_search_takes_no_task_away(database: Dsn, home: Path) -> None:
    """A frozen worker wakes with the answer for a task that an equal order has been given: it stays there."""
    async with running_gateway(database, home, works=False) as gateway:
        store, pool = gateway.gateway.jobs, gateway.gateway.pool
        worker = await pool.fetchval("insert into workers (name) values ('w') returning id")
        for nonce in ("frozen", "found"):
            await pool.execute(
                """
                insert into attempts
                    (nonce, job_id, number, provider, endpoint, order_json, worker_id, fence, outcome)
                values ($1, $2, 1, 'runway', 'wan', '{}', $3, 1, 'unknown')
                """,
                nonce,
                (await gateway.submit(WAN, key=gateway.keys.test)).json["id"],
                worker,
            )
        frozen, found = [await store.attempt(nonce) for nonce in ("frozen", "found")]
        assert frozen is not None and found is not None
        assert await store.write_found(found, {"id": "task_1"})
        await store.write_receipt(frozen, {"id": "task_1"}, "answer")
        assert await store.receipt("found") == {"id": "task_1"}
        assert await store.receipt("frozen") is None
        assert await pool.fetchval("select count(*) from receipts") == 2
        assert await store.write_found(frozen, {"id": "task_2"})
        assert await store.receipt("frozen") == {"id": "task_2"}
