"""Brings clips and sounds of requests in: streamed to disk, told by their first bytes, measured confined."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fairstack_server.egress import Egress, EgressError, Purpose
from fairstack_server.ids import random_base62
from fairstack_server.leftovers import HOUR, Leftovers
from fairstack_server.media.data_url import BadDataUrl, is_data_url, read_data_url
from fairstack_server.media.prober import RecordingProber
from fairstack_server.media.recordings import Recording, RecordingKind, RecordingRefused
from fairstack_server.media.sniff import ClipType, SoundType, agrees, looks_like, recording_type

_HEAD_BYTES = 16
_BLANK_BYTES = 1024 * 1024
_PREFIX = "recording-"
_WANTED = {"clip": "an MP4 or MOV", "sound": "a WAV, MP3, M4A, AAC, FLAC or Ogg file"}


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """What is taken of a request's clips and sounds."""

    max_bytes: int = 200 * 1024 * 1024
    timeout_seconds: float = 45.0


@dataclass(frozen=True, slots=True)
class FetchedRecording:
    """A measured clip or sound in a file of ours, gone when the block that fetched it ends."""

    path: Path
    bytes: int
    sha256: str
    facts: Recording


@dataclass(frozen=True, slots=True)
class _Saved:
    content_type: ClipType | SoundType
    bytes: int


class RecordingFetch:
    """Fetches clips and sounds with limits in bytes and seconds; nothing is decoded in this process."""

    def __init__(
        self, egress: Egress, prober: RecordingProber, folder: Path, limits: RecordingLimits
    ) -> None:
        self._egress = egress
        self._prober = prober
        self._folder = folder
        self._limits = limits

    @property
    def max_bytes(self) -> int:
        """The largest file that is taken."""
        return self._limits.max_bytes

    @property
    def leftovers(self) -> Leftovers:
        """What a killed server leaves: of large files, so it goes soon; no request lasts for an hour."""
        return Leftovers(self._folder, f"{_PREFIX}*", HOUR)

    @contextlib.asynccontextmanager
    async def fetched(self, source: str, kind: RecordingKind) -> AsyncIterator[FetchedRecording]:
        """The clip or sound behind an https URL or in a `data:` URL, for the block.

        Raises RecordingRefused; its reason may be shown to the user, for a URL it says nothing of what was
        found.
        """
        async with self._new_file() as path:
            async with self._from_outside(source) as (content, declared):
                saved = await self._save(content, path, declared, kind)
            yield await self._measured(path, saved, kind)

    @contextlib.asynccontextmanager
    async def taken(
        self, content: AsyncIterable[bytes], declared: str, kind: RecordingKind
    ) -> AsyncIterator[FetchedRecording]:
        """The clip or sound in these bytes, which came with a declared media type, for the block.

        Raises RecordingRefused, and what reading `content` raises.
        """
        async with self._new_file() as path:
            saved = await self._save(content, path, declared, kind)
            yield await self._measured(path, saved, kind)

    @contextlib.asynccontextmanager
    async def _new_file(self) -> AsyncIterator[Path]:
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        path = (self._folder / f"{_PREFIX}{random_base62(16)}").absolute()
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def _measured(self, path: Path, saved: _Saved, kind: RecordingKind) -> FetchedRecording:
        facts = await self._prober.measure(path, kind, saved.content_type)
        sha256 = await asyncio.to_thread(_finish, path, facts)
        return FetchedRecording(path, saved.bytes, sha256, facts)

    @contextlib.asynccontextmanager
    async def _from_outside(self, source: str) -> AsyncIterator[tuple[AsyncIterable[bytes], str]]:
        if is_data_url(source):
            try:
                data, declared = read_data_url(source, self._limits.max_bytes)
            except BadDataUrl as error:
                raise RecordingRefused(str(error)) from error
            yield one_piece(data), declared
            return
        try:
            async with self._egress.get(
                source,
                purpose=Purpose.IMAGE,
                max_bytes=self._limits.max_bytes,
                timeout_seconds=self._limits.timeout_seconds,
            ) as transfer:
                if transfer.status != 200:
                    raise self._not_fetched()
                yield transfer.chunks(), transfer.content_type
        except EgressError as error:
            raise self._not_fetched() from error

    async def _save(
        self, content: AsyncIterable[bytes], path: Path, declared: str, kind: RecordingKind
    ) -> _Saved:
        """Write the bytes to a new file, and stop at the first ones when they are of the wrong kind."""
        actual: ClipType | SoundType | None = None
        head, size = b"", 0
        with await asyncio.to_thread(path.open, "xb") as file:
            async for chunk in content:
                size += len(chunk)
                if size > self._limits.max_bytes:
                    raise RecordingRefused(f"it is larger than {self._limits.max_bytes} bytes")
                if len(head) < _HEAD_BYTES:
                    head += chunk[:_HEAD_BYTES]
                    actual = None if len(head) < _HEAD_BYTES else _type_of(head, declared, kind)
                await asyncio.to_thread(file.write, chunk)
        return _Saved(actual or _type_of(head, declared, kind), size)

    def _not_fetched(self) -> RecordingRefused:
        # One answer for whatever happened on the way, so that nobody can learn about a network from it.
        return RecordingRefused(
            "the URL could not be fetched; use a public https URL that answers 200 with the file itself, of "
            f"at most {self._limits.max_bytes} bytes, within {self._limits.timeout_seconds:g} s"
        )


async def one_piece(data: bytes) -> AsyncIterator[bytes]:
    """Bytes that are in memory, as content that is read."""
    yield data


def _finish(path: Path, facts: Recording) -> str:
    """Blank what tells of the owner, in place, so that every offset in the file stays right; its SHA-256."""
    with path.open("r+b") as file:
        for letters, body, end in facts.private:
            file.seek(letters)
            file.write(b"free")
            file.seek(body)
            for start in range(body, end, _BLANK_BYTES):
                file.write(bytes(min(_BLANK_BYTES, end - start)))
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _type_of(head: bytes, declared: str, kind: RecordingKind) -> ClipType | SoundType:
    actual = recording_type(head)
    # An MP4 of nothing but sound is told from a clip by its tracks, which the prober sees.
    boxed = actual in ("video/mp4", "video/quicktime")
    if actual is None or (kind == "clip" and not boxed):
        found = looks_like(head) if actual is None else actual
        raise RecordingRefused(f"it is {found}; send {_WANTED[kind]}")
    if not agrees(declared, actual):
        raise RecordingRefused(f"it is declared as another type than the {actual} that it is")
    return actual
