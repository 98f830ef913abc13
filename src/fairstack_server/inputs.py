"""Files that come with requests: fetched once, checked, re-encoded; after that only our copy is used."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import gcd
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import asyncpg
from PIL import Image, ImageDraw

from fairstack_server.accounts.store import Caller
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.catalog.settled import Settled
from fairstack_server.db.connections import Pool
from fairstack_server.egress import AddressRefused, Egress, judge_url
from fairstack_server.errors import BadRequest, NotFound, PayloadTooLarge, UnsupportedMediaType
from fairstack_server.ids import new_id
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.media.fetch import MediaFetch
from fairstack_server.media.pictures import CleanImage, ImageRefused
from fairstack_server.media.store import MediaStore, NotStored
from fairstack_server.providers.base import InputFile

_IMAGE_ROLES = ("image", "end_image")
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg"}
#: Hosts reserved for documentation (RFC 2606). With a test key they stand for a picture of ours, so that the
#: documentation's examples run as they stand.
_EXAMPLE_HOSTS = frozenset({"example.com", "example.org", "example.net"})


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
        self, pool: Pool, media: MediaStore, fetch: MediaFetch, work_dir: Path, max_bytes: int
    ) -> None:
        self._pool = pool
        self._media = media
        self._fetch = fetch
        self._work_dir = work_dir
        self._max_bytes = max_bytes

    async def upload(self, caller: Caller, data: bytes, content_type: str) -> FileRecord:
        """Keep a clean copy of a picture. Raises UnsupportedMediaType, PayloadTooLarge."""
        if len(data) > self._max_bytes:
            raise PayloadTooLarge(f"The file is larger than {self._max_bytes} bytes.")
        try:
            image = await self._fetch.clean_image(data, content_type)
        except ImageRefused as refused:
            raise UnsupportedMediaType(f"The file was refused: {refused}.") from refused
        stored = await store_image(self._media, image)
        row = await self._pool.fetchrow(
            """
            insert into files
                (id, account_id, mode, content_type, bytes, sha256, media_key, url, width, height)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning *
            """,
            new_id("file"),
            caller.account_id,
            caller.mode,
            image.content_type,
            stored["bytes"],
            stored["sha256"],
            stored["key"],
            stored["url"],
            image.width,
            image.height,
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

    async def picture(self, caller: Caller, file_id: str) -> bytes:
        """The bytes of an uploaded picture. Raises NotFound."""
        return await self._media.read((await self._row(caller, file_id))["media_key"])

    async def input_file(self, stored: JSONObject) -> InputFile:
        """The file that a job's `inputs` names, readable now."""
        key = str(stored["key"])
        path = self._media.path_of(key)
        if path is None:
            path = self._work_dir / "inputs" / key.replace("/", "-")
            if not path.exists():
                data = await self._media.read(key)
                await asyncio.to_thread(_write, path, data)
        return InputFile(
            content_type=str(stored["content_type"]),
            sha256=str(stored["sha256"]),
            path=str(path),
            url=cast(str | None, stored.get("public_url")),
        )

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


