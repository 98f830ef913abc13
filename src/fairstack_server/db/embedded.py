"""The embedded PostgreSQL: made once, attached to or recovered at every start, stopped by its last user.

Two kernel locks in `<home>/postgres` decide, and both end with their process, however it dies:
`control.lock`, held alone for the moment of a start or a stop, and `users.lock`, shared by everyone who uses
the database. Whoever gives up `users.lock` last stops PostgreSQL, so an operator's command neither stops the
database under a running server nor leaves one behind that it started itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import shlex
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import structlog

from .cluster import (
    ADMIN_ROLE,
    DATABASE,
    ROLE,
    Cluster,
    hash_of,
    make_private,
    make_system_folder,
    open_cluster,
    prepare_folders,
    write_file,
)
from .dsn import DatabaseError, Dsn
from .home_lock import FileLock
from .postgres_programs import ToolResult, account_to_step_down_to, find_installation, programs_for, run_tool

log = structlog.get_logger(__name__)

SYSTEM_FOLDER = Path("/var/lib/fairstack")
PROBE_SECONDS = 5.0
RETRY_SECONDS = 0.05
IMMEDIATE_STOP_SECONDS = 10.0
WAIT_AND_RETRY = ("pre-existing shared memory block", "already exists")
"""A start fails so while processes of a killed postmaster are still ending."""


class _Answer(enum.Enum):
    READY = enum.auto()
    BUSY = enum.auto()
    """It lives and is not to be had now: starting, recovering, shutting down."""
    LOCKED_OUT = enum.auto()
    """It lives, and our role or database is not there yet."""
    SILENT = enum.auto()


@dataclass(frozen=True, slots=True)
class PostgresStatus:
    """Whether PostgreSQL runs, as which process, with its data in which folder (None: never started)."""

    running: bool
    pid: int | None
    folder: Path | None


class EmbeddedPostgres:
    """PostgreSQL of one data folder, on a Unix socket that only its owner can reach.

    `start` and `stop` may be called by several processes at once and after any crash. Times in seconds.
    """

    def __init__(
        self,
        home: Path,
        *,
        system_folder: Path = SYSTEM_FOLDER,
        start_seconds: float = 60.0,
        stop_seconds: float = 30.0,
    ) -> None:
        self._home = home.absolute()
        self._folder = self._home / "postgres"
        self._system_folder = system_folder
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._users = FileLock(self._folder / "users.lock")
        self._programs: Path | None = None

    async def start(self) -> Dsn:
        """Have PostgreSQL run and be counted among its users. Safe to repeat: brings a dead one back.

        Raises DatabaseError with the end of PostgreSQL's log when it does not come up in time.
        """
        deadline = time.monotonic() + self._start_seconds
        with _explained(self._home):
            async with self._control(deadline):
                cluster = self._open()
                counted_before = self._users.held
                self._users.try_shared()  # nobody takes it alone without the control lock
                try:
                    await self._bring_up(cluster, deadline)
                except BaseException:
                    if not counted_before:
                        self._users.release()
                    raise
                return cluster.dsn

    async def stop(self) -> None:
        """Give up our use; the last user stops PostgreSQL. Safe to repeat, and without a start."""
        if not (self._folder / "cluster.json").exists():
            return
        with _explained(self._home):
            async with self._control(time.monotonic() + self._start_seconds + self._stop_seconds):
                self._users.release()
                if self._users.try_alone():
                    try:
                        await self._shut_down(self._open())
                    finally:
                        self._users.release()

    def status(self) -> PostgresStatus:
        """What is there now; starts and makes nothing."""
        if not (self._folder / "cluster.json").exists():
            return PostgresStatus(running=False, pid=None, folder=None)
        with _explained(self._home):
            cluster = self._open()
        pid = cluster.postmaster()
        return PostgresStatus(running=pid is not None, pid=pid, folder=cluster.folder)

    @property
    def admin_dsn(self) -> Dsn:
        """How the cluster itself is looked after: a superuser, for operators and tests, not the server."""
        return self._open().admin_dsn

    def _open(self) -> Cluster:
        return open_cluster(self._home, account_to_step_down_to(), self._system_folder)

    @contextlib.asynccontextmanager
    async def _control(self, deadline: float) -> AsyncIterator[None]:
        """Alone in starting and stopping this cluster. Raises DatabaseError at the deadline."""
        self._make_folder()
        lock = FileLock(self._folder / "control.lock")
        while not lock.try_alone():
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"Another process is still starting or stopping the database of {self._home}. "
                    "Wait for it or end it, then try again."
                )
            await asyncio.sleep(RETRY_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def _make_folder(self) -> None:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)

    async def _bring_up(self, cluster: Cluster, deadline: float) -> None:
        prepare_folders(cluster, self._system_folder)
        if not cluster.data.exists():
            await self._stop_leftovers(cluster)
            await self._create(cluster)
        while True:
            match await _ask(cluster.dsn):
                case _Answer.READY:
                    return
                case _Answer.LOCKED_OUT:
                    await _provision(cluster)
                case _Answer.SILENT if cluster.postmaster() is None:
                    await self._launch(cluster)
                case _Answer.SILENT | _Answer.BUSY:
                    await asyncio.sleep(RETRY_SECONDS)
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"PostgreSQL in {cluster.folder} is not ready after {self._start_seconds:g} seconds. "
                    f"The end of its log:\n{cluster.log_tail()}"
                )

    async def _create(self, cluster: Cluster) -> None:
        """Make the data folder; it gets its name when it is whole and on disk."""
        log.info("database.creating", folder=str(cluster.folder))
        new = cluster.folder / "data.new"
        if new.exists():
            shutil.rmtree(new)
        make_private(new, cluster.account)
        password_file = cluster.run / "password"
        write_file(password_file, cluster.admin_password, 0o600)
        try:
            if cluster.account:
                os.chown(password_file, cluster.account.uid, cluster.account.gid, follow_symlinks=False)
            made = await self._tool(
                cluster,
                "initdb",
                *("-D", str(new), "-U", ADMIN_ROLE, "--pwfile", str(password_file)),
                *("-A", "scram-sha-256", "-E", "UTF8"),
                # Built into PostgreSQL: no index changes its order when the system's C library changes.
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            )
        finally:
            password_file.unlink(missing_ok=True)
        if made.status != 0:
            raise DatabaseError(
                f"The database could not be made in {cluster.folder}. initdb says:\n{made.output}"
            )
        new.rename(cluster.data)

    async def _launch(self, cluster: Cluster) -> None:
        """Start the postmaster. Raises DatabaseError, unless waiting for a dead one's processes may help."""
        # Left by a postmaster that was killed; a process with its number may be anybody by now.
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)
        cluster.start_log.unlink(missing_ok=True)
        started = await self._tool(
            cluster,
            "pg_ctl",
            *("start", "-w", "-t", f"{self._start_seconds:.0f}", "-D", str(cluster.data)),
            *(
                "-l",
                str(cluster.start_log),
                "-o",
                f"-c config_file={shlex.quote(str(cluster.configuration))}",
            ),
        )
        if started.status == 0 or cluster.postmaster() is not None:
            return
        tail = cluster.log_tail()
        if any(words in tail for words in WAIT_AND_RETRY):
            await asyncio.sleep(RETRY_SECONDS)
            return
        raise DatabaseError(
            f"PostgreSQL in {cluster.folder} did not start. The end of its log:\n{tail or started.output}"
        )

    async def _shut_down(self, cluster: Cluster) -> None:
        """Stop the postmaster: in good order, else at once, and the next start recovers."""
        if cluster.postmaster() is None:
            return
        for mode, seconds in (("fast", self._stop_seconds), ("immediate", IMMEDIATE_STOP_SECONDS)):
            stopped = await self._tool(
                cluster, "pg_ctl", "stop", "-w", "-t", f"{seconds:.0f}", "-m", mode, "-D", str(cluster.data)
            )
            if stopped.status == 0 or cluster.postmaster() is None:
                return
            log.warning("database.stop_failed", mode=mode, folder=str(cluster.folder))
        raise DatabaseError(
            f"PostgreSQL (process {cluster.postmaster()}) in {cluster.folder} does not stop. "
            f"The end of its log:\n{cluster.log_tail()}"
        )

    async def _stop_leftovers(self, cluster: Cluster) -> None:
        """Stop what still runs for a home that was wiped; its data is left where it is."""
        if cluster.folder.parent != self._system_folder:
            return
        for folder in self._system_folder.glob(f"{hash_of(self._home)}-*"):
            if folder != cluster.folder:
                log.warning("database.left_behind", folder=str(folder), hint="data of an earlier, wiped home")
                await self._shut_down(replace(cluster, folder=folder))

    async def _tool(self, cluster: Cluster, name: str, *arguments: str) -> ToolResult:
        if self._programs is None:
            if cluster.account:
                make_system_folder(self._system_folder)
            self._programs = programs_for(cluster.account, find_installation(), self._system_folder)
        limit = max(self._start_seconds, self._stop_seconds) + IMMEDIATE_STOP_SECONDS
        return await run_tool(
            [str(self._programs / name), *arguments], cluster.account, timeout_seconds=limit
        )


