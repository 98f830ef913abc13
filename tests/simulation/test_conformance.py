"""The model is held to PostgreSQL: the same code does the same on both."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from fairstack_server.api.wire import ended_job
from fairstack_server.jobs.job import Attempt, Failure
from fairstack_server.jobs.placement import NewJob, Placed, Placement, Replayed
from fairstack_server.jobs.settle import Settlement
from fairstack_server.jobs.store import JobStore
from fairstack_server.wallet import store as wallet
from fairstack_server.wallet.ledger import AlreadySettled
from tests.simulation.acts import Acts
from tests.simulation.database.connection import MemoryPool
from tests.simulation.seeded import seeded
from tests.simulation.stages import MemoryStage, PostgresStage, Stage
from tests.simulation.users import ACCOUNT, KEY

_SEEDS = 6
_ACTS = 250
_MONEY_MICROS = 1_500
_A_MOMENT_SECONDS = 0.1


@pytest.mark.parametrize("seed", range(_SEEDS))
async def test_random_acts_come_to_the_same_on_both(postgres_stage: PostgresStage, seed: int) -> None:
    """Claims, moves, receipts, ends, cancels and webhooks answer the same and leave the same rows."""
    model = MemoryStage()
    seen: list[list[object]] = []
    tables = []
    for stage in (model, postgres_stage):
        with seeded(random.Random(seed)):
            await stage.found(_MONEY_MICROS)
            acts = Acts(stage, seed)
            seen.append([await acts.act() for _ in range(_ACTS)])
            tables.append(await acts.tables())
    for number, (of_model, of_postgres) in enumerate(zip(*seen, strict=True)):
        assert of_model == of_postgres, f"act {number}"
    assert tables[0] == tables[1]


async def test_every_statement_of_the_model_is_compared() -> None:
    """The acts come by all that the model knows, but for the worker's two lines and the queue port itself."""
    unused: set[str] | None = None
    for seed in range(_SEEDS):
        stage = MemoryStage()
        with seeded(random.Random(seed)):
            await stage.found(_MONEY_MICROS)
            acts = Acts(stage, seed)
            for _ in range(_ACTS):
                await acts.act()
        left = cast(MemoryPool, stage.pool).statements.unused
        unused = left if unused is None else unused & left
    assert unused == {"beat", "sign_off", "pick", "done"}


async def test_a_claim_waits_for_a_cancel_that_is_under_way(stage: Stage) -> None:
    """Who wants a locked job waits for the other transaction, and then sees what it did."""
    store = await _one_job(stage)
    worker_id = await stage.hire()
    async with stage.pool.acquire() as connection, connection.transaction():
        assert await store.claim_unstarted(connection, "job_1") is not None
        claiming = asyncio.create_task(store.claim("job_1", worker_id))
        await asyncio.wait({claiming}, timeout=_A_MOMENT_SECONDS)
        assert not claiming.done()
        unchanged = await store.job("job_1")
        assert unchanged is not None and unchanged.lease.fence == 0
    claimed = await claiming
    assert claimed is not None and claimed.lease.fence == 2


async def test_what_is_broken_off_leaves_nothing(stage: Stage) -> None:
    """A transaction that raises is undone, and its locks are free."""
    store = await _one_job(stage)
    with pytest.raises(ZeroDivisionError):
        async with stage.pool.acquire() as connection, connection.transaction():
            await store.claim_unstarted(connection, "job_1")
            raise ZeroDivisionError
    claimed = await store.claim("job_1", await stage.hire())
    assert claimed is not None and claimed.lease.fence == 1


async def test_a_sweep_passes_over_what_is_locked(stage: Stage) -> None:
    """SKIP LOCKED: a job in another transaction is left for the next sweep."""
    store = await _one_job(stage)
    worker_id = await stage.hire()
    await stage.pick_rows(stale=True)
    async with stage.pool.acquire() as connection, connection.transaction():
        await store.claim_unstarted(connection, "job_1")
        assert await store.orphans(worker_id, [], 10) == []
    assert await store.orphans(worker_id, [], 10) == ["job_1"]


async def test_one_key_is_one_job_whoever_comes_first(stage: Stage) -> None:
    """Two processes place the same request at once: one job, and both get the same answer."""
    await stage.found(1_000)
    placements = [Placement(stage.pool, stage.queue, lambda _job: None) for _ in range(2)]
    outcomes = await asyncio.gather(
        *(placement.place(_job(f"job_{n}", "key")) for n, placement in enumerate(placements))
    )
    assert {type(outcome) for outcome in outcomes} == {Placed, Replayed}
    assert len(await stage.rows("jobs")) == 1


async def test_a_callback_is_believed_while_an_equal_order_is_on_its_way(stage: Stage) -> None:
    """A list may show somebody else's task; what is called back to an attempt's own nonce is its own."""
    await stage.found(1_000)
    placement = Placement(stage.pool, stage.queue, lambda _job: None)
    store, worker_id, attempts = JobStore(stage.pool, 30.0), await stage.hire(), []
    for number in (1, 2):
        await placement.place(_job(f"job_{number}", None))
        claimed = await store.claim(f"job_{number}", worker_id)
        assert claimed is not None
        attempts.append(Attempt(f"n{number}", claimed.id, 1, "runway", "e", {}, 7, datetime.now(UTC)))
        await store.write_intent(claimed, attempts[-1])
    assert not await store.write_found(attempts[0], {"id": "t1"}, "reconcile")
    assert await store.write_found(attempts[0], {"id": "t1"}, "callback")
    assert await store.receipt("n1") == {"id": "t1"}
    assert not await store.write_found(attempts[1], {"id": "t1"}, "callback")


async def test_money_is_settled_once(stage: Stage) -> None:
    """The second settle of a job is refused, and moves nothing."""
    store = await _one_job(stage)
    claimed = await store.claim("job_1", await stage.hire())
    assert claimed is not None
    settlement = Settlement(stage.pool, ended_job)
    await settlement.fail(claimed, Failure("generation_failed", "said"), datetime.now(UTC))
    with pytest.raises(AlreadySettled):
        async with stage.pool.acquire() as connection, connection.transaction():
            await wallet.capture(connection, "job_1", 10)
    balances = [row["available_micros"] for row in await stage.rows("wallets") if row["mode"] == "live"]
    assert balances == [1_000]


async def _one_job(stage: Stage) -> JobStore:
    await stage.found(1_000)
    await Placement(stage.pool, stage.queue, lambda _job: None).place(_job("job_1", None))
    return JobStore(stage.pool, 30.0)


def _job(job_id: str, key: str | None) -> NewJob:
    now = datetime.now(UTC)
    return NewJob(
        id=job_id,
        account_id=ACCOUNT,
        key_id=KEY,
        mode="live",
        model="m",
        ask={"prompt": "a kite"},
        settled={},
        inputs={},
        quote_micros=10,
        tags={},
        webhook_url=None,
        cancel_after_at=None,
        deadline_at=now + timedelta(hours=1),
        created_at=now,
        answer=job_id.encode(),
        idempotency_key=key,
        fingerprint=b"1",
    )
