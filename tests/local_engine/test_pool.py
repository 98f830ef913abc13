"""The pool: order of arrival, progress, stopping, dead processes, and what is known of each render."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fairstack_local import Look, Queued, Rendered, RenderFailed, Rendering, RenderPool
from fairstack_local.kernel_cache import default_cache_dir, renderer_environment
from tests.local_engine.conftest import MakeOrder

PATIENCE_SECONDS = 90


@pytest.fixture
async def pool() -> AsyncIterator[RenderPool]:
    """A pool with a single slot."""
    async with RenderPool(1, default_cache_dir()) as pool:
        yield pool


async def _until(pool: RenderPool, render_id: str, wanted: Callable[[Look | None], bool]) -> Look | None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not wanted(look := await pool.look(render_id)):
            await asyncio.sleep(0.01)
    return look


def _ended(look: Look | None) -> bool:
    return isinstance(look, Rendered | RenderFailed)


def _moving(look: Look | None) -> bool:
    return isinstance(look, Rendering) and look.progress > 0


def _children() -> list[int]:
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in pids if b"fairstack_local.worker" in _command(pid)]


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_a_render_goes_from_queued_to_rendered(
    pool: RenderPool, order: MakeOrder, tmp_path: Path
) -> None:
    """Progress grows, the clip lies at out_path in the end, and starting a known id again changes nothing."""
    asked = order(prompt="a dog on a beach, and a dragon")
    await pool.start("r", asked)
    look = await _until(pool, "r", _moving)
    await pool.start("r", asked)
    end = await _until(pool, "r", _ended)
    assert isinstance(look, Rendering) and 0 < look.progress <= 1
    assert isinstance(end, Rendered)
    assert end.report.frames == 8
    assert '"dragon"' in end.report.substitutions[0]
    await pool.start("r", asked)
    assert await pool.look("r") == end
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


async def test_an_unknown_render_is_none(pool: RenderPool) -> None:
    """An id of before a restart is unknown; it can be neither stopped nor remembered."""
    assert await pool.look("never") is None
    assert await pool.stop("never") is False
    await pool.forget("never")


async def test_renders_wait_their_turn_and_stopping_frees_the_slot(
    pool: RenderPool, order: MakeOrder, tmp_path: Path
) -> None:
    """With one slot the second waits; stopping both leaves room for the third, and no file of theirs."""
    long = {"duration_seconds": 10.0}
    for name in ("first", "second"):
        await pool.start(name, order(out_path=str(tmp_path / f"{name}.mp4"), **long))
    await pool.start("third", order(out_path=str(tmp_path / "third.mp4")))
    await _until(pool, "first", _moving)
    assert [type(await pool.look(name)) for name in ("second", "third")] == [Queued, Queued]
    assert await pool.stop("second")
    assert await pool.stop("first")
    assert isinstance(await pool.look("first"), RenderFailed)
    assert await pool.stop("first") is False
    assert isinstance(await _until(pool, "third", _ended), Rendered)
    assert [path.name for path in tmp_path.iterdir()] == ["third.mp4"]


async def test_a_killed_renderer_is_replaced_once(pool: RenderPool, order: MakeOrder) -> None:
    """A renderer that is killed in the middle is started again and the clip is made after all."""
    await pool.start("r", order(duration_seconds=2.0))
    await _until(pool, "r", _moving)
    (child,) = _children()
    os.kill(child, signal.SIGKILL)
    assert isinstance(await _until(pool, "r", _ended), Rendered)


async def test_a_renderer_that_keeps_dying_fails_the_render(
    pool: RenderPool, order: MakeOrder, tmp_path: Path
) -> None:
    """Killed twice, the render has failed, says how, and leaves no part of a file."""
    await pool.start("r", order(duration_seconds=10.0))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not _ended(await pool.look("r")):
            for child in _children():
                os.kill(child, signal.SIGKILL)
            await asyncio.sleep(0.02)
    end = await _until(pool, "r", _ended)
    assert isinstance(end, RenderFailed)
    assert "SIGKILL" in end.reason
    assert list(tmp_path.iterdir()) == []


async def test_a_refused_order_fails_without_a_second_try(
    pool: RenderPool, order: MakeOrder, tmp_path: Path
) -> None:
    """A photograph that cannot be read fails with the reason, in which no path of this machine stands."""
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    await pool.start("r", order(engine="parallax", image_path=str(bad)))
    end = await _until(pool, "r", _ended)
    assert isinstance(end, RenderFailed)
    assert "not a readable PNG or JPEG" in end.reason
    assert str(tmp_path) not in end.reason


async def test_a_silent_renderer_is_given_up(order: MakeOrder) -> None:
    """A process that makes no frame within the limit is killed; the render fails instead of hanging."""
    async with RenderPool(1, default_cache_dir(), stall_seconds=0.05) as pool:
        await pool.start("r", order())
        end = await _until(pool, "r", _ended)
        assert isinstance(end, RenderFailed)
        assert "made no frame" in end.reason


async def test_closing_ends_every_process(order: MakeOrder) -> None:
    """After aclose no renderer process is left, and nothing more can be started."""
    pool = RenderPool(2, default_cache_dir())
    await pool.start("r", order(duration_seconds=10.0))
    await _until(pool, "r", _moving)
    await pool.aclose()
    assert _children() == []
    with pytest.raises(RuntimeError, match="closed"):
        await pool.start("s", order())


def test_a_renderer_sees_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys in the parent's environment are not handed on."""
    monkeypatch.setenv("FAL_KEY", "secret")
    assert "secret" not in renderer_environment(tmp_path).values()
