"""Brings media in from outside: a user's image, a provider's clip; through the guard, and distrusted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fairstack_server.egress import AddressRefused, Egress, EgressError, Purpose, Transfer
from fairstack_server.ids import random_base62
from fairstack_server.media.boxes import Mp4Facts, NotAnMp4, read_mp4_facts
from fairstack_server.media.data_url import BadDataUrl, is_data_url, read_data_url
from fairstack_server.media.faststart import make_faststart
from fairstack_server.media.pictures import CleanImage, ImageRefused
from fairstack_server.media.sandbox import ImageDecoder
from fairstack_server.media.sniff import agrees, image_type, looks_like

_HASH_BYTES = 1024 * 1024
# One answer for whatever happened on the way, so that nobody can learn about a network from it.
_NOT_FETCHED = "the URL could not be fetched; use a public https URL that answers 200 with the picture itself"


class ClipRefused(Exception):
    """The provider's clip cannot be had or is not a complete MP4; `reason` is for our log.

    `again`: the transfer broke, so the same clip may come the next time.
    """

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


@dataclass(frozen=True, slots=True)
class FetchedClip:
    """A checked MP4 on this machine, index first."""

    path: Path
    bytes: int
    sha256: str
    facts: Mp4Facts


class MediaFetch:
    """Fetches images of requests and clips of providers, with limits in bytes and seconds."""

    def __init__(
        self,
        egress: Egress,
        decoder: ImageDecoder,
        *,
        image_max_bytes: int = 20 * 1024 * 1024,
        image_timeout_seconds: float = 10.0,
        image_max_side: int = 4096,
        clip_max_bytes: int = 2 * 1024**3,
        clip_timeout_seconds: float = 600.0,
    ) -> None:
        self._egress = egress
        self._decoder = decoder
        self._image_max_bytes = image_max_bytes
        self._image_timeout_seconds = image_timeout_seconds
        self._image_max_side = image_max_side
        self._clip_max_bytes = clip_max_bytes
        self._clip_timeout_seconds = clip_timeout_seconds

    async def fetch_image(self, source: str, *, crop_ratio: tuple[int, int] | None = None) -> CleanImage:
        """A clean copy of the image behind an https URL or in a `data:` URL.

        Raises ImageRefused; its reason may be shown to the user, for a URL it says nothing of what was found.
        """
        if is_data_url(source):
            try:
                data, declared = read_data_url(source, self._image_max_bytes)
            except BadDataUrl as error:
                raise ImageRefused(str(error)) from error
        else:
            data, declared = await self._download_image(source)
        return await self.clean_image(data, declared, crop_ratio=crop_ratio)

    async def clean_image(
        self, data: bytes, declared: str, *, crop_ratio: tuple[int, int] | None = None
    ) -> CleanImage:
        """A clean copy of image bytes that came with a declared media type. Raises ImageRefused."""
        if len(data) > self._image_max_bytes:
            raise ImageRefused(f"the picture is larger than {self._image_max_bytes} bytes")
        actual = image_type(data)
        if actual is None:
            raise ImageRefused(f"it is {looks_like(data)}; send a PNG, JPEG or WebP picture")
        if not agrees(declared, actual):
            raise ImageRefused(f"it is declared as another type than the {actual} that it is")
        return await self._decoder.decode(data, crop_ratio=crop_ratio, max_side=self._image_max_side)

    async def fetch_clip(
        self,
        url: str,
        folder: Path,
        *,
        headers: Mapping[str, str] | None = None,
        trusted_origins: frozenset[str] = frozenset(),
    ) -> FetchedClip:
        """Download a provider's clip into `folder` and check it; the file is gone again when that fails.

        `headers` go to the exact origin of `url` only. Raises ClipRefused.
        """
        path = folder / f"clip-{random_base62(16)}.mp4"
        try:
            async with self._egress.get(
                url,
                purpose=Purpose.RESULT,
                max_bytes=self._clip_max_bytes,
                timeout_seconds=self._clip_timeout_seconds,
                headers=headers,
                trusted=trusted_origins,
            ) as transfer:
                await _save_clip(transfer, path)
            return await asyncio.to_thread(check_clip, path)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, EgressError):
                raise ClipRefused(error.reason, again=not isinstance(error, AddressRefused)) from error
            raise

    async def _download_image(self, url: str) -> tuple[bytes, str]:
        try:
            async with self._egress.get(
                url,
                purpose=Purpose.IMAGE,
                max_bytes=self._image_max_bytes,
                timeout_seconds=self._image_timeout_seconds,
            ) as transfer:
                if transfer.status != 200:
                    raise ImageRefused(_NOT_FETCHED)
                return await transfer.read(), transfer.content_type
        except EgressError as error:
            raise ImageRefused(_NOT_FETCHED) from error


def check_clip(path: Path) -> FetchedClip:
    """Measure an MP4, put its index first where it is not, and hash it. Blocking. Raises ClipRefused."""
    try:
        facts = _measure(path)
        if not facts.faststart and not facts.fragmented:
            moved = path.with_name(f"{path.stem}-faststart.mp4")
            if make_faststart(path, moved):
                moved.replace(path)
                facts = _measure(path)
    except NotAnMp4 as error:
        raise ClipRefused(f"not a complete MP4: {error.reason}", again=False) from error
    with path.open("rb") as file:
        return FetchedClip(path, path.stat().st_size, _sha256(file), facts)


def _measure(path: Path) -> Mp4Facts:
    with path.open("rb") as file:
        return read_mp4_facts(file)


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_HASH_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


async def _save_clip(transfer: Transfer, path: Path) -> None:
    """Write the body to a new file, and stop at the first bytes when they are no MP4's."""
    if transfer.status != 200:
        # A missing or forbidden file may be a signature that has run out; a new poll brings a new URL.
        raise ClipRefused(f"answered {transfer.status}", again=True)
    head = b""
    with await asyncio.to_thread(path.open, "xb") as file:
        async for chunk in transfer.chunks():
            if len(head) < 8:
                head += chunk[:8]
                if len(head) >= 8 and head[4:8] != b"ftyp":
                    raise ClipRefused("the file does not begin with ftyp", again=False)
            await asyncio.to_thread(file.write, chunk)
