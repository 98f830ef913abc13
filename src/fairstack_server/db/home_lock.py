"""Who may use a data folder now: kernel locks that end with their process, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .dsn import DatabaseError


class FileLock:
    """One `flock` on one file. The kernel drops it when the process dies, so it never goes stale."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock, shared or alone."""
        return self._fd is not None

    def try_alone(self) -> bool:
        """Take the lock for this holder alone; False at once when anybody else has it."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take the lock together with others; False at once when somebody has it alone."""
        return self._try(fcntl.LOCK_SH)

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def write(self, text: str) -> None:
        """Replace the file's text; only while held."""
        if self._fd is None:
            raise RuntimeError(f"{self.path} is written by the holder of its lock alone")
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    def _try(self, mode: int) -> bool:
        fd = (
            os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) if self._fd is None else self._fd
        )
        try:
            fcntl.flock(fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._fd is None:
                os.close(fd)
            return False
        self._fd = fd
        return True


@dataclass(frozen=True, slots=True)
class HomeHolder:
    """The server that runs on a data folder: its process and its base URL, None where not written yet."""

    pid: int | None
    url: str | None


class HomeInUse(DatabaseError):
    """Another server runs on this data folder; `holder` says which."""

    def __init__(self, home: Path, holder: HomeHolder | None) -> None:
        pid = f"process {holder.pid}" if holder and holder.pid else "another process"
        at = f" at {holder.url}" if holder and holder.url else ""
        super().__init__(
            f"A FairStack server already runs on {home} ({pid}{at}). "
            "Use that one, stop it, or give this one a folder and a port of its own: "
            "FAIRSTACK_HOME=… FAIRSTACK_PORT=…"
        )
        self.home = home
        self.holder = holder


class HomeLock:
    """One server per data folder. Operator commands do not take it: they may run beside the server."""

    PATIENCE_SECONDS = 0.5
    """A reader that looks who holds the lock blocks it for an instant; that is not a second server."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = FileLock(home / "server.lock")

    def take(self, url: str) -> HomeLock:
        """Become the server of this folder, reached at `url`. Raises HomeInUse when there is one already."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + self.PATIENCE_SECONDS
        while not self._lock.try_alone():
            if time.monotonic() > deadline:
                raise HomeInUse(self._home, read_holder(self._home))
            time.sleep(0.02)
        self._lock.write(json.dumps({"pid": os.getpid(), "url": url}))
        return self

    def release(self) -> None:
        """Let another server have the folder."""
        if self._lock.held:
            self._lock.write("")
        self._lock.release()

    def __enter__(self) -> HomeLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def read_holder(home: Path) -> HomeHolder | None:
    """The server that runs on this folder now, or None."""
    path = home / "server.lock"
    if not path.exists():
        return None
    probe = FileLock(path)
    if probe.try_shared():
        probe.release()
        return None
    written: object = None
    with contextlib.suppress(ValueError):
        written = json.loads(path.read_text())
    if not isinstance(written, dict):
        return HomeHolder(pid=None, url=None)
    pid, url = written.get("pid"), written.get("url")
    return HomeHolder(pid=pid if isinstance(pid, int) else None, url=url if isinstance(url, str) else None)
