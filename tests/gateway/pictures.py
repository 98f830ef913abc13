"""Pictures for tests: a small real one, and one that is a bomb."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

#: 64x48, a PNG.
PHOTO = (Path(__file__).parent / "photo.png").read_bytes()
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><html><body>hello</body></html>"


def data_url(content: bytes, kind: str = "image/png") -> str:
    """The bytes as a data: URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def bomb(side: int = 30_000) -> bytes:
    """A valid black PNG of side x side pixels, one bit each: small on the wire, huge in memory."""
    packer = zlib.compressobj(1)
    row = b"\0" * (1 + side // 8)
    pixels = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
