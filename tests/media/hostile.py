"""Files that mean harm, all made on the spot: what is common to them, and the ones that pose as pictures.

`python -m tests.media.hostile FOLDER 1` writes the whole corpus, 7 every seventh file, so that whoever judges
a server by its memory need not hold it in the same process.
"""

from __future__ import annotations

import io
import itertools
import json
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from tests.media.conftest import encoded, png_chunk, png_of

Expected = Literal["refused", "taken", "either"]
PAYLOAD = b"EVIL-PAYLOAD"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_IEND = png_chunk(b"IEND", b"")
_ZEROS = 1 << 20


@dataclass(frozen=True, slots=True)
class Hostile:
    """One file, the type it is declared as, and what must become of it."""

    family: str
    name: str
    declared: str
    data: bytes
    expected: Expected = "refused"


def write_corpus(folder: Path, every: int = 1) -> None:
    """Write each such file as its number, and `corpus.json`: family, name, declared type and expectation."""
    from tests.media.hostile_recordings import hostile_recordings

    rows: list[list[str]] = []
    files = itertools.chain(hostile_pictures(), hostile_recordings(heavy=every == 1))
    for number, file in enumerate(itertools.islice(files, 0, None, every)):
        (folder / str(number)).write_bytes(file.data)
        rows.append([file.family, file.name, file.declared, file.expected])
    (folder / "corpus.json").write_text(json.dumps(rows))


def hostile_pictures() -> Iterator[Hostile]:
    """Everything that is sent as a picture."""
    for name, data in _png_bombs():
        yield Hostile("PNG bombs", name, "image/png", data)
    for name, data in _png_damage():
        yield Hostile("PNG damage", name, "image/png", data, "either")
    for name, data in _jpegs():
        yield Hostile("JPEG bombs and damage", name, "image/jpeg", data, "either")
    for name, data in _webps():
        yield Hostile("WEBP bombs and damage", name, "image/webp", data, "either")
    for name, data in _gifs():
        yield Hostile("GIF bombs", name, "image/gif", data)
    yield from _polyglots()
    yield from _foreign()
    yield from _truncated()


def photo(width: int, height: int) -> Image.Image:
    """A picture with something in it, the same each time."""
    dice = random.Random(width * 10_007 + height)
    return Image.frombytes("RGB", (width, height), dice.randbytes(width * height * 3))


