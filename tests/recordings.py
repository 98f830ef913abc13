"""Clips and sounds for tests, made on the spot."""

from __future__ import annotations

import io
import math
import struct
import wave
from array import array
from typing import Any, cast

import av
from av.audio.frame import AudioFrame

from tests.upstreams.clip import clip_bytes

_RATE = 48_000
#: Container and codec of each sound that is taken, by its media type.
SOUNDS = {
    "audio/mpeg": ("mp3", "libmp3lame"),
    "audio/mp4": ("ipod", "aac"),
    "audio/aac": ("adts", "aac"),
    "audio/flac": ("flac", "flac"),
    "audio/ogg": ("ogg", "libopus"),
}


def clip(seconds: float, width: int = 320, height: int = 180, fps: int = 24) -> bytes:
    """An MP4 exactly that long, without metadata: what is kept of it is the same bytes."""
    out = bytearray(clip_bytes(width, height, fps, seconds))
    at = out.index(b"udta")
    (length,) = struct.unpack_from(">I", out, at - 4)
    out[at : at - 4 + length] = b"free" + bytes(length - 8)
    return bytes(out)


def wav(seconds: float, rate: int = 8_000) -> bytes:
    """A WAV of a tone, exactly that long."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(_tone(round(seconds * rate), rate))
    return out.getvalue()


def sound(media_type: str, seconds: float = 3) -> bytes:
    """A tone of about that length in one of the `SOUNDS`."""
    form, codec = SOUNDS[media_type]
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = cast(Any, container.add_stream(codec, rate=_RATE, layout="mono"))
        samples = 960
        for at in range(0, round(seconds * _RATE), samples):
            frame = AudioFrame(format="s16", layout="mono", samples=samples)
            frame.planes[0].update(_tone(samples, _RATE))
            frame.sample_rate, frame.pts = _RATE, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    """One box of an MP4."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _tone(samples: int, rate: int) -> bytes:
    return array(
        "h", (round(8000 * math.sin(2 * math.pi * 440 * at / rate)) for at in range(samples))
    ).tobytes()
