"""The look of water: mirrored sky, the sun's glitter, and the colour that comes from below."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import inline
from fairstack_local.scene.light import Light
from fairstack_local.scene.ocean import Sea
from fairstack_local.scene.sky import Backdrop, reflected
from fairstack_local.scene.textures import Texture, Tile, level_for, look_up3, tile
from fairstack_local.scene.vectors import Vec, blend, clamp, dot, unit


class Swell(NamedTuple):
    """The water of one moment: two tiles of waves, and the variance of slope hidden by each level."""

    long: Tile
    long_hidden: npt.NDArray[np.float64]
    ripples: Tile
    ripples_hidden: npt.NDArray[np.float64]


def swell_at(long: Sea, ripples: Sea, seconds: float) -> Swell:
    """The water at this moment."""
    a, b = tile(long.surface(seconds), long.metres), tile(ripples.surface(seconds), ripples.metres)
    return Swell(a, _hidden_slope(a.chain), b, _hidden_slope(b.chain))


def _hidden_slope(chain: Texture) -> npt.NDArray[np.float64]:
    size, whole, hidden, row = chain.shape[1], 0.0, [], 0
    while size:
        level = chain[row : row + size, :size, :2]
        shown = float(np.square(level).mean())
        whole = whole or shown
        hidden.append(max(whole - shown, 0.0))
        row, size = row + size, size // 2
    return np.array(hidden)


@inline
def waves(x: float, z: float, octave: float, swell: Swell) -> tuple[float, float, float, float]:
    """Slope along x and z, height, and the variance of slope too fine to be seen at this pixel size."""
    ax, az, height = look_up3(swell.long, x, z, octave)
    bx, bz, low = look_up3(swell.ripples, x, z, octave)
    coarse, fine = level_for(swell.long, octave), level_for(swell.ripples, octave)
    hidden = swell.long_hidden[int(coarse + 0.5)] + swell.ripples_hidden[int(fine + 0.5)]
    return ax + bx, az + bz, height + low, hidden


@inline
def water_colour(
    ray: Vec, slope_x: float, slope_z: float, lost: float, below: Vec, light: Light, backdrop: Backdrop
) -> Vec:
    """What the camera sees on a water surface of this slope, with `below` shining up through it."""
    normal = unit((-slope_x, 1.0, -slope_z))
    facing = clamp(-dot(ray, normal), 0.0, 1.0)
    spread = math.sqrt(lost)
    # Facets that lean away from a low eye are hidden: the visible ones mirror a higher part of the sky.
    facing_mean = clamp(facing + 0.55 * spread * (1.0 - facing), 0.02, 1.0)
    mirror = 0.02 + 0.98 * (1.0 - facing_mean) ** 5
    turn = 2.0 * dot(ray, normal)
    up = abs(ray[1] - turn * normal[1]) + 0.75 * spread
    seen = reflected((ray[0] - turn * normal[0], up, ray[2] - turn * normal[2]), backdrop)
    colour = blend(below, seen, mirror)
    glint = _glint(ray, slope_x, slope_z, lost, facing, light)
    return (
        colour[0] + light.sun_colour[0] * glint,
        colour[1] + light.sun_colour[1] * glint,
        colour[2] + light.sun_colour[2] * glint,
    )


@inline
def _glint(ray: Vec, slope_x: float, slope_z: float, lost: float, facing: float, light: Light) -> float:
    """How many of the unseen facets mirror the sun, from a normal spread of their slopes."""
    half = unit((light.sun[0] - ray[0], light.sun[1] - ray[1], light.sun[2] - ray[2]))
    if half[1] < 0.05:
        return 0.0
    dx, dz = -half[0] / half[1] - slope_x, -half[2] / half[1] - slope_z
    variance = lost + 0.0011
    share = math.exp(-0.5 * (dx * dx + dz * dz) / variance) / (2.0 * math.pi * variance)
    bent = clamp(-dot(ray, half), 0.0, 1.0)
    mirror = 0.02 + 0.98 * (1.0 - bent) ** 5
    return min(share * mirror / (4.0 * half[1] ** 4 * max(facing, 0.12)) * 0.10, 6.0)
