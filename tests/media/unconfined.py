"""Posters and signatures without the confined processes that make them, for runs of thousands of jobs.

Those processes are the business of `tests/media`, and cost more than all else that a job needs.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from fairstack_server.media.poster import Poster, PosterMaker
from fairstack_server.media.provenance import ClipSigner, Stated
from tests.swap import swap

_POSTER = Poster(b"\xff\xd8 the poster of a clip \xff\xd9")


async def _sign(_: ClipSigner, clip: Path, out: Path, __: object) -> Stated:
    """As a real signature: every one makes another file around the same pictures."""
    out.write_bytes(clip.read_bytes() + struct.pack(">I4s", 24, b"free") + os.urandom(16))
    return Stated(upstream=False)


async def _signed(*_: object) -> Stated:
    return Stated(upstream=False)


async def _poster(*_: object, **__: object) -> Poster:
    return _POSTER


def leave_out_confined_processes() -> None:
    """For the rest of this process."""
    swap(PosterMaker, make=_poster)
    swap(ClipSigner, sign=_sign)
    swap(ClipSigner, read=_signed)
