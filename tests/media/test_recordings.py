"""Clips and sounds of strangers: measured on what is in them, in a confined child, whatever they claim."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest

from fairstack_server.media.fetch_recording import RecordingFetch, RecordingLimits, one_piece
from fairstack_server.media.prober import RecordingProber
from fairstack_server.media.recordings import Recording, RecordingKind, RecordingRefused, measure_clip
from fairstack_server.media.sniff import recording_type
from tests.recordings import SOUNDS, box, sound, wav
from tests.recordings import clip as made_clip

from .conftest import encoded, make_clip
from .hostile_recordings import packets_of_no_length, two_tracks
from .test_fetch import PHOTO, LoopbackEgress, Origin, origin

__all__ = ["origin"]
LONGEST = 30.0
HUGE = 0x7FFF_FFF0


@pytest.fixture(scope="module")
async def prober() -> AsyncIterator[RecordingProber]:
    """One confined child for all tests."""
    prober = RecordingProber(longest_seconds=LONGEST)
    yield prober
    await prober.aclose()


@pytest.fixture
def fetch(origin: Origin, prober: RecordingProber, tmp_path: Path) -> RecordingFetch:
    """Fetches as if the origin were public."""
    return RecordingFetch(LoopbackEgress(origin.url), prober, tmp_path, RecordingLimits(2_000_000, 5.0))


async def measured(fetch: RecordingFetch, data: bytes, kind: RecordingKind = "clip") -> Recording:
    """What these bytes are; nothing of them is left on the disk."""
    async with fetch.taken(one_piece(data), "", kind) as recording:
        return recording.facts


async def refusal(fetch: RecordingFetch, data: bytes, kind: RecordingKind = "clip") -> str:
    """Why these bytes are refused."""
    with pytest.raises(RecordingRefused) as refused:
        await measured(fetch, data, kind)
    return refused.value.reason


@pytest.mark.parametrize(
    ("made", "width", "height", "fps", "seconds"),
    [
        ({"frames": 48}, 128, 96, 24.0, 2.0),
        ({"frames": 48, "movflags": "faststart"}, 128, 96, 24.0, 2.0),
        ({"frames": 48, "movflags": "frag_keyframe+empty_moov"}, 128, 96, 24.0, 2.0),
        ({"frames": 30, "fps": 25, "size": (64, 128)}, 64, 128, 25.0, 1.2),
        ({"frames": 24, "codec": "libvpx-vp9"}, 128, 96, 24.0, 1.0),
    ],
)
async def test_a_clip_is_measured(
    fetch: RecordingFetch, made: dict[str, Any], width: int, height: int, fps: float, seconds: float
) -> None:
    """Size, rate and length are those of the frames, wherever the index is and whatever the codec."""
    facts = await measured(fetch, make_clip(**made))
    assert (facts.width, facts.height, facts.fps) == (width, height, fps)
    assert (facts.content_type, facts.milliseconds) == ("video/mp4", round(seconds * 1000))


async def test_a_mov_is_a_clip(fetch: RecordingFetch) -> None:
    """The same boxes under QuickTime's brand are a MOV."""
    clip = make_clip(frames=24, audio=True)
    facts = await measured(fetch, clip.replace(b"ftypisom", b"ftypqt  ", 1))
    assert (facts.content_type, facts.milliseconds, facts.audio) == ("video/quicktime", 1000, True)


@pytest.mark.parametrize("media_type", SOUNDS)
async def test_a_sound_is_measured(fetch: RecordingFetch, media_type: str) -> None:
    """Each kind of sound is told by its bytes and measured within the padding of its codec."""
    facts = await measured(fetch, sound(media_type, 3), "sound")
    assert facts.content_type == media_type
    assert 3000 <= facts.milliseconds <= 3060
    assert (facts.width, facts.height, facts.audio) == (None, None, True)


