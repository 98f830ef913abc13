"""One embedded database cluster: its place on disk, its passwords, its configuration.

<home>/postgres/          locks and `cluster.json` (0600: where the data is, and the passwords)
<folder>/                 <home>/postgres itself; for root, where another account cannot reach it,
                          /var/lib/fairstack/<hash of home>-<random>
    data/  run/           PostgreSQL's own: the data; the socket and the log of the last start
    postgresql.conf  pg_hba.conf    ours, written at every start
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from .dsn import DatabaseError, Dsn
from .postgres_programs import MAJOR_VERSION, Account, can_reach

ADMIN_ROLE = "postgres"
ROLE = "fairstack"
DATABASE = "fairstack"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 103
"""The shortest limit among the systems we run on (macOS; Linux takes 107)."""
SHORT_FOLDERS = Path("/tmp")  # noqa: S108 - the folder made in it is 0700, and its owner is checked

CONFIGURATION = """\
# Written by FairStack at every start: changes made here are lost.
listen_addresses = ''
unix_socket_directories = '"{socket_folder}"'
unix_socket_permissions = 0700
hba_file = '{hba_file}'
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = '64MB'
huge_pages = off
jit = off
io_method = 'sync'
max_parallel_workers_per_gather = 0
fsync = on
synchronous_commit = on
wal_level = 'minimal'
max_wal_senders = 0
max_wal_size = '512MB'
timezone = 'UTC'
datestyle = 'iso, mdy'
update_process_title = off
# A statement, its values and the rows that it met stay out of the log: prompts are among them.
log_error_verbosity = 'terse'
log_min_error_statement = 'panic'
log_min_messages = 'warning'
log_checkpoints = off
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
# One file for each day of the week, begun anew a week later.
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_rotation_age = '1d'
log_rotation_size = 0
log_truncate_on_rotation = on
"""
ACCESS = "# Written by FairStack at every start.\nlocal all all scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The place and the passwords of one cluster; the passwords stay out of its repr."""

    home: Path
    folder: Path
    account: Account | None
    password: str = field(repr=False)
    admin_password: str = field(repr=False)

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder; it exists once the cluster was made whole."""
        return self.folder / "data"

    @property
    def run(self) -> Path:
        """The folder of the socket and of the log of the last start."""
        return self.folder / "run"

    @property
    def start_log(self) -> Path:
        """What PostgreSQL printed before its own log was open."""
        return self.run / "start.log"

    @property
    def configuration(self) -> Path:
        """The settings that PostgreSQL is started with."""
        return self.folder / "postgresql.conf"

    @property
    def socket_folder(self) -> Path:
        """The folder of the Unix socket: `run`, or a short one where that path would be too long."""
        if len(os.fsencode(self.run / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
            return self.run
        owner = self.account.uid if self.account else os.geteuid()
        return SHORT_FOLDERS / f"fairstack-{owner}-{hash_of(self.folder)}"

    @property
    def dsn(self) -> Dsn:
        """How the server opens its database, as a role that owns it and is no superuser."""
        return Dsn.on_socket(self.socket_folder, user=ROLE, password=self.password, database=DATABASE)

    @property
    def admin_dsn(self) -> Dsn:
        """How the cluster itself is looked after."""
        return Dsn.on_socket(
            self.socket_folder, user=ADMIN_ROLE, password=self.admin_password, database="postgres"
        )

    def postmaster(self) -> int | None:
        """The process id of the cluster's live postmaster; None when it does not run."""
        try:
            pid = int(read_text(self.data / "postmaster.pid").split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if _is_postmaster(pid, self.data) else None

    def log_tail(self, *, lines: int = 15) -> str:
        """The last lines of what PostgreSQL wrote, of its start and of its log."""
        logs = sorted((self.data / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)[-1:]
        kept: list[str] = []
        for path in (*logs, self.start_log):
            with contextlib.suppress(OSError):
                kept += read_text(path).splitlines()[-lines:]
        return "\n".join(kept)


def hash_of(path: Path) -> str:
    """Twelve hex digits that stand for a path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def read_text(path: Path) -> str:
    """The text of a plain file that another account may own; a link is not followed. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), errors="replace") as file:
        return file.read(1 << 20)


