"""A file that is whole or not there: written beside its place, and moved to it when it is complete."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from fairstack_server.ids import random_base62
from fairstack_server.providers.base import ProviderError


class PartFile:
    """Bytes on their way to `path`, at most `max_bytes` of them; errors name the provider."""

    def __init__(self, name: str, path: Path, max_bytes: int) -> None:
        self._name = name
        self._path = path
        # Of its own, so that two who read the same answer at the same time do not mix their bytes.
        self._part = path.with_name(f"{path.stem}-{random_base62(8)}.part")
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self.bytes = 0

    @property
    def begun(self) -> bool:
        """Something was written."""
        return self._file is not None

    def write(self, data: bytes) -> None:
        """Add these bytes. Raises ProviderError when they are too many."""
        self.bytes += len(data)
        if self.bytes > self._max_bytes:
            raise ProviderError(f"{self._name}: the clip in the answer is too large", sent=True)
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        self._file.write(data)

    def keep(self) -> Path:
        """Move the file, which is complete, to its place."""
        assert self._file is not None
        self._file.close()
        self._part.replace(self._path)
        return self._path

    def discard(self) -> None:
        """Leave nothing behind; what was kept stays."""
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)