async def test_a_wav_is_measured_to_the_millisecond(fetch: RecordingFetch) -> None:
    """A WAV has no padding; its length is exact, and a part of a millisecond counts as one."""
    assert (await measured(fetch, wav(7.5), "sound")).milliseconds == 7500
    assert (await measured(fetch, wav(1.0001, rate=10_000), "sound")).milliseconds == 1001


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("clip", b"", "empty"),
        ("clip", b"\0" * 4096, "not known"),
        ("clip", encoded(PHOTO, "PNG"), "PNG picture"),
        ("clip", b"#EXTM3U\nfile:///etc/passwd", "a playlist"),
        ("clip", b"<!DOCTYPE html><html>", "an HTML page"),
        ("clip", b"RIFF\0\0\0\0AVI LIST" + bytes(64), "an AVI"),
        ("clip", b"\x1aE\xdf\xa3" + bytes(64), "WebM"),
        ("clip", b"\0\0\0\x18ftypheic" + bytes(64), "HEIC"),
        ("clip", b"\0\0\0\x18ftypisom" + bytes(64), "not a complete MP4"),
        ("clip", wav(1), "audio/wav; send an MP4 or MOV"),
        ("sound", encoded(PHOTO, "PNG"), "PNG picture"),
        ("sound", b"ID3" + bytes(4096), "damaged|no sound|decoded|shorter"),
        ("sound", b"OggS" + bytes(4096), "damaged|no sound|decoded|shorter"),
        ("sound", b"fLaC" + bytes(4096), "damaged|no sound|decoded|shorter"),
        ("sound", wav(0.01), "shorter than 0.1 s"),
        ("sound", wav(0), "damaged|shorter"),
        ("sound", wav(LONGEST + 1), "longer than 30 s"),
    ],
)
async def test_what_is_no_clip_or_sound_is_refused(
    fetch: RecordingFetch, kind: RecordingKind, data: bytes, words: str
) -> None:
    """Other formats, empty, short and long ones are refused, and the message says what is wrong."""
    with pytest.raises(RecordingRefused, match=words):
        await measured(fetch, data, kind)


async def test_a_video_is_no_sound(fetch: RecordingFetch) -> None:
    """Where a sound is asked for, a video is refused, and says what to send; a cover is no video."""
    assert "send its sound alone" in await refusal(fetch, make_clip(audio=True), "sound")


async def test_a_clip_with_too_many_pixels_is_refused(fetch: RecordingFetch) -> None:
    """A picture too wide is refused by what the frames are, also where the index tells a small one."""
    wide = make_clip(size=(4352, 64), frames=4)
    assert "4352x64" in await refusal(fetch, wide)
    at = wide.index(b"avc1", wide.index(b"stsd")) + 4 + 24
    assert struct.unpack_from(">HH", wide, at) == (4352, 64)
    lying = bytearray(wide)
    struct.pack_into(">HH", lying, at, 128, 64)
    assert "4352x64" in await refusal(fetch, bytes(lying))


async def test_a_header_that_claims_hours_is_refused(fetch: RecordingFetch) -> None:
    """A length in a header that the packets do not bear out is a refusal: a vendor might bill by it."""
    flac = bytearray(sound("audio/flac", 1))
    # 36 bits of STREAMINFO: the number of samples in all.
    flac[8 + 13] |= 0x0F
    assert "it says that it lasts" in await refusal(fetch, bytes(flac), "sound")
    ogg = sound("audio/ogg", 1)
    last = ogg.rindex(b"OggS")
    page = bytearray(ogg[last:])
    struct.pack_into("<q", page, 6, 48_000 * 7200)
    struct.pack_into("<I", page, 22, 0)
    struct.pack_into("<I", page, 22, _ogg_checksum(page))
    assert "it says that it lasts" in await refusal(fetch, ogg[:last] + page, "sound")


async def test_one_frame_that_lasts_for_hours_is_refused(fetch: RecordingFetch) -> None:
    """A clip of few frames cannot be made long by its table of times."""
    clip = bytearray(make_clip(frames=12, fps=24))
    at = clip.index(b"stts") + 8
    entries, count, delta = struct.unpack_from(">III", clip, at)
    assert (entries, count) == (1, 12)
    struct.pack_into(">I", clip, at + 8, delta * 24 * 60)
    assert "longer than" in await refusal(fetch, bytes(clip))
    struct.pack_into(">I", clip, at + 8, HUGE)
    assert "out of all proportion" in await refusal(fetch, bytes(clip))
    struct.pack_into(">I", clip, at + 8, 0)
    assert "no length" in await refusal(fetch, bytes(clip))


async def test_a_clip_that_plays_a_piece_over_and_over_counts_each_time(fetch: RecordingFetch) -> None:
    """An edit list that plays a second twenty times makes 20 seconds, as for any reader at a vendor."""
    looped = _with_edits(make_clip(frames=24, fps=24), [(1000, 0)] * 20)
    assert _played_seconds(looped) == 20
    assert (await measured(fetch, looped)).milliseconds == 20_000
    endless = _with_edits(make_clip(frames=24, fps=24), [(1000, 0)] * 40)
    assert "longer than 30 s" in await refusal(fetch, endless)