async def _ask(dsn: Dsn) -> _Answer:
    try:
        connection = await asyncpg.connect(dsn.url, timeout=PROBE_SECONDS)
    except (asyncpg.CannotConnectNowError, TimeoutError):
        return _Answer.BUSY
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError):
        return _Answer.LOCKED_OUT
    except asyncpg.TooManyConnectionsError:
        return _Answer.READY
    except (OSError, asyncpg.PostgresConnectionError):
        return _Answer.SILENT
    await connection.close()
    return _Answer.READY


async def _provision(cluster: Cluster) -> None:
    """Make our role and our database, or mend what a killed first start left half made."""
    try:
        connection = await asyncpg.connect(cluster.admin_dsn.url, timeout=PROBE_SECONDS)
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise DatabaseError(
            f"The database in {cluster.folder} does not take the password in "
            f"{cluster.home / 'postgres' / 'cluster.json'}. Restore that file from a backup."
        ) from error
    try:
        known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", ROLE)
        await connection.execute(
            await connection.fetchval(
                f"SELECT format('{'ALTER' if known else 'CREATE'} ROLE {ROLE} LOGIN PASSWORD %L', $1::text)",
                cluster.password,
            )
        )
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
    finally:
        await connection.close()


@contextlib.contextmanager
def _explained(home: Path) -> Iterator[None]:
    """Say what to do when the files of a home cannot be used."""
    try:
        yield
    except PermissionError as error:
        raise DatabaseError(
            f"{error.filename or home} may not be used by this user ({error.strerror}). "
            "Run as the user who made it, or use another FAIRSTACK_HOME."
        ) from error
    except OSError as error:
        raise DatabaseError(f"{error.filename or home} cannot be used: {error.strerror or error}.") from error
