"""Class A: an order is sent again only while its provider surely remembers that it was sent before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fairstack_server.db.dsn import Dsn
from fairstack_server.inputs import example_picture
from fairstack_server.wallet.verify import verify
from tests.crash.lives import second_life
from tests.gateway.running import Running, running_gateway
from tests.providers_e2e.conftest import MODELS, PRICE_MICROS
from tests.upstreams.pixverse import FakePixVerse

GRANT_MICROS = 1_000_000


async def test_an_order_is_sent_again_while_its_key_is_remembered(database: Dsn, home: Path) -> None:
    """Nine minutes after the lost answer the order is sent again under its trace: one task, one charge."""
    async with FakePixVerse() as vendor:
        job = await _after_an_outage(vendor, 9, database, home)
        assert job["status"] == "completed", job
        assert job["money"] == (GRANT_MICROS - PRICE_MICROS, 0)
        assert list(vendor.log.billed.values()) == [1]


async def test_an_order_whose_key_may_be_forgotten_is_not_sent_again(database: Dsn, home: Path) -> None:
    """Eleven minutes after it a vendor that has forgotten the trace is sent nothing; the hold is released."""
    async with FakePixVerse() as vendor:
        job = await _after_an_outage(vendor, 11, database, home)
        assert (job["status"], job["error"]["code"]) == ("failed", "provider_unavailable")
        assert job["money"] == (GRANT_MICROS, 0)
        assert list(vendor.log.billed.values()) == [1] and job["sent_again"] == 0


async def _after_an_outage(vendor: FakePixVerse, minutes: int, database: Dsn, home: Path) -> dict[str, Any]:
    """A job whose answer was lost so long ago, at a vendor that is up again and forgets after ten minutes."""
    settings: dict[str, Any] = {"PIXVERSE_API_KEY": vendor.key, "PIXVERSE_URL": vendor.base_url}
    async with running_gateway(database, home, works=False, catalog_dir=str(MODELS), **settings) as gateway:
        await gateway.grant(GRANT_MICROS)
        picture = await gateway.call(
            "POST", "/v1/files", example_picture(), headers={"Content-Type": "image/png"}
        )
        placed = await gateway.submit(
            {"model": "e2e-pixverse", "prompt": "lost", "image": picture.json["id"]}
        )
        vendor.faults.add("drop", on="submit")
        vendor.faults.add("page_502", on="submit", after=False, times=1000)
        async with second_life(gateway):
            await _lost(gateway)
        vendor.faults.planned.clear()
        if minutes > 10:
            vendor.forget_traces()
        await gateway.gateway.pool.execute(
            "update attempts set created_at = created_at - make_interval(mins => $1)", minutes
        )
        await gateway.gateway.pool.execute("update jobs set deadline_at = now() + interval '4 seconds'")
        sent = len(vendor.log.submits)
        async with second_life(gateway):
            job = dict(await gateway.wait(placed.json["id"]))
        async with gateway.gateway.pool.acquire() as connection:
            assert await verify(connection) == []
        return job | {"money": await gateway.money(), "sent_again": len(vendor.log.submits) - sent}


async def _lost(gateway: Running) -> None:
    async with asyncio.timeout(20):
        while not await gateway.gateway.pool.fetchval("select state = 'submit_unknown' from jobs"):
            await asyncio.sleep(0.02)
