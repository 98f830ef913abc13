"""Uploaded files: pictures, clips and sounds of an account, and the copies that jobs keep of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast
from weakref import WeakValueDictionary

import asyncpg

from fairstack_server.accounts.store import Caller
from fairstack_server.db.connections import Pool
from fairstack_server.errors import NotFound, PayloadTooLarge, UnsupportedMediaType
from fairstack_server.ids import new_id, random_base62
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.leftovers import DAY, Leftovers
from fairstack_server.media.fetch import MediaFetch
from fairstack_server.media.fetch_recording import FetchedRecording, RecordingFetch, one_piece
from fairstack_server.media.pictures import CleanImage, ImageRefused
from fairstack_server.media.recordings import RecordingKind, RecordingRefused
from fairstack_server.media.sniff import recording_type
from fairstack_server.media.store import MediaStore, StoredFile
from fairstack_server.providers.base import InputFile

#: Requests of one account whose files are brought in at a time; the others wait for their turn.
ACCOUNT_FETCHES = 2
#: Copies of a bucket's files on this machine, in `work`; each is read right after it was asked for.
_COPIES = "inputs"
_COPIES_KEPT_SECONDS = DAY
_EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """An uploaded file."""

    id: str
    content_type: str
    bytes: int
    sha256: str
    url: str
    width: int | None
    height: int | None
    created_at: datetime


class Files:
    """Uploaded files of an account, in the mode of the caller's key."""

    def __init__(
        self,
        pool: Pool,
        media: MediaStore,
        fetch: MediaFetch,
        recordings: RecordingFetch,
        work_dir: Path,
        max_bytes: int,
    ) -> None:
        self._pool = pool
        self._media = media
        self._fetch = fetch
        self._recordings = recordings
        self._work_dir = work_dir
        self._max_bytes = max_bytes
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @property
    def leftovers(self) -> list[Leftovers]:
        """What a killed server leaves of files that came in, and copies for orders that are long over."""
        copies = Leftovers(self._work_dir / _COPIES, "*", _COPIES_KEPT_SECONDS)
        return [self._recordings.leftovers, copies]

    @contextlib.asynccontextmanager
    async def turn(self, caller: Caller) -> AsyncIterator[None]:
        """Whoever brings files in waits here, once, so that no account fills the disk or the decoder's queue.

        The decoder takes one picture after another, whose ever it is: a slow one holds up those behind it.
        """
        turns = self._turns.setdefault(caller.account_id, asyncio.Semaphore(ACCOUNT_FETCHES))
        async with turns:
            yield

    async def upload(self, caller: Caller, data: bytes, content_type: str) -> FileRecord:
        """Keep a clean copy of a picture, or a measured clip or sound as it is.

        Raises UnsupportedMediaType, PayloadTooLarge.
        """
        try:
            async with self.turn(caller):
                if recording_type(data) is not None:
                    stored = await self._keep_recording(data, content_type)
                else:
                    stored = await self._keep_picture(data, content_type)
        except (ImageRefused, RecordingRefused) as refused:
            raise UnsupportedMediaType(f"The file was refused: {refused}.") from refused
        row = await self._pool.fetchrow(
            """
            insert into files
                (id, account_id, mode, content_type, bytes, sha256, media_key, url, width, height)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning *
            """,
            new_id("file"),
            caller.account_id,
            caller.mode,
            stored["content_type"],
            stored["bytes"],
            stored["sha256"],
            stored["key"],
            stored["url"],
            stored["width"],
            stored["height"],
        )
        return _record(_there(row))

    async def get(self, caller: Caller, file_id: str) -> FileRecord:
        """A file of the caller's. Raises NotFound."""
        return _record(await self._row(caller, file_id))

    async def delete(self, caller: Caller, file_id: str) -> None:
        """Forget a file and its bytes; jobs that were accepted with it have their copy. Raises NotFound."""
        media_key = await self._pool.fetchval(
            """
            update files set deleted_at = now()
            where id = $1 and account_id = $2 and mode = $3 and deleted_at is null returning media_key
            """,
            file_id,
            caller.account_id,
            caller.mode,
        )
        if media_key is None:
            raise NotFound("There is no such file.")
        await self._media.delete(media_key)

    async def media_key(self, caller: Caller, file_id: str) -> str:
        """Where an uploaded file lies in the store. Raises NotFound."""
        return str((await self._row(caller, file_id))["media_key"])

    async def input_file(self, stored: JSONObject) -> InputFile:
        """The file that a job's `inputs` names, readable now."""
        key = str(stored["key"])
        path = self._media.path_of(key)
        if path is None:
            path = self._work_dir / _COPIES / key.replace("/", "-")
            if not await asyncio.to_thread(_is_used, path):
                await _write(path, self._media.open_range(key, 0, (await self._media.head(key)).bytes))
        return InputFile(
            content_type=str(stored["content_type"]),
            sha256=str(stored["sha256"]),
            path=str(path),
            url=cast(str | None, stored.get("public_url")),
        )

    async def _keep_picture(self, data: bytes, content_type: str) -> JSONObject:
        if len(data) > self._max_bytes:
            raise PayloadTooLarge(f"The file is larger than {self._max_bytes} bytes.")
        return await store_image(self._media, await self._fetch.clean_image(data, content_type))

    async def _keep_recording(self, data: bytes, content_type: str) -> JSONObject:
        kind: RecordingKind = "sound" if str(recording_type(data)).startswith("audio/") else "clip"
        async with self._recordings.taken(one_piece(data), content_type, kind) as recording:
            return await store_recording(self._media, recording)

    async def _row(self, caller: Caller, file_id: str) -> asyncpg.Record:
        row = await self._pool.fetchrow(
            "select * from files where id = $1 and account_id = $2 and mode = $3 and deleted_at is null",
            file_id,
            caller.account_id,
            caller.mode,
        )
        if row is None:
            raise NotFound("There is no such file.")
        return row


async def store_image(media: MediaStore, image: CleanImage) -> JSONObject:
    """Keep a clean picture under an unguessable key."""
    name = f"picture.{_EXTENSIONS[image.content_type]}"
    stored = await media.put_bytes(image.data, kind="image", name=name, content_type=image.content_type)
    return _described(stored, image.width, image.height)


async def store_recording(media: MediaStore, recording: FetchedRecording) -> JSONObject:
    """Keep a measured clip or sound under an unguessable key."""
    content_type = recording.facts.content_type
    name = f"{'sound' if content_type.startswith('audio/') else 'clip'}.{_EXTENSIONS[content_type]}"
    stored = await media.put_file(
        recording.path, recording.sha256, kind="file", name=name, content_type=content_type
    )
    return _described(stored, recording.facts.width, recording.facts.height)


def _described(stored: StoredFile, width: int | None, height: int | None) -> JSONObject:
    return {
        "key": stored.key,
        "url": stored.url,
        "bytes": stored.bytes,
        "sha256": stored.sha256,
        "content_type": stored.content_type,
        "width": width,
        "height": height,
    }


def _record(row: Mapping[str, object] | asyncpg.Record) -> FileRecord:
    return FileRecord(**{name: row[name] for name in FileRecord.__dataclass_fields__})  # type: ignore[arg-type]


def _there(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound("The account is gone.")
    return row


def _is_used(path: Path) -> bool:
    """Whether the copy is there; its age begins anew."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


async def _write(path: Path, content: AsyncIterable[bytes]) -> None:
    """Let the file appear whole."""
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{random_base62(8)}.part")
    try:
        with await asyncio.to_thread(draft.open, "xb") as file:
            async for chunk in content:
                await asyncio.to_thread(file.write, chunk)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
