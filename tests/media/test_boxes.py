"""The box walker against PyAV's own reading of real files, and against files that mean harm."""

from __future__ import annotations

import io
import random
import struct
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import pytest

from fairstack_server.media.boxes import MAX_BOXES, Mp4Facts, NotAnMp4, Walker, read_mp4_facts

from .conftest import make_clip

REAL_CLIPS: dict[str, bytes] = {}
MAKERS: dict[str, dict[str, object]] = {
    "plain": {},
    "sound": {"audio": True},
    "faststart": {"movflags": "+faststart"},
    "ntsc": {"fps": Fraction(30000, 1001), "frames": 31},
    "portrait": {"size": (96, 160), "fps": 30},
    "b-frames": {"options": {"preset": "medium", "bf": "3"}, "frames": 25},
    "mpeg4": {"codec": "mpeg4"},
    "hevc": {"codec": "libx265", "frames": 5, "options": {"x265-params": "log-level=none:pools=none"}},
    "one frame": {"frames": 1},
    "fragmented": {"movflags": "frag_keyframe+empty_moov", "frames": 30, "audio": True},
    "fragmented, with defaults": {"movflags": "frag_every_frame+default_base_moof", "frames": 9},
}


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of that kind around its content."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


@pytest.mark.parametrize("name", MAKERS)
def test_facts_are_those_that_a_decoder_sees(name: str) -> None:
    """Size, frames, length, rate and sound of real files agree with PyAV, which decodes them."""
    data = make_clip(**MAKERS[name])  # type: ignore[arg-type]
    facts = read_mp4_facts(data)
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        frames = len(list(container.decode(stream)))
        seen = (stream.width, stream.height, frames, bool(container.streams.audio), stream.codec_context.name)
        assert (facts.width, facts.height, facts.frames, facts.audio, facts.codec) == seen
        if not facts.fragmented:
            assert stream.duration is not None
            assert stream.time_base is not None
            assert facts.duration_seconds == stream.duration * stream.time_base
            assert facts.fps == stream.average_rate
    assert facts.fragmented == ("fragmented" in name)
    assert facts.faststart == (facts.fragmented or name == "faststart")
    assert abs(facts.duration_seconds - facts.frames / facts.fps) == 0


@pytest.mark.parametrize(
    ("matrix", "turned"), [((0, 1, -1, 0), True), ((0, -1, 1, 0), True), ((-1, 0, 0, -1), False)]
)
def test_a_turned_picture_is_measured_as_it_is_shown(
    clip: bytes, matrix: tuple[int, int, int, int], turned: bool
) -> None:
    """A quarter turn in the track's matrix swaps width and height; half a turn does not."""
    at = clip.index(b"tkhd") + 4 + 4 + 8 + 12 + 16
    a, b, c, d = (value * 65536 for value in matrix)
    data = bytearray(clip)
    struct.pack_into(">5i", data, at, a, b, 0, c, d)
    facts = read_mp4_facts(bytes(data))
    assert (facts.width, facts.height) == ((96, 128) if turned else (128, 96))


def _broken(clip: bytes) -> Iterator[tuple[str, bytes]]:
    moov = clip.index(b"moov") - 4
    ftyp_size = struct.unpack_from(">I", clip)[0]
    head, index = clip[:moov], clip[moov:]
    yield "empty", b""
    yield "text", b"<html>" * 20
    yield "no ftyp", clip[ftyp_size:]
    yield "no moov", head
    yield "moov twice", clip + index
    yield "no mdat", clip[:ftyp_size] + index
    yield "index cut off", clip[:-10]
    yield "frames cut off", clip[:ftyp_size] + box(b"moov", clip[moov + 8 :]) + box(b"mdat")
    for size in (2, 7, 2**31, 2**32 - 1):
        yield f"box of {size}", head + struct.pack(">I", size) + index[4:]
    yield "64-bit size", head + struct.pack(">I4sQ", 1, b"moov", 2**64 - 1) + index[8:]
    yield "64-bit size too small", head + struct.pack(">I4sQ", 1, b"moov", 15) + index[8:]
    yield "timescale 0", _patched(clip, b"mdhd", 12, 0)
    yield "stts overflow", _patched(clip, b"stts", 12, 2**32 - 1)
    yield "stts claims", _patched(clip, b"stts", 4, 2**32 - 1)
    yield "stsz claims", _patched(clip, b"stsz", 8, 2**31)
    yield "stsz constant", _patched(clip, b"stsz", 4, 2**30)
    yield "chunk far away", _patched(clip, b"stco", 8, 2**32 - 1)
    yield "tables that disagree", _patched(clip, b"stts", 8, 11)
    yield "no length", _patched(clip, b"stts", 12, 0)
    yield "no codec", _patched(clip, b"stsd", 4, 0)
    yield "samples in no chunk", _patched(clip, b"stco", 4, 0)
    yield "chunks out of order", _patched(clip, b"stsc", 8, 7)
    yield "chunks of no table", _patched(clip, b"stsc", 4, 0)
    yield "width 0", _patched(clip, b"avc1", 24, 96)
    yield "encrypted", clip.replace(b"avc1", b"encv")
    yield "sound only", clip.replace(b"vide", b"none")
    yield (
        "fragments without samples",
        head + box(b"moov", clip[moov + 8 :].replace(b"stts", b"free")) + box(b"moof"),
    )


