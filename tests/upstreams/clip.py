"""The MP4 that every stand-in serves: real, playable, made once per size and length."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import av


@lru_cache(maxsize=32)
def clip_bytes(width: int = 1280, height: int = 720, fps: int = 24, seconds: float = 5.0) -> bytes:
    """An H.264 MP4 with `moov` first, whose flat colour changes from frame to frame."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "35"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(max(1, round(fps * seconds))):
                container.mux(stream.encode(_frame(width, height, number)))
            container.mux(stream.encode())
        return path.read_bytes()


def _frame(width: int, height: int, number: int) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, level in zip(frame.planes, (16 + number % 200, 128, (number * 3) % 256), strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    return frame
