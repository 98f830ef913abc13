from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fairstack_server.db.connections import OwnConnection
from fairstack_server.db.dsn import Dsn
from fairstack_server.db.migrate import Migration, MigrationError, migrate, read_migrations
from fairstack_server.db.pool import open_connection

ONE = Migration("0001_one", "CREATE TABLE one (x int); INSERT INTO one VALUES (1);")
TWO = Migration("0002_two", "ALTER TABLE one ADD COLUMN y int;")
BAD = Migration("0002_bad", "INSERT INTO one VALUES (2);\n\nSELECT nonsense;")


@pytest.fixture
async def empty(database: Dsn) -> Dsn:
    """A database without any table."""
    connection = await open_connection(database)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    return database


async def count_of_one(dsn: Dsn) -> int:
    """Rows of the table that the first migration makes."""
    connection = await open_connection(dsn)
    count: int = await connection.fetchval("SELECT count(*) FROM one")
    await connection.close()
    return count


async def test_each_migration_is_applied_once(empty: Dsn) -> None:
    """A second start finds nothing to do, a new file is applied alone."""
    assert await migrate(empty, migrations=[ONE]) == ["0001_one"]
    assert await migrate(empty, migrations=[ONE]) == []
    assert await migrate(empty, migrations=[ONE, TWO]) == ["0002_two"]


async def test_concurrent_starts_apply_each_migration_once(empty: Dsn) -> None:
    """Of several processes that start together one migrates, and the others find it done."""
    done = await asyncio.gather(*(migrate(empty, migrations=[ONE, TWO]) for _ in range(5)))
    assert sorted(done) == [[], [], [], [], ["0001_one", "0002_two"]]
    assert await count_of_one(empty) == 1


async def test_a_failed_migration_is_undone_whole(empty: Dsn) -> None:
    """A file that fails half way leaves nothing, and its error names the file and the line."""
    with pytest.raises(MigrationError, match=r"0002_bad failed and was undone: .*nonsense.*\(line 3\)"):
        await migrate(empty, migrations=[ONE, BAD])
    assert await count_of_one(empty) == 1
    assert await migrate(empty, migrations=[ONE, TWO]) == ["0002_two"]


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ([ONE, Migration("0002_two", TWO.sql + " ")], "0002_two was applied and has been changed since"),
        ([ONE], "has migration 0002_two, which this FairStack does not know"),
        ([ONE, Migration("0001_other", "SELECT 1"), TWO], "0001_other is missing in the database"),
    ],
)
async def test_history_is_not_rewritten(empty: Dsn, now: list[Migration], message: str) -> None:
    """A changed, lost or squeezed-in migration stops the start before anything is touched."""
    await migrate(empty, migrations=[ONE, TWO])
    with pytest.raises(MigrationError, match=message):
        await migrate(empty, migrations=now)


async def test_an_extra_step_is_installed_once(empty: Dsn) -> None:
    """A step runs after the files, once for its name; one that failed runs again at the next start."""
    calls = []

    async def install(connection: OwnConnection) -> None:
        calls.append(await connection.fetchval("SELECT count(*) FROM one"))
        await connection.execute("CREATE TABLE IF NOT EXISTS extra (x int)")
        if len(calls) == 1:
            await connection.execute("SELECT nonsense")

    with pytest.raises(MigrationError, match=r"Installing extra .* into the database failed"):
        await migrate(empty, migrations=[ONE], extra_steps=[("extra 1.0", install)])
    assert await migrate(empty, migrations=[ONE], extra_steps=[("extra 1.0", install)]) == ["extra 1.0"]
    assert await migrate(empty, migrations=[ONE], extra_steps=[("extra 1.0", install)]) == []
    assert await migrate(empty, migrations=[ONE], extra_steps=[("extra 1.1", install)]) == ["extra 1.1"]
    assert calls == [1, 1, 1]


@pytest.mark.parametrize("names", [["0002_gap.sql"], ["0001_a.sql", "0001_b.sql"], ["0001-a.sql"], ["a.sql"]])
def test_names_of_files(tmp_path: Path, names: list[str]) -> None:
    """A gap, a double number or another form of name is refused by name."""
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=names[-1]):
        read_migrations(tmp_path)


async def test_our_own_migrations_are_applied_already(database: Dsn) -> None:
    """The package's own files are what the databases of these tests were made with."""
    assert read_migrations()[0].name.startswith("0001_")
    assert await migrate(database) == []
