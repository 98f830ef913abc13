"""Honest clips of many kinds, and what a reader that is not ours says of them.

`python -m tests.media.good_clips FOLDER 1` writes them all, 6 each sixth one.
"""

from __future__ import annotations

import itertools
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

from tests.media.conftest import make_clip

Make = Callable[[], bytes]
_SIZES = ((64, 48), (96, 160), (256, 144))
_RATES: tuple[Fraction | int, ...] = (24, 30, Fraction(30_000, 1001))
_SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "with sound": {"audio": True},
    "index first": {"movflags": "faststart", "audio": True},
    "frames out of order": {"options": {"preset": "medium", "bf": "3"}, "frames": 25},
    "in fragments": {"movflags": "frag_keyframe+empty_moov", "frames": 24, "audio": True},
}
_CODECS: dict[str, dict[str, Any]] = {
    "HEVC": {"codec": "libx265", "options": {"x265-params": "log-level=none:pools=none"}},
    "VP9": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "MPEG-4 Part 2": {"codec": "mpeg4"},
}
_QUARTERS = {"turned left": (0, -1, 1, 0), "turned right": (0, 1, -1, 0), "upside down": (-1, 0, 0, -1)}


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody says of a clip."""

    width: int
    height: int
    frames: int
    seconds: Fraction
    fps: Fraction
    codec: str
    audio: bool


def good_clips() -> list[tuple[str, Make]]:
    """More than 50 clips that are exactly what they say, each with its maker."""
    grid = itertools.product(_SIZES, _RATES, _SHAPES.items())
    clips: list[tuple[str, Make]] = [
        (
            f"{size[0]}x{size[1]} at {float(rate):g}, {name}",
            partial(make_clip, **{"size": size, "fps": rate, **how}),
        )
        for size, rate, (name, how) in grid
    ]
    clips += [
        (f"{name} at {rate}", partial(make_clip, **{"size": (64, 48), "fps": rate, **how}))
        for name, how in _CODECS.items()
        for rate in (12, 25, 60)
    ]
    clips += [(name, partial(_turned, *matrix)) for name, matrix in _QUARTERS.items()]
    long = partial(make_clip, size=(32, 32), frames=2400, dull_frames=2400, fps=60)
    return [*clips, ("one frame", partial(make_clip, frames=1, fps=5)), ("a long one", long)]


def _turned(a: int, b: int, c: int, d: int) -> bytes:
    clip = bytearray(make_clip(size=(64, 48)))
    one = 65_536
    struct.pack_into(">5i", clip, clip.index(b"tkhd") + 44, a * one, b * one, 0, c * one, d * one)
    return bytes(clip)


def second_opinion(path: Path) -> Told:
    """What ffprobe says of the file; where there is none, PyAV in a process of its own."""
    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        done = _run([sys.executable, "-m", "tests.media.good_clips", str(path)])
        return Told(**{**done, "seconds": Fraction(done["seconds"]), "fps": Fraction(done["fps"])})
    shown = "stream=codec_type,codec_name,width,height,time_base,duration_ts,avg_frame_rate,nb_read_packets"
    asked = ["-count_packets", "-show_entries", f"{shown}:stream_side_data"]
    streams = _run([ffprobe, "-v", "error", "-of", "json", *asked, str(path)])["streams"]
    video = next(stream for stream in streams if stream["codec_type"] == "video")
    turns = [abs(int(data.get("rotation", 0))) for data in video.get("side_data_list", [])]
    sides = (video["width"], video["height"])
    width, height = sides[::-1] if any(turn in (90, 270) for turn in turns) else sides
    return Told(
        width,
        height,
        int(video["nb_read_packets"]),
        video["duration_ts"] * Fraction(video["time_base"]),
        Fraction(video["avg_frame_rate"]),
        video["codec_name"],
        any(stream["codec_type"] == "audio" for stream in streams),
    )


def named_opinion() -> str:
    """Who gives the second opinion here."""
    return "ffprobe" if shutil.which("ffprobe") else "PyAV in a process of its own"


def _run(command: list[str]) -> Any:
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _by_pyav(path: str) -> dict[str, Any]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        seconds = (stream.duration or 0) * Fraction(stream.time_base or 0)
        container.seek(0)
        turned = abs(int(next(container.decode(stream)).rotation)) in (90, 270)
        sides = (stream.width, stream.height)
        return {
            "width": sides[turned],
            "height": sides[not turned],
            "frames": len(packets),
            "seconds": str(seconds),
            "fps": str(stream.average_rate),
            "codec": stream.codec_context.name,
            "audio": bool(container.streams.audio),
        }


def write_clips(folder: Path, every: int) -> None:
    """Write each such clip as its number, and `clips.json` with their names."""
    names = []
    for number, (name, make) in enumerate(good_clips()[::every]):
        (folder / str(number)).write_bytes(make())
        names.append(name)
    (folder / "clips.json").write_text(json.dumps(names))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.stdout.write(json.dumps(_by_pyav(sys.argv[1])))
    else:
        write_clips(Path(sys.argv[1]), int(sys.argv[2]))
