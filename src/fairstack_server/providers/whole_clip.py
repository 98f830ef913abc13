"""Takes a clip out of an answer whose body it is, piece by piece, so that no whole clip is ever in memory."""

from __future__ import annotations

from pathlib import Path

from fairstack_server.providers.part_file import PartFile

#: Where every MP4 has the type of its first box, whose length stands before it.
_TYPE_FROM, _TYPE_TO = 4, 8


class WholeClip:
    """Sends an answer that begins as an MP4 does to a file, and lets every other one through.

    Use as a context: afterwards there is no file unless `keep` was called.
    """

    def __init__(self, name: str, path: Path, max_bytes: int) -> None:
        self._file = PartFile(name, path, max_bytes)
        self._head: bytes | None = b""

    def __enter__(self) -> WholeClip:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.discard()

    @property
    def came(self) -> bool:
        """The answer was a clip, as far as it was seen."""
        return self._file.begun

    def keep(self) -> Path:
        """The file, which stays from here on; only of an answer that was read to its end."""
        return self._file.keep()

    def sift(self, piece: bytes) -> bytes:
        """What of this piece is no clip. Raises ProviderError if the clip is too large."""
        if self._head is None:
            return self._pass(piece)
        self._head += piece
        if len(self._head) < _TYPE_TO and not self._head.startswith((b"{", b"<")):
            return b""
        head, self._head = self._head, None
        if head[_TYPE_FROM:_TYPE_TO] == b"ftyp":
            self._file.write(head)
            return b""
        return head

    def _pass(self, piece: bytes) -> bytes:
        if not self._file.begun:
            return piece
        self._file.write(piece)
        return b""
