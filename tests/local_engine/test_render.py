"""Orders to MP4 files, read back as a player reads them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from fairstack_local import OrderRefused, RenderOrder, RenderReport, render
from tests.local_engine.conftest import MakeOrder


def _frames(path: str) -> list[npt.NDArray[np.uint8]]:
    with av.open(path) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def _quiet(frame: int, frames: int) -> None:
    pass


def test_a_scene_is_an_exact_faststart_h264_clip(order: MakeOrder) -> None:
    """Size, rate, number of frames, codec and pixel format are those of the order; moov comes before mdat."""
    asked = order()
    seen: list[tuple[int, int]] = []
    report = render(asked, lambda frame, frames: seen.append((frame, frames)))
    assert report.frames == 8
    assert seen == [(frame, 8) for frame in range(1, 9)]
    data = Path(asked.out_path).read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    with av.open(asked.out_path) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.frames) == (160, 90, 8)
        assert stream.average_rate == 24


@pytest.mark.parametrize(
    "prompt",
    [
        "a dog running on a beach at sunset",
        "a wolf walking in the snow while it is snowing",
        "a fox in a meadow, rain, static shot",
        "an eagle over a lake, orbit",
        "the sea at night, pan left",
        "desert dunes, push in",
    ],
)
def test_every_place_moves(order: MakeOrder, prompt: str) -> None:
    """In each place the first and the last frame differ, and neither is flat."""
    asked = order(prompt=prompt)
    render(asked, _quiet)
    frames = _frames(asked.out_path)
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 0.5
    assert min(frame.std() for frame in frames) > 4


def test_the_same_order_gives_the_same_frames(order: MakeOrder, tmp_path: Path) -> None:
    """Two renders of one order decode to equal bytes; another seed does not."""
    paths = [str(tmp_path / name) for name in ("a.mp4", "b.mp4", "c.mp4")]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        render(order(seed=seed, out_path=path, width=96, height=64), _quiet)
    first, again, other = (np.stack(_frames(path)) for path in paths)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_slow_motion_slows_what_happens(order: MakeOrder, tmp_path: Path) -> None:
    """From one frame to the next less changes in slow motion than at natural speed."""
    changes = []
    for prompt in ("a dog running on a beach", "a dog running on a beach, slow motion"):
        asked = order(prompt=prompt, out_path=str(tmp_path / "s.mp4"))
        render(asked, _quiet)
        frames = np.stack(_frames(asked.out_path)).astype(int)
        changes.append(np.abs(np.diff(frames, axis=0)).mean())
    assert changes[1] < 0.75 * changes[0]


@pytest.mark.parametrize("size", [(160, 90), (90, 160), (90, 90)])
def test_a_photograph_moves_in_every_shape(order: MakeOrder, portrait: str, size: tuple[int, int]) -> None:
    """A portrait becomes a clip of the asked shape whose frames differ."""
    width, height = size
    asked = order(engine="parallax", prompt="pan right", image_path=portrait, width=width, height=height)
    report = render(asked, _quiet)
    frames = _frames(asked.out_path)
    assert frames[0].shape == (height, width, 3)
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 0.5
    assert report.plan["pan"] == 1.0


def test_a_report_tells_what_was_not_shown(order: MakeOrder) -> None:
    """The substitutions of the plan reach the report, and the report survives JSON."""
    report = render(order(prompt="a dragon flying over a beach"), _quiet)
    assert "dragon" in report.substitutions[0]
    assert RenderReport.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 161),
        ("height", 0),
        ("fps", 0),
        ("duration_seconds", 11.0),
        ("duration_seconds", float("nan")),
    ],
)
def test_an_order_that_cannot_be_made_is_refused(order: MakeOrder, field: str, value: float) -> None:
    """A refusal names the field."""
    with pytest.raises(OrderRefused, match=field):
        order(**{field: value})


def test_a_broken_photograph_is_refused_and_leaves_nothing(order: MakeOrder, tmp_path: Path) -> None:
    """A file that is no picture gives OrderRefused, and neither a clip nor a part of one."""
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    asked = order(engine="parallax", image_path=str(bad))
    with pytest.raises(OrderRefused, match="not a readable"):
        render(asked, _quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.png"]


def test_an_interrupted_render_leaves_no_file(order: MakeOrder, tmp_path: Path) -> None:
    """When the render is broken off between two frames, out_path does not exist and no part is left."""

    def give_up(frame: int, frames: int) -> None:
        if frame == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(order(), give_up)
    assert list(tmp_path.iterdir()) == []


def test_an_order_survives_json(order: MakeOrder) -> None:
    """An order reads back from its JSON as it was."""
    assert RenderOrder.from_json(order().to_json()) == order()
