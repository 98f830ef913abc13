"""Clips and sounds that mean harm: boxes that lie, tables that overflow, codecs that nobody asked for."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from collections.abc import Iterator

from tests.media.conftest import make_clip
from tests.media.hostile import PAYLOAD, Hostile
from tests.recordings import SOUNDS, box, sound, wav

_MOVED_BOXES = (
    b"ftyp moov mvhd trak tkhd edts elst mdia mdhd hdlr minf stbl stsd avc1 avcC stts stsc stsz stco mdat"
).split()
_TABLES = (b"stts", b"stsc", b"stsz", b"stco", b"elst", b"stsd", b"dref")


def hostile_recordings(*, heavy: bool = True) -> Iterator[Hostile]:
    """Everything that is sent as a clip or a sound; the `heavy` ones take seconds to make."""
    clip = make_clip(audio=True, size=(64, 48))
    for name, data in _boxes_of_odd_sizes(clip):
        yield Hostile("MP4 box sizes", name, "video/mp4", data, "either")
    for name, data in _shapes(clip):
        yield Hostile("MP4 shapes", name, "video/mp4", data)
    for name, data in _tables(clip):
        yield Hostile("MP4 tables", name, "video/mp4", data, "either")
    for name, data in _matrices(clip):
        yield Hostile("MP4 matrices", name, "video/mp4", data, "either")
    for name, data in _moved(clip):
        yield Hostile("MP4 honest but odd", name, "video/mp4", data, "taken")
    for name, data in _codecs(clip):
        yield Hostile("MP4 codecs", name, "video/mp4", data)
    for name, data in _heavy() if heavy else ():
        yield Hostile("MP4 heavy frames", name, "video/mp4", data, "either")
    small = make_clip(frames=1, size=(16, 16))
    for length in range(16, len(small), 5):
        yield Hostile("MP4 truncations", f"cut at {length} of {len(small)}", "video/mp4", small[:length])
    for declared, name, data in _sounds():
        yield Hostile("sounds", name, declared, data, "either")


def full_box(kind: bytes, content: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags) + content)


def in_moov(clip: bytes, more: bytes, path: tuple[bytes, ...] = ()) -> bytes:
    """The clip, whose index is behind its frames, with another box at the end of moov or of a box in it."""
    holders = [clip.index(b"moov") - 4]
    for kind in path:
        holders.append(clip.index(kind, holders[-1] + 8) - 4)
    out = bytearray(clip)
    end = holders[-1] + struct.unpack_from(">I", clip, holders[-1])[0]
    out[end:end] = more
    for at in holders:
        struct.pack_into(">I", out, at, struct.unpack_from(">I", out, at)[0] + len(more))
    return bytes(out)


def patched(clip: bytes, kind: bytes, offset: int, value: int, form: str = ">I") -> bytes:
    """The clip with one number in the first box of that kind in its index replaced."""
    data = bytearray(clip)
    struct.pack_into(form, data, clip.index(kind, clip.index(b"moov")) + 4 + offset, value)
    return bytes(data)


def _boxes_of_odd_sizes(clip: bytes) -> Iterator[tuple[str, bytes]]:
    """Each box of the way to the samples claims to be 0, 1, 7, 2^31, 2^32-1, 2^32 and 2^64-1 long."""
    for kind in _MOVED_BOXES:
        at = clip.find(kind) - 4
        if at < 0:
            continue
        for size in (0, 1, 7, 2**31, 2**32 - 1):
            yield f"{kind.decode()} of {size}", clip[:at] + struct.pack(">I", size) + clip[at + 4 :]
        for long in (0, 15, 2**32, 2**63, 2**64 - 1):
            wide = struct.pack(">I4sQ", 1, kind, long)
            yield f"{kind.decode()} of {long} in 64 bits", clip[:at] + wide + clip[at + 8 :]


def _shapes(clip: bytes) -> Iterator[tuple[str, bytes]]:
    ftyp = clip[: struct.unpack_from(">I", clip)[0]]
    moov_at = clip.index(b"moov") - 4
    moov, data = clip[moov_at:], box(b"mdat", b"x")
    mvhd = full_box(b"mvhd", bytes(96))
    for kind in (b"moov", b"trak", b"udta", b"meta"):
        yield f"{kind.decode()} 10,000 deep", ftyp + data + box(b"moov", mvhd + _nested(kind, 10_000))
    yield "ftyp 10,000 deep", _nested(b"ftyp", 10_000) + data + moov
    yield "a million traks", ftyp + data + box(b"moov", mvhd + box(b"trak", b"") * 1_000_000)
    yield "a million boxes at the top", ftyp + box(b"free", b"") * 1_000_000 + data + moov
    yield "a million fragments", clip + box(b"moof", b"") * 1_000_000
    yield "a million pieces of metadata", in_moov(clip, box(b"udta", b"") * 1_000_000)
    yield "a million stsd entries", in_moov(clip, box(b"avc1", b"") * 1_000_000, (b"trak",))
    yield "moov twice", clip + moov
    yield "moov 1,000 times", clip + moov * 1000
    yield "no moov", clip[:moov_at]
    yield "only ftyp", ftyp
    yield "no mdat", ftyp + moov
    yield "no ftyp", clip[len(ftyp) :]
    yield "an empty moov", ftyp + data + box(b"moov", b"")
    yield "a compressed moov", ftyp + data + box(b"moov", _packed_moov(moov))
    fragmented = make_clip(size=(64, 48), movflags="frag_keyframe+empty_moov", frames=24)
    at = fragmented.index(b"moof") - 4
    yield (
        "fragments without an index",
        fragmented[: struct.unpack_from(">I", fragmented)[0]] + fragmented[at:],
    )
    yield "fragments of nothing", fragmented[:at] + box(b"moof", b"") + data
    yield "fragments of four billion samples", _patched_run(fragmented, 2**32 - 1)
    yield "a moov inside a moov", ftyp + data + box(b"moov", moov)
    yield "frames of another file", ftyp + moov + box(b"mdat", b"")


def _patched_run(clip: bytes, count: int) -> bytes:
    data = bytearray(clip)
    struct.pack_into(">I", data, clip.index(b"trun") + 8, count)
    return bytes(data)


def _nested(kind: bytes, depth: int) -> bytes:
    heads = (struct.pack(">I4s", 8 * (depth - level), kind) for level in range(depth))
    return b"".join(heads)


def _packed_moov(moov: bytes) -> bytes:
    """QuickTime's compressed index: it claims four gigabytes."""
    inner = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", 2**32 - 1) + zlib.compress(moov))
    return box(b"cmov", inner)


