"""A connection in a transaction that is undone after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fairstack_server.db.connections import Connection, Pool


class Undone(Exception):
    """Raised at the end of a test to undo what it wrote."""


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Connection]:
    """A connection whose writes vanish at the end of the test."""
    async with pool.acquire() as session:
        try:
            async with session.transaction():
                yield session
                raise Undone
        except Undone:
            pass
