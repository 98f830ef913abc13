"""Copy a finished clip to this machine; the flow behind `result.save(path)`."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fairstack.errors import BadArgument, DownloadFailed, FairStackError
from fairstack.flow import Broken, Flow, Reply, do, download, manners, sleep
from fairstack.retry import BACKOFF_BASE_SECONDS, BACKOFF_MAX_SECONDS
from fairstack.types import JobRecord


@dataclass(frozen=True, slots=True)
class SavedFile(os.PathLike[str]):
    """A file that was saved; usable wherever a path is."""

    path: Path
    bytes: int

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<SavedFile {self.path} {self.size}>"

    @property
    def size(self) -> str:
        """The size as people read it, such as 1.4 MB."""
        return display_bytes(self.bytes)


def display_bytes(count: int) -> str:
    """Bytes as people read them: 950 B, 12.3 kB, 1.4 MB, 2.0 GB."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"


class PartFile:
    """A file written beside its place and moved there when it is whole, so no half clip is ever found."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self.bytes = 0

    def begin(self) -> None:
        """Start anew, forgetting what was written."""
        self.discard()
        self._digest, self.bytes = hashlib.sha256(), 0
        self._file = self._part.open("wb")

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._file is None:
            raise ValueError("write before begin")
        self._file.write(chunk)
        self._digest.update(chunk)
        self.bytes += len(chunk)

    def sha256(self) -> str:
        """SHA-256 of what was written, in hex."""
        return self._digest.hexdigest()

    def commit(self) -> None:
        """Flush to the disk and move the file to its place, replacing what was there."""
        if self._file is None:
            raise ValueError("commit before begin")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        self._part.replace(self.path)

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._part.unlink(missing_ok=True)


def save(record: JobRecord, target: str | os.PathLike[str]) -> Flow[SavedFile]:
    """Copy the clip to `target`, or into it as `<id>.mp4` if it is a folder; checked, then put in place.

    A copy is tried again without any new render. Raises DownloadFailed, or BadArgument for a target that
    cannot be written.
    """
    url = record.url or ""
    if not url.startswith(("https://", "http://")):
        raise DownloadFailed(f"{record.id} has no address to save from: {url[:80]!r}", job_id=record.id)
    path = yield from do(lambda: _place(record.id, target))
    part = PartFile(path)
    try:
        yield from _fetch(record, url, part)
        yield from do(part.commit)
    except OSError as error:
        if isinstance(error, FairStackError):
            raise
        raise BadArgument(f"{path} cannot be written: {error.strerror or error}", param="path") from error
    finally:
        part.discard()
    return SavedFile(path, part.bytes)


def _place(job_id: str, target: str | os.PathLike[str]) -> Path:
    path = Path(target).expanduser()
    if path.is_dir() or str(target).endswith(os.sep):
        path /= f"{job_id}.mp4"
    if not path.parent.is_dir():
        raise BadArgument(f"The folder {str(path.parent)!r} does not exist", param="path")
    return path


def _fetch(record: JobRecord, url: str, part: PartFile) -> Flow[None]:
    ours = yield from manners()
    for attempt in range(ours.max_retries + 1):
        outcome = yield from download(url, part)
        problem, mends = _judge(record, outcome, part)
        if problem is None:
            return
        if not mends or attempt == ours.max_retries:
            break
        yield from sleep(ours.draw() * min(BACKOFF_MAX_SECONDS, BACKOFF_BASE_SECONDS * 2.0**attempt))
    raise DownloadFailed(
        f"The clip of {record.id} could not be copied: {problem}. It is still at {url}", job_id=record.id
    )


def _judge(record: JobRecord, outcome: Reply | Broken, part: PartFile) -> tuple[str | None, bool]:
    """What is wrong with this copy (None: nothing), and whether another try may mend it."""
    if isinstance(outcome, Broken):
        return outcome.reason, True
    if outcome.status != 200:
        return f"the media server answered {outcome.status}", outcome.status >= 500 or outcome.status in (
            408,
            429,
        )
    promised = record.metadata
    if promised and promised.bytes is not None and promised.bytes != part.bytes:
        return f"{part.bytes} bytes came of {promised.bytes}", True
    if promised and promised.sha256 and promised.sha256 != part.sha256():
        return "its checksum is not the one promised", True
    return None, False