def _tables(clip: bytes) -> Iterator[tuple[str, bytes]]:
    for kind in _TABLES:
        if clip.find(kind) < 0:
            continue
        count_at = 8 if kind == b"stsz" else 4
        for count in (0, 1, 2**16, 2_000_000, 2**31 - 1, 2**32 - 1):
            yield f"{kind.decode()} claims {count} entries", patched(clip, kind, count_at, count)
    for offset, name in ((8, "count"), (12, "length")):
        for value in (0, 1, 2**31 - 1, 2**31, 2**32 - 1):
            yield f"stts {name} {value}", patched(clip, b"stts", offset, value)
    for offset in (8, 12, 16):
        for value in (0, 2**31, 2**32 - 1):
            yield f"stsc number {offset} is {value}", patched(clip, b"stsc", offset, value)
    for value in (1, 2**31, 2**32 - 1):
        yield f"stsz of equal samples of {value}", patched(clip, b"stsz", 4, value)
        yield f"stco far away at {value}", patched(clip, b"stco", 8, value)
    for kind, offset in ((b"mvhd", 12), (b"mdhd", 12)):
        for value in (0, 1, 2**31, 2**32 - 1):
            yield f"{kind.decode()} timescale {value}", patched(clip, kind, offset, value)
            yield f"{kind.decode()} duration {value}", patched(clip, kind, offset + 4, value)
    yield from _times(clip)