def bomb_of_zeros(size: int) -> bytes:
    """A zlib stream that inflates to that many zeros, made without deflating them: 1 GB in a blink."""
    packer = zlib.compressobj(9)
    first = packer.compress(bytes(_ZEROS)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    again = packer.compress(bytes(_ZEROS)) + packer.flush(zlib.Z_FULL_FLUSH)
    blocks = max(1, size // _ZEROS)
    adler = (blocks * _ZEROS % 65521) << 16 | 1
    return first + again * (blocks - 1) + b"\x03\x00" + struct.pack(">I", adler)


def _ihdr(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def _png_bombs() -> Iterator[tuple[str, bytes]]:
    yield "30,000 x 30,000 black, whole", png_of(30_000, 30_000)
    for width, height in ((8193, 1), (1, 8193), (8192, 4883), (100_000, 400), (65_535, 65_535)):
        yield f"{width} x {height} black", png_of(width, height) if height < 9000 else _claim(width, height)
    for side in (2**31 - 1, 2**31, 2**32 - 1):
        yield f"claims a side of {side}", _claim(side, 1)
    for colour, depths in ((0, (1, 8, 16)), (2, (8, 16)), (3, (1, 8)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            yield (
                f"claims 20,000 x 20,000, kind {colour}, {depth} bits",
                _claim(20_000, 20_000, depth, colour),
            )
    yield "claims 20,000 x 20,000, interlaced", _claim(20_000, 20_000, interlace=1)
    yield "claims 8,000 x 5,000 x 64 bits and ends", _claim(8000, 5000, 16, 6)
    frames = png_chunk(b"acTL", struct.pack(">II", 100_000, 0))
    good = encoded(photo(8, 8), "PNG")
    yield "claims 100,000 frames", good[:33] + frames + good[33:]
    huge = bomb_of_zeros(1 << 30)
    for kind, head in (
        (b"zTXt", b"k\0\0"),
        (b"iTXt", b"k\0\1\0\0\0"),
        (b"iCCP", b"p\0\0"),
    ):
        yield f"{kind.decode()} of 1 GB", good[:33] + png_chunk(kind, head + huge) + good[33:]
    many = png_chunk(b"zTXt", b"k\0\0" + bomb_of_zeros(1 << 20)) * 200
    yield "200 zTXt of 1 MB", good[:33] + many + good[33:]


def _claim(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    """A PNG that claims a size and brings a few bytes."""
    palette = png_chunk(b"PLTE", bytes(3)) if colour == 3 else b""
    data = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return PNG_MAGIC + _ihdr(width, height, depth, colour, interlace) + palette + data + _IEND


def _png_damage() -> Iterator[tuple[str, bytes]]:
    good = encoded(photo(8, 8), "PNG")
    body, end = good[33:-12], good[-12:]
    yield "inflates to 1 GB behind its pixels", good[:33] + png_chunk(b"IDAT", bomb_of_zeros(1 << 30)) + end
    yield "1e5 text chunks", good[:33] + png_chunk(b"tEXt", b"k\0v") * 100_000 + body + end
    yield "1e5 empty IDAT", good[:33] + png_chunk(b"IDAT", b"") * 100_000 + body + end
    for name, at in (("IHDR", 29), ("IDAT", len(good) - 16), ("IEND", len(good) - 4)):
        broken = bytearray(good)
        broken[at] ^= 0xFF
        yield f"wrong checksum of {name}", bytes(broken)
    for length in (0, 1, 12, 2**31 - 1, 2**31, 2**32 - 1):
        yield f"IDAT claims {length} bytes", good[:33] + struct.pack(">I", length) + good[37:]
        yield f"IHDR claims {length} bytes", good[:8] + struct.pack(">I", length) + good[12:]
    yield "0 x 0", _claim(0, 0)
    yield "0 x 8", _claim(0, 8)
    yield "two IHDR", good[:33] + _ihdr(4000, 4000) + body + end
    yield "IEND first", PNG_MAGIC + _IEND + good[8:]
    yield "IDAT first", PNG_MAGIC + body + good[8:33] + end
    yield "no IDAT", good[:33] + end
    yield "no palette", _claim(8, 8, 8, 3).replace(png_chunk(b"PLTE", bytes(3)), b"")
    yield "17 bits a sample", _claim(8, 8, 17)
    yield "kind of colour 5", _claim(8, 8, 8, 5)
    yield "interlace 9", _claim(8, 8, interlace=9)
    yield "wrong Adler", good[:33] + png_chunk(b"IDAT", zlib.compress(bytes(200))[:-1] + b"\0") + end
    yield "a critical chunk nobody knows", good[:33] + png_chunk(b"EVIL", b"x") + body + end
    for kind in (b"eXIf", b"gAMA", b"cHRM", b"tRNS", b"pHYs", b"sBIT", b"fcTL", b"fdAT", b"iCCP", b"acTL"):
        yield f"{kind.decode()} of noise", good[:33] + png_chunk(kind, photo(9, 9).tobytes()) + body + end
        yield f"{kind.decode()} empty", good[:33] + png_chunk(kind, b"") + body + end


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _sof_at(data: bytes) -> int:
    return next(at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := data.find(marker)) >= 0)


def _jpegs() -> Iterator[tuple[str, bytes]]:
    good = encoded(photo(16, 16), "JPEG")
    sof = _sof_at(good)
    for width, height in ((65_535, 65_535), (8193, 8), (8, 8193), (8192, 4883), (0, 16), (16, 0)):
        data = bytearray(good)
        struct.pack_into(">HH", data, sof + 5, height, width)
        yield f"claims {width} x {height}", bytes(data)
    for marker in (0xC1, 0xC3, 0xC5, 0xC9, 0xCA, 0xCB, 0xCF, 0xF7):
        yield f"frame of kind {marker:#x}", good[: sof + 1] + bytes([marker]) + good[sof + 2 :]
    for at, value, name in ((4, 12, "12 bits"), (9, 0, "no components"), (9, 255, "255 components")):
        yield name, good[: sof + at] + bytes([value]) + good[sof + at + 1 :]
    yield "sampling 15 x 15", good[: sof + 11] + b"\xff" + good[sof + 12 :]
    yield "frame twice", good[:sof] + good[sof : sof + 19] + good[sof:]
    yield "1,000 scans of 38 megapixels", _scan_bomb(7900, 4900, 1000)
    yield "1,000 scans of 1 megapixel", _scan_bomb(1000, 1000, 1000)
    for marker, name in ((0xDB, "quantisation"), (0xC4, "Huffman"), (0xDA, "scan"), (0xDD, "restart")):
        at = good.find(bytes([0xFF, marker]))
        at = len(good) - 2 if at < 0 else at
        yield f"{name} of noise", good[:at] + _segment(marker, photo(5, 5).tobytes()) + good[at:]
        yield f"{name} claims 65,535 bytes", good[:at] + bytes([0xFF, marker, 0xFF, 0xFF]) + good[at + 4 :]
    yield "comments of 16 MB", good[:2] + _segment(0xFE, bytes(65_000)) * 256 + good[2:]
    for marker in range(0xE0, 0xF0):
        yield (
            f"application data {marker - 0xE0} of noise",
            good[:2] + _segment(marker, _noise(400)) + good[2:],
        )
    for orientation in (0, 9, 65_535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation {orientation}", encoded(photo(16, 16), "JPEG", exif=exif)
    for name, ifd in _exif_tricks():
        yield f"EXIF {name}", good[:2] + _segment(0xE1, b"Exif\0\0" + ifd) + good[2:]
    mpf = b"MPF\0II*\0\x08\0\0\0\x01\0\x01\xb0\x04\0\xff\xff\xff\xff\xff\xff\xff\xff"
    yield "two billion pictures in one (MPO)", good[:2] + _segment(0xE2, mpf) + good[2:]
    yield "only the first marker", b"\xff\xd8\xff"
    yield "10 MB of fill bytes", b"\xff\xd8" + b"\xff" * 10_000_000 + good[2:]
    yield "end before the scan", good[:sof] + b"\xff\xd9" + good[sof:]


def _noise(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def _scan_bomb(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG that makes a decoder go over all its blocks again and again."""
    data = encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    out = bytearray(data[:-2])
    struct.pack_into(">HH", out, _sof_at(data) + 5, height, width)
    start = data.rindex(b"\xff\xda")
    return bytes(out) + data[start:-2] * scans + b"\xff\xd9"


def _exif_tricks() -> Iterator[tuple[str, bytes]]:
    yield "whose directory points at itself", b"II*\0\x08\0\0\0\0\0\x08\0\0\0"
    yield "of 65,535 entries", b"II*\0\x08\0\0\0\xff\xff" + _noise(600)
    tag = struct.pack("<HHII", 0x0112, 3, 2**32 - 1, 8)
    yield "with four billion values", b"II*\0\x08\0\0\0\x01\0" + tag + bytes(4)
    inner = struct.pack("<HHII", 0x8769, 4, 1, 8)
    yield "that contains itself", b"II*\0\x08\0\0\0\x01\0" + inner + bytes(4)


def _riff(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    body = b"WEBP" + b"".join(_chunk(kind, data) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) & 1)


def _vp8x(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    side = (struct.pack("<I", each - 1)[:3] for each in (width, height))
    return b"VP8X", bytes([flags, 0, 0, 0]) + b"".join(side)


def _webps() -> Iterator[tuple[str, bytes]]:
    good, exact = encoded(photo(16, 16), "WEBP"), encoded(photo(16, 16), "WEBP", lossless=True)
    lossy, lossless = (b"VP8 ", good[20:]), (b"VP8L", exact[20:])
    for width, height in ((1 << 24, 1 << 24), (16_384, 16_384), (8193, 1), (8192, 4883)):
        yield f"canvas of {width} x {height}", _riff(_vp8x(width, height), lossy)
    frame = bytes(6) + struct.pack("<I", 15)[:3] * 2 + bytes(4)
    frames = [(b"ANMF", frame + _chunk(*lossless))] * 3000
    yield "3,000 frames", _riff(_vp8x(16, 16, 2), (b"ANIM", bytes(6)), *frames)
    hollow = [(b"ANMF", frame + _chunk(b"VP8L", b"\x2f\0\0\0\0"))] * 100_000
    yield "100,000 hollow frames", _riff(_vp8x(16, 16, 2), (b"ANIM", bytes(6)), *hollow)
    large = photo(3, 2).resize((3000, 2000))
    yield (
        "two frames of 6 megapixels",
        encoded(large, "WEBP", save_all=True, append_images=[large.rotate(180)]),
    )
    yield "lossless that claims 16,384 x 16,384", _riff((b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(40)))
    claim = good[20:26] + struct.pack("<HH", 16_383, 16_383) + good[30:]
    yield "lossy that claims 16,383 x 16,383", _riff((b"VP8 ", claim))
    for size in (0, 1, 4, 2**31, 2**32 - 1):
        yield f"RIFF of {size} bytes", _riff(lossy, size=size)
        yield f"chunk of {size} bytes", good[:16] + struct.pack("<I", size) + good[20:]
    for kind in (b"ICCP", b"EXIF", b"XMP ", b"ALPH", b"ANIM", b"ANMF", b"EVIL"):
        yield f"{kind.decode()} of noise", _riff(_vp8x(16, 16, 0x3E), (kind, _noise(300)), lossy)
        yield f"{kind.decode()} empty", _riff(_vp8x(16, 16, 0x3E), (kind, b""), lossy)
    yield "1e5 unknown chunks", _riff(_vp8x(16, 16), *[(b"EVIL", b"x")] * 100_000, lossy)
    yield "twice the picture", _riff(lossy, lossless)
    yield "no picture", _riff(_vp8x(16, 16))


def _gifs() -> Iterator[tuple[str, bytes]]:
    head = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
    image = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02L\x01\0"
    yield "65,535 x 65,535", head + image + b";"
    yield "100,000 frames", head + image * 100_000 + b";"
    yield "16 MB of comments", head + (b"!\xfe" + b"\xff" + bytes(255) + b"\0") * 65_000 + b";"
    yield "cut off", head[:9]
    yield "GIFAR", head + image + b";" + _zip()


def _zip() -> bytes:
    name = b"META-INF/" + PAYLOAD
    local = b"PK\x03\x04" + bytes(22) + struct.pack("<HH", len(name), 0) + name
    return local + b"PK\x05\x06" + bytes(18)


def _polyglots() -> Iterator[Hostile]:
    """Pictures that are something else as well: taken, and nothing of the other thing is left."""
    script = b"*/=1;alert('" + PAYLOAD + b"')/*"
    html = b"<html><script>" + PAYLOAD + b"</script></html>"
    pdf = b"%PDF-1.7\n1 0 obj<<" + PAYLOAD + b">>"
    tails = {"ZIP": _zip(), "JAR": _zip(), "HTML": html, "PDF": pdf, "PHP": b"<?php " + PAYLOAD, "JS": script}
    pictures: list[tuple[str, str, dict[str, Any]]] = [
        ("PNG", "image/png", {}),
        ("JPEG", "image/jpeg", {"comment": script, "exif": _telling_exif()}),
        ("WEBP", "image/webp", {"exif": _telling_exif(), "xmp": html}),
    ]
    for form, declared, more in pictures:
        data = encoded(photo(48, 32), form, **more)
        for name, tail in tails.items():
            yield Hostile("polyglots", f"{form} + {name}", declared, data + tail, "taken")
    png = encoded(photo(48, 32), "PNG")
    for kind in (b"tEXt", b"eXIf", b"iTXt", b"prVt"):
        inside = png[:33] + png_chunk(kind, b"k\0" + html) + png[33:]
        yield Hostile("polyglots", f"PNG with a payload in {kind.decode()}", "image/png", inside, "either")
    for form, declared in (("PNG", "image/jpeg"), ("JPEG", "image/webp"), ("WEBP", "text/html")):
        data = encoded(photo(48, 32), form)
        yield Hostile("polyglots", f"{form} declared as {declared}", declared, data)


def _telling_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = PAYLOAD.decode()
    return exif


_FOREIGN: dict[str, bytes] = {
    "SVG that fetches": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/"/></svg>',
    "SVG with an entity": b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;',
    "HTML": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    "XML bomb": b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><l>&b;</l>',
    "PDF": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript>>>>",
    "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST",
    "playlist behind a mark": b"\xef\xbb\xbf#EXTM3U\nhttp://127.0.0.1/",
    "playlist of ffmpeg": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "session description": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n",
    "playlist inside AVI": b"RIFF\xff\0\0\0AVI LIST\x40\0\0\0hdrl#EXTM3U\nfile:///etc/passwd\n",
    "TIFF": b"II*\0\x08\0\0\0" + _noise(200),
    "TIFF, big": b"MM\0*\0\0\0\x08\xff\xff" + _noise(200),
    "BMP bomb": b"BM" + struct.pack("<IIIIiiHHI", 100, 0, 54, 40, 2**31 - 1, -(2**31), 1, 1, 1),
    "icon": b"\0\0\1\0\xff\xff" + _noise(100),
    "cursor": b"\0\0\2\0\1\0" + _noise(100),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "FITS": b"SIMPLE  =                    T" + b" " * 50 + b"BITPIX  = 8" + b" " * 2700,
    "Photoshop": b"8BPS\0\1" + bytes(6) + b"\0\3" + struct.pack(">II", 300_000, 300_000) + bytes(200),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + _noise(100),
    "JPEG XL": b"\xff\x0a" + _noise(100),
    "AVIF": b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf" + _noise(100),
    "HEIC": b"\0\0\0\x20ftypheic\0\0\0\0mif1heic" + _noise(100),
    "FLIC": struct.pack("<IHHHHH", 200, 0xAF12, 9, 320, 200, 8) + _noise(180),
    "PCX": b"\x0a\5\1\x08" + _noise(124),
    "DDS": b"DDS " + struct.pack("<I", 124) + _noise(120),
    "XBM": b"#define x_width 99999\n#define x_height 99999\nstatic char x_bits[] = {",
    "MVG": b"push graphic-context\nimage over 0,0 0,0 'ephemeral:/etc/passwd'\npop graphic-context",
    "MSL": b'<image><read filename="/etc/passwd"/></image>',
    "gzip bomb": b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + bomb_of_zeros(64 << 20)[2:],
    "ZIP": _zip(),
    "tar": b"../../etc/cron.d/x".ljust(257, b"\0") + b"ustar\0" + bytes(250),
    "ELF": b"\x7fELF\2\1\1" + bytes(60),
    "Windows program": b"MZ" + bytes(100),
    "script": b"#!/bin/sh\ncat /etc/passwd\n",
    "WebAssembly": b"\0asm\1\0\0\0",
    "Flash": b"CWS\x0a" + struct.pack("<I", 2**31) + zlib.compress(bytes(9999)),
    "WebM": b"\x1aE\xdf\xa3\xff" + _noise(200),
    "Flash video": b"FLV\1\5\0\0\0\x09" + _noise(90),
    "transport stream": (b"\x47\x40\0\x10" + bytes(184)) * 8,
    "one byte": b"\0",
    "a megabyte of zeros": bytes(1 << 20),
    "a megabyte of noise": _noise(1 << 20),
}


def _foreign() -> Iterator[Hostile]:
    """Other formats under the names of pictures and clips."""
    for declared in ("image/png", "image/jpeg", "video/mp4"):
        for name, data in _FOREIGN.items():
            yield Hostile("foreign formats", f"{name} as {declared}", declared, data)
    yield Hostile("foreign formats", "nothing at all", "image/png", b"")


def _truncated() -> Iterator[Hostile]:
    """A small picture of each format, cut off at each of its bytes."""
    for form in ("PNG", "JPEG", "WEBP"):
        whole = encoded(photo(4, 4), form)
        for length in range(1, len(whole)):
            name = f"{form} cut at {length} of {len(whole)}"
            yield Hostile("truncations", name, f"image/{form.lower()}", whole[:length], "either")


def gzip_bomb(size: int) -> bytes:
    """A gzip file that unpacks to that many zeros."""
    out = io.BytesIO()
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    for _ in range(size // _ZEROS):
        out.write(packer.compress(bytes(_ZEROS)))
    return out.getvalue() + packer.flush()


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]), int(sys.argv[2]))