def _patched(clip: bytes, kind: bytes, offset: int, value: int) -> bytes:
    data = bytearray(clip)
    struct.pack_into(">I", data, clip.index(kind, clip.index(b"moov")) + 4 + offset, value)
    return bytes(data)


def test_broken_files_are_refused_with_a_reason(clip: bytes) -> None:
    """Each way of being broken is an error of its own kind, never a fact, never another exception."""
    for name, data in _broken(clip):
        try:
            facts = read_mp4_facts(data)
        except NotAnMp4 as error:
            assert error.reason
        else:
            pytest.fail(f"{name}: {facts}")


def test_the_reason_names_what_is_wrong(clip: bytes) -> None:
    """A log line with the reason is enough to know the file."""
    words = {
        "no ftyp": "ftyp",
        "moov twice": "2 moov",
        "box of 7": "claims 7 bytes",
        "tables that disagree": "disagree",
        "encrypted": "encrypted",
        "width 0": "0x96",
        "sound only": "no video track",
    }
    for name, data in _broken(clip):
        if name in words:
            with pytest.raises(NotAnMp4, match=words[name]):
                read_mp4_facts(data)


def _deep(levels: int) -> bytes:
    data = b""
    for _ in range(levels):
        data = box(b"trak", data)
    return data


def test_hostile_shapes_end_at_once() -> None:
    """A million tracks, boxes nested 10,000 deep and tables of billions are refused in a blink."""
    ftyp, data = box(b"ftyp", b"isom"), box(b"mdat", b"x")
    mvhd = box(b"mvhd", b"\0" * 100)
    shapes = [
        ftyp + box(b"moov", mvhd, box(b"trak") * 1_000_000) + data,
        ftyp + box(b"moov", mvhd, _deep(10_000)) + data,
        ftyp + box(b"free") * (MAX_BOXES + 1),
        ftyp + b"\0\0\0\0moov" * 50_000,
        ftyp + box(b"moov", mvhd, box(b"mvex"), box(b"trak")) + box(b"moof", box(b"traf") * 100_000) + data,
    ]
    started = time.process_time()
    for shape in shapes:
        with pytest.raises(NotAnMp4):
            read_mp4_facts(shape)
    assert time.process_time() - started < 2


def test_tables_share_one_budget() -> None:
    """Many tables, each of a fair size, cannot add up to minutes of reading."""
    table = box(b"stts", struct.pack(">II", 0, 100_000), b"\0" * 800_000)
    walker = Walker(io.BytesIO(table))
    only_box = next(walker.boxes(0, walker.size))
    with pytest.raises(NotAnMp4):
        for _ in range(100):
            walker.table(only_box, 4, ">II")


def _mutants(clip: bytes, count: int) -> Iterator[bytes]:
    """Clips with flipped bits, odd sizes, swapped, doubled or dropped pieces; mostly in the index."""
    dice = random.Random(20)
    moov = clip.index(b"moov") - 4
    odd = [0, 1, 2, 7, 8, 15, 16, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    for _ in range(count):
        data = bytearray(clip)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(moov, len(data) - 8)
            match dice.randrange(4):
                case 0:
                    data[at] ^= 1 << dice.randrange(8)
                case 1:
                    struct.pack_into(">I", data, at, dice.choice(odd))
                case 2:
                    del data[at : at + dice.randint(1, 64)]
                case _:
                    data[at:at] = data[at : at + dice.randint(1, 64)]
            if len(data) < moov + 64:
                break
        yield bytes(data)


@pytest.mark.parametrize("fragmented", [False, True])
def test_two_thousand_mutants_are_measured_or_refused(clip: bytes, fragmented: bool) -> None:
    """Whatever is broken, the answer is facts within bounds or NotAnMp4, and quick."""
    parent = make_clip(movflags="frag_keyframe+empty_moov") if fragmented else clip
    outcomes = {"facts": 0, "refused": 0}
    slowest = 0.0
    for mutant in _mutants(parent, 1000):
        started = time.process_time()
        try:
            facts = read_mp4_facts(mutant)
        except NotAnMp4:
            outcomes["refused"] += 1
        else:
            outcomes["facts"] += 1
            assert isinstance(facts, Mp4Facts)
            assert 0 < facts.width <= 16384 and 0 < facts.fps <= 1000 and 0 < facts.duration_seconds <= 86400
        slowest = max(slowest, time.process_time() - started)
    assert min(outcomes.values()) > 20
    assert slowest < 0.5
