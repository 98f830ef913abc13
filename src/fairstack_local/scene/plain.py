"""Open ground of sand or snow: flat underfoot, its ripples and drifts told by light and shade."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fairstack_local.kernels import inline, kernel
from fairstack_local.scene.camera import ray_through
from fairstack_local.scene.noise import lattice, tiling_fractal
from fairstack_local.scene.shadow import shadow_at
from fairstack_local.scene.shot import (
    FAR_AWAY,
    Picture,
    Shot,
    ground_octave,
    horizon_colour,
    lit_ground,
    put,
    subject_hides,
    through_air,
)
from fairstack_local.scene.textures import Texture, Tile, look_up3, tile, with_slopes
from fairstack_local.scene.vectors import Vec, clamp, dot, smooth, unit

_FINE_METRES, _RIPPLE_METRES, _DRIFT_METRES = 2.1, 5.3, 29.0


class Plain(NamedTuple):
    """Three scales of ground (slopes, then tone), its colour, and how it takes the light."""

    fine: Tile
    ripples: Tile
    drifts: Tile
    albedo: Vec
    shade_tint: Vec
    """The colour of what lies in its own shade: snow is blue there."""
    sparkle: float


def bake_dunes(seed: int) -> Plain:
    """Desert sand: wind ripples across long swells."""
    x = np.arange(512) / 512.0
    warp = tiling_fractal(512, 4, 4, seed + 2) * 0.020
    across = 2.0 * np.pi * (26.0 * x[None, :] + 9.0 * x[:, None] + 26.0 * warp)
    ripples = (
        0.012 * np.maximum(np.sin(across), -0.6) * (1.0 + 0.35 * tiling_fractal(512, 5, 3, seed + 3))
    ).astype(np.float32)
    return Plain(
        _ground_tile(
            tiling_fractal(512, 90, 3, seed) * 0.0006,
            tiling_fractal(512, 60, 3, seed + 1) * 0.05,
            _FINE_METRES,
        ),
        _ground_tile(ripples, ripples * 6.0, _RIPPLE_METRES),
        _ground_tile(
            tiling_fractal(512, 5, 3, seed + 5) * 0.34,
            tiling_fractal(512, 6, 5, seed + 6) * 0.06,
            _DRIFT_METRES,
        ),
        (0.66, 0.43, 0.235),
        (0.92, 0.88, 0.95),
        0.0,
    )


def bake_snow(seed: int) -> Plain:
    """A snow field: soft drifts, a crust of small crystals that glint."""
    crust = tiling_fractal(512, 40, 4, seed) * 0.0012
    small = tiling_fractal(512, 6, 4, seed + 3) * 0.012
    return Plain(
        _ground_tile(crust, tiling_fractal(512, 60, 3, seed + 1) * 0.02, _FINE_METRES),
        _ground_tile(small, tiling_fractal(512, 8, 4, seed + 4) * 0.02, _RIPPLE_METRES),
        _ground_tile(
            tiling_fractal(512, 6, 3, seed + 5) * 0.12,
            tiling_fractal(512, 5, 4, seed + 6) * 0.02,
            _DRIFT_METRES,
        ),
        (0.60, 0.625, 0.67),
        (0.80, 0.93, 1.14),
        1.0,
    )


def _ground_tile(height: Texture, tone: Texture, metres: float) -> Tile:
    picture = with_slopes(height.astype(np.float32), metres)
    picture[..., 2] = tone
    return tile(picture, metres)


@kernel
def draw_plain(top: int, bottom: int, picture: Picture, shot: Shot, plain: Plain) -> None:
    """Draw rows `top` to `bottom` of the frame, in linear light."""
    height, width = picture.shape[0], picture.shape[1]
    for row in range(top, bottom):
        octave = ground_octave(row, height, shot)
        for column in range(width):
            ray = ray_through(shot.eye, column + 0.5, row + 0.5, width, height)
            if ray[1] > -0.0008:
                put(picture, row, column, horizon_colour(ray, shot), FAR_AWAY, ray, shot)
            elif subject_hides(row, column, shot):
                put(picture, row, column, (0.0, 0.0, 0.0), FAR_AWAY, ray, shot)
            else:
                put(picture, row, column, _ground(ray, octave, shot, plain), FAR_AWAY, ray, shot)


@inline
def _ground(ray: Vec, octave: float, shot: Shot, plain: Plain) -> Vec:
    distance = shot.eye.position[1] / -ray[1]
    x, z = shot.eye.position[0] + ray[0] * distance, shot.eye.position[2] + ray[2] * distance
    ax, az, grain = look_up3(plain.fine, x, z, octave - 0.6)
    bx, bz, tone = look_up3(plain.ripples, x, z, octave - 0.8)
    cx, cz, broad = look_up3(plain.drifts, x, z, octave - 0.8)
    normal = unit((-(ax + bx + cx), 1.0, -(az + bz + cz)))
    sun, sky = shadow_at(shot.shadow, x, z)
    sunward = dot(normal, shot.light.sun)
    direct = smooth(-0.03, 0.10, sunward) * max(sunward, 0.0) * sun
    level = 1.0 + grain + tone + broad
    shade = 1.0 - clamp(direct * 2.0, 0.0, 1.0)
    tint = plain.shade_tint
    albedo = (
        plain.albedo[0] * level * (1.0 + (tint[0] - 1.0) * shade),
        plain.albedo[1] * level * (1.0 + (tint[1] - 1.0) * shade),
        plain.albedo[2] * level * (1.0 + (tint[2] - 1.0) * shade),
    )
    # What leans towards the bright horizon behind gathers more of its light.
    open_sky = sky * (1.0 + 1.1 * clamp(normal[2], -0.35, 0.35))
    colour = lit_ground(albedo, direct, open_sky, shot)
    if plain.sparkle > 0.0 and distance < 14.0:
        glint = _glint(x, z, distance, shot) * plain.sparkle * sun
        tone_of = shot.light.sun_colour
        colour = (
            colour[0] + tone_of[0] * glint,
            colour[1] + tone_of[1] * glint,
            colour[2] + tone_of[2] * glint,
        )
    return through_air(colour, ray, distance, shot)


@inline
def _glint(x: float, z: float, distance: float, shot: Shot) -> float:
    """Crystals that mirror the sun from where the camera stands now."""
    ix, iz = math.floor(x * 70.0), math.floor(z * 70.0)
    luck = lattice(ix, iz, 7)
    if luck < 0.988:
        return 0.0
    facet = lattice(ix, iz, 8) * 40.0 + shot.eye.position[0] * 6.0 + shot.seconds
    return max(math.sin(facet), 0.0) ** 6 * 0.8 * smooth(14.0, 3.0, distance)
