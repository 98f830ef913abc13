"""Reads our own clean pictures strictly: any byte that does not belong there is an error."""

from __future__ import annotations

import struct

from tests.media.hostile import PAYLOAD, PNG_MAGIC

_PNG_CHUNKS = frozenset((b"IHDR", b"IDAT", b"IEND"))
#: JFIF, tables, frames, the scan and restarts; no comments, no EXIF, no profiles.
_JPEG_MARKERS = frozenset((0xE0, 0xDB, 0xC0, 0xC2, 0xC4, 0xDD))


def sides_of(data: bytes) -> tuple[int, int]:
    """Width and height of a picture in which there is nothing but the picture. Raises ValueError."""
    if PAYLOAD in data:
        raise ValueError("a payload has survived")
    return _png_sides(data) if data.startswith(PNG_MAGIC) else _jpeg_sides(data)


def _png_sides(data: bytes) -> tuple[int, int]:
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind not in _PNG_CHUNKS:
            raise ValueError(f"there is a chunk {kind!r}")
        at += 12 + length
    if at != len(data):
        raise ValueError("there is something behind the end")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg_sides(data: bytes) -> tuple[int, int]:
    at, sides = 2, (0, 0)
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9" or data.count(b"\xff\xd9") != 1:
        raise ValueError("it is no whole JPEG, or there is something behind the end")
    while data[at + 1] != 0xDA:
        lead, marker, length = struct.unpack_from(">BBH", data, at)
        if lead != 0xFF or marker not in _JPEG_MARKERS:
            raise ValueError(f"there is a segment {marker:#x}")
        if marker in (0xC0, 0xC2):
            height, width = struct.unpack_from(">HH", data, at + 5)
            sides = (width, height)
        at += 2 + length
    return sides
