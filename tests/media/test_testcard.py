"""The sandbox's test card: exact, moving, cheap."""

from __future__ import annotations

import io
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from fairstack_server.media.boxes import read_mp4_facts
from fairstack_server.media.testcard import make_test_card


def _frames(path: Path) -> list[Image.Image]:
    with av.open(io.BytesIO(path.read_bytes()), "r") as container:
        return [frame.to_image() for frame in container.decode(container.streams.video[0])]  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("size", "seconds", "fps", "frames"),
    [
        ((192, 108), 5, 24, 120),
        ((108, 192), 2.5, 30, 75),
        ((128, 128), 0.5, 16, 8),
        ((192, 108), 3, Fraction(30000, 1001), 90),
    ],
)
def test_size_length_and_rate_are_exact(
    tmp_path: Path, size: tuple[int, int], seconds: float, fps: Fraction | int, frames: int
) -> None:
    """What was asked for is what every table and every decoder says."""
    path = tmp_path / "card.mp4"
    assert (
        make_test_card(path, width=size[0], height=size[1], duration_seconds=seconds, title="m", fps=fps)
        == frames
    )
    facts = read_mp4_facts(path.read_bytes())
    assert (facts.width, facts.height, facts.frames, facts.fps) == (*size, frames, fps)
    assert facts.duration_seconds == frames / Fraction(fps)
    assert (facts.codec, facts.faststart, facts.audio) == ("h264", True, False)
    assert len(_frames(path)) == frames


def test_every_frame_differs_from_the_one_before(tmp_path: Path) -> None:
    """The card moves all the time, across the seams of its loop and from the last to the first frame."""
    path = tmp_path / "card.mp4"
    make_test_card(path, width=192, height=108, duration_seconds=2, title="wan-2-1-t2v", fps=24)
    frames = _frames(path)
    steps = [
        max(ImageStat.Stat(ImageChops.difference(before, after)).mean)
        for before, after in zip(frames, [*frames[1:], frames[0]], strict=True)
    ]
    assert min(steps) > 1


def test_ten_seconds_of_full_hd_cost_less_than_three_seconds(tmp_path: Path) -> None:
    """One second is encoded, the rest is copied."""
    started = time.process_time()
    make_test_card(tmp_path / "card.mp4", width=1920, height=1080, duration_seconds=10, title="veo-3")
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("size", "seconds", "fps"),
    [((101, 100), 1, 24), ((100, 32), 1, 24), ((100, 100), 0, 24), ((100, 100), 1, 500)],
)
def test_a_card_that_cannot_be_is_refused(
    tmp_path: Path, size: tuple[int, int], seconds: int, fps: int
) -> None:
    """Odd or tiny sizes, no length and mad rates are errors before anything is written."""
    path = tmp_path / "card.mp4"
    with pytest.raises(ValueError, match="cannot be made"):
        make_test_card(path, width=size[0], height=size[1], duration_seconds=seconds, title="m", fps=fps)
    assert not path.exists()


def test_a_long_title_still_fits(tmp_path: Path) -> None:
    """A title of any length, in any script, is shortened and made smaller rather than cut by the edge."""
    path = tmp_path / "card.mp4"
    make_test_card(path, width=96, height=170, duration_seconds=0.2, title="模型 " + "x" * 500, fps=10)
    frame = _frames(path)[0].convert("L")
    edge = frame.crop((0, 60, 2, 140))
    assert max(ImageStat.Stat(edge).stddev) < 3
