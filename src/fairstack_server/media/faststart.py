"""Moves an MP4's index before its frames, so that a player can start while it still loads. No re-encoding."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from fairstack_server.media.boxes import Box, NotAnMp4, Walker, only

MAX_INDEX_BYTES = 64 * 1024 * 1024
_COPY_BYTES = 1024 * 1024


def make_faststart(source: Path, destination: Path) -> bool:
    """Write `source` with `moov` right behind `ftyp` to `destination`, frames streamed through.

    Returns False, and writes nothing, when the index is in front already. Raises NotAnMp4 when the index is
    missing, too large, or cannot be moved.
    """
    with source.open("rb") as file:
        walker = Walker(file)
        top = list(walker.boxes(0, walker.size))
        moov = next((box for box in top if box.kind == "moov"), None)
        data = next((box for box in top if box.kind == "mdat"), None)
        if moov is None or data is None or top[0].kind != "ftyp":
            raise NotAnMp4("there is no ftyp, moov or mdat")
        if moov.start < data.start:
            return False
        index = _moved_index(walker, moov)
        with destination.open("xb") as out:
            _copy(file, out, top[0].start, top[0].end)
            out.write(index)
            _copy(file, out, top[0].end, moov.start)
            _copy(file, out, moov.end, walker.size)
    return True


def _moved_index(walker: Walker, moov: Box) -> bytes:
    """The index with every chunk offset that lies before it raised by its own length."""
    length = moov.end - moov.start
    if length > MAX_INDEX_BYTES:
        raise NotAnMp4(f"the index is larger than {MAX_INDEX_BYTES} bytes")
    index = bytearray(walker.read(moov.start, length))
    for trak in walker.children(moov).get("trak", []):
        media = walker.children(only(walker.children(trak), "mdia"))
        tables = walker.children(only(walker.children(only(media, "minf")), "stbl"))
        wide = "co64" in tables
        box = only(tables, "co64" if wide else "stco")
        entry, limit = (">Q", 2**64) if wide else (">I", 2**32)
        offsets = [offset for (offset,) in walker.table(box, 4, entry)]
        moved = [offset + length if offset < moov.start else offset for offset in offsets]
        if moved and max(moved) >= limit:
            raise NotAnMp4("the file is too large for its 32-bit chunk offsets")
        struct.pack_into(f">{len(moved)}{entry[1]}", index, box.body - moov.start + 8, *moved)
    if moov.length == length - 8 and index[:4] == b"\0\0\0\0":
        struct.pack_into(">I", index, 0, length)  # it said "to the end of the file", which it no longer is
    return bytes(index)


def _copy(source: BinaryIO, destination: BinaryIO, start: int, end: int) -> None:
    source.seek(start)
    left = end - start
    while left:
        chunk = source.read(min(_COPY_BYTES, left))
        if not chunk:
            raise NotAnMp4("the file is cut off")
        destination.write(chunk)
        left -= len(chunk)
