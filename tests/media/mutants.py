"""Good files with damage done by a seeded dice: bits of pictures, boxes of clips."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from tests.media.conftest import encoded, make_clip
from tests.media.hostile import photo

_ODD = (0, 1, 2, 7, 8, 15, 16, 255, 65_535, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_HOLDERS = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf"))
_KINDS = (b"moov", b"trak", b"mdia", b"stbl", b"stts", b"stsz", b"stco", b"co64", b"mdat", b"moof", b"free")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A damaged file, and the number that makes it again."""

    number: int
    parent: str
    data: bytes


def flipped_pictures(count: int, seed: int) -> Iterator[Mutant]:
    """Small PNG, JPEG and WebP files of several kinds of pixels, one to eight bits of each turned over."""
    parents = _pictures()
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        name, data = parents[number % len(parents)]
        yield Mutant(number, name, _flipped(data, dice))


def mutated_clips(count: int, seed: int) -> Iterator[Mutant]:
    """Clips whose index was cut, doubled, swapped, renamed or given odd numbers, one to four times."""
    parents = _clips()
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        name, data = parents[number % len(parents)]
        yield Mutant(number, name, _rebuilt(data, dice))


@lru_cache(maxsize=1)
def _pictures() -> list[tuple[str, bytes]]:
    small = photo(24, 16)
    made = [
        ("PNG", encoded(small, "PNG")),
        ("PNG of a palette", encoded(small.quantize(16), "PNG")),
        ("PNG of 16 bits", encoded(Image.new("I;16", (24, 16), 999), "PNG")),
        ("PNG with transparency", encoded(small.convert("RGBA"), "PNG", compress_level=0)),
        ("JPEG", encoded(small, "JPEG", quality=40)),
        ("JPEG, progressive", encoded(small, "JPEG", quality=40, progressive=True)),
        ("JPEG, CMYK", encoded(small.convert("CMYK"), "JPEG", quality=30)),
        ("JPEG with EXIF", encoded(small, "JPEG", quality=30, exif=_exif())),
        ("WEBP", encoded(small, "WEBP")),
        ("WEBP, lossless", encoded(small, "WEBP", lossless=True)),
        ("WEBP with transparency", encoded(small.convert("RGBA"), "WEBP", exif=_exif())),
    ]
    order = ("PNG", "JPEG", "WEBP")
    kinds = [[each for each in made if each[0].startswith(kind)] for kind in order]
    # One of each format in turn, so that each gets a third of the flips.
    return [kind[turn % len(kind)] for turn in range(12) for kind in kinds]


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    return exif


def _flipped(data: bytes, dice: random.Random) -> bytes:
    out = bytearray(data)
    # Half of the damage goes to the headers, where it does most.
    reach = len(out) if dice.random() < 0.5 else min(len(out), 120)
    for _ in range(dice.randint(1, 8)):
        out[dice.randrange(reach)] ^= 1 << dice.randrange(8)
    return bytes(out)


@lru_cache(maxsize=1)
def _clips() -> list[tuple[str, bytes]]:
    side = (32, 32)
    late = {"preset": "medium", "bf": "3"}
    return [
        ("plain", make_clip(size=side)),
        ("with sound", make_clip(size=side, audio=True)),
        ("index first", make_clip(size=side, audio=True, movflags="faststart")),
        ("frames out of order", make_clip(size=side, frames=25, options=late)),
        ("in fragments", make_clip(size=side, frames=24, audio=True, movflags="frag_keyframe+empty_moov")),
        ("in many fragments", make_clip(size=side, frames=9, movflags="frag_every_frame+default_base_moof")),
    ]


@dataclass
class _Node:
    """A box: its letters, and its content or the boxes in it."""

    kind: bytes
    body: bytes
    inside: list[_Node] | None
    claims: int | None = None
    """The size that it tells, where that is a lie."""

    def packed(self) -> bytes:
        """The box as bytes; the sizes of what holds it are right unless they lie, too."""
        body = self.body if self.inside is None else b"".join(each.packed() for each in self.inside)
        size = len(body) + 8 if self.claims is None else self.claims
        return struct.pack(">I4s", size & 0xFFFFFFFF, self.kind) + body


def _boxes_of(data: bytes) -> list[_Node]:
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + size]
        found.append(_Node(kind, body, _boxes_of(body) if kind in _HOLDERS else None))
        at += size
    return found


def _all_boxes(nodes: list[_Node]) -> Iterator[tuple[list[_Node], _Node]]:
    """Every box, with the list that it stands in."""
    for node in nodes:
        yield nodes, node
        if node.inside is not None:
            yield from _all_boxes(node.inside)


def _rebuilt(data: bytes, dice: random.Random) -> bytes:
    top = _boxes_of(data)
    for _ in range(dice.randint(1, 4)):
        boxes = [pair for pair in _all_boxes(top) if pair[1].kind != b"mdat" or dice.random() < 0.1]
        if boxes:
            _harm(*dice.choice(boxes), dice.choice(boxes)[1], dice)
    return b"".join(node.packed() for node in top)


def _harm(siblings: list[_Node], node: _Node, other: _Node, dice: random.Random) -> None:
    match dice.randrange(9):
        case 0:
            node.claims = dice.choice((*_ODD, len(node.body) + 7, len(node.body) + 9))
        case 1:
            siblings.remove(node)
        case 2:
            siblings.insert(dice.randrange(len(siblings) + 1), node)
        case 3 if other.inside is not None and other.kind != b"moov":
            other.inside.append(_Node(node.kind, node.body, None))
        case 4:
            node.kind = dice.choice(_KINDS)
        case 5:
            node.body, node.inside = _cut_or_grown(node.packed()[8:], dice), None
        case _ if node.inside is None and len(node.body) >= 4:
            node.body = _renumbered(node.body, dice)
        case _:
            dice.shuffle(siblings)


def _cut_or_grown(body: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(body) + 1)
    return body[:at] if dice.random() < 0.5 else body[:at] + dice.randbytes(dice.randint(1, 64)) + body[at:]


def _renumbered(body: bytes, dice: random.Random) -> bytes:
    """One number replaced, on a boundary of four bytes where numbers are, or a few bits turned over."""
    out = bytearray(body)
    at = dice.randrange(len(out) // 4) * 4
    match dice.randrange(4):
        case 0 | 1:
            struct.pack_into(">I", out, at, dice.choice(_ODD))
        case 2:
            (number,) = struct.unpack_from(">I", out, at)
            struct.pack_into(">I", out, at, (number + dice.choice((-1, 1))) & 0xFFFFFFFF)
        case _:
            for _ in range(dice.randint(1, 8)):
                out[dice.randrange(len(out))] ^= 1 << dice.randrange(8)
    return bytes(out)
