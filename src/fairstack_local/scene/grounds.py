"""Which ground a place has, and how it is drawn."""

from __future__ import annotations

import math
from typing import Protocol

from fairstack_local.kernels import Bands
from fairstack_local.plan.scene_plan import ScenePlan
from fairstack_local.scene.beach import bake_sand, draw_beach
from fairstack_local.scene.ocean import calm_to_rough_sea
from fairstack_local.scene.shot import Picture, Shot
from fairstack_local.scene.water import swell_at


class Ground(Protocol):
    """Draws the whole frame: the ground, the far world above it and the subject before them."""

    mirrors: bool
    """Whether the subject's upside-down layer is needed."""

    def draw(self, linear: Picture, shot: Shot, bands: Bands) -> None:
        """Fill the picture with linear light."""
        ...


class Beach:
    """Sand by the sea."""

    mirrors = True

    def __init__(self, seed: int) -> None:
        self._sand = bake_sand(seed)
        self._sea = calm_to_rough_sea(46.0, 6.5, math.radians(-75), 0.085, seed)
        self._ripples = calm_to_rough_sea(6.1, 2.6, math.radians(-60), 0.090, seed + 1)

    def draw(self, linear: Picture, shot: Shot, bands: Bands) -> None:
        """Fill the picture with linear light."""
        swell = swell_at(self._sea, self._ripples, shot.seconds)
        bands.run(draw_beach, linear.shape[0], linear, shot, self._sand, swell)


def ground_of(plan: ScenePlan, seed: int) -> Ground:
    """The ground of the plan's place."""
    return Beach(seed)
