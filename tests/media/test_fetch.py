"""Images of requests and clips of providers, from a real server on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fairstack_server.egress import Egress, Transfer
from fairstack_server.media.boxes import read_mp4_facts
from fairstack_server.media.fetch import ClipRefused, MediaFetch
from fairstack_server.media.pictures import ImageRefused
from fairstack_server.media.sandbox import ImageDecoder

from .conftest import encoded, png_of

PHOTO = Image.effect_noise((64, 48), 80).convert("RGB")


class Origin:
    """A server on loopback that gives out the bytes set for each path."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.url = ""

    def page(
        self, path: str, body: bytes, content_type: str = "", status: int = 200, length: int | None = None
    ) -> str:
        declared = f"Content-Type: {content_type}\r\n" if content_type else ""
        size = len(body) if length is None else length
        head = f"HTTP/1.1 {status} X\r\n{declared}Content-Length: {size}\r\nConnection: close\r\n\r\n"
        self.pages[path] = head.encode() + body
        return self.url + path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(head)
        writer.write(self.pages[head.split(" ")[1]])
        writer.close()


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """A running origin."""
    origin = Origin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    origin.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield origin
    server.close()
    await server.wait_closed()


class LoopbackEgress(Egress):
    """The real thing, with one loopback origin taken for a public one."""

    def __init__(self, origin: str) -> None:
        super().__init__()
        self._origin = origin

    def get(self, url: str, **options: Any) -> AbstractAsyncContextManager[Transfer]:  # type: ignore[override]
        return super().get(url, **{**options, "trusted": frozenset({self._origin})})


@pytest.fixture
def fetch(origin: Origin, decoder: ImageDecoder) -> MediaFetch:
    """Fetches images as if the origin were public."""
    return MediaFetch(LoopbackEgress(origin.url), decoder, image_max_bytes=300_000)


@pytest.mark.parametrize(
    "declared", ["image/png", "IMAGE/PNG; q=1", "application/octet-stream", "", "image/x-png"]
)
async def test_a_picture_is_fetched_and_cleaned(fetch: MediaFetch, origin: Origin, declared: str) -> None:
    """The declared type agrees, or the server did not know; the ratio is made on the way."""
    url = origin.page("/a.png", encoded(PHOTO, "PNG"), declared)
    clean = await fetch.fetch_image(url, crop_ratio=(1, 1))
    assert (clean.content_type, clean.width, clean.height, clean.reframed) == ("image/png", 48, 48, "crop")


@pytest.mark.parametrize(
    ("body", "declared", "words"),
    [
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "image/png", "an SVG"),
        (b"\n <!DOCTYPE html><html>", "image/png", "an HTML page"),
        (b"%PDF-1.7", "image/png", "a PDF"),
        (b"II*\0abcd", "image/tiff", "a TIFF"),
        (b"RIFF\0\0\0\0AVI LIST", "image/webp", "an AVI"),
        (b"#EXTM3U\nfile:///etc/passwd", "image/jpeg", "a playlist"),
        (b"\0\0\0\x18ftypheic", "image/heic", "HEIC"),
        (b"PK\x03\x04", "image/png", "a ZIP"),
        (b"", "image/png", "empty"),
        (encoded(PHOTO, "PNG"), "image/jpeg", "declared"),
        (encoded(PHOTO, "PNG"), "text/html", "declared"),
        (png_of(30_000, 30_000), "image/png", "too large"),
    ],
)
async def test_what_is_no_clean_picture_is_refused(
    fetch: MediaFetch, origin: Origin, body: bytes, declared: str, words: str
) -> None:
    """Other formats, lies about the type and bombs are refused, and the message says what to send."""
    url = origin.page("/x", body, declared)
    with pytest.raises(ImageRefused, match=words):
        await fetch.fetch_image(url)


