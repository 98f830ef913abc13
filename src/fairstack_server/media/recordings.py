"""Measures an untrusted clip or sound. Runs inside the confined child only.

What counts is what can be read: the packets that are there, one after the other. A header that tells another
length is a refusal, because a vendor may believe it and bill by it.
"""

from __future__ import annotations

import contextlib
import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, BinaryIO, Literal

import av

from fairstack_server.media.boxes import Mp4Facts, NotAnMp4, private_boxes, read_mp4_facts
from fairstack_server.media.sniff import ClipType, SoundType

MAX_SIDE = 4096
MIN_SIDE = 16
MAX_FPS = 240
SHORTEST_SECONDS = Fraction(1, 10)
#: Of clips, what a decoder here and at vendors reads.
CLIP_CODECS = ("h264", "hevc", "av1", "vp9", "prores")
#: The decoders of those codecs.
_CLIP_DECODERS = ("h264", "hevc", "libdav1d", "vp9", "prores")
#: What FFmpeg calls the container, and the codecs that are taken in it.
_SOUNDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "audio/wav": ("wav", ("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8")),
    "audio/mpeg": ("mp3", ("mp3", "mp3float")),
    "audio/mp4": ("mp4", ("aac", "alac", "mp3", "mp3float")),
    "audio/aac": ("aac", ("aac",)),
    "audio/flac": ("flac", ("flac",)),
    "audio/ogg": ("ogg", ("opus", "vorbis", "flac", "libopus", "libvorbis")),
}
#: Containers without a length of their own: FFmpeg guesses one from the bit rate, and nobody claimed it.
_GUESSED = ("audio/mpeg", "audio/aac")
#: How much longer than its packets a file may say that it is: sound may outlast the picture a little.
_SLACK_SHARE, _SLACK_SECONDS = Fraction(11, 10), Fraction(1)
_MAX_STREAMS = 32
_TRIED_PACKETS = 64
#: Packets that a second may have: sound in its shortest frames has 400.
_MOST_PACKETS_A_SECOND = 500

RecordingKind = Literal["clip", "sound"]


class RecordingRefused(Exception):
    """The clip or sound is not taken; `reason` names what is wrong with it, in words fit for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Recording:
    """What a clip or a sound is, measured on its own packets."""

    content_type: str
    milliseconds: int
    """Length, rounded up."""
    audio: bool
    """There is sound in it."""
    width: int | None = None
    """Pixels as shown; None for a sound."""
    height: int | None = None
    fps: float | None = None
    private: tuple[tuple[int, int, int], ...] = ()
    """Boxes of metadata, which are to be blanked: where its four letters, its content and its end are."""


def measure_clip(file: BinaryIO, content_type: ClipType, longest_seconds: float) -> Recording:
    """Measure an MP4 or MOV by its boxes and packets, and decode one frame. Raises RecordingRefused."""
    try:
        facts = read_mp4_facts(file)
        private = _private(file)
    except NotAnMp4 as error:
        raise RecordingRefused(f"it is not a complete MP4 or MOV: {error.reason}") from None
    _check_clip(facts)
    file.seek(0)
    with _opened(file, "mp4", _CLIP_DECODERS) as container:
        stream = container.streams.video[0]
        _check_decoder(stream, _CLIP_DECODERS, "video")
        seconds = _read_length(container, stream, longest_seconds, claims=True)
    return Recording(
        content_type=content_type,
        milliseconds=ceil(seconds * 1000),
        audio=facts.audio,
        width=facts.width,
        height=facts.height,
        fps=float(facts.fps),
        private=private,
    )


def measure_sound(file: BinaryIO, content_type: ClipType | SoundType, longest_seconds: float) -> Recording:
    """Measure a sound by its packets, and decode one frame. Raises RecordingRefused."""
    actual = "audio/mp4" if content_type in ("video/mp4", "video/quicktime") else content_type
    container_name, decoders = _SOUNDS[actual]
    with _opened(file, container_name, decoders) as container:
        if any(not _is_cover(video) for video in container.streams.video):
            raise RecordingRefused("it is a video; send its sound alone, as WAV, MP3, M4A, AAC, FLAC or Ogg")
        if not container.streams.audio:
            raise RecordingRefused("there is no sound in it")
        stream = container.streams.audio[0]
        _check_decoder(stream, decoders, "sound")
        seconds = _read_length(container, stream, longest_seconds, claims=actual not in _GUESSED)
    try:
        private = _private(file) if actual == "audio/mp4" else ()
    except NotAnMp4 as error:
        raise RecordingRefused(f"it is not a complete M4A: {error.reason}") from None
    return Recording(content_type=actual, milliseconds=ceil(seconds * 1000), audio=True, private=private)


def warm_up() -> None:
    """Load the decoders while files can still be opened."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    out.seek(0)
    measure_sound(out, "audio/wav", 1)


