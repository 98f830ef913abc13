"""The embedded engine, seen as a provider: renders on this machine's CPU, in a pool of processes."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Protocol, assert_never

from fairstack_local import (
    Look,
    OrderRefused,
    Queued,
    Rendered,
    RenderFailed,
    Rendering,
    RenderOrder,
)
from fairstack_local.orders import FRAME_RATE, SIZES
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import (
    CancelOutcome,
    ClipAt,
    ClipFacts,
    Failed,
    Order,
    Pending,
    ProviderError,
    Ref,
    Submission,
    SubmitClass,
    Succeeded,
)

DEFAULT_RATIO = "16:9"
DEFAULT_SECONDS = 5.0


class Pool(Protocol):
    """What is asked of `fairstack_local.RenderPool`."""

    async def start(self, render_id: str, order: RenderOrder) -> None:
        """Queue this render; a known id is left as it is."""
        ...

    async def look(self, render_id: str) -> Look | None:
        """How it stands; None for an id the pool does not know."""
        ...

    async def stop(self, render_id: str) -> bool:
        """End it; False when it had ended or is unknown."""
        ...


class Local:
    """The embedded engine. Class A: one nonce is rendered once, however often it is asked for.

    The receipt holds the whole order, so a render that a restart has cut short begins again at the next poll,
    with the same frames. Files lie in `work_dir`; the clip belongs to whoever takes it from there.
    """

    name = "local"
    submit_class = SubmitClass.A
    resend_within = timedelta.max

    def __init__(self, pool: Pool, work_dir: Path) -> None:
        self._pool = pool
        self._work_dir = work_dir

    async def submit(self, order: Order) -> Submission | Failed:
        """Queue the render; the image is copied first, so that it is there after a restart too."""
        clip = self._clip_path(order.nonce)
        try:
            image_path = await asyncio.to_thread(self._keep_image, order, clip)
            render = _render_order(order, image_path, clip)
        except OrderRefused as refused:
            return Failed("refused", f"The local engine cannot render this: {refused}")
        except OSError as error:
            raise ProviderError(
                f"local: the work folder failed: {error.strerror or error}", sent=False
            ) from None
        await self._pool.start(order.nonce, render)
        return Submission({"id": order.nonce, "order": render.to_json()})

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Look at the render, and begin it again if a restart has lost it."""
        render_id, render = _read(ref)
        match await self._pool.look(render_id):
            case Queued():
                return Pending(progress=0.0, started=False)
            case Rendering(progress):
                return Pending(progress=progress)
            case Rendered(report):
                return _clip(render, report.substitutions, report.plan)
            case RenderFailed(reason):
                return Failed("render_failed", reason)
            case None if _is_made(render):
                # The engine writes a clip whole or not at all, so this one was finished before the restart.
                return _clip(render, (), {})
            case None:
                await self._pool.start(render_id, render)
                return Pending(progress=0.0, started=False)
            case unknown:
                assert_never(unknown)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Stop the render; too late once the clip exists."""
        render_id, render = _read(ref)
        stopped = await self._pool.stop(render_id)
        lost = await self._pool.look(render_id) is None and not _is_made(render)
        return CancelOutcome.STOPPED if stopped or lost else CancelOutcome.TOO_LATE

    def _clip_path(self, nonce: str) -> Path:
        # A hash, because a nonce is not made to be a file name.
        return self._work_dir / f"{hashlib.sha256(nonce.encode()).hexdigest()[:32]}.mp4"

    def _keep_image(self, order: Order, clip: Path) -> str | None:
        self._work_dir.mkdir(parents=True, exist_ok=True)
        if order.image is None:
            return None
        kept = clip.with_suffix(Path(order.image.path).suffix or ".image")
        shutil.copyfile(order.image.path, kept)
        return str(kept)


def _render_order(order: Order, image_path: str | None, clip: Path) -> RenderOrder:
    if order.endpoint not in ("scene", "parallax"):
        raise OrderRefused(f'engine "{order.endpoint}" is unknown; use "scene" or "parallax"')
    width, height = SIZES.get(order.aspect_ratio or DEFAULT_RATIO, SIZES[DEFAULT_RATIO])
    return RenderOrder(
        engine="scene" if order.endpoint == "scene" else "parallax",
        prompt=order.prompt,
        width=order.width or width,
        height=order.height or height,
        fps=order.fps or FRAME_RATE,
        duration_seconds=order.duration_seconds or DEFAULT_SECONDS,
        seed=order.seed if order.seed is not None else _seed_of(order.nonce),
        image_path=image_path,
        out_path=str(clip),
    )


def _seed_of(nonce: str) -> int:
    return int.from_bytes(hashlib.sha256(nonce.encode()).digest()[:4])


def _read(ref: Ref) -> tuple[str, RenderOrder]:
    match ref:
        case {"id": str(render_id), "order": dict(order)}:
            try:
                return render_id, RenderOrder.from_json(order)
            except (TypeError, OrderRefused):
                pass
        case _:
            pass
    raise ProviderError("local: the receipt cannot be read", sent=False, permanent=True)


def _is_made(render: RenderOrder) -> bool:
    return Path(render.out_path).is_file()


def _clip(render: RenderOrder, substitutions: tuple[str, ...], plan: JSONObject) -> Succeeded:
    return Succeeded(
        ClipAt(path=render.out_path),
        ClipFacts(
            width=render.width,
            height=render.height,
            duration_seconds=render.duration_seconds,
            fps=render.fps,
            seed=render.seed,
            substitutions=substitutions,
            extra={"plan": plan} if plan else {},
        ),
    )
