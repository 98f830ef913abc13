"""What a killed server leaves half made, and who takes it away."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.egress import Egress
from fairstack_server.files import Files
from fairstack_server.jobs.keeping import clip_folder
from fairstack_server.leftovers import HOUR, Sweep
from fairstack_server.media.certificate import own_certificate
from fairstack_server.media.fetch import MediaFetch
from fairstack_server.media.fetch_recording import RecordingFetch, RecordingLimits
from fairstack_server.media.store import MediaStore
from fairstack_server.providers.part_file import PartFile
from fairstack_server.serve import leftovers_of
from fairstack_server.settings import Settings

NOBODY: Any = None
HEAD = b"\0\0\0\x18ftypisom\0\0\0\0isom"


class Killed(BaseException):
    """The process ends here."""


async def cut_off() -> AsyncIterator[bytes]:
    """The beginning of a clip, and then the kill."""
    yield HEAD
    raise Killed


class CutOff(Egress):
    """Every transfer ends in the kill."""

    @contextlib.asynccontextmanager
    async def get(self, url: str, **options: Any) -> AsyncIterator[Any]:
        """One of a clip."""
        yield SimpleNamespace(status=200, chunks=cut_off)


class Bucket:
    """A store elsewhere, read from when the kill comes."""

    def path_of(self, key: str) -> None:
        """It has no files here."""

    async def head(self, key: str) -> Any:
        """Some file."""
        return SimpleNamespace(bytes=100)

    def open_range(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The beginning of it."""
        return cut_off()


class Home:
    """A data folder and those who write to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.media = MediaStore(folder / "media", "https://media.example.com")
        incoming = clip_folder(folder)
        self.recordings = RecordingFetch(NOBODY, NOBODY, incoming, RecordingLimits())
        bucket: Any = Bucket()
        self.files = Files(NOBODY, bucket, NOBODY, self.recordings, folder / "work", 1000)
        gateway: Any = SimpleNamespace(
            settings=Settings(home=folder), media=self.media, files=self.files, clock=SystemClock()
        )
        self.sweep = Sweep(leftovers_of(gateway), SystemClock())

    def there(self) -> set[str]:
        """Every file, by its path in the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def age(self, hours: int) -> None:
        """Let nobody have written to any file for that long."""
        for path in self.folder.rglob("*"):
            os.utime(path, (time.time() - hours * HOUR,) * 2)

    async def be_killed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Die in the middle of each file that is made here."""
        with monkeypatch.context() as dying:
            dying.setattr(Path, "unlink", lambda path, missing_ok=False: None)
            dying.setattr(os, "link", self._die)
            with contextlib.suppress(Killed):
                own_certificate(self.folder / "c2pa")
            with contextlib.suppress(Killed):
                await self.media.put_bytes(b"x", kind="image", name="picture.png", content_type="image/png")
            with contextlib.suppress(Killed):
                async with self.recordings.taken(cut_off(), "video/mp4", "clip"):
                    pass
            with contextlib.suppress(Killed):
                await MediaFetch(CutOff(), NOBODY).fetch_clip("https://cdn/clip", clip_folder(self.folder))
            with contextlib.suppress(Killed):
                await self.files.input_file({"key": "file/a", "content_type": "video/mp4", "sha256": "ab"})
            (clip_folder(self.folder) / "signed.mp4").write_bytes(HEAD)
            part = PartFile("google", self.folder / "work" / "google" / "clip.mp4", 1000)
            part.write(HEAD)
            part.discard()

    @staticmethod
    def _die(source: object, target: object) -> None:
        raise Killed


async def test_what_a_killed_server_left_half_made_goes_by_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files cut off by a kill stay while they could be somebody's, and are gone days later; others stay."""
    home = Home(tmp_path)
    await home.media.put_bytes(b"y", kind="image", name="picture.png", content_type="image/png")
    kept = home.there()
    await home.be_killed(monkeypatch)
    left = home.there() - kept
    assert len(left) == 7, left
    home.sweep.clear()
    assert home.there() == kept | left
    home.age(hours=96)
    home.sweep.clear()
    assert home.there() == kept


def test_a_request_is_over_before_a_job(tmp_path: Path) -> None:
    """What came with a request goes after two hours, a job's clip not: it may wait to be signed or judged."""
    home = Home(tmp_path)
    incoming = clip_folder(tmp_path)
    incoming.mkdir(parents=True)
    for name in ("recording-1", "clip-1.mp4"):
        (incoming / name).write_bytes(HEAD)
    home.age(hours=2)
    home.sweep.clear()
    assert [path.name for path in incoming.iterdir()] == ["clip-1.mp4"]


async def test_a_copy_that_is_used_again_is_young(tmp_path: Path) -> None:
    """A copy of a bucket's file that an order has just asked for is not taken from under it."""
    home = Home(tmp_path)
    copy = tmp_path / "work" / "inputs" / "file-a"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(HEAD)
    home.age(hours=96)
    found = await home.files.input_file({"key": "file/a", "content_type": "video/mp4", "sha256": "ab"})
    home.sweep.clear()
    assert (found.path, copy.read_bytes()) == (str(copy), HEAD)