def _times(clip: bytes) -> Iterator[tuple[str, bytes]]:
    """Edit lists, offsets of frames, sizes told twice."""
    stbl = (b"trak", b"mdia", b"minf", b"stbl")
    edits = struct.pack(">IiI", 1000, 0, 0x10000)
    for count in (1000, 100_000):
        yield f"an edit list of {count}", _with_edits(clip, edits * count, count)
    for length, start in ((2**32 - 1, 0), (1000, -(2**31)), (1000, 2**31 - 1), (0, -1)):
        yield f"an edit of {length} from {start}", _with_edits(clip, struct.pack(">IiI", length, start, 1), 1)
    for offset in (2**31 - 1, -(2**31), -1):
        row = struct.pack(">III", 1, 12, offset & 0xFFFFFFFF)
        late = in_moov(clip, full_box(b"ctts", row, 1), stbl)
        yield f"frames shown at {offset}", late
    for size in (4, 8, 16):
        stz2 = full_box(b"stz2", struct.pack(">II", size, 12) + bytes(24))
        yield f"sizes told twice, {size} bits", in_moov(clip, stz2, stbl)
    yield (
        "2,000,000 key frames",
        in_moov(
            clip,
            full_box(b"stss", struct.pack(">I", 2_000_000) + bytes(8_000_000)),
            (b"trak", b"mdia", b"minf", b"stbl"),
        ),
    )


def _with_edits(clip: bytes, rows: bytes, count: int) -> bytes:
    edits = box(b"edts", full_box(b"elst", struct.pack(">I", count) + rows))
    return in_moov(clip.replace(b"edts", b"free"), edits, (b"trak",))


def _matrices(clip: bytes) -> Iterator[tuple[str, bytes]]:
    """tkhd: 4 version, 8 times, 4 id, 4, 4 duration, 8, 8, then nine numbers and the two sides."""
    one = 65536
    turns = {
        "negative": (-one, 0, 0, -one),
        "mirrored": (-one, 0, 0, one),
        "a quarter, negative": (0, -one, one, 0),
        "of zeros": (0, 0, 0, 0),
        "of the largest": (2**31 - 1,) * 4,
        "of the smallest": (-(2**31),) * 4,
        "askew": (46341, 46341, -46341, 46341),
        "not invertible": (one, one, one, one),
    }
    for name, (a, b, c, d) in turns.items():
        data = bytearray(clip)
        struct.pack_into(">5i", data, clip.index(b"tkhd") + 4 + 40, a, b, 0, c, d)
        yield name, bytes(data)
    for side in (0, 2**31, 2**32 - 1):
        yield f"sides of {side}", patched(patched(clip, b"tkhd", 76, side), b"tkhd", 80, side)


def _moved(clip: bytes) -> Iterator[tuple[str, bytes]]:
    yield "moov after mdat", clip
    yield "moov before mdat", make_clip(size=(64, 48), movflags="faststart")
    yield "in fragments", make_clip(size=(64, 48), movflags="frag_keyframe+empty_moov", frames=24)
    yield "a last box of size 0", clip + struct.pack(">I4s", 0, b"free") + bytes(100)
    yield "a megabyte of free space", in_moov(clip, box(b"free", bytes(1 << 20)))
    yield "a payload in its metadata", in_moov(clip, box(b"udta", box(b"\xa9nam", PAYLOAD)))
    yield "a payload beside it", clip + box(b"uuid", bytes(16) + PAYLOAD)
    yield "a payload in a track", in_moov(clip, box(b"udta", PAYLOAD), (b"trak",))
    yield "references to files of ours", _referring(clip, b"file:///etc/passwd\0")
    yield "references to the network", _referring(clip, b"http://127.0.0.1:9/x\0")


def _referring(clip: bytes, url: bytes) -> bytes:
    """Its data reference names a file elsewhere; what is inside is played all the same, or nothing."""
    start = clip.index(b"url ", clip.index(b"dref")) - 4
    out = bytearray(clip)
    (length,) = struct.unpack_from(">I", clip, start)
    entry = full_box(b"url ", url)
    out[start : start + length] = entry
    at = 0
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = clip.index(kind, at) - 4
        struct.pack_into(">I", out, at, struct.unpack_from(">I", out, at)[0] + len(entry) - length)
        at += 8
    return bytes(out)


