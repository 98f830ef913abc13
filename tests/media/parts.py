"""The parts of the server that touch files, wired in one process, as a campaign needs them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fairstack_server.media.poster import PosterMaker
from fairstack_server.media.prober import RecordingProber
from fairstack_server.media.sandbox import ImageDecoder

LONGEST_SECONDS = 600.0


@dataclass
class Media:
    """The parts of the server that touch files, and a folder for them."""

    decoder: ImageDecoder
    prober: RecordingProber
    poster: PosterMaker
    folder: Path


@contextlib.asynccontextmanager
async def media_parts(children: int) -> AsyncIterator[Media]:
    """Wired and warm."""
    decoder = ImageDecoder(children=children)
    prober, poster = RecordingProber(longest_seconds=LONGEST_SECONDS), PosterMaker()
    with tempfile.TemporaryDirectory() as folder:
        try:
            await decoder.start()
            yield Media(decoder, prober, poster, Path(folder))
        finally:
            for part in (decoder, prober, poster):
                await part.aclose()
