"""The embedded engine as a provider, with a pool that renders on command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from fairstack_local import (
    Look,
    Queued,
    Rendered,
    RenderFailed,
    Rendering,
    RenderOrder,
    RenderPool,
    RenderReport,
)
from fairstack_server.providers.base import CancelOutcome, Failed, Order, Pending, Ref, Submission, Succeeded
from fairstack_server.providers.local import Local, Pool
from tests.providers.makers import image_file

ORDER = Order(
    nonce="nonce/../1",
    model="local-scene-t2v",
    endpoint="scene",
    prompt="a dog on a beach",
    duration_seconds=5.0,
    width=1280,
    height=720,
    fps=24,
)


class FakePool:
    """A pool that keeps what it is told."""

    def __init__(self) -> None:
        self.looks: dict[str, Look] = {}
        self.orders: dict[str, RenderOrder] = {}
        self.starts = 0

    async def start(self, render_id: str, order: RenderOrder) -> None:
        if render_id not in self.looks:
            self.starts += 1
            self.looks[render_id], self.orders[render_id] = Queued(), order

    async def look(self, render_id: str) -> Look | None:
        return self.looks.get(render_id)

    async def stop(self, render_id: str) -> bool:
        return not isinstance(self.looks.get(render_id), Rendered | RenderFailed | None)

    def finish(self, render_id: str, *, report: bool = True) -> None:
        """Write the clip; with `report`, say so."""
        Path(self.orders[render_id].out_path).write_bytes(b"clip")
        if report:
            self.looks[render_id] = Rendered(RenderReport(120, ("No horse: a dog.",), {"world": "beach"}))


async def _submitted(local: Local, order: Order = ORDER) -> Ref:
    taken = await local.submit(order)
    assert isinstance(taken, Submission)
    return cast(Ref, json.loads(json.dumps(taken.ref)))


def test_the_real_pool_is_a_pool(tmp_path: Path) -> None:
    """The pool of the embedded engine is what this provider asks for."""
    pool: Pool = RenderPool(1, tmp_path)
    assert Local(pool, tmp_path).name == "local"


async def test_a_render_from_order_to_clip(tmp_path: Path) -> None:
    """Queued, rendering with progress, then a clip on disk with what could not be honoured."""
    pool = FakePool()
    local = Local(pool, tmp_path / "work")
    ref = await _submitted(local)
    assert await local.poll(ref) == Pending(progress=0.0, started=False)
    pool.looks[ORDER.nonce] = Rendering(0.25)
    assert await local.poll(ref) == Pending(progress=0.25)
    pool.finish(ORDER.nonce)
    done = await local.poll(ref)
    assert isinstance(done, Succeeded) and done.clip.path is not None
    assert Path(done.clip.path).read_bytes() == b"clip"
    assert Path(done.clip.path).parent == tmp_path / "work"
    assert (done.facts.substitutions, done.facts.extra) == (
        ("No horse: a dog.",),
        {"plan": {"world": "beach"}},
    )


async def test_asking_twice_renders_once(tmp_path: Path) -> None:
    """The same nonce is one render with one seed, however often it is submitted (class A)."""
    pool = FakePool()
    local = Local(pool, tmp_path)
    assert await _submitted(local) == await _submitted(local)
    assert pool.starts == 1


async def test_a_restart_begins_the_same_render_again(tmp_path: Path) -> None:
    """A poll after a restart queues the render again from the receipt alone, with the same order."""
    before, after = FakePool(), FakePool()
    ref = await _submitted(Local(before, tmp_path))
    local = Local(after, tmp_path)
    assert await local.poll(ref) == Pending(progress=0.0, started=False)
    await local.poll(ref)
    assert after.orders == before.orders and after.starts == 1


async def test_a_clip_that_was_finished_before_the_restart_is_not_made_again(tmp_path: Path) -> None:
    """A whole clip on disk is the result, even when the pool knows nothing of it."""
    before, after = FakePool(), FakePool()
    ref = await _submitted(Local(before, tmp_path))
    before.finish(ORDER.nonce, report=False)
    assert isinstance(await Local(after, tmp_path).poll(ref), Succeeded)
    assert after.starts == 0


async def test_the_image_outlives_the_request(tmp_path: Path) -> None:
    """The photograph is copied into the work folder, for the input file may be gone after a restart."""
    pool = FakePool()
    image = image_file(tmp_path)
    order = Order(nonce="n", model="m", endpoint="parallax", prompt="pan", image=image, aspect_ratio="9:16")
    await _submitted(Local(pool, tmp_path / "work"), order)
    rendered = pool.orders["n"]
    Path(image.path).unlink()
    assert rendered.image_path is not None and Path(rendered.image_path).read_bytes().startswith(b"\x89PNG")
    assert (rendered.width, rendered.height, rendered.fps, rendered.duration_seconds) == (720, 1280, 24, 5.0)


async def test_what_the_engine_cannot_do_is_a_refusal(tmp_path: Path) -> None:
    """An impossible order is refused with the engine's own reason, and nothing is queued."""
    pool = FakePool()
    local = Local(pool, tmp_path)
    for order in (
        Order(nonce="a", model="m", endpoint="scene", prompt="p", duration_seconds=60.0),
        Order(nonce="b", model="m", endpoint="parallax", prompt="p"),
        Order(nonce="c", model="m", endpoint="hologram", prompt="p"),
    ):
        refused = await local.submit(order)
        assert isinstance(refused, Failed) and refused.reason == "refused"
    assert pool.starts == 0


async def test_a_failed_render_says_why(tmp_path: Path) -> None:
    """The engine's reason is the user's message."""
    pool = FakePool()
    local = Local(pool, tmp_path)
    ref = await _submitted(local)
    pool.looks[ORDER.nonce] = RenderFailed("The renderer process was killed.")
    assert await local.poll(ref) == Failed("render_failed", "The renderer process was killed.")


async def test_cancel_stops_what_is_not_finished(tmp_path: Path) -> None:
    """A render is stopped, also one that a restart has lost; a finished clip stays."""
    pool = FakePool()
    local = Local(pool, tmp_path)
    ref = await _submitted(local)
    assert await local.cancel(ref) is CancelOutcome.STOPPED
    pool.finish(ORDER.nonce)
    assert await local.cancel(ref) is CancelOutcome.TOO_LATE
    lost = await _submitted(Local(FakePool(), tmp_path / "other"))
    assert await Local(FakePool(), tmp_path / "other").cancel(lost) is CancelOutcome.STOPPED
