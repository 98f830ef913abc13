"""Distant hills and mountains: ridge lines painted into the panorama, the far ones first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import inline, kernel
from fairstack_local.plan.scene_plan import Place
from fairstack_local.scene.light import Light
from fairstack_local.scene.noise import fractal, ridged
from fairstack_local.scene.vectors import Vec, blend, clamp, smooth, unit

NO_SNOW = 90.0


class Ridge(NamedTuple):
    """One line of hills. Angles in degrees above the horizon; `bumps` per radian of azimuth."""

    height: float
    swing: float
    bumps: float
    jagged: float
    """0 for soft fractal hills, 1 for creased mountain ridges."""
    colour: Vec
    haze: float
    """How much of the colour is lost to the air."""
    snow_above: float


RIDGES: Mapping[Place, tuple[Ridge, ...]] = {
    Place.BEACH: (Ridge(-1.6, 3.4, 1.3, 0.35, (0.10, 0.11, 0.10), 0.72, NO_SNOW),),
    Place.SEA: (),
    Place.MEADOW: (
        Ridge(3.2, 3.2, 2.6, 0.75, (0.16, 0.18, 0.22), 0.74, NO_SNOW),
        Ridge(1.7, 2.2, 2.2, 0.25, (0.11, 0.17, 0.07), 0.52, NO_SNOW),
        Ridge(0.5, 1.5, 2.9, 0.10, (0.09, 0.15, 0.04), 0.26, NO_SNOW),
    ),
    Place.DUNES: (
        Ridge(1.5, 1.7, 1.8, 0.15, (0.55, 0.34, 0.17), 0.58, NO_SNOW),
        Ridge(0.4, 1.9, 2.4, 0.10, (0.60, 0.36, 0.17), 0.32, NO_SNOW),
    ),
    Place.SNOWFIELD: (
        Ridge(4.0, 5.2, 2.4, 0.95, (0.20, 0.22, 0.27), 0.55, 3.2),
        Ridge(0.9, 1.7, 2.5, 0.20, (0.55, 0.60, 0.70), 0.40, 0.0),
    ),
    Place.LAKE: (
        Ridge(8.5, 8.0, 2.3, 1.0, (0.19, 0.20, 0.24), 0.60, 7.5),
        Ridge(5.0, 6.5, 2.9, 1.0, (0.15, 0.16, 0.17), 0.36, 7.0),
        Ridge(1.3, 2.4, 4.1, 0.30, (0.035, 0.060, 0.030), 0.18, NO_SNOW),
    ),
}


@inline
def _outline(azimuth: float, ridge: Ridge, seed: int) -> float:
    """How high the ridge stands here, in radians."""
    x = azimuth * ridge.bumps + 50.0
    soft = fractal(x, seed * 3.7, 7, 0, seed)
    sharp = ridged(x, seed * 1.3, 7, seed + 9)
    share = soft + (sharp - soft) * ridge.jagged
    return math.radians(ridge.height + ridge.swing * (share - 0.40) * 2.0)


@inline
def _surface(x: float, y: float, ridge: Ridge, seed: int) -> float:
    """Height of the pretended mountain side, for its light and shade."""
    soft = fractal(x, y, 5, 0, seed + 20)
    sharp = ridged(x, y, 5, seed + 21)
    return soft + (sharp - soft) * ridge.jagged


@kernel
def paint_ridge(
    relief: npt.NDArray[np.float32],
    ridge: Ridge,
    light: Light,
    facing: float,
    widest: float,
    lowest: float,
    pixel: float,
    seed: int,
) -> None:
    """Paint one ridge over what is there, as premultiplied RGBA, on the plane that `sky.py` describes."""
    for column in range(relief.shape[1]):
        across = (column + 0.5) * pixel - widest
        azimuth = facing + math.atan(across)
        # On an upright plane the same elevation rises towards the sides.
        slant = math.sqrt(1.0 + across * across)
        outline = _outline(azimuth, ridge, seed)
        highest = min(int((math.tan(outline) * slant - lowest) / pixel) + 2, relief.shape[0])
        for row in range(0, highest):
            elevation = math.atan((lowest + (row + 0.5) * pixel) / slant)
            cover = clamp((outline - elevation) / pixel + 0.5, 0.0, 1.0)
            if cover <= 0.0:
                continue
            r, g, b = _ridge_colour(azimuth, elevation, outline, ridge, light, seed)
            rest = 1.0 - cover
            relief[row, column, 0] = relief[row, column, 0] * rest + r * cover
            relief[row, column, 1] = relief[row, column, 1] * rest + g * cover
            relief[row, column, 2] = relief[row, column, 2] * rest + b * cover
            relief[row, column, 3] = relief[row, column, 3] * rest + cover


@inline
def _ridge_colour(
    azimuth: float, elevation: float, outline: float, ridge: Ridge, light: Light, seed: int
) -> Vec:
    scale = ridge.bumps * (3.0 + 5.0 * ridge.jagged)
    x, y = azimuth * scale, (outline - elevation) * scale * 1.6 + outline * scale * 0.5
    here = _surface(x, y, ridge, seed)
    across = _surface(x + 0.06, y, ridge, seed) - here
    down = _surface(x, y + 0.06, ridge, seed) - here
    normal = unit((-across * 9.0, 0.55 + down * 3.0, -0.75))
    # The sun's direction seen from the front of the ridge: behind it, only the flanks catch light.
    side = light.sun[0] * math.cos(azimuth) - light.sun[2] * math.sin(azimuth)
    front = -(light.sun[0] * math.sin(azimuth) + light.sun[2] * math.cos(azimuth))
    sunlit = max(normal[0] * side + normal[1] * light.sun[1] - normal[2] * front, 0.0)
    ground = ridge.colour
    if ridge.snow_above < NO_SNOW:
        line = math.radians(ridge.snow_above) + (fractal(x * 0.8, y * 0.8, 4, 0, seed + 30) - 0.5) * 0.10
        white = smooth(line - 0.012, line + 0.020, elevation) * smooth(0.20, 0.50, here + normal[1] * 0.25)
        ground = blend(ground, (0.72, 0.76, 0.84), white)
    ground = blend(ground, (ground[0] * 0.62, ground[1] * 0.62, ground[2] * 0.62), smooth(0.55, 0.30, here))
    lit = (
        ground[0] * (light.ambient[0] * 0.9 + light.sun_colour[0] * sunlit * 0.55),
        ground[1] * (light.ambient[1] * 0.9 + light.sun_colour[1] * sunlit * 0.55),
        ground[2] * (light.ambient[2] * 0.9 + light.sun_colour[2] * sunlit * 0.55),
    )
    air = far_air((math.sin(azimuth), 0.0, math.cos(azimuth)), light)
    thick = clamp(ridge.haze + (1.0 - ridge.haze) * clamp(light.haze * 16.0, 0.0, 0.93), 0.0, 1.0)
    low = math.exp(-max(elevation, 0.0) * 22.0) * 0.30
    return blend(lit, air, clamp(thick + low * (1.0 - thick), 0.0, 1.0))


@inline
def far_air(ray: Vec, light: Light) -> Vec:
    """The colour that distance fades to in this direction."""
    near = max(ray[0] * light.sun[0] + ray[2] * light.sun[2], 0.0)
    halo = 0.20 * near**6 + 0.16 * near**40
    base = blend(light.middle, light.horizon, 0.62)
    return (
        base[0] + light.glow[0] * halo,
        base[1] + light.glow[1] * halo,
        base[2] + light.glow[2] * halo,
    )