@pytest.mark.parametrize("inside", ["moov", "trak", "nothing"])
async def test_what_a_phone_writes_beside_the_frames_is_blanked(fetch: RecordingFetch, inside: str) -> None:
    """Place and device do not go on; size, frames and length stay as they were."""
    clip = bytearray(make_clip(frames=24))
    assert clip.index(b"mdat") < clip.index(b"moov")
    place = box(b"udta", box(b"\xa9xyz", b"\0\x12\x15\xc7+48.8577+002.295/"))
    if inside == "nothing":
        clip += box(b"uuid", bytes(16) + place)
    else:
        moov, trak = clip.index(b"moov") - 4, clip.index(b"trak") - 4
        at = {"moov": moov + 8, "trak": trak + struct.unpack_from(">I", clip, trak)[0]}[inside]
        clip[at:at] = place
        for holder in (moov,) if inside == "moov" else (moov, trak):
            (length,) = struct.unpack_from(">I", clip, holder)
            struct.pack_into(">I", clip, holder, length + len(place))
    assert b"+48.8577" in clip
    async with fetch.taken(one_piece(bytes(clip)), "", "clip") as recording:
        kept = recording.path.read_bytes()
        assert recording.sha256 == hashlib.sha256(kept).hexdigest()
    assert b"+48.8577" not in kept and b"Lavf" not in kept
    assert (len(kept), _played_seconds(kept)) == (len(clip), _played_seconds(bytes(clip))) == (len(clip), 1)


async def test_fragments_far_apart_are_refused(fetch: RecordingFetch) -> None:
    """A clip whose second half begins hours later is refused: it has no one length."""
    clip = bytearray(make_clip(frames=48, movflags="frag_keyframe+empty_moov", options={"g": "24"}))
    at = clip.rindex(b"tfdt") + 8
    assert clip[at - 4] == 1
    struct.pack_into(">Q", clip, at, 90_000 * 7200)
    assert "it says that it lasts" in await refusal(fetch, bytes(clip))


def test_a_clip_cut_anywhere_is_refused() -> None:
    """Whatever is missing at the end of a clip, it is never taken for the whole."""
    clip = make_clip(frames=12, audio=True)
    for length in [*range(0, 600), *range(600, len(clip), 97)]:
        with pytest.raises(RecordingRefused):
            measure_clip(io.BytesIO(clip[:length]), "video/mp4", LONGEST)


async def test_damaged_files_cannot_break_out_or_stay(fetch: RecordingFetch, tmp_path: Path) -> None:
    """Of 120 damaged clips and sounds each is measured or refused; the child lives on and no file stays."""
    chance = random.Random(7)
    files: list[tuple[RecordingKind, bytes]] = [("clip", make_clip(frames=12, audio=True))]
    files += [("sound", sound(media_type, 0.5)) for media_type in SOUNDS]
    for turn in range(120):
        kind, whole = files[turn % len(files)]
        broken = bytearray(whole)
        for _ in range(chance.randrange(1, 12)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            facts = await measured(fetch, bytes(broken), kind)
        except RecordingRefused as refused:
            assert 0 < len(refused.reason) < 300
        else:
            assert 0 < facts.milliseconds <= LONGEST * 1000
    assert list(tmp_path.iterdir()) == []
    assert (await measured(fetch, wav(1), "sound")).milliseconds == 1000


async def test_a_file_that_keeps_the_child_busy_is_refused(tmp_path: Path) -> None:
    """Past its time a measurement is a refusal, and the next file is measured all the same."""
    path = tmp_path / "clip"
    path.write_bytes(make_clip())
    hurried = RecordingProber(longest_seconds=LONGEST, timeout_seconds=0.0)
    try:
        with pytest.raises(RecordingRefused, match="time and memory"):
            await hurried.measure(path, "clip", "video/mp4")
    finally:
        await hurried.aclose()


async def test_a_url_is_streamed_and_told_by_its_first_bytes(
    fetch: RecordingFetch, origin: Origin, tmp_path: Path
) -> None:
    """What is behind a URL is on disk for the block only; the declared type must not contradict it."""
    clip = made_clip(2)
    for declared in ("video/mp4", "video/quicktime", "application/octet-stream", ""):
        async with fetch.fetched(origin.page("/a.mp4", clip, declared), "clip") as recording:
            assert recording.path.read_bytes() == clip
            assert (recording.bytes, recording.facts.milliseconds) == (len(clip), 2000)
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecordingRefused, match="declared"):
        async with fetch.fetched(origin.page("/a.mp4", clip, "text/html"), "clip"):
            pass


async def test_nothing_is_said_of_what_was_found_behind_a_url(fetch: RecordingFetch, origin: Origin) -> None:
    """A missing page, a body too long or cut off, and a private address all sound the same."""
    clip = made_clip(2)
    urls = [
        origin.page("/404", b"secret", "text/html", status=404),
        origin.page("/long", clip, "video/mp4", length=3_000_000),
        origin.page("/cut", clip, "video/mp4", length=len(clip) + 9),
        "https://10.0.0.1/clip.mp4",
        "ftp://example.com/clip.mp4",
    ]
    said = set()
    for url in urls:
        with pytest.raises(RecordingRefused) as refused:
            async with fetch.fetched(url, "clip"):
                pass
        said.add(refused.value.reason)
    assert len(said) == 1 and "public https URL" in said.pop()


