"""Reads width, height, length and frames out of an MP4's boxes. Pure, bounded, no decoder.

A hostile file can neither hang nor exhaust this: boxes are walked by a fixed grammar (no recursion), their
number and the size of every table are capped, and nothing is read that the walk does not need.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import BinaryIO

MAX_BOXES = 20_000
MAX_TRACKS = 32
MAX_TABLE_ENTRIES = 2_000_000
MAX_SIDE_PIXELS = 16_384
MAX_DURATION_SECONDS = 24 * 3600
MAX_FPS = 1000
MAX_PRIVATE_BOXES = 200

_PRIVATE = frozenset({"udta", "meta", "uuid"})
_CODECS = {
    "avc1": "h264",
    "avc3": "h264",
    "hvc1": "hevc",
    "hev1": "hevc",
    "av01": "av1",
    "vp08": "vp8",
    "vp09": "vp9",
    "mp4v": "mpeg4",
    **dict.fromkeys(("apco", "apcs", "apcn", "apch", "ap4h", "ap4x"), "prores"),
}


class NotAnMp4(ValueError):
    """The bytes are not a complete, playable MP4; `reason` says what is wrong, in words fit for a log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Mp4Facts:
    """What a clip is, measured on its own tables."""

    width: int
    """Pixels as shown, after the track's rotation."""
    height: int
    duration_seconds: Fraction
    """Length of the video track."""
    fps: Fraction
    """Frames divided by length."""
    frames: int
    audio: bool
    faststart: bool
    """The index comes before the frames, so a player can start at once."""
    codec: str
    """`h264`, `hevc`, `av1`, `vp9`, … or the four letters of one we have no name for."""
    fragmented: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """One box of the file: its four letters, where it starts, where its content starts, where it ends."""

    kind: str
    start: int
    body: int
    end: int

    @property
    def length(self) -> int:
        """Bytes of content, the header not counted."""
        return self.end - self.body


@dataclass(frozen=True, slots=True)
class _Samples:
    count: int
    ticks: int


@dataclass(frozen=True, slots=True)
class _Track:
    number: int
    handler: str
    timescale: int
    width: int
    height: int
    codec: str
    samples: _Samples


class Walker:
    """Walks the boxes of one file and counts them, so that no file can keep it busy for long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        self._boxes_left = MAX_BOXES
        self._entries_left = MAX_TABLE_ENTRIES

    def read(self, offset: int, length: int) -> bytes:
        """Exactly that many bytes. Raises NotAnMp4 when the file ends before."""
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise NotAnMp4("the file is cut off")
        return data

    def boxes(self, start: int, end: int) -> Iterator[Box]:
        """The boxes between two offsets, one after the other. Raises NotAnMp4 when they do not fill it."""
        while start < end:
            box = self._box(start, end)
            yield box
            start = box.end

    def children(self, parent: Box, skip: int = 0) -> dict[str, list[Box]]:
        """The boxes inside a box, by kind."""
        found: dict[str, list[Box]] = {}
        for box in self.boxes(parent.body + skip, parent.end):
            found.setdefault(box.kind, []).append(box)
        return found

    def table(self, box: Box, skip: int, entry: str) -> Iterator[tuple[int, ...]]:
        """Entries of a table whose count stands behind `skip` bytes of the content."""
        (count,) = struct.unpack(">I", self.body(box, skip, 4))
        size = struct.calcsize(entry)
        self.spend_entries(count)
        if skip + 4 + count * size > box.length:
            raise NotAnMp4(f"table {box.kind} claims {count} entries")
        return struct.iter_unpack(entry, self.body(box, skip + 4, count * size))

    def spend_entries(self, count: int) -> None:
        """Count table entries before they are read. Raises NotAnMp4 when the file has too many in all."""
        self._entries_left -= count
        if self._entries_left < 0:
            raise NotAnMp4(f"more than {MAX_TABLE_ENTRIES} table entries")

    def body(self, box: Box, offset: int, length: int) -> bytes:
        """A piece of a box's content. Raises NotAnMp4 when the box is shorter."""
        if offset + length > box.length:
            raise NotAnMp4(f"box {box.kind} is too short")
        return self.read(box.body + offset, length)

    def _box(self, start: int, end: int) -> Box:
        self._boxes_left -= 1
        if self._boxes_left < 0:
            raise NotAnMp4(f"more than {MAX_BOXES} boxes")
        if end - start < 8:
            raise NotAnMp4("a box header is cut off")
        size, letters = struct.unpack(">I4s", self.read(start, 8))
        header = 8
        if size == 1:
            if end - start < 16:
                raise NotAnMp4("a box header is cut off")
            header = 16
            (size,) = struct.unpack(">Q", self.read(start + 8, 8))
        elif size == 0:
            size = end - start  # lasts to the end of what holds it
        if size < header:
            raise NotAnMp4(f"a box claims {size} bytes")
        if start + size > end:
            raise NotAnMp4("the file is cut off, or a box is larger than what holds it")
        return Box(letters.decode("latin-1"), start, start + header, start + size)


