"""The far world as panoramas, baked once a clip: sky, clouds and distant relief by azimuth and elevation.

Row 0 lies just under the horizon, rows go up; the middle column is the azimuth that the camera faces at rest.
Directions outside are mirrored back, so that a reflection always finds something.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import Bands, inline, kernel
from fairstack_local.scene.light import Light
from fairstack_local.scene.noise import fractal, lattice
from fairstack_local.scene.relief import Ridge, paint_ridge
from fairstack_local.scene.vectors import Vec, blend, clamp, dot, smooth, unit

Panorama = npt.NDArray[np.float32]

HALF_WIDTH = math.radians(100.0)
LOWEST = math.radians(-1.5)
HIGHEST = math.radians(62.0)
_COARSEST_STEP = math.radians(0.5)


class Backdrop(NamedTuple):
    """The baked far world. `relief` and `clouds` are premultiplied RGBA, `sky` and `mirror` RGB."""

    sky: Panorama
    clouds: Panorama
    relief: Panorama
    mirror: Panorama
    """Sky, clouds and relief together, a quarter as fine: what water and wet sand reflect."""
    facing: float
    """The azimuth of the middle column, in radians from +z towards +x."""
    relief_top: float
    """No relief rises above this elevation, in radians."""


def bake_backdrop(
    light: Light, ridges: tuple[Ridge, ...], facing: float, step: float, seed: int, bands: Bands
) -> Backdrop:
    """Paint the far world with pixels of `step` radians."""
    step = min(step, _COARSEST_STEP)
    rows, columns = math.ceil((HIGHEST - LOWEST) / step), math.ceil(2 * HALF_WIDTH / step)
    sky = np.zeros((rows, columns, 3), np.float32)
    clouds = np.zeros((rows, columns, 4), np.float32)
    relief = np.zeros((rows, columns, 4), np.float32)
    bands.run(_paint_sky, rows, sky, clouds, light, facing, seed)
    for number, ridge in enumerate(ridges):
        horizon_row = int(-LOWEST / step)
        paint_ridge(relief, ridge, light, facing, step, horizon_row, seed + 31 * number)
    whole = sky * (1.0 - clouds[..., 3:]) + clouds[..., :3]
    whole = whole * (1.0 - relief[..., 3:]) + relief[..., :3]
    top = max((ridge.height + ridge.swing for ridge in ridges), default=0.0)
    return Backdrop(sky, clouds, relief, _shrunk(whole), facing, math.radians(top * 1.25 + 0.5))


def _shrunk(picture: Panorama) -> Panorama:
    rows, columns = picture.shape[0] // 3 * 3, picture.shape[1] // 3 * 3
    blocks = picture[:rows, :columns].reshape(rows // 3, 3, columns // 3, 3, 3)
    return np.ascontiguousarray(blocks.mean(axis=(1, 3), dtype=np.float32))


@kernel
def _paint_sky(
    top: int, bottom: int, sky: Panorama, clouds: Panorama, light: Light, facing: float, seed: int
) -> None:
    rows, columns = sky.shape[0], sky.shape[1]
    for row in range(top, bottom):
        elevation = LOWEST + (row + 0.5) / rows * (HIGHEST - LOWEST)
        flat, rise = math.cos(elevation), math.sin(elevation)
        for column in range(columns):
            azimuth = facing + ((column + 0.5) / columns * 2.0 - 1.0) * HALF_WIDTH
            ray = (flat * math.sin(azimuth), rise, flat * math.cos(azimuth))
            r, g, b = sky_colour(ray, light)
            star = _star(row, column, elevation, light.stars, seed)
            sky[row, column, 0], sky[row, column, 1], sky[row, column, 2] = r + star, g + star, b + star * 1.15
            if rise > 0.004:
                colour, cover = _cloud(ray, light, seed)
                for channel in range(3):
                    clouds[row, column, channel] = colour[channel] * cover
                clouds[row, column, 3] = cover


@inline
def sky_colour(ray: Vec, light: Light) -> Vec:
    """The clear sky in this direction, sun disc left out."""
    rise = max(ray[1], 0.0)
    colour = blend(light.zenith, light.middle, math.exp(-rise * 3.6))
    colour = blend(colour, light.horizon, math.exp(-rise * 9.5))
    near = max(dot(ray, light.sun), 0.0)
    halo = 0.30 * near**5 + 0.42 * near**32 + 0.55 * near**260
    return (
        colour[0] + light.glow[0] * halo,
        colour[1] + light.glow[1] * halo,
        colour[2] + light.glow[2] * halo,
    )


@inline
def _star(row: int, column: int, elevation: float, stars: float, seed: int) -> float:
    if stars <= 0.0 or elevation < 0.02:
        return 0.0
    luck = lattice(row, column, seed + 5)
    if luck < 0.9984:
        return 0.0
    size = lattice(column, row, seed + 6)
    return stars * smooth(0.02, 0.20, elevation) * (0.08 + 0.9 * size**6)


@inline
def _cloud_depth(x: float, z: float, cover: float, seed: int) -> float:
    warp = fractal(x * 0.7 + 11.0, z * 0.7, 2, 0, seed + 60) - 0.5
    depth = fractal(x + 0.9 * warp, z + 0.6 * warp, 6, 0, seed + 40)
    threshold = 0.66 - 0.36 * cover
    return smooth(threshold, threshold + 0.30 - 0.10 * cover, depth)


@inline
def _cloud(ray: Vec, light: Light, seed: int) -> tuple[Vec, float]:
    """Colour and cover of the cloud deck in this direction, lit from the sun's side."""
    reach = 1.35 / (ray[1] + 0.075)
    x, z = ray[0] * reach * 0.55, ray[2] * reach
    depth = _cloud_depth(x, z, light.cloud_cover, seed)
    if depth <= 0.003:
        return (0.0, 0.0, 0.0), 0.0
    sun_x, sun_z = light.sun[0], light.sun[2]
    towards = _cloud_depth(x + sun_x * 0.10, z + sun_z * 0.22, light.cloud_cover, seed)
    near = max(dot(ray, light.sun), 0.0)
    open_side = clamp(0.62 + 0.9 * (depth - towards) - 0.42 * depth, 0.0, 1.0)
    colour = blend(light.cloud_dark, light.cloud_lit, open_side * (0.62 + 0.38 * near * near))
    lining = (1.0 - depth) * near**24 * 1.1
    colour = (
        colour[0] + light.glow[0] * lining,
        colour[1] + light.glow[1] * lining,
        colour[2] + light.glow[2] * lining,
    )
    colour = blend(colour, sky_colour((ray[0], 0.0, ray[2]), light), math.exp(-ray[1] * 15.0) * 0.75)
    return colour, depth * (0.55 + 0.40 * light.cloud_cover) * smooth(0.004, 0.07, ray[1])


