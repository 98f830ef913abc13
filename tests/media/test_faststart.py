"""Moving the index to the front changes where things are and nothing that is shown."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import pytest

from fairstack_server.media.boxes import NotAnMp4, read_mp4_facts
from fairstack_server.media.faststart import make_faststart

from .conftest import make_clip


def _packets(data: bytes) -> list[tuple[str, int | None, bytes]]:
    with av.open(io.BytesIO(data), "r") as container:
        return [
            (packet.stream.type, packet.pts, bytes(packet)) for packet in container.demux() if packet.size
        ]


@pytest.mark.parametrize("audio", [True, False])
def test_every_packet_survives_the_move(tmp_path: Path, audio: bool) -> None:
    """All frames and sounds are found at their new offsets, byte for byte, and the index is in front."""
    before = make_clip(audio=audio, frames=20)
    source, moved = tmp_path / "a.mp4", tmp_path / "b.mp4"
    source.write_bytes(before)
    assert make_faststart(source, moved)
    after = moved.read_bytes()
    assert not read_mp4_facts(before).faststart
    assert read_mp4_facts(after).faststart
    assert len(after) == len(before)
    assert _packets(after) == _packets(before)


def test_an_index_that_lasts_to_the_end_of_the_file_is_given_its_length(tmp_path: Path, clip: bytes) -> None:
    """A `moov` of size 0 is legal at the end of a file, and nowhere else."""
    at = clip.index(b"moov") - 4
    source, moved = tmp_path / "a.mp4", tmp_path / "b.mp4"
    source.write_bytes(clip[:at] + b"\0\0\0\0" + clip[at + 4 :])
    assert make_faststart(source, moved)
    assert _packets(moved.read_bytes()) == _packets(clip)
    assert read_mp4_facts(moved.read_bytes()).faststart


def test_frames_behind_the_index_stay_where_they_are(tmp_path: Path) -> None:
    """Only what the index jumps over moves; offsets of frames behind it keep their value."""
    before = make_clip(movflags="+faststart", audio=True)
    moov = before.index(b"moov") - 4
    filler = struct.pack(">I4s", 108, b"mdat") + b"\0" * 100
    shifted = bytearray(before[:moov] + filler + before[moov:])
    at = -1
    while (at := shifted.find(b"stco", at + 1)) != -1:
        (count,) = struct.unpack_from(">I", shifted, at + 8)
        for entry in range(at + 12, at + 12 + 4 * count, 4):
            struct.pack_into(">I", shifted, entry, struct.unpack_from(">I", shifted, entry)[0] + len(filler))
    source, moved = tmp_path / "a.mp4", tmp_path / "b.mp4"
    source.write_bytes(shifted)
    assert make_faststart(source, moved)
    assert _packets(moved.read_bytes()) == _packets(before)


def test_a_clip_that_starts_fast_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written for a file that needs nothing."""
    source, moved = tmp_path / "a.mp4", tmp_path / "b.mp4"
    source.write_bytes(make_clip(movflags="+faststart"))
    assert not make_faststart(source, moved)
    assert not moved.exists()


def test_a_file_without_an_index_is_refused(tmp_path: Path, clip: bytes) -> None:
    """There is nothing to move in a file that was cut off before its index."""
    source = tmp_path / "a.mp4"
    source.write_bytes(clip[: clip.index(b"moov") - 4])
    with pytest.raises(NotAnMp4):
        make_faststart(source, tmp_path / "b.mp4")