def read_mp4_facts(source: BinaryIO | bytes) -> Mp4Facts:
    """Measure an MP4. Raises NotAnMp4 when it is not one, is incomplete, or shows nothing.

    `source` is a seekable file or the bytes; only headers and tables are read from it.
    """
    walker = Walker(io.BytesIO(source) if isinstance(source, bytes) else source)
    top = list(walker.boxes(0, walker.size))
    if not top or top[0].kind != "ftyp":
        raise NotAnMp4("the file does not begin with ftyp")
    moov = only(_by_kind(top), "moov")
    inside = walker.children(moov)
    only(inside, "mvhd")
    fragments = [box for box in top if box.kind == "moof"]
    tracks = _read_tracks(walker, inside, fragments)
    videos = [track for track in tracks if track.handler == "vide" and track.samples.count]
    if not videos:
        raise NotAnMp4("there is no video track with frames in it")
    first_data = next((box.start for box in top if box.kind == "mdat"), None)
    if first_data is None:
        raise NotAnMp4("there is no mdat")
    audio = any(track.handler == "soun" and track.samples.count for track in tracks)
    return _facts(videos[0], audio=audio, faststart=moov.start < first_data, fragmented=bool(fragments))


def private_boxes(source: BinaryIO) -> list[Box]:
    """The boxes that tell of the owner rather than of the frames: place, device, names, comments.

    Raises NotAnMp4 for a file whose boxes cannot be walked, or that has more of these than any honest one.
    """
    walker = Walker(source)
    found: list[Box] = []
    for box in walker.boxes(0, walker.size):
        if box.kind in _PRIVATE:
            found.append(box)
        elif box.kind == "moov":
            for inner in walker.boxes(box.body, box.end):
                inside = walker.boxes(inner.body, inner.end) if inner.kind == "trak" else [inner]
                found += [each for each in inside if each.kind in _PRIVATE]
    if len(found) > MAX_PRIVATE_BOXES:
        raise NotAnMp4(f"more than {MAX_PRIVATE_BOXES} boxes of metadata")
    return found


def only(boxes: dict[str, list[Box]], kind: str) -> Box:
    """The one box of that kind. Raises NotAnMp4 when there is none, or more than one."""
    found = boxes.get(kind, [])
    if len(found) != 1:
        raise NotAnMp4(f"there is no {kind}" if not found else f"there are {len(found)} {kind}")
    return found[0]


def _by_kind(boxes: list[Box]) -> dict[str, list[Box]]:
    found: dict[str, list[Box]] = {}
    for box in boxes:
        found.setdefault(box.kind, []).append(box)
    return found


