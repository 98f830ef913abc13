"""Keeps clips, posters and input files, in a folder or in S3, Google or Azure storage; files never change.

Beside each file lies a small record (`.facts`) with its SHA-256 and type. It is written last: a file without
one was left by a crash, is served to nobody, and is finished by storing it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, ObjectStore, from_url

from fairstack_server.ids import random_base62
from fairstack_server.leftovers import DAY, Leftovers

TOKEN_CHARACTERS = 24  # 142 bits: a key that nobody guesses
Kind = Literal["video", "image", "file"]
_KEY = re.compile(r"(video|image|file)/[0-9A-Za-z]{22,64}/[a-z0-9][a-z0-9_-]{0,40}\.[a-z0-9]{2,5}")
_URL = re.compile(r"[a-z][a-z0-9+]*://")
_FACTS = ".facts"
_INCOMING = ".incoming-"
_CHUNK_BYTES = 1024 * 1024
_IMMUTABLE = "public, max-age=31536000, immutable"


class NotStored(LookupError):
    """There is no such file, or its key is none of ours."""


class AlreadyStored(Exception):
    """Another file is there under this key; files never change."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the store."""

    key: str
    """Path in the store, such as `video/<token>/output.mp4`."""
    url: str
    bytes: int
    sha256: str
    content_type: str


class MediaStore:
    """The one place where media is kept. `location` is a folder, or an s3://, gs:// or az:// URL.

    `base_url` is where `serve.py`, or a CDN in front of the bucket, gives the files out.
    """

    def __init__(self, location: str | Path, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._folder: Path | None = None
        self._objects: ObjectStore
        if isinstance(location, str) and _URL.match(location) and not location.startswith("file://"):
            self._objects = from_url(location)
        else:
            self._folder = Path(str(location).removeprefix("file://")).absolute()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._objects = LocalStore(self._folder)

    @property
    def leftovers(self) -> list[Leftovers]:
        """What a killed server leaves: files on their way in. Buckets take a file whole or not at all."""
        return [] if self._folder is None else [Leftovers(self._folder, f"{_INCOMING}*", DAY)]

    async def put_clip(self, path: Path, sha256: str, *, token: str | None = None) -> StoredFile:
        """Store a checked MP4 as `video/<token>/output.mp4`, durable when this returns.

        Repeating it with the same token and file is fine. Raises AlreadyStored for another file there.
        """
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        stored = self._describe("video", token, "output.mp4", size, sha256, "video/mp4")
        return await self._put(stored, path)

    async def put_file(
        self, path: Path, sha256: str, *, kind: Kind, name: str, content_type: str
    ) -> StoredFile:
        """Store an input that is too large for memory under a new key, durable when this returns."""
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        return await self._put(self._describe(kind, None, name, size, sha256, content_type), path)

    async def put_bytes(
        self, data: bytes, *, kind: Kind, name: str, content_type: str, token: str | None = None
    ) -> StoredFile:
        """Store a poster, an input image or an uploaded file, durable when this returns.

        A poster shares the token of its clip. Raises AlreadyStored, and ValueError for a name that is no key.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        return await self._put(self._describe(kind, token, name, len(data), sha256, content_type), data)

    async def head(self, key: str) -> StoredFile:
        """What is stored under a key. Raises NotStored."""
        if not _KEY.fullmatch(key):
            raise NotStored(key)
        try:
            found = await obstore.head_async(self._objects, key)
            record = await obstore.get_async(self._objects, key + _FACTS)
            facts = json.loads(bytes(await record.bytes_async()))
        except FileNotFoundError:
            raise NotStored(key) from None
        return StoredFile(key, self.url_of(key), found["size"], facts["sha256"], facts["content_type"])

    async def open_range(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces. Raises NotStored."""
        if not _KEY.fullmatch(key):
            raise NotStored(key)
        if start >= end:
            return
        try:
            found = await obstore.get_async(self._objects, key, options={"range": (start, end)})
        except FileNotFoundError:
            raise NotStored(key) from None
        async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
            yield bytes(chunk)

    async def read(self, key: str) -> bytes:
        """The whole file. Raises NotStored."""
        stored = await self.head(key)
        return b"".join([chunk async for chunk in self.open_range(key, 0, stored.bytes)])

    async def delete(self, key: str) -> None:
        """Remove a file for good; nothing happens when it is not there."""
        if not _KEY.fullmatch(key):
            return
        for name in (key, key + _FACTS):
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._objects, name)
        if self._folder is not None:
            # Other files of the same token may still be there.
            with contextlib.suppress(OSError):
                await asyncio.to_thread((self._folder / key).parent.rmdir)

    def url_of(self, key: str) -> str:
        """The public URL of a file."""
        return f"{self._base_url}/{key}"

    def key_of(self, url: str) -> str | None:
        """The key of one of our own media URLs; None for any other URL."""
        key = url.removeprefix(self._base_url + "/")
        return key if key != url and _KEY.fullmatch(key) else None

    def path_of(self, key: str) -> Path | None:
        """Where the file lies on this machine; None for a store elsewhere or a key that is none of ours."""
        return self._folder / key if self._folder is not None and _KEY.fullmatch(key) else None

    def _describe(
        self, kind: Kind, token: str | None, name: str, size: int, sha256: str, content_type: str
    ) -> StoredFile:
        key = f"{kind}/{token or random_base62(TOKEN_CHARACTERS)}/{name}"
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} cannot be a media key")
        return StoredFile(key, self.url_of(key), size, sha256, content_type)

    async def _put(self, stored: StoredFile, content: Path | bytes) -> StoredFile:
        facts = json.dumps({"sha256": stored.sha256, "content_type": stored.content_type}).encode()
        try:
            await self._create(stored.key, content, stored.content_type)
        except (FileExistsError, AlreadyExistsError):
            if await self._sha256_of(stored.key) != stored.sha256:
                raise AlreadyStored(f"another file is stored as {stored.key}") from None
        with contextlib.suppress(FileExistsError, AlreadyExistsError):
            await self._create(stored.key + _FACTS, facts, "application/json")
        return stored

    async def _create(self, name: str, content: Path | bytes, content_type: str) -> None:
        if self._folder is not None:
            await asyncio.to_thread(_write_once, self._folder, name, content)
            return
        attributes = {"Content-Type": content_type, "Cache-Control": _IMMUTABLE}
        await obstore.put_async(self._objects, name, content, attributes=attributes, mode="create")

    async def _sha256_of(self, key: str) -> str:
        digest = hashlib.sha256()
        found = await obstore.get_async(self._objects, key)
        async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


def _write_once(folder: Path, name: str, content: Path | bytes) -> None:
    """Write and flush, then let the file appear whole. Raises FileExistsError, and never replaces a file."""
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    incoming = folder / f"{_INCOMING}{random_base62(TOKEN_CHARACTERS)}"
    try:
        with incoming.open("xb") as out:
            if isinstance(content, Path):
                with content.open("rb") as source:
                    shutil.copyfileobj(source, out, _CHUNK_BYTES)
            else:
                out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.link(incoming, target)
    finally:
        incoming.unlink(missing_ok=True)
    # The entries of new folders are durable only when each parent has been flushed, too.
    for parent in (target.parent, target.parent.parent, folder):
        _flush_folder(parent)


def _flush_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