async def test_nothing_is_said_of_what_was_found_behind_a_url(fetch: MediaFetch, origin: Origin) -> None:
    """A missing page, a server error, a body too long or cut, and a private address all sound the same."""
    urls = [
        origin.page("/404", b"secret", "text/html", status=404),
        origin.page("/500", b"secret", "text/html", status=500),
        origin.page("/big", encoded(PHOTO, "PNG"), "image/png", length=400_000),
        origin.page("/cut", encoded(PHOTO, "PNG")[:50], "image/png", length=100),
        "https://127.0.0.1/",
        "https://169.254.169.254/latest",
        "http://example.com/a.png",
        "ftp://example.com/a.png",
        "not a url",
    ]
    reasons = set()
    for url in urls:
        with pytest.raises(ImageRefused) as caught:
            await fetch.fetch_image(url)
        reasons.add(caught.value.reason)
    assert len(reasons) == 1


async def test_a_data_url_needs_no_network(fetch: MediaFetch) -> None:
    """Base64 in the request itself is decoded, checked and cleaned like any other picture."""
    text = base64.b64encode(encoded(PHOTO, "JPEG")).decode()
    assert (await fetch.fetch_image(f"data:image/jpeg;base64,{text}")).width == 64
    assert (
        await fetch.fetch_image(f"DATA:image/jpeg;charset=x;base64,{text}".replace("DATA", "data"))
    ).width == 64


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,!!!!",
        "data:image/png;base64,AAA",
        "data:image/png,AAAA",
        "data:;base64,AAAA",
        "data:image/png;base64",
        "data:",
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(),
        "data:image/png;base64," + "A" * 400_008,
        "data:image/png;base64," + "A" * 400_000,
        "data:" + ";a=b" * 20_000,
    ],
    ids=range(10),
)
async def test_a_bad_data_url_is_refused(fetch: MediaFetch, url: str) -> None:
    """No base64, another type, too long, or made to make a regular expression sweat."""
    with pytest.raises(ImageRefused):
        await fetch.fetch_image(url)


async def test_a_clip_is_downloaded_checked_and_starts_fast(
    origin: Origin, decoder: ImageDecoder, clip: bytes, tmp_path: Path
) -> None:
    """The file on disk is whole, hashed, measured, its index first; the key went to its own origin."""
    url = origin.page("/clip.mp4", clip, "video/mp4")
    fetch = MediaFetch(Egress(trusted_origins={"engine": [origin.url]}), decoder)
    got = await fetch.fetch_clip(
        url, tmp_path, headers={"Authorization": "Key k"}, trusted_origins=frozenset({origin.url})
    )
    data = got.path.read_bytes()
    assert (got.bytes, got.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert got.facts == read_mp4_facts(data)
    assert got.facts.faststart
    assert (got.facts.width, got.facts.height, got.facts.frames, got.facts.audio) == (128, 96, 12, True)
    assert list(tmp_path.iterdir()) == [got.path]
    assert "Authorization: Key k" in origin.requests[0]


@pytest.mark.parametrize(
    ("case", "again"),
    [
        ("missing", True),
        ("html", False),
        ("cut file", False),
        ("cut body", True),
        ("too large", True),
        ("private", False),
    ],
)
async def test_a_clip_that_is_not_whole_is_refused_and_leaves_nothing(
    origin: Origin, decoder: ImageDecoder, clip: bytes, tmp_path: Path, case: str, again: bool
) -> None:
    """What is no MP4 is final; what broke on the way may be tried again; no file stays behind."""
    urls = {
        "missing": origin.page("/a", b"gone", status=404),
        "html": origin.page("/b", b"<html>" * 10, "video/mp4"),
        "cut file": origin.page("/c", clip[:-200], "video/mp4"),
        "cut body": origin.page("/d", clip[:-200], "video/mp4", length=len(clip)),
        "too large": origin.page("/e", clip + b"\0" * 200_000, "video/mp4"),
        "private": "https://10.0.0.1/clip.mp4",
    }
    fetch = MediaFetch(Egress(), decoder, clip_max_bytes=200_000)
    with pytest.raises(ClipRefused) as caught:
        await fetch.fetch_clip(urls[case], tmp_path, trusted_origins=frozenset({origin.url}))
    assert caught.value.again is again
    # Stopped at the first bytes, not found out after two gigabytes.
    assert case != "html" or caught.value.reason == "the file does not begin with ftyp"
    assert list(tmp_path.iterdir()) == []
