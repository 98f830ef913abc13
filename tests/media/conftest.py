"""Real clips made with PyAV, pictures made with Pillow, and warm confined children."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any, cast

import av
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from PIL import Image

from fairstack_server.media.poster import PosterMaker
from fairstack_server.media.sandbox import ImageDecoder


def make_clip(
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (128, 96),
    fps: Fraction | int = 24,
    frames: int = 12,
    audio: bool = False,
    movflags: str = "",
    options: dict[str, str] | None = None,
    dull_frames: int = 0,
) -> bytes:
    """A real MP4: noise that changes with every frame, after that many black ones; with a tone if asked."""
    flags = {"movflags": movflags} if movflags else {}
    # A file, because ffmpeg reads it again to move the index.
    with (
        tempfile.NamedTemporaryFile(suffix=".mp4") as out,
        av.open(out.name, "w", format="mp4", options=flags) as container,
    ):
        video = cast(Any, container.add_stream(codec, rate=fps))
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.thread_count = 1
        video.codec_context.options = options or ({"preset": "ultrafast"} if codec == "libx264" else {})
        sound = cast(Any, container.add_stream("aac", rate=48000, layout="mono")) if audio else None
        for number in range(frames):
            level = 0 if number < dull_frames else 60
            picture = Image.effect_noise(size, level).convert("RGB") if level else Image.new("RGB", size)
            container.mux(video.encode(cast(Any, VideoFrame).from_image(picture)))
        container.mux(video.encode(None))
        if sound is not None:
            tone = AudioFrame(format="fltp", layout="mono", samples=1024)
            for plane in tone.planes:
                plane.update(bytes(plane.buffer_size))
            tone.sample_rate, tone.pts = 48000, 0
            container.mux(sound.encode(tone))
            container.mux(sound.encode(None))
        container.close()
        return out.read()


@pytest.fixture(scope="session")
def clip() -> bytes:
    """A small ordinary MP4 with sound, its index behind the frames."""
    return make_clip(audio=True)


def png_of(width: int, height: int, *, bit_depth: int = 1) -> bytes:
    """A valid all-black PNG of any claimed size, in a few kilobytes."""
    row = b"\0" * ((width * bit_depth + 7) // 8 + 1)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bit_depth, 0, 0, 0, 0)
    chunks = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", data), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    """A picture as a file."""
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def picture_of(data: bytes) -> Image.Image:
    """A file as a picture."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.fixture(scope="session")
async def decoder() -> AsyncIterator[ImageDecoder]:
    """One warm decoder for all tests."""
    decoder = ImageDecoder(timeout_seconds=10)
    await decoder.start()
    yield decoder
    await decoder.aclose()


@pytest.fixture(scope="session")
async def posters() -> AsyncIterator[PosterMaker]:
    """One warm poster maker for all tests."""
    maker = PosterMaker()
    await maker.start()
    yield maker
    await maker.aclose()