@dataclass(frozen=True, slots=True)
class Fetched:
    """Clean pictures of a request, in memory: (role, picture), in order."""

    pictures: tuple[tuple[str, CleanImage], ...]

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height of `image`, where the request has one."""
        for role, picture in self.pictures:
            if role == "image":
                return picture.width, picture.height
        return None


class Inputs:
    """Takes the files of a request in."""

    def __init__(
        self, files: Files, media: MediaStore, fetch: MediaFetch, *, max_bytes: int, public: bool
    ) -> None:
        self._files = files
        self._media = media
        self._fetch = fetch
        self._max_bytes = max_bytes
        self._public = public

    def check(self, ask: VideoAsk) -> None:
        """Raise BadRequest for an address that may not be fetched; fetches nothing."""
        for role, source in _sources(ask):
            if source[:5].lower() == "data:" or source.startswith("file_") or self._media.key_of(source):
                continue
            try:
                judge_url(source, https_only=True)
            except AddressRefused as refused:
                raise _refused(
                    role, "it must be an https URL of a public host, a data: URL or a file id"
                ) from refused

    async def fetch(self, caller: Caller, ask: VideoAsk) -> Fetched:
        """Clean copies of every picture of the request. Raises BadRequest `image_refused` with the field."""
        return Fetched(
            tuple([(role, await self._picture(caller, role, source)) for role, source in _sources(ask)])
        )

    async def keep(self, fetched: Fetched, settled: Settled) -> JSONObject:
        """Role -> stored file, brought to the asked ratio where the model's routes take none."""
        kept: JSONObject = {}
        try:
            for role, picture in fetched.pictures:
                stored = await self._keep_one(picture, _ratio(settled))
                if role == "images":
                    kept["images"] = [*cast(list[JSON], kept.get("images", [])), stored]
                else:
                    kept[role] = stored
        except BaseException:
            await self.drop(kept)
            raise
        return kept

    async def drop(self, inputs: JSONObject) -> None:
        """Forget files that were taken for a request which was then refused."""
        for stored in inputs.values():
            for each in stored if isinstance(stored, list) else [stored]:
                await self._media.delete(str(cast(JSONObject, each)["key"]))

    async def _keep_one(self, picture: CleanImage, ratio: tuple[int, int] | None) -> JSONObject:
        if ratio is not None:
            picture = await self._fetch.clean_image(picture.data, picture.content_type, crop_ratio=ratio)
        stored = await store_image(self._media, picture)
        return {**stored, "public_url": stored["url"] if self._public else None}

    async def _picture(self, caller: Caller, role: str, source: str) -> CleanImage:
        try:
            own = await self._own_bytes(caller, role, source)
            if own is not None:
                return await self._fetch.clean_image(own, "application/octet-stream")
            if caller.mode == "test" and urlsplit(source).hostname in _EXAMPLE_HOSTS:
                data = await asyncio.to_thread(example_picture)
                return await self._fetch.clean_image(data, "image/png")
            return await self._fetch.fetch_image(source)
        except ImageRefused as refused:
            raise _refused(role, str(refused)) from refused

    async def _own_bytes(self, caller: Caller, role: str, source: str) -> bytes | None:
        """Bytes of a file that lies in our store: named by its id or by our own media URL."""
        if source.startswith("file_"):
            try:
                return await self._files.picture(caller, source)
            except NotFound as missing:
                raise _refused(role, "there is no file of that id; upload it: POST /v1/files") from missing
        key = self._media.key_of(source)
        if key is None:
            return None
        try:
            # A clip of ours has such a URL too, and may be large: no picture is.
            if (await self._media.head(key)).bytes > self._max_bytes:
                raise _refused(role, f"it is larger than {self._max_bytes} bytes")
            return await self._media.read(key)
        except NotStored as missing:
            raise _refused(role, "there is no such file here") from missing


class WebhookGate:
    """Says whether a webhook URL may be called."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def judge(self, url: str) -> None:
        """Raise BadRequest `webhook_url_refused`; a name that does not resolve yet passes."""
        try:
            await self._egress.check_webhook(url)
        except AddressRefused as refused:
            raise BadRequest(
                "The webhook_url may not be called: it must be an http or https URL of a public host. "
                "For development receivers set FAIRSTACK_WEBHOOK_ALLOW=host:port.",
                code="webhook_url_refused",
                param="webhook_url",
            ) from refused


async def store_image(media: MediaStore, image: CleanImage) -> JSONObject:
    """Keep a clean picture under an unguessable key."""
    name = f"picture.{_EXTENSIONS[image.content_type]}"
    stored = await media.put_bytes(image.data, kind="image", name=name, content_type=image.content_type)
    return {
        "key": stored.key,
        "url": stored.url,
        "bytes": stored.bytes,
        "sha256": stored.sha256,
        "content_type": stored.content_type,
        "width": image.width,
        "height": image.height,
    }


def example_picture() -> bytes:
    """The picture behind documentation URLs in the sandbox: hills under a low sun."""
    picture = Image.new("RGB", (1280, 720))
    draw = ImageDraw.Draw(picture)
    for y in range(720):
        draw.line([(0, y), (1280, y)], fill=(250 - y // 6, 190 - y // 5, 150 - y // 12))
    draw.ellipse([780, 250, 940, 410], fill=(255, 236, 190))
    draw.polygon([(0, 720), (0, 520), (360, 400), (760, 560), (1280, 430), (1280, 720)], fill=(70, 80, 96))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _sources(ask: VideoAsk) -> list[tuple[str, str]]:
    found = [(role, source) for role in _IMAGE_ROLES if isinstance(source := getattr(ask, role), str)]
    if isinstance(ask.images, list | tuple):
        found += [("images", str(source)) for source in ask.images]
    return found


def _ratio(settled: Settled) -> tuple[int, int] | None:
    if not settled.reframe:
        return None
    if settled.width is None or settled.height is None:
        return _named_ratio(settled.aspect_ratio)
    common = gcd(settled.width, settled.height)
    return settled.width // common, settled.height // common


def _named_ratio(ratio: str | None) -> tuple[int, int] | None:
    """`16:9` as two numbers; None for a word such as `auto`."""
    across, _, down = (ratio or "").partition(":")
    return (int(across), int(down)) if across.isdecimal() and down.isdecimal() else None


def _refused(role: str, reason: str) -> BadRequest:
    return BadRequest(f"{role!r} was refused: {reason}.", code="image_refused", param=role)


def _record(row: Mapping[str, object] | asyncpg.Record) -> FileRecord:
    return FileRecord(**{name: row[name] for name in FileRecord.__dataclass_fields__})  # type: ignore[arg-type]


def _there(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound("The account is gone.")
    return row


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_bytes(data)
    draft.replace(path)
