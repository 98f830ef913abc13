"""Both databases for the tests that compare them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fairstack_server.db.dsn import Dsn
from fairstack_server.db.pool import open_connection, open_pool
from tests.simulation.stages import MemoryStage, PostgresStage, Stage


@pytest.fixture
async def postgres_stage(database: Dsn) -> AsyncIterator[PostgresStage]:
    """PostgreSQL, freshly migrated."""
    pool = await open_pool(database, 5)
    session = await open_connection(database)
    yield PostgresStage(pool, session)
    await session.close()
    pool.terminate()


@pytest.fixture(params=["postgres", "model"])
async def stage(request: pytest.FixtureRequest, postgres_stage: PostgresStage) -> Stage:
    """Each of the two, for tests that say the same of both."""
    return postgres_stage if request.param == "postgres" else MemoryStage()
