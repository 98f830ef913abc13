"""Takes one frame out of an untrusted clip. Runs inside the confined child only."""

from __future__ import annotations

import io
from typing import Any, BinaryIO, cast

import av
from av.video.frame import VideoFrame
from PIL import Image, ImageStat

_LOOKED_AT_FRAMES = 48
_DULL_SPREAD = 4.0
_JPEG_QUALITY = 85
#: What clips of models are made with; no other decoder is reached, whatever a file says.
_DECODERS = ("h264", "hevc", "libdav1d", "vp8", "vp9", "mpeg4", "prores")


class NoFrame(Exception):
    """The clip shows no frame that could be decoded."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def poster_jpeg(file: BinaryIO, max_width: int) -> bytes:
    """The first frame that is not a plain surface, else the first one, as JPEG. Raises NoFrame."""
    try:
        picture = _first_good_frame(file)
    except (av.error.FFmpegError, ValueError, OSError, MemoryError) as error:
        raise NoFrame(f"the clip cannot be decoded: {type(error).__name__}") from None
    if picture is None:
        raise NoFrame("the clip has no frame")
    picture.thumbnail((max_width, max_width * 4))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_JPEG_QUALITY)
    return out.getvalue()


def warm_up() -> None:
    """Load the decoders and Pillow's writer while files can still be opened."""
    Image.init()
    poster_jpeg(io.BytesIO(_tiny_clip()), 32)


def _first_good_frame(file: BinaryIO) -> Image.Image | None:
    first: VideoFrame | None = None
    with av.open(file, mode="r", format="mp4", options={"codec_whitelist": ",".join(_DECODERS)}) as container:
        stream = container.streams.video[0]
        decoder = cast("av.VideoCodecContext | None", stream.codec_context)
        if decoder is None or decoder.name not in _DECODERS:
            raise NoFrame("no decoder is kept for such frames")
        # Threads cannot be started in here.
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        for number, frame in enumerate(container.decode(stream)):
            first = first or frame
            # Looked at small and grey: only the chosen frame is worth converting whole.
            small = cast(Any, frame.reformat(width=64, height=36, format="gray", threads=1))
            if max(ImageStat.Stat(small.to_image(threads=1)).stddev) > _DULL_SPREAD:
                return _picture(frame)
            if number >= _LOOKED_AT_FRAMES:
                break
        return None if first is None else _picture(first)


def _picture(frame: VideoFrame) -> Image.Image:
    picture: Image.Image = cast(Any, frame).to_image(threads=1)
    return picture


def _tiny_clip() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.thread_count = 1
        frame: VideoFrame = cast(Any, VideoFrame).from_image(Image.effect_noise((64, 64), 80).convert("RGB"))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
