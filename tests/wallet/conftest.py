"""One database for a module of tests, and a connection whose writes are undone after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fairstack_server.db.connections import Connection, Pool
from fairstack_server.db.dsn import Dsn
from fairstack_server.db.pool import open_pool


class Undone(Exception):
    """Raised at the end of a test to undo what it wrote."""


@pytest.fixture(scope="module")
async def pool(module_database: Dsn) -> AsyncIterator[Pool]:
    """A pool on the module's database; what tests commit is told apart by their own accounts."""
    opened = await open_pool(module_database, 8)
    yield opened
    opened.terminate()


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Connection]:
    """A connection whose writes vanish at the end of the test."""
    async with pool.acquire() as connection:
        try:
            async with connection.transaction():
                yield connection
                raise Undone
        except Undone:
            pass
