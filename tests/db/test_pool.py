from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fairstack_server.db.connections import Pool
from fairstack_server.db.dsn import DatabaseError, Dsn
from fairstack_server.db.pool import open_connection, open_pool


async def test_jsonb_is_python_objects(pool: Pool) -> None:
    """What is written as an object into jsonb is read back as the same object."""
    value = {"text": "Grüße, 日本\"'", "list": [1, 2.5, None, True], "nested": {"": []}}
    assert await pool.fetchval("SELECT $1::jsonb", value) == value


async def test_nan_is_no_json(pool: Pool) -> None:
    """A NaN inside JSON is refused before it leaves for the database."""
    with pytest.raises(Exception, match="not JSON compliant"):
        await pool.fetchval("SELECT $1::jsonb", {"x": float("nan")})


async def test_times_are_utc(pool: Pool) -> None:
    """A time without a zone is a time in UTC."""
    noon = await pool.fetchval("SELECT '2026-01-01 12:00'::timestamptz")
    assert noon == datetime(2026, 1, 1, 12, tzinfo=UTC)


async def test_a_transaction_left_open_is_undone(pool: Pool) -> None:
    """A connection that comes back in the middle of a transaction carries nothing of it to its next user."""
    async with pool.acquire() as connection:
        await connection.execute("BEGIN; CREATE TABLE left_open (x int)")
    assert await pool.fetchval("SELECT to_regclass('left_open')") is None


async def test_unreachable_database_is_named(tmp_path: Path) -> None:
    """A database that never comes up ends in an error that names it and hides the password."""
    dsn = Dsn.on_socket(tmp_path, user="me", password="geheim", database="clips")
    with pytest.raises(DatabaseError, match=r"'clips' at .*could not be reached within 0") as raised:
        await open_pool(dsn, wait_seconds=0.2)
    assert "geheim" not in str(raised.value)
    assert "geheim" not in repr(dsn) + str(dsn)


async def test_a_wrong_password_is_an_error_at_once(database: Dsn) -> None:
    """A refusal is not waited out."""
    wrong = Dsn(database.url.replace("//fairstack:", "//fairstack:x"))
    with pytest.raises(DatabaseError, match="refuses us: password authentication failed"):
        await open_connection(wrong, wait_seconds=600)


def test_a_url_that_is_none_is_an_error_at_once() -> None:
    """The text of the setting is shown without what may be a password in it."""
    assert "geheim" not in str(Dsn("postgresql://me:geheim@db.example/clips"))
    assert str(Dsn("postgresql://me:geheim@db.example/clips")) == "PostgreSQL database 'clips' at db.example"
