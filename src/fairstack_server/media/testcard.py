"""The sandbox's stand-in clip: a moving card that says TEST, at the asked size, rate and length.

One second is drawn and encoded once; the rest repeats its packets, so length costs next to nothing.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from PIL import Image, ImageDraw, ImageFont

MAX_TITLE_CHARACTERS = 60
_SMALLEST_TEXT = 8
_BACKGROUND = (24, 26, 32)
_INK = (240, 240, 236)
_DIM = (140, 146, 158)
_HAND = (255, 196, 0)
_BARS = ((192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0), (0, 0, 192))


def make_test_card(
    path: Path,
    *,
    width: int,
    height: int,
    duration_seconds: Fraction | float,
    title: str,
    fps: Fraction | int = 24,
) -> int:
    """Write an H.264 yuv420p MP4, index first, of exactly round(duration * fps) frames; returns that number.

    Width and height must be even and at least 64. Raises ValueError for a size, rate or length that is not.
    """
    rate = Fraction(fps)
    frames = round(Fraction(duration_seconds).limit_denominator(1000) * rate)
    if width % 2 or height % 2 or not (64 <= width <= 8192 and 64 <= height <= 8192):
        raise ValueError(f"a test card of {width}x{height} cannot be made: even, 64 to 8192 a side")
    if frames < 1 or not 1 <= rate <= 120:
        raise ValueError(f"a test card of {duration_seconds} s at {fps} fps cannot be made")
    loop = min(frames, math.ceil(rate))
    pictures = _Card(width, height, title).pictures(loop)
    _repeat(_encode(pictures, width, height, rate), path, frames, rate)
    return frames


class _Card:
    """The card of one size: what stands still is drawn once, what moves for every frame."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._unit = unit = min(width, height)
        self._still = Image.new("RGB", (width, height), _BACKGROUND)
        self._bars = _bars(width, max(2, height // 6))
        self._centre = (width // 2, round(height * 0.30))
        self._radius = round(unit * 0.16)
        draw = ImageDraw.Draw(self._still)
        _write(draw, "TEST", (width // 2, round(height * 0.58)), unit // 5, _INK, width)
        _write(
            draw, title[:MAX_TITLE_CHARACTERS], (width // 2, round(height * 0.70)), unit // 18, _INK, width
        )
        note = f"{width}x{height} · sandbox clip, no model was run"
        _write(draw, note, (width // 2, round(height * 0.765)), unit // 28, _DIM, width)
        self._ring(draw)

    def pictures(self, loop: int) -> Iterator[Image.Image]:
        """One turn of the clock in that many frames; the next turn follows without a seam."""
        for number in range(loop):
            yield self._picture(number / loop)

    def _picture(self, turn: float) -> Image.Image:
        picture = self._still.copy()
        width, height = picture.size
        shift = round(turn * width)
        top = height - self._bars.height
        picture.paste(self._bars, (shift, top))
        picture.paste(self._bars, (shift - width, top))
        angle = 2 * math.pi * turn
        x, y = self._centre
        tip = (x + self._radius * 0.86 * math.sin(angle), y - self._radius * 0.86 * math.cos(angle))
        draw = ImageDraw.Draw(picture)
        draw.line((self._centre, tip), fill=_HAND, width=max(2, self._unit // 90))
        dot = max(2, self._unit // 70)
        draw.ellipse((x - dot, y - dot, x + dot, y + dot), fill=_HAND)
        return picture

    def _ring(self, draw: ImageDraw.ImageDraw) -> None:
        x, y = self._centre
        radius, stroke = self._radius, max(1, self._unit // 180)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_INK, width=stroke)
        for hour in range(12):
            direction = (math.sin(hour * math.pi / 6), -math.cos(hour * math.pi / 6))
            ends = [
                (x + radius * reach * direction[0], y + radius * reach * direction[1]) for reach in (0.9, 1)
            ]
            draw.line(ends, fill=_INK, width=stroke)


def _bars(width: int, height: int) -> Image.Image:
    bars = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(bars)
    for number, colour in enumerate(_BARS):
        left, right = number * width // len(_BARS), (number + 1) * width // len(_BARS)
        draw.rectangle((left, 0, right, height), fill=colour)
    return bars


def _write(
    draw: ImageDraw.ImageDraw, text: str, at: tuple[int, int], size: int, ink: tuple[int, int, int], room: int
) -> None:
    """Write centred text; where it would not fit the room, smaller, and at the smallest size shorter."""
    most = room * 0.92
    font = ImageFont.load_default(max(_SMALLEST_TEXT, size))
    wide = draw.textlength(text, font=font)
    if wide > most:
        font = ImageFont.load_default(max(_SMALLEST_TEXT, int(size * most / wide)))
    shown = text
    while draw.textlength(shown, font=font) > most:
        text = text[:-1]
        shown = text + "…"
    draw.text(at, shown, fill=ink, font=font, anchor="mm")


def _encode(pictures: Iterator[Image.Image], width: int, height: int, rate: Fraction) -> bytes:
    """The loop as an MP4 in memory: no frame refers past it, so any number of them can be cut off its end."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"preset": "ultrafast", "crf": "23", "bf": "0", "g": "600"}
        for picture in pictures:
            frame: VideoFrame = cast(Any, VideoFrame).from_image(picture)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def _repeat(loop: bytes, path: Path, frames: int, rate: Fraction) -> None:
    """Write the loop's packets, over and over, as one clip of that many frames."""
    with (
        av.open(io.BytesIO(loop), "r", format="mp4") as source,
        av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as clip,
    ):
        drawn = source.streams.video[0]
        packets = [(bytes(packet), packet.is_keyframe) for packet in source.demux(drawn) if packet.size]
        stream = clip.add_stream_from_template(drawn)
        for number in range(frames):
            data, keyframe = packets[number % len(packets)]
            packet = Packet(data)
            packet.stream = stream
            packet.time_base = 1 / rate
            packet.pts = packet.dts = number
            packet.duration = 1
            packet.is_keyframe = keyframe
            clip.mux_one(packet)