def _private(file: BinaryIO) -> tuple[tuple[int, int, int], ...]:
    return tuple((box.start + 4, box.body, box.end) for box in private_boxes(file))


def _check_clip(facts: Mp4Facts) -> None:
    _check_sides(facts.width, facts.height)
    if facts.fps > MAX_FPS:
        raise RecordingRefused(f"it has {float(facts.fps):.0f} frames a second: at most {MAX_FPS} are taken")
    if facts.codec not in CLIP_CODECS:
        named = facts.codec if facts.codec.isascii() and facts.codec.isalnum() else "of an unknown kind"
        raise RecordingRefused(f"its video is {named}: {', '.join(CLIP_CODECS)} are taken")


def _check_sides(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or min(width, height) < MIN_SIDE:
        raise RecordingRefused(
            f"its picture is {width}x{height}: {MIN_SIDE} to {MAX_SIDE} pixels a side are taken"
        )


def _check_decoder(stream: Any, decoders: tuple[str, ...], what: str) -> None:
    """The first track may be another than the one that was looked at, and of another codec."""
    name = stream.codec_context.name if stream.codec_context is not None else "of an unknown kind"
    if name not in decoders:
        raise RecordingRefused(f"its {what} is {name}, which is not taken here")


@contextlib.contextmanager
def _opened(file: BinaryIO, container_name: str, decoders: tuple[str, ...]) -> Iterator[Any]:
    """The file in FFmpeg's hands; whatever FFmpeg says of a broken one is a refusal.

    `decoders`: FFmpeg tries streams out while it opens a file, and reaches no other ones.
    """
    options = {"codec_whitelist": ",".join(decoders)}
    try:
        with av.open(file, mode="r", format=container_name, options=options) as container:
            if len(container.streams) > _MAX_STREAMS:
                raise RecordingRefused(f"it has more than {_MAX_STREAMS} tracks")
            yield container
    except (av.error.FFmpegError, ValueError, OSError, MemoryError, IndexError):
        # What FFmpeg says is about the attacker's bytes, not ours.
        raise RecordingRefused("it is damaged, or not of the kind that it says") from None


def _is_cover(video: Any) -> bool:
    """A still picture beside the sound, such as the cover of an album."""
    return bool(video.disposition & av.stream.Disposition.attached_pic)


def _read_length(container: Any, stream: Any, longest_seconds: float, *, claims: bool) -> Fraction:
    """Seconds that the packets of this stream last, one frame decoded on the way. Raises RecordingRefused.

    `claims`: what the container says of its length is its own word, and must agree.
    """
    decoder = _Decoder(stream)
    base = Fraction(stream.time_base)
    ticks = first = end = 0
    packets_left = ceil(longest_seconds * _MOST_PACKETS_A_SECOND)
    for packet in container.demux(stream):
        packets_left -= 1
        if packets_left < 0:
            raise RecordingRefused("it is in too many pieces")
        if packet.size == 0 or packet.is_discard:
            continue
        decoder.show(packet)
        ticks += packet.duration or 0
        if packet.pts is not None:
            first, end = min(first, packet.pts), max(end, packet.pts + (packet.duration or 0))
        if ticks * base > Fraction(longest_seconds):
            raise RecordingRefused(f"it is longer than {longest_seconds:g} s, the most that is taken")
    lasts = ticks * base
    if lasts < SHORTEST_SECONDS:
        raise RecordingRefused(f"it is shorter than {float(SHORTEST_SECONDS)} s")
    decoder.finish()
    told = max((end - first) * base, _claimed(container) if claims else Fraction(0))
    if told > lasts * _SLACK_SHARE + _SLACK_SECONDS:
        raise RecordingRefused(
            f"it says that it lasts {float(told):.1f} s, and what is in it lasts {float(lasts):.1f} s"
        )
    return lasts


def _claimed(container: Any) -> Fraction:
    return Fraction(container.duration or 0, av.time_base)


class _Decoder:
    """Decodes until there is one frame, which proves that there is something to see or to hear."""

    def __init__(self, stream: Any) -> None:
        self._context = stream.codec_context
        # Threads cannot be started in here.
        self._context.thread_count = 1
        self._context.thread_type = "NONE"
        self._left = _TRIED_PACKETS
        self._seen = False

    def show(self, packet: Any) -> None:
        """Give it the next packet."""
        if self._seen or self._left == 0:
            return
        self._left -= 1
        # Streams may begin in the middle of something: not the first packet decides, but whether any does.
        with contextlib.suppress(av.error.FFmpegError):
            for frame in self._context.decode(packet):
                self._seen = True
                # What the index says of the picture need not be what the frames are.
                _check_sides(getattr(frame, "width", MIN_SIDE), getattr(frame, "height", MIN_SIDE))

    def finish(self) -> None:
        """Raise RecordingRefused when nothing could be decoded."""
        self.show(None)
        if not self._seen:
            raise RecordingRefused("nothing in it can be decoded")