@inline
def panorama_place(ray: Vec, facing: float, picture: Panorama) -> tuple[float, float]:
    """The row and column of a panorama where this direction is seen, inside the picture."""
    azimuth = math.atan2(ray[0], ray[2]) - facing
    azimuth = azimuth - 2.0 * math.pi * math.floor(azimuth / (2.0 * math.pi) + 0.5)
    across = abs(azimuth / HALF_WIDTH + 1.0)
    across = 4.0 - across if across > 2.0 else across
    elevation = math.asin(clamp(ray[1], -1.0, 1.0))
    row = (elevation - LOWEST) / (HIGHEST - LOWEST) * picture.shape[0] - 0.5
    column = across * 0.5 * picture.shape[1] - 0.5
    return clamp(row, 0.0, picture.shape[0] - 1.001), clamp(column, 0.0, picture.shape[1] - 1.001)


@inline
def read3(picture: Panorama, row: float, column: float) -> Vec:
    """RGB between four pixels; the place must lie inside."""
    iy, ix = int(row), int(column)
    t, s = row - iy, column - ix
    a, b, c, d = (1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t
    p, q, u, v = picture[iy, ix], picture[iy, ix + 1], picture[iy + 1, ix], picture[iy + 1, ix + 1]
    return (
        p[0] * a + q[0] * b + u[0] * c + v[0] * d,
        p[1] * a + q[1] * b + u[1] * c + v[1] * d,
        p[2] * a + q[2] * b + u[2] * c + v[2] * d,
    )


@inline
def read_alpha(picture: Panorama, row: float, column: float) -> float:
    """The fourth channel between four pixels; the place must lie inside."""
    iy, ix = int(row), int(column)
    t, s = row - iy, column - ix
    upper = picture[iy, ix, 3] * (1 - s) + picture[iy, ix + 1, 3] * s
    lower = picture[iy + 1, ix, 3] * (1 - s) + picture[iy + 1, ix + 1, 3] * s
    return upper * (1 - t) + lower * t


@inline
def reflected(ray: Vec, backdrop: Backdrop) -> Vec:
    """What a mirror shows in this direction; the sun disc is left to the material's own highlight."""
    row, column = panorama_place(unit(ray), backdrop.facing, backdrop.mirror)
    return read3(backdrop.mirror, row, column)


@inline
def backdrop_colour(ray: Vec, backdrop: Backdrop, light: Light, drift: float) -> Vec:
    """What the camera sees in this direction; the clouds have moved `drift` radians."""
    row, column = panorama_place(ray, backdrop.facing, backdrop.sky)
    colour = read3(backdrop.sky, row, column)
    near = dot(ray, light.sun)
    if light.disc > 0.0 and near > 0.9990:
        disc = smooth(0.99955, 0.99972, near) * light.disc * 5.0
        tint = light.sun_colour
        colour = (colour[0] + tint[0] * disc, colour[1] + tint[1] * disc, colour[2] + tint[2] * disc)
    shifted = clamp(column + drift / HALF_WIDTH * 0.5 * backdrop.sky.shape[1], 0.0, backdrop.sky.shape[1] - 1.001)
    cover = read_alpha(backdrop.clouds, row, shifted)
    if cover > 0.002:
        cloud = read3(backdrop.clouds, row, shifted)
        rest = 1.0 - cover
        colour = (colour[0] * rest + cloud[0], colour[1] * rest + cloud[1], colour[2] * rest + cloud[2])
    if ray[1] < backdrop.relief_top:
        hidden = read_alpha(backdrop.relief, row, column)
        if hidden > 0.002:
            far = read3(backdrop.relief, row, column)
            rest = 1.0 - hidden
            colour = (colour[0] * rest + far[0], colour[1] * rest + far[1], colour[2] * rest + far[2])
    return colour
