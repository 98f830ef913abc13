"""Bring a schema up to date: numbered SQL files, each applied once, in order, whole or not at all."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import asyncpg
import structlog

from .connections import OwnConnection
from .dsn import DatabaseError, Dsn
from .pool import open_connection

log = structlog.get_logger(__name__)

LOCK_KEY = 0x6661_6972_7374_6163
"""Of the advisory lock that lets one process migrate at a time ("fairstac")."""
FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name        text PRIMARY KEY,
    sha256      text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)
"""

ExtraStep = tuple[str, Callable[[OwnConnection], Awaitable[None]]]
"""A name, and what installs something that brings its own SQL. It runs outside a transaction, once for each
name, and must be safe to repeat: a crash between its end and our record of it runs it again."""


class MigrationError(DatabaseError):
    """The schema and this program do not fit; nothing was changed by the step that is named."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """What the file is known by once it was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Traversable | None = None) -> list[Migration]:
    """The SQL files of `folder` (our own package data by default), in order of their numbers.

    Raises MigrationError for a name that is not `NNNN_name.sql` and for a number that is missing or double.
    """
    folder = folder or resources.files(__package__) / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    for position, file in enumerate(files, start=1):
        matched = FILE_NAME.fullmatch(file.name)
        if matched is None or int(matched[1]) != position:
            raise MigrationError(
                f"Migration {file.name} should be named {position:04}_<what_it_does>.sql: "
                "numbers count up from 0001 without a gap."
            )
    return [Migration(file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in files]


async def migrate(
    dsn: Dsn,
    *,
    migrations: Sequence[Migration] | None = None,
    extra_steps: Sequence[ExtraStep] = (),
    wait_seconds: float = 30.0,
) -> list[str]:
    """Apply what is missing, then the extra steps that are new; the names of what was done.

    Several processes may do so at once: one works, the others wait and find nothing left. Raises
    MigrationError when an applied migration was changed since, is not known here, or fails.
    """
    wanted = read_migrations() if migrations is None else migrations
    connection = await open_connection(dsn, application="fairstack migrate", wait_seconds=wait_seconds)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        await connection.execute(TABLE)
        rows = await connection.fetch("SELECT name, sha256 FROM schema_migrations")
        applied = {row["name"]: row["sha256"] for row in rows}
        _check_history(wanted, applied)
        done = [await _apply(connection, migration) for migration in wanted if migration.name not in applied]
        for name, install in extra_steps:
            if _step_name(name) not in applied:
                done.append(await _install(connection, name, install))
        return done
    finally:
        await connection.close()  # and with it the lock


def _check_history(wanted: Sequence[Migration], applied: Mapping[str, str]) -> None:
    known = {migration.name: migration.sha256 for migration in wanted}
    for name in sorted(name for name in applied if not name.startswith("step:")):
        if name not in known:
            raise MigrationError(
                f"The database has migration {name}, which this FairStack does not know: "
                "a newer version has used it. Run that version, or a copy of the database from before."
            )
        if applied[name] != known[name]:
            raise MigrationError(
                f"Migration {name} was applied and has been changed since. "
                "Restore the file as it was, and put the change into a new migration."
            )
    missing = [migration.name for migration in wanted if migration.name not in applied]
    later = [migration.name for migration in wanted if migration.name in applied]
    if missing and later and missing[0] < later[-1]:
        raise MigrationError(
            f"Migration {missing[0]} is missing in the database, though {later[-1]} was applied after it. "
            "Give it a number after the last one."
        )


async def _apply(connection: OwnConnection, migration: Migration) -> str:
    started = time.monotonic()
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await _record(connection, migration.name, migration.sha256)
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"Migration {migration.name} failed and was undone: {error}{_place(error, migration.sql)}"
        ) from error
    log.info("database.migrated", migration=migration.name, seconds=round(time.monotonic() - started, 3))
    return migration.name


async def _install(
    connection: OwnConnection,
    name: str,
    install: Callable[[OwnConnection], Awaitable[None]],
) -> str:
    try:
        await install(connection)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"Installing {name} into the database failed: {error}") from error
    await _record(connection, _step_name(name), "")
    log.info("database.installed", step=name)
    return name


def _step_name(name: str) -> str:
    return f"step:{name}"


async def _record(connection: OwnConnection, name: str, sha256: str) -> None:
    await connection.execute("INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, sha256)


def _place(error: asyncpg.PostgresError, sql: str) -> str:
    """Where in the file, where PostgreSQL says it."""
    position = str(getattr(error, "position", None) or "")
    return f" (line {sql.count(chr(10), 0, int(position)) + 1})" if position.isdigit() else ""
