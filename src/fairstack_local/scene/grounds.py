"""Which ground a place has, and how it is drawn."""

from __future__ import annotations

import math
from typing import Protocol, assert_never

from fairstack_local.kernels import Bands
from fairstack_local.plan.scene_plan import Place
from fairstack_local.scene.beach import bake_sand, draw_beach
from fairstack_local.scene.meadow import bake_grass, draw_meadow
from fairstack_local.scene.noise import tiling_cells
from fairstack_local.scene.ocean import calm_to_rough_sea
from fairstack_local.scene.plain import Plain, bake_dunes, bake_snow, draw_plain
from fairstack_local.scene.sea import draw_sea
from fairstack_local.scene.shot import Picture, Shot
from fairstack_local.scene.textures import tile
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


class Water:
    """Open water: a sea under wind, or a lake."""

    mirrors = True

    def __init__(self, seed: int, *, lake: bool) -> None:
        wind, steep, fine = (3.0, 0.022, 0.030) if lake else (9.0, 0.105, 0.085)
        self._sea = calm_to_rough_sea(34.0 if lake else 74.0, wind, math.radians(-130), steep, seed)
        self._ripples = calm_to_rough_sea(7.3, 2.6, math.radians(-110), fine, seed + 1)
        self._foam = tile(tiling_cells(256, 13, seed + 2)[..., None], 4.3)
        self._deep = (0.012, 0.040, 0.048) if lake else (0.012, 0.050, 0.075)
        self._caps = 9.0 if lake else 2.1 * float(self._sea.surface(0.0)[..., 2].std())

    def draw(self, linear: Picture, shot: Shot, bands: Bands) -> None:
        """Fill the picture with linear light."""
        swell = swell_at(self._sea, self._ripples, shot.seconds)
        bands.run(draw_sea, linear.shape[0], linear, shot, swell, self._foam, self._deep, self._caps)

    def height(self, x: float, z: float, seconds: float) -> float:
        """How high the long waves stand at this place, in metres."""
        return self._sea.height(x, z, seconds)


class Meadow:
    """Grass."""

    mirrors = False

    def __init__(self, seed: int) -> None:
        self._grass = bake_grass(seed, 0.13)

    def draw(self, linear: Picture, shot: Shot, bands: Bands) -> None:
        """Fill the picture with linear light."""
        bands.run(draw_meadow, linear.shape[0], linear, shot, self._grass)


class OpenPlain:
    """Desert sand or snow."""

    mirrors = False

    def __init__(self, plain: Plain) -> None:
        self._plain = plain

    def draw(self, linear: Picture, shot: Shot, bands: Bands) -> None:
        """Fill the picture with linear light."""
        bands.run(draw_plain, linear.shape[0], linear, shot, self._plain)


def ground_of(place: Place, seed: int) -> Ground:
    """The ground of this place."""
    match place:
        case Place.BEACH:
            return Beach(seed)
        case Place.SEA | Place.LAKE:
            return Water(seed, lake=place is Place.LAKE)
        case Place.MEADOW:
            return Meadow(seed)
        case Place.DUNES:
            return OpenPlain(bake_dunes(seed))
        case Place.SNOWFIELD:
            return OpenPlain(bake_snow(seed))
        case unknown:
            assert_never(unknown)
