"""The clip and the sound behind documentation URLs in the sandbox, five seconds each."""

from __future__ import annotations

import io
import math
import struct
import tempfile
import wave
from pathlib import Path

from fairstack_server.media.testcard import make_test_card

EXAMPLE_SECONDS = 5
_SAMPLES_A_SECOND = 8000
_HERTZ = 440


def example_clip() -> bytes:
    """An MP4 of the TEST card. Blocking."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.mp4"
        make_test_card(path, width=320, height=180, duration_seconds=EXAMPLE_SECONDS, title="example")
        return path.read_bytes()


def example_sound() -> bytes:
    """A WAV of a soft tone. Blocking."""
    samples = range(EXAMPLE_SECONDS * _SAMPLES_A_SECOND)
    turns = (2 * math.pi * _HERTZ * at / _SAMPLES_A_SECOND for at in samples)
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_SAMPLES_A_SECOND)
        sound.writeframes(b"".join(struct.pack("<h", round(6000 * math.sin(turn))) for turn in turns))
    return out.getvalue()