def _codecs(clip: bytes) -> Iterator[tuple[str, bytes]]:
    strange = "fli rpza SVQ1 SVQ3 cvid mjpa mjpb rle smc Hap1 png tiff gif MP42 XVID VP6F dvc text encv"
    for name in strange.split():
        yield f"frames that are {name}", clip.replace(b"avc1", name.encode().ljust(4))
    yield "frames of MPEG-4 Part 2", make_clip(codec="mpeg4", size=(64, 48))
    yield "a first track of another codec", two_tracks(clip)


def two_tracks(clip: bytes) -> bytes:
    """A track of MPEG-4 Part 2 that our count of samples says is empty, before the honest one."""
    other = make_clip(codec="mpeg4", size=(64, 48), frames=12)
    start = other.index(b"trak") - 4
    trak = bytearray(other[start : start + struct.unpack_from(">I", other, start)[0]])
    # Times of no sample, and sizes told twice: whoever believes the compact ones sees an empty track.
    at = trak.index(b"stts")
    struct.pack_into(">II", trak, at + 12, 0, 0)
    struct.pack_into(">I", trak, trak.index(b"tkhd") + 16, 9)
    empty = full_box(b"stz2", struct.pack(">II", 8, 0))
    for kind in (b"trak", b"mdia", b"minf", b"stbl"):
        holder = 0 if kind == b"trak" else trak.index(kind) - 4
        struct.pack_into(">I", trak, holder, struct.unpack_from(">I", trak, holder)[0] + len(empty))
    where = trak.index(b"stsz") - 4
    trak[where:where] = empty
    moov = clip.index(b"moov") - 4
    first = clip.index(b"trak") - 4
    out = bytearray(clip)
    out[first:first] = trak
    struct.pack_into(">I", out, moov, struct.unpack_from(">I", out, moov)[0] + len(trak))
    return bytes(out)


def _heavy() -> Iterator[tuple[str, bytes]]:
    """Frames that cost much to decode, and the most that a clip may ask for."""
    slow = {"preset": "ultrafast", "crf": "40"}
    yield "4,096 x 4,096", make_clip(size=(4096, 4096), frames=4, dull_frames=3, options=slow)
    late = {"preset": "ultrafast", "crf": "45", "bf": "16", "b-adapt": "0", "refs": "16"}
    yield (
        "2,560 x 2,560, the first one shown late",
        make_clip(size=(2560, 2560), frames=20, dull_frames=12, options=late),
    )
    broken = bytearray(make_clip(size=(2048, 2048), frames=6, options={**slow, "g": "1"}))
    at = broken.index(b"mdat") + 4
    for place in range(at + 4000, broken.index(b"moov") - 4, 997):
        broken[place] ^= 0x55
    yield "2,048 x 2,048, damaged everywhere", bytes(broken)
    yield "7,000 frames", make_clip(size=(16, 16), frames=7000, dull_frames=7000, fps=240)
    zoo = make_clip(
        codec="libvpx-vp9", size=(2048, 1024), frames=3, options={"cpu-used": "8", "deadline": "realtime"}
    )
    yield "VP9 of 2,048 x 1,024", zoo


