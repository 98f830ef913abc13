"""What every test may use: a PostgreSQL for the whole run, a fresh migrated database for each test, a home.

The processes of one run (pytest-xdist) share one PostgreSQL: each starts it and each stops it, and whoever
comes first and goes last really does.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fairstack_server import cli
from fairstack_server.commands import run
from fairstack_server.db.connections import OwnConnection, Pool
from fairstack_server.db.dsn import Dsn
from fairstack_server.db.embedded import EmbeddedPostgres
from fairstack_server.db.migrate import migrate
from fairstack_server.db.pool import open_pool
from tests.access import redaction

TEMPLATE = "template_of_tests"
FOLDER = pytest.StashKey[Path]()
NewDatabase = Callable[[], Awaitable[Dsn]]


def make_folder() -> Path:
    """A folder that other accounts may pass through, so that root's PostgreSQL keeps its data in it."""
    folder = Path(tempfile.mkdtemp(prefix="fairstack-test-"))
    folder.chmod(0o711)
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """The first process of a run makes the folder of its PostgreSQL; the others are told."""
    told = getattr(config, "workerinput", {}).get("postgres_folder")
    config.stash[FOLDER] = Path(told) if told else make_folder()
    config.pluginmanager.register(redaction, "redaction")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where PostgreSQL is."""
    node.workerinput["postgres_folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The first process outlives the others, and clears up."""
    if not hasattr(config, "workerinput") and FOLDER in config.stash:
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
async def postgres(pytestconfig: pytest.Config) -> AsyncIterator[EmbeddedPostgres]:
    """A running PostgreSQL, the same for the whole run. Tests that kill one start their own."""
    server = EmbeddedPostgres(pytestconfig.stash[FOLDER])
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
async def admin(postgres: EmbeddedPostgres) -> AsyncIterator[OwnConnection]:
    """A superuser's connection, with the migrated template database there to copy from."""
    connection = await asyncpg.connect(postgres.admin_dsn.url)
    await connection.execute("SELECT pg_advisory_lock(1)")
    if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", TEMPLATE):
        await connection.execute("ALTER SYSTEM SET fsync = off")  # nothing here outlives the run
        await connection.execute("SELECT pg_reload_conf()")
        await make_template(connection, await postgres.start())
    await connection.execute("SELECT pg_advisory_unlock(1)")
    yield connection
    await connection.close()


async def make_template(admin: OwnConnection, dsn: Dsn) -> None:
    """Make the migrated database under another name and give it its own when it is whole."""
    from fairstack_server.jobs.queue import QUEUE_SCHEMA, install_queue_schema

    await admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}_new")
    await admin.execute(f"CREATE DATABASE {TEMPLATE}_new OWNER fairstack")
    await migrate(dsn.with_database(f"{TEMPLATE}_new"), extra_steps=[(QUEUE_SCHEMA, install_queue_schema)])
    await admin.execute(f"ALTER DATABASE {TEMPLATE}_new RENAME TO {TEMPLATE}")


@asynccontextmanager
async def copied_database(admin: OwnConnection, postgres: EmbeddedPostgres) -> AsyncIterator[Dsn]:
    """A copy of the template for the block, dropped at its end whoever is still connected."""
    name = f"test_{secrets.token_hex(6)}"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER fairstack")
    dsn = (await postgres.start()).with_database(name)
    try:
        yield dsn
        await redaction.check_database(dsn)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(admin: OwnConnection, postgres: EmbeddedPostgres) -> AsyncIterator[Dsn]:
    """A fresh migrated database of this test's own (about 0.1 s)."""
    async with copied_database(admin, postgres) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def module_database(admin: OwnConnection, postgres: EmbeddedPostgres) -> AsyncIterator[Dsn]:
    """A migrated database that the tests of one module share."""
    async with copied_database(admin, postgres) as dsn:
        yield dsn


@pytest.fixture
async def pool(database: Dsn) -> AsyncIterator[Pool]:
    """A pool on this test's own database."""
    opened = await open_pool(database, 5)
    yield opened
    opened.terminate()


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty data folder for a server of the test's own (`tmp_path` is closed to other accounts)."""
    folder = make_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session", autouse=True)
def commands_leave_logging_alone() -> Iterator[None]:
    """A command in this process would bind all later logs to its own output, which is closed by then."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (cli, run):
            patch.setattr(module, "configure_logging", lambda *_: None)
        yield
