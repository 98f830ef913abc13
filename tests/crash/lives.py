"""Further workers on a gateway's database and folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fairstack_server.bootstrap import open_gateway
from tests.gateway.running import Running


@contextlib.asynccontextmanager
async def second_life(gateway: Running) -> AsyncIterator[None]:
    """Another worker on the same database and folder, for the block."""
    assert gateway.dsn is not None
    async with open_gateway(gateway.gateway.settings, gateway.dsn) as other:
        task = asyncio.create_task(other.run_worker())
        try:
            yield
        finally:
            await other.stop_working()
            await asyncio.wait_for(task, 10)