async def test_a_data_url_is_taken(fetch: RecordingFetch) -> None:
    """A sound may come inside the request; what is no base64 or too large is refused."""
    inside = base64.b64encode(wav(1)).decode()
    async with fetch.fetched(f"data:audio/wav;base64,{inside}", "sound") as recording:
        assert recording.facts.milliseconds == 1000
    for url, words in (
        ("data:audio/wav;base64,####", "base64"),
        ("data:audio/wav,plain", "write it as"),
        (f"data:audio/wav;base64,{'A' * 4_000_000}", "larger"),
        (f"data:image/png;base64,{inside}", "declared"),
    ):
        with pytest.raises(RecordingRefused, match=words):
            async with fetch.fetched(url, "sound"):
                pass


async def test_a_slow_stream_ends_with_its_file(
    origin: Origin, prober: RecordingProber, tmp_path: Path
) -> None:
    """When the request goes away in the middle, the half file goes with it."""
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield made_clip(2)[:4096]
        started.set()
        await asyncio.Event().wait()

    fetch = RecordingFetch(LoopbackEgress(origin.url), prober, tmp_path, RecordingLimits())

    async def take() -> None:
        async with fetch.taken(endless(), "video/mp4", "clip"):
            raise AssertionError("it never ends")

    taking = asyncio.create_task(take())
    await started.wait()
    assert len(list(tmp_path.iterdir())) == 1
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert list(tmp_path.iterdir()) == []


def test_kinds_are_told_by_their_first_bytes() -> None:
    """Each kind has its own beginning, and a picture is none of them."""
    assert recording_type(wav(1)) == "audio/wav"
    assert [recording_type(sound(media_type, 0.2)) for media_type in SOUNDS] == list(SOUNDS)
    assert recording_type(b"\0\0\0\x14ftypqt  ") == "video/quicktime"
    assert recording_type(encoded(PHOTO, "JPEG")) is None
    assert recording_type(b"\xff\xfeh\0i\0") is None


def _with_edits(clip: bytes, edits: list[tuple[int, int]]) -> bytes:
    """The clip with an edit list of (length in ms, start in media time); its index must be at the end."""
    rows = b"".join(struct.pack(">IiI", length, start, 0x10000) for length, start in edits)
    edts = box(b"edts", box(b"elst", struct.pack(">II", 0, len(edits)) + rows))
    out = bytearray(clip)
    moov, trak = clip.index(b"moov") - 4, clip.index(b"trak") - 4
    old = clip.find(b"edts", trak)
    if old >= 0:
        (length,) = struct.unpack_from(">I", clip, old - 4)
        out[old : old + 4] = b"free"
        assert length >= 8
    end = trak + 8 + struct.unpack_from(">I", clip, trak + 8)[0]
    out[end:end] = edts
    for at in (moov, trak):
        struct.pack_into(">I", out, at, struct.unpack_from(">I", out, at)[0] + len(edts))
    return bytes(out)


def _ogg_checksum(page: bytes | bytearray) -> int:
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1) ^ (0x104C11DB7 if checksum & 0x8000_0000 else 0)
    return checksum


def _played_seconds(clip: bytes) -> float:
    """How long a usual reader plays the clip."""
    with av.open(io.BytesIO(clip), "r", format="mp4") as container:
        stream = container.streams.video[0]
        packets = container.demux(stream)
        ticks = sum(packet.duration or 0 for packet in packets if packet.size)
        return float(ticks * (stream.time_base or 0))


async def test_no_decoder_is_reached_but_those_on_the_list(fetch: RecordingFetch) -> None:
    """A first track that looks empty to us, and not to FFmpeg, is refused for its codec, undecoded."""
    assert "its video is mpeg4" in await refusal(fetch, two_tracks(make_clip(audio=True, size=(64, 48))))


async def test_pro_res_is_taken(fetch: RecordingFetch) -> None:
    """What cameras and editors write, 4:2:2 in a MOV, is a clip."""
    out = io.BytesIO()
    with av.open(out, "w", format="mov") as container:
        stream: Any = container.add_stream("prores_ks", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv422p10le"
        for number in range(12):
            frame = av.VideoFrame(64, 48, "yuv422p10le")
            for plane in frame.planes:
                plane.update(bytes([number]) * plane.buffer_size)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    facts = await measured(fetch, out.getvalue())
    assert (facts.content_type, facts.width, facts.height, facts.milliseconds) == (
        "video/quicktime",
        64,
        48,
        500,
    )


async def test_a_sound_in_too_many_pieces_is_refused(fetch: RecordingFetch) -> None:
    """A million packets that last no time end the count, not the processor's time."""
    many = packets_of_no_length(sound("audio/mp4", 0.5), 1_000_000)
    assert "too many pieces" in await refusal(fetch, many, "sound")
