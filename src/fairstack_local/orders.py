"""What the engine is asked for, what it answers, and the one call between the two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, assert_never

if TYPE_CHECKING:
    from fairstack_local.encode import Mp4Writer

Engine = Literal["scene", "parallax"]
OnProgress = Callable[[int, int], None]

FRAME_RATE = 24
SHORTEST_SECONDS, LONGEST_SECONDS = 0.125, 10.0
SMALLEST_SIDE, LARGEST_SIDE = 32, 1920
SIZES: Mapping[str, tuple[int, int]] = {"16:9": (1280, 720), "9:16": (720, 1280), "1:1": (720, 720)}


class OrderRefused(ValueError):
    """The order cannot be rendered as it stands; names the field, its value and what is allowed."""


@dataclass(frozen=True)
class RenderOrder:
    """One clip to make. Sizes in pixels, `image_path` an already clean PNG or JPEG (parallax only)."""

    engine: Engine
    prompt: str
    width: int
    height: int
    fps: int
    duration_seconds: float
    seed: int
    image_path: str | None
    out_path: str

    def __post_init__(self) -> None:
        if self.engine not in ("scene", "parallax"):
            raise OrderRefused(f'engine "{self.engine}" is unknown; use "scene" or "parallax"')
        if self.engine == "parallax" and not self.image_path:
            raise OrderRefused('engine "parallax" moves a photograph; give image_path')
        for name, side in (("width", self.width), ("height", self.height)):
            if side % 2 or not SMALLEST_SIDE <= side <= LARGEST_SIDE:
                raise OrderRefused(
                    f"{name} is {side}; use an even number from {SMALLEST_SIDE} to {LARGEST_SIDE}"
                )
        if not 1 <= self.fps <= 60:
            raise OrderRefused(f"fps is {self.fps}; use 1 to 60")
        if not SHORTEST_SECONDS <= self.duration_seconds <= LONGEST_SECONDS:
            raise OrderRefused(
                f"duration_seconds is {self.duration_seconds}; use {SHORTEST_SECONDS} to {LONGEST_SECONDS}"
            )

    @property
    def frames(self) -> int:
        """How many frames the clip has: the duration at this rate, rounded to the nearest frame."""
        return max(2, round(self.duration_seconds * self.fps))

    def to_json(self) -> dict[str, Any]:
        """The order as a JSON-safe dict that `from_json` reads back to an equal order."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; raises TypeError on missing or unknown fields."""
        return cls(**data)


@dataclass(frozen=True)
class RenderReport:
    """What was made: the frames, what the prompt asked for in vain (plain sentences), and the typed plan."""

    frames: int
    substitutions: tuple[str, ...]
    plan: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON-safe dict that `from_json` reads back to an equal report."""
        return {"frames": self.frames, "substitutions": list(self.substitutions), "plan": self.plan}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(int(data["frames"]), tuple(data["substitutions"]), dict(data["plan"]))


def render(order: RenderOrder, on_progress: OnProgress) -> RenderReport:
    """Make the clip at `order.out_path`, whole or not at all, calling `on_progress(frame, frames)` per frame.

    The same order gives the same frames. Blocks for seconds to minutes; raises OrderRefused or OSError.
    """
    match order.engine:
        case "scene":
            from fairstack_local.scene.film import film_scene

            with _clip(order) as clip:
                return film_scene(order, clip, on_progress)
        case "parallax":
            from fairstack_local.parallax.film import film_photograph

            with _clip(order) as clip:
                return film_photograph(order, clip, on_progress)
        case unknown:
            assert_never(unknown)


def part_path(out_path: str) -> Path:
    """Where the unfinished clip lives until it is whole: beside `out_path`, on the same file system."""
    return Path(f"{out_path}.part")


@contextmanager
def _clip(order: RenderOrder) -> Iterator[Mp4Writer]:
    from fairstack_local.encode import Mp4Writer

    part = part_path(order.out_path)
    try:
        with Mp4Writer(part, order.width, order.height, order.fps) as clip:
            yield clip
        part.replace(order.out_path)
    finally:
        part.unlink(missing_ok=True)