def _sounds() -> Iterator[tuple[str, str, bytes]]:
    made = {"audio/wav": wav(0.5), **{declared: sound(declared, 0.5) for declared in SOUNDS}}
    for declared, whole in made.items():
        kind = declared.removeprefix("audio/")
        for share in (1, 2, 5, 8):
            yield declared, f"{kind} cut at {share}/10", whole[: len(whole) * share // 10]
        yield declared, f"{kind} with a payload behind it", whole + b"PK\x03\x04" + PAYLOAD
        yield declared, f"{kind} twice", whole + whole
        yield declared, f"{kind} and 4 MB of zeros", whole + bytes(4 << 20)
        yield declared, f"{kind} and 4 MB of 255", whole + b"\xff" * (4 << 20)
        yield declared, f"{kind} with holes", _holes(whole)
    for size in (0, 1, 2**31, 2**32 - 1):
        data = bytearray(made["audio/wav"])
        struct.pack_into("<I", data, 40, size)
        yield "audio/wav", f"wav whose data claims {size} bytes", bytes(data)
    for offset, form, value, name in _WAV_LIES:
        data = bytearray(made["audio/wav"])
        struct.pack_into(form, data, offset, value)
        yield "audio/wav", f"wav with {name}", bytes(data)
    yield "audio/mpeg", "a tag of 256 MB", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + made["audio/mpeg"]
    yield "audio/mpeg", "a cover of 900 megapixels", _with_cover(made["audio/mpeg"])
    yield "audio/mpeg", "a million empty tags", b"ID3\x04\0\0\0\0\0\0" * 1_000_000 + made["audio/mpeg"]
    yield "audio/flac", "a million empty pieces of metadata", b"fLaC" + b"\x01\0\0\0" * 1_000_000
    yield "audio/ogg", "100,000 streams", _ogg_streams(100_000)
    yield "audio/mp4", "packets of no length", packets_of_no_length(made["audio/mp4"], 4_000_000)
    yield "audio/wav", "32,767 channels", _wide_wav()


_WAV_LIES: tuple[tuple[int, str, int, str], ...] = (
    (20, "<H", 0, "no codec"),
    (20, "<H", 0xFFFE, "a codec told elsewhere"),
    (20, "<H", 0x0055, "MP3 inside"),
    (22, "<H", 0, "no channels"),
    (22, "<H", 65535, "65,535 channels"),
    (24, "<I", 0, "no rate"),
    (24, "<I", 2**32 - 1, "a rate of 2^32-1"),
    (28, "<I", 1, "one byte a second"),
    (32, "<H", 0, "blocks of 0 bytes"),
    (34, "<H", 0, "samples of 0 bits"),
    (34, "<H", 64, "samples of 64 bits"),
    (16, "<I", 2**32 - 1, "a format of 2^32-1 bytes"),
)


def _holes(whole: bytes) -> bytes:
    data = bytearray(whole)
    for at in range(64, len(data) - 8, 211):
        data[at : at + 4] = b"\xff\0\xff\0"
    return bytes(data)


def _with_cover(mp3: bytes) -> bytes:
    from tests.media.conftest import png_of

    picture = b"\0image/png\0\x03\0" + png_of(30_000, 30_000)
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    size = len(frame)
    packed = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + packed + frame + mp3


def _ogg_streams(count: int) -> bytes:
    head = b"OggS\0\x02" + bytes(8)
    return b"".join(head + struct.pack("<II", number, 0) + bytes(4) + b"\x01\x01x" for number in range(count))


def packets_of_no_length(m4a: bytes, count: int) -> bytes:
    """An M4A of so many samples of one byte that last no time: little to send, much to count."""
    index = m4a.index(b"moov") - 4
    mdat = m4a.index(b"mdat") - 4
    head = m4a[:mdat] if mdat < index else m4a[:index]
    moov = bytearray(m4a[index : index + struct.unpack_from(">I", m4a, index)[0]])
    for kind, rows in (
        (b"stts", struct.pack(">III", 1, count, 0)),
        (b"stsz", struct.pack(">II", 1, count)),
        (b"stsc", struct.pack(">IIII", 1, 1, count, 1)),
        (b"stco", struct.pack(">II", 1, len(head) + 16)),
    ):
        moov = _with_table(moov, full_box(kind, rows))
    data = struct.pack(">I4sQ", 1, b"mdat", 16 + count) + bytes(count)
    return head + data + bytes(moov)


def _with_table(moov: bytearray, table: bytes) -> bytearray:
    at = moov.index(table[4:8]) - 4
    (old,) = struct.unpack_from(">I", moov, at)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        holder = moov.index(kind) - 4
        struct.pack_into(">I", moov, holder, struct.unpack_from(">I", moov, holder)[0] + len(table) - old)
    moov[at : at + old] = table
    return moov


def _wide_wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(255)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(255 * 2 * 800))
    data = bytearray(out.getvalue())
    struct.pack_into("<HIIH", data, 22, 32_767, 8000, 8000 * 65_534, 65_534)
    return bytes(data)
