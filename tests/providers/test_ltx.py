"""Lightricks: a clip that is the answer itself goes to a file, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    Failed,
    Order,
    ProviderError,
    RateLimitedUpstream,
    Submission,
    Succeeded,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.ltx import Ltx
from fairstack_server.providers.whole_clip import WholeClip
from tests.upstreams.clip import clip_bytes
from tests.upstreams.ltx import FakeLtx
from tests.upstreams.upstream import Script

ORDER = Order(
    nonce="n",
    model="ltx-2-3-fast-t2v",
    endpoint="/v1/text-to-video",
    prompt="a wave",
    duration_seconds=6.0,
    width=1280,
    height=720,
    field_map={"prompt": "prompt", "duration": "duration", "size": "resolution"},
    fixed={"model": "ltx-2-3-fast"},
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeLtx]:
    """A running stand-in, with an empty log."""
    async with FakeLtx() as ltx:
        yield ltx


@pytest.fixture
def ltx(sessions: Sessions, fake: FakeLtx, tmp_path: Path) -> Ltx:
    """The provider, with a folder that does not exist yet."""
    return Ltx(sessions, fake.key, fake.base_url, tmp_path / "ltx", SystemClock())


def _left(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "ltx"
    return list(folder.iterdir()) if folder.exists() else []


async def test_a_clip_that_is_the_answer(ltx: Ltx, fake: FakeLtx, tmp_path: Path) -> None:
    """The order is done when it is answered; its clip lies whole in our folder, and nothing else does."""
    done = await ltx.submit(ORDER)
    assert isinstance(done, Succeeded) and done.clip.url is None and done.clip.path is not None
    assert Path(done.clip.path).read_bytes() == clip_bytes()
    assert _left(tmp_path) == [Path(done.clip.path)] and len(fake.log.billed) == 1


async def test_a_job_that_is_the_answer(ltx: Ltx, tmp_path: Path) -> None:
    """The same order to a path of /v2 is a job, and touches no file."""
    taken = await ltx.submit(replace(ORDER, endpoint="/v2/text-to-video"))
    assert isinstance(taken, Submission) and taken.ref["endpoint"] == "/v2/text-to-video"
    assert _left(tmp_path) == []


@pytest.mark.parametrize("kind", ["truncate", "drop", "reset"])
async def test_a_clip_that_breaks_off(ltx: Ltx, fake: FakeLtx, tmp_path: Path, kind: str) -> None:
    """A clip that was rendered and did not arrive whole was perhaps billed; no part of it stays."""
    fake.faults.add(kind)  # type: ignore[arg-type]
    with pytest.raises(ProviderError) as caught:
        await ltx.submit(ORDER)
    assert caught.value.sent and not caught.value.permanent
    assert _left(tmp_path) == [] and len(fake.log.submits) == 1


async def test_a_refusal_where_a_clip_was_due(ltx: Ltx, fake: FakeLtx, tmp_path: Path) -> None:
    """Moderation, fields that are not taken and a full queue are told like those of a job."""
    fake.script = Script(outcome="moderated")
    moderated = await ltx.submit(ORDER)
    assert isinstance(moderated, Failed) and moderated.reason == "content_filtered"
    refused = await ltx.submit(replace(ORDER, fixed={**ORDER.fixed, "bogus": 1}))
    assert isinstance(refused, Failed) and refused.reason == "refused" and "bogus" in refused.message
    fake.max_in_flight = 0
    assert await ltx.submit(ORDER) == RateLimitedUpstream(1.0)
    assert _left(tmp_path) == []


async def test_orders_at_a_time_do_not_mix(ltx: Ltx) -> None:
    """Each order's clip has a file of its own."""
    done = await asyncio.gather(*(ltx.submit(replace(ORDER, nonce=f"n{number}")) for number in range(3)))
    paths = {clip.clip.path for clip in done if isinstance(clip, Succeeded)}
    assert len(paths) == 3 and all(Path(str(path)).read_bytes() == clip_bytes() for path in paths)


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 10_000])
def test_a_clip_comes_in_pieces_of_any_size(tmp_path: Path, size: int) -> None:
    """However an answer is cut, the file is the same and nothing of it stays in memory."""
    whole, path = clip_bytes(seconds=0.2)[:20_000], tmp_path / "folder" / "clip.mp4"
    with WholeClip("ltx", path, 1_000_000) as clip:
        left = b"".join(clip.sift(whole[at : at + size]) for at in range(0, len(whole), size))
        assert left == b"" and clip.came and clip.keep() == path
    assert path.read_bytes() == whole


@pytest.mark.parametrize("answer", [b'{"id": "ftyp"}', b"{}", b"<html>ftyp</html>", b"not a clip at all"])
def test_anything_else_is_let_through(tmp_path: Path, answer: bytes) -> None:
    """What does not begin as an MP4 does is the answer, piece by piece the same."""
    with WholeClip("ltx", tmp_path / "clip.mp4", 10) as clip:
        assert b"".join(clip.sift(bytes([byte])) for byte in answer) == answer and not clip.came
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_is_too_large(tmp_path: Path) -> None:
    """A clip over the limit is a broken answer, and its part is gone."""
    with (
        pytest.raises(ProviderError, match="too large") as caught,
        WholeClip("ltx", tmp_path / "clip.mp4", 1000) as clip,
    ):
        clip.sift(b"\0\0\0\x18ftypmp42" + b"x" * 500)
        clip.sift(b"x" * 500)
    assert caught.value.sent and list(tmp_path.iterdir()) == []
