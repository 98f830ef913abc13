"""Posters: the first frame that shows something, and never a failure of the job."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import ImageStat

from fairstack_server.media.poster import PosterMaker

from .conftest import make_clip, picture_of


async def test_the_poster_is_the_first_frame_that_shows_something(
    posters: PosterMaker, tmp_path: Path
) -> None:
    """Black frames at the start are passed over."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(dull_frames=5, frames=10))
    poster = await posters.make(path)
    assert poster.reason is None
    assert poster.jpeg is not None
    picture = picture_of(poster.jpeg)
    assert (picture.format, picture.size) == ("JPEG", (128, 96))
    assert max(ImageStat.Stat(picture).stddev) > 10


async def test_a_black_clip_has_a_black_poster(posters: PosterMaker, tmp_path: Path) -> None:
    """Where nothing shows, the first frame will do; a wide one is made smaller."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(dull_frames=4, frames=4, size=(320, 180)))
    poster = await posters.make(path, max_width=160)
    assert poster.jpeg is not None
    assert picture_of(poster.jpeg).size == (160, 90)


async def test_hevc_and_fragmented_clips_have_posters(posters: PosterMaker, tmp_path: Path) -> None:
    """Decoders that would start threads work without them."""
    path = tmp_path / "clip.mp4"
    for options in (
        {"codec": "libx265", "options": {"x265-params": "log-level=none:pools=none"}},
        {"movflags": "frag_keyframe+empty_moov"},
    ):
        path.write_bytes(make_clip(frames=4, **options))
        assert (await posters.make(path)).jpeg is not None


@pytest.mark.parametrize("data", [b"", b"not a clip", b"\0\0\0\x08ftyp", b"#EXTM3U\nfile:///etc/passwd\n"])
async def test_no_poster_is_a_reason_and_no_error(posters: PosterMaker, tmp_path: Path, data: bytes) -> None:
    """A clip that cannot be decoded has no poster, and says why."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    poster = await posters.make(path)
    assert poster.jpeg is None
    assert poster.reason
    missing = await posters.make(tmp_path / "missing.mp4")
    assert missing.jpeg is None
    assert missing.reason


async def test_damaged_clips_never_break_the_maker(posters: PosterMaker, tmp_path: Path, clip: bytes) -> None:
    """Flipped bits give a poster or a reason, sixty times over."""
    dice = random.Random(3)
    path = tmp_path / "clip.mp4"
    for _ in range(60):
        data = bytearray(clip)
        for _ in range(dice.randint(1, 40)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(data))
        poster = await posters.make(path)
        assert (poster.jpeg is None) == (poster.reason is not None)


async def test_only_decoders_on_the_list_are_reached(posters: PosterMaker, tmp_path: Path) -> None:
    """Frames of a codec that models do not write get no poster, and a reason."""
    path = tmp_path / "clip.mp4"
    for strange in (b"rpza", b"none"):
        path.write_bytes(make_clip().replace(b"avc1", strange))
        poster = await posters.make(path)
        assert poster.jpeg is None
        assert poster.reason == "no decoder is kept for such frames"