def _facts(video: _Track, *, audio: bool, faststart: bool, fragmented: bool) -> Mp4Facts:
    if video.samples.ticks == 0:
        raise NotAnMp4("the video track has no length")
    duration = Fraction(video.samples.ticks, video.timescale)
    fps = video.samples.count / duration
    if duration > MAX_DURATION_SECONDS or fps > MAX_FPS:
        raise NotAnMp4("length or frame rate is out of all proportion")
    return Mp4Facts(
        width=video.width,
        height=video.height,
        duration_seconds=duration,
        fps=fps,
        frames=video.samples.count,
        audio=audio,
        faststart=faststart,
        codec=video.codec,
        fragmented=fragmented,
    )


def _read_tracks(walker: Walker, moov: dict[str, list[Box]], fragments: list[Box]) -> list[_Track]:
    traks = moov.get("trak", [])
    if len(traks) > MAX_TRACKS:
        raise NotAnMp4(f"more than {MAX_TRACKS} tracks")
    tracks = [_read_track(walker, trak) for trak in traks]
    if not fragments:
        return tracks
    added = _fragment_samples(walker, moov, fragments)
    return [_with_more(track, added.get(track.number)) for track in tracks]


def _with_more(track: _Track, more: _Samples | None) -> _Track:
    if more is None:
        return track
    total = _Samples(track.samples.count + more.count, track.samples.ticks + more.ticks)
    return _Track(track.number, track.handler, track.timescale, track.width, track.height, track.codec, total)


def _read_track(walker: Walker, trak: Box) -> _Track:
    inside = walker.children(trak)
    number, turned = _read_tkhd(walker, only(inside, "tkhd"))
    media = walker.children(only(inside, "mdia"))
    handler = walker.body(only(media, "hdlr"), 8, 4).decode("latin-1")
    timescale = _read_timescale(walker, only(media, "mdhd"))
    tables = walker.children(only(walker.children(only(media, "minf")), "stbl"))
    samples = _read_samples(walker, tables)
    if handler != "vide":
        return _Track(number, handler, timescale, 0, 0, "", samples)
    codec, width, height = _read_stsd(walker, only(tables, "stsd"))
    if turned:
        width, height = height, width
    return _Track(number, handler, timescale, width, height, codec, samples)


def _read_tkhd(walker: Walker, box: Box) -> tuple[int, bool]:
    """Track number, and whether the matrix turns the picture by a quarter."""
    dates = 16 if walker.body(box, 0, 1) == b"\x01" else 8
    (number,) = struct.unpack(">I", walker.body(box, 4 + dates, 4))
    matrix_at = 4 + dates + 8 + dates // 2 + 16
    a, b, _, c, d = struct.unpack(">5i", walker.body(box, matrix_at, 20))
    return number, a == 0 and d == 0 and b != 0 and c != 0


def _read_timescale(walker: Walker, box: Box) -> int:
    dates = 16 if walker.body(box, 0, 1) == b"\x01" else 8
    (timescale,) = struct.unpack(">I", walker.body(box, 4 + dates, 4))
    if timescale == 0:
        raise NotAnMp4("a track's timescale is 0")
    return int(timescale)


def _read_stsd(walker: Walker, box: Box) -> tuple[str, int, int]:
    """Codec, width and height of the first sample entry."""
    entries, _, letters = struct.unpack(">II4s", walker.body(box, 4, 12))
    if entries == 0:
        raise NotAnMp4("the video track does not say how it is encoded")
    width, height = struct.unpack(">HH", walker.body(box, 8 + 32, 4))
    if not (0 < width <= MAX_SIDE_PIXELS and 0 < height <= MAX_SIDE_PIXELS):
        raise NotAnMp4(f"the picture claims {width}x{height}")
    entry = letters.decode("latin-1")
    if entry == "encv":
        raise NotAnMp4("the video is encrypted")
    return _CODECS.get(entry, entry), width, height


