"""Takes a clip out of the JSON that carries it, piece by piece, so that no whole clip is ever in memory."""

from __future__ import annotations

import binascii
import re
from pathlib import Path

from fairstack_server.providers.base import ProviderError
from fairstack_server.providers.part_file import PartFile

_OPENING = re.compile(rb'"bytesBase64Encoded"\s*:\s*"')
#: As much of a piece as may be the beginning of an opening that goes on in the next one.
_OPENING_BYTES = 64
_ALPHABET = bytes.maketrans(b"-_", b"+/")


class InlineClip:
    """Lets an answer through but for the first `bytesBase64Encoded` in it, which goes to a file.

    The JSON that stays has an empty string in its place. Use as a context: afterwards there is no file unless
    `keep` was called.
    """

    def __init__(self, name: str, path: Path, max_bytes: int) -> None:
        self._name = name
        self._file = PartFile(name, path, max_bytes)
        self._opened = False
        self._inside = False
        self._tail = b""
        self._odd = b""

    def __enter__(self) -> InlineClip:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.discard()

    def keep(self) -> Path:
        """The file, whole, which stays from here on."""
        if not self._file.begun or self._inside or self._odd:
            raise ProviderError(f"{self._name}: the clip in the answer is cut off", sent=True)
        return self._file.keep()

    def sift(self, piece: bytes) -> bytes:
        """What of this piece is not the clip. Raises ProviderError if the clip is no base64 or too large."""
        if self._inside:
            return self._take(piece)
        if self._opened:
            return piece
        seen = self._tail + piece
        opening = _OPENING.search(seen)
        if opening is None:
            fresh = len(self._tail)
            self._tail = seen[-_OPENING_BYTES:]
            return seen[fresh:]
        self._opened = self._inside = True
        fresh = len(self._tail)
        return seen[fresh : opening.end()] + self._take(seen[opening.end() :])

    def _take(self, piece: bytes) -> bytes:
        text, quote, rest = piece.partition(b'"')
        self._write(self._odd + text.replace(b"\\", b"").translate(_ALPHABET), last=bool(quote))
        self._inside = not quote
        return quote + rest

    def _write(self, text: bytes, *, last: bool) -> None:
        whole = len(text) if last else len(text) // 4 * 4
        self._odd = text[whole:]
        text = text[:whole]
        try:
            data = binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
        except binascii.Error:
            raise ProviderError(f"{self._name}: the clip in the answer is no base64", sent=True) from None
        self._file.write(data)