def _is_postmaster(pid: int, data: Path) -> bool:
    """Whether this process is this data folder's postmaster, not one that got a dead one's number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        return _is_alive(pid)
    except OSError:
        return _is_alive(pid)
    return command[0].endswith(b"postgres") and os.fsencode(data) in command


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def open_cluster(home: Path, account: Account | None, system_folder: Path) -> Cluster:
    """The cluster of this home: the one recorded there, else a new one, recorded before it is made."""
    identity = home / "postgres" / "cluster.json"
    try:
        recorded = json.loads(identity.read_text())
        folder, password, admin = (recorded[key] for key in ("folder", "password", "admin_password"))
    except FileNotFoundError:
        return _record_new_cluster(home, identity, account, system_folder)
    except (ValueError, KeyError, TypeError) as error:
        raise DatabaseError(
            f"{identity} cannot be read. It holds the passwords of the database: restore it from a backup, "
            "or use another FAIRSTACK_HOME."
        ) from error
    cluster = Cluster(home, Path(folder) if folder else identity.parent, account, password, admin)
    _check_version(cluster)
    return cluster


def _record_new_cluster(home: Path, identity: Path, account: Account | None, system_folder: Path) -> Cluster:
    if (identity.parent / "data").exists():
        raise DatabaseError(
            f"{identity.parent / 'data'} holds a database, but {identity} with its passwords is missing. "
            "Restore that file from a backup, or use another FAIRSTACK_HOME."
        )
    folder = _choose_folder(home, account, system_folder)
    # Relative, so that a home can be moved.
    recorded = {
        "folder": "" if folder == identity.parent else str(folder),
        "password": secrets.token_urlsafe(32),
        "admin_password": secrets.token_urlsafe(32),
    }
    write_file(identity, json.dumps(recorded) + "\n", 0o600)
    return Cluster(home, folder, account, recorded["password"], recorded["admin_password"])


def _choose_folder(home: Path, account: Account | None, system_folder: Path) -> Path:
    inside = home / "postgres"
    if account is None or can_reach(inside, account):
        return inside
    # The random part: a home that was wiped begins anew and never meets its old data without its password.
    return system_folder / f"{hash_of(home)}-{secrets.token_hex(4)}"


def _check_version(cluster: Cluster) -> None:
    try:
        version = read_text(cluster.data / "PG_VERSION").strip()
    except OSError:
        return
    if version != MAJOR_VERSION:
        raise DatabaseError(
            f"{cluster.data} was written by PostgreSQL {version}; this FairStack carries {MAJOR_VERSION}. "
            "Start the FairStack that wrote it, save the data by pg_dump, load it into a new FAIRSTACK_HOME."
        )


def write_file(path: Path, text: str, mode: int) -> None:
    """Write a file of ours whole or not at all, durable before it gets its name."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w") as file:
        os.fchmod(fd, mode)
        file.write(text)
        file.flush()
        os.fsync(fd)
    temporary.replace(path)


def prepare_folders(cluster: Cluster, system_folder: Path) -> None:
    """Make the cluster's folders and write its configuration; safe to repeat."""
    if cluster.account and system_folder in cluster.folder.parents:
        make_system_folder(system_folder)
    cluster.folder.mkdir(mode=0o711 if cluster.account else 0o700, exist_ok=True)
    make_private(cluster.run, cluster.account)
    if cluster.socket_folder != cluster.run:
        make_private(cluster.socket_folder, cluster.account)
    mode = 0o644 if cluster.account else 0o600
    hba_file = cluster.folder / "pg_hba.conf"
    write_file(hba_file, ACCESS, mode)
    text = CONFIGURATION.format(
        socket_folder=_quoted(cluster.socket_folder).replace('"', '""'), hba_file=_quoted(hba_file)
    )
    write_file(cluster.configuration, text, mode)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "''")


def make_system_folder(folder: Path) -> None:
    """The folder for what another account must reach: root's own, writable by nobody else."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise DatabaseError(
            f"{folder} must be a folder that belongs to root and that nobody else can write. "
            f"Mend it: chown root {folder} && chmod go-w {folder}"
        )


def make_private(folder: Path, account: Account | None) -> None:
    """A 0700 folder of the account (of ourselves for None); refuses one that is a link or somebody else's."""
    owner = account.uid if account else os.geteuid()
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    facts = folder.lstat()
    if account and facts.st_uid == os.geteuid() and stat.S_ISDIR(facts.st_mode):
        # A start that was killed between the two lines above left it ours.
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
        facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != owner:
        raise DatabaseError(f"{folder} belongs to somebody else or is no folder; remove it and start again.")
    if facts.st_mode & 0o077:
        folder.chmod(0o700)
