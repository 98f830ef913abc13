"""Frames in, one H.264 MP4 out: yuv420p, BT.709, moov before mdat, no sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

# The bytes of a clip must depend on its frames alone. So the number of threads is fixed, not the machine's,
# and macroblock trees are off: with them x264's vector code gave other bytes for equal frames in one run of
# ten (seen at 720x1280 and at small sizes, with libx264 as PyAV 18.1 carries it).
ENCODER_OPTIONS: dict[str, object] = {
    "crf": "19",
    "preset": "veryfast",
    "threads": "2",
    "x264-params": "mbtree=0",
}


class Mp4Writer:
    """A clip being written; as a context manager it finishes the file, or leaves it broken on an error."""

    def __init__(self, path: Path, width: int, height: int, fps: int) -> None:
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        self._container = av.open(str(path), "w", format="mp4", options=options)
        self._stream = self._container.add_stream("libx264", rate=Fraction(fps))
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = dict(ENCODER_OPTIONS)
        context = self._stream.codec_context
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709

    def write(self, picture: npt.NDArray[np.uint8]) -> None:
        """Append one frame, RGB of shape (height, width, 3)."""
        frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._container.mux(self._stream.encode())
        self._container.close()