def _read_samples(walker: Walker, tables: dict[str, list[Box]]) -> _Samples:
    """Count and length of a track's samples, its tables checked against each other and the file."""
    ticks = counted = 0
    for count, delta in walker.table(only(tables, "stts"), 4, ">II"):
        counted += count
        ticks += count * delta
    count, size = _read_sizes(walker, tables)
    if counted != count:
        raise NotAnMp4("the tables of sample times and sample sizes disagree")
    if size > walker.size:
        raise NotAnMp4("the samples are larger than the file")
    wide = "co64" in tables
    rows = walker.table(only(tables, "co64" if wide else "stco"), 4, ">Q" if wide else ">I")
    offsets = [offset for (offset,) in rows]
    if max(offsets, default=0) >= walker.size:
        raise NotAnMp4("the file is cut off before its last samples")
    if _placed(walker, only(tables, "stsc"), len(offsets)) < count:
        raise NotAnMp4("there are samples of which no table says where they are")
    return _Samples(count, ticks)


def _placed(walker: Walker, stsc: Box, chunks: int) -> int:
    """How many samples the table of chunks has room for, when there are so many chunks."""
    rows = list(walker.table(stsc, 4, ">III"))
    starts = [first - 1 for first, _, _ in rows] + [chunks]
    if starts != sorted(starts) or starts[0] != 0:
        raise NotAnMp4("the table of chunks is out of order")
    return sum(
        (end - start) * each for (start, end), (_, each, _) in zip(pairwise(starts), rows, strict=True)
    )


def _read_sizes(walker: Walker, tables: dict[str, list[Box]]) -> tuple[int, int]:
    """Number of samples and bytes of them all."""
    if "stz2" in tables:
        (count,) = struct.unpack(">I", walker.body(only(tables, "stz2"), 8, 4))
        return count, count  # compact sizes are not summed; one byte each is a safe lower bound
    box = only(tables, "stsz")
    one_size, count = struct.unpack(">II", walker.body(box, 4, 8))
    if one_size:
        return count, one_size * count
    return count, sum(size for (size,) in walker.table(box, 8, ">I"))


def _fragment_samples(
    walker: Walker, moov: dict[str, list[Box]], fragments: list[Box]
) -> dict[int, _Samples]:
    """Samples that stand in fragments (moof) rather than in the index, by track number."""
    defaults: dict[int, int] = {}
    for trex in walker.children(only(moov, "mvex")).get("trex", []):
        number, _, ticks = struct.unpack(">III", walker.body(trex, 4, 12))
        defaults[number] = ticks
    total: dict[int, _Samples] = {}
    for moof in fragments:
        for traf in walker.children(moof).get("traf", []):
            number, samples = _read_traf(walker, traf, defaults)
            before = total.get(number, _Samples(0, 0))
            total[number] = _Samples(before.count + samples.count, before.ticks + samples.ticks)
    return total


def _read_traf(walker: Walker, traf: Box, defaults: dict[int, int]) -> tuple[int, _Samples]:
    inside = walker.children(traf)
    tfhd = only(inside, "tfhd")
    flags, number = struct.unpack(">II", walker.body(tfhd, 0, 8))
    ticks = defaults.get(number, 0)
    if flags & 0x8:
        at = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
        (ticks,) = struct.unpack(">I", walker.body(tfhd, at, 4))
    runs = [_read_trun(walker, trun, ticks) for trun in inside.get("trun", [])]
    return number, _Samples(sum(run.count for run in runs), sum(run.ticks for run in runs))


def _read_trun(walker: Walker, trun: Box, default_ticks: int) -> _Samples:
    flags, count = struct.unpack(">II", walker.body(trun, 0, 8))
    flags &= 0xFFFFFF
    fields = sum(1 for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit)
    at = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    walker.spend_entries(count)
    if not flags & 0x100:
        return _Samples(count, count * default_ticks)
    rows = struct.iter_unpack(f">{fields}I", walker.body(trun, at, count * fields * 4))
    return _Samples(count, sum(row[0] for row in rows))
