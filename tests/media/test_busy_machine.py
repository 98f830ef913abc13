"""What is made of a clip on a machine so busy that its confined child hardly gets the processor."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairstack_server.media import sandbox
from fairstack_server.media.certificate import own_certificate
from fairstack_server.media.poster import PosterMaker
from fairstack_server.media.provenance import ClipSigner, Origin, Stated

#: A child to whom half a minute has passed over each file, and nothing of it on the processor.
_LATE_CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from fairstack_server.media import child

class LateTime:
    calls = 0

    def monotonic(self):
        self.calls += 1
        return time.monotonic() + (self.calls > 1) * 30

def run_late(*asked, run=child._run_forked):
    child.time = LateTime()
    return run(*asked)

child._run_forked = run_late
child.main(sys.argv[2])
"""


@pytest.fixture(autouse=True)
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every child that starts is such a one."""
    monkeypatch.setattr(sandbox, "_CHILD_CODE", _LATE_CHILD)


async def test_a_clip_is_signed_on_a_busy_machine(tmp_path: Path, clip: bytes) -> None:
    """A clip carries its manifest although signing took half a minute, none of it the processor's."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    signer = ClipSigner(own_certificate(tmp_path / "c2pa"), max_bytes=2**25)
    try:
        said = await signer.sign(path, tmp_path / "signed.mp4", Origin("a-model", "trainedAlgorithmicMedia"))
    finally:
        await signer.aclose()
    assert said == Stated(upstream=False)


async def test_a_clip_has_its_poster_on_a_busy_machine(tmp_path: Path, clip: bytes) -> None:
    """A clip has a poster although it took half a minute, none of it the processor's."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    posters = PosterMaker()
    try:
        poster = await posters.make(path)
    finally:
        await posters.aclose()
    assert poster.jpeg is not None, poster.reason
