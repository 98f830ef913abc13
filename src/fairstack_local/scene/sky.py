"""The far world as pictures, baked once a clip: sky, clouds and distant relief on a plane before the camera.

The plane stands upright at distance 1 in the direction that the camera faces at rest: a point of it is named
by the tangents `across` and `up`, so that looking something up takes one division. Directions beyond its
borders find the border.
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

Plane = npt.NDArray[np.float32]

LOWEST = -0.03
_TURN = math.radians(21.0)
"""How far a pan or an orbit turns the camera from rest."""
_TILT = math.radians(11.0)
_COARSEST = 0.01
_MIRROR_SHRINK = 3


class Backdrop(NamedTuple):
    """The baked far world. `relief` and `clouds` are premultiplied RGBA, `sky` and `mirror` RGB."""

    sky: Plane
    clouds: Plane
    relief: Plane
    mirror: Plane
    """Sky, clouds and relief together, a third as fine: what water and wet sand reflect."""
    face_x: float
    """The horizontal direction that the camera faces at rest."""
    face_z: float
    widest: float
    """The plane reaches this far to both sides."""
    per_unit: float
    """Pixels to a unit of tangent."""
    relief_top: float
    """No relief stands above this tangent."""


def bake_backdrop(
    light: Light,
    ridges: tuple[Ridge, ...],
    facing: float,
    angles: tuple[float, float],
    pixel: float,
    seed: int,
    bands: Bands,
) -> Backdrop:
    """Paint the far world for a camera with this view, at `pixel` units of tangent to a pixel."""
    pixel = min(pixel, _COARSEST)
    widest = math.tan(min(math.atan(angles[0]) + _TURN, math.radians(66.0)))
    highest = math.tan(min(math.atan(angles[1]) + _TILT, math.radians(55.0)))
    rows, columns = math.ceil((highest - LOWEST) / pixel), math.ceil(2 * widest / pixel)
    sky, clouds, relief = (np.zeros((rows, columns, n), np.float32) for n in (3, 4, 4))
    bands.run(_paint_sky, rows, sky, clouds, light, facing, widest, pixel, seed)
    for number, ridge in enumerate(ridges):
        paint_ridge(relief, ridge, light, facing, widest, LOWEST, pixel, seed + 31 * number)
    whole = sky * (1.0 - clouds[..., 3:]) + clouds[..., :3]
    whole = whole * (1.0 - relief[..., 3:]) + relief[..., :3]
    covered = np.flatnonzero(relief[..., 3].any(axis=1))
    top = LOWEST + (covered[-1] + 2) * pixel if len(covered) else LOWEST
    face_x, face_z = math.sin(facing), math.cos(facing)
    return Backdrop(sky, clouds, relief, _shrunk(whole), face_x, face_z, widest, 1.0 / pixel, float(top))


def _shrunk(picture: Plane) -> Plane:
    n = _MIRROR_SHRINK
    rows, columns = max(2, picture.shape[0] // n), max(2, picture.shape[1] // n)
    blocks = picture[: rows * n, : columns * n].reshape(rows, n, columns, n, 3)
    return np.ascontiguousarray(blocks.mean(axis=(1, 3), dtype=np.float32))


@kernel
def _paint_sky(
    top: int,
    bottom: int,
    sky: Plane,
    clouds: Plane,
    light: Light,
    facing: float,
    widest: float,
    pixel: float,
    seed: int,
) -> None:
    face_x, face_z = math.sin(facing), math.cos(facing)
    for row in range(top, bottom):
        up = LOWEST + (row + 0.5) * pixel
        for column in range(sky.shape[1]):
            across = (column + 0.5) * pixel - widest
            ray = unit((face_x + across * face_z, up, face_z - across * face_x))
            r, g, b = sky_colour(ray, light)
            star = _star(row, column, up, light.stars, seed)
            sky[row, column, 0], sky[row, column, 1], sky[row, column, 2] = (
                r + star,
                g + star,
                b + star * 1.15,
            )
            if ray[1] > 0.004:
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
def plane_place(ray: Vec, backdrop: Backdrop) -> tuple[float, float]:
    """The row and column of the plane, in pixels and not clamped, where this direction is seen."""
    ahead = max(ray[0] * backdrop.face_x + ray[2] * backdrop.face_z, 0.02)
    across = (ray[0] * backdrop.face_z - ray[2] * backdrop.face_x) / ahead
    return (
        (ray[1] / ahead - LOWEST) * backdrop.per_unit - 0.5,
        (across + backdrop.widest) * backdrop.per_unit - 0.5,
    )


@inline
def within(place: float, size: int) -> float:
    """The nearest place between the first and the last pixel."""
    return clamp(place, 0.0, size - 1.001)


@inline
def read3(picture: Plane, row: float, column: float) -> Vec:
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
def read_alpha(picture: Plane, row: float, column: float) -> float:
    """The fourth channel between four pixels; the place must lie inside."""
    iy, ix = int(row), int(column)
    t, s = row - iy, column - ix
    upper = picture[iy, ix, 3] * (1 - s) + picture[iy, ix + 1, 3] * s
    lower = picture[iy + 1, ix, 3] * (1 - s) + picture[iy + 1, ix + 1, 3] * s
    return float(upper * (1 - t) + lower * t)


@inline
def reflected(ray: Vec, backdrop: Backdrop) -> Vec:
    """What a mirror shows in this direction; the sun disc is left to the material's own highlight."""
    row, column = plane_place(ray, backdrop)
    mirror = backdrop.mirror
    row = within((row + 0.5) / _MIRROR_SHRINK - 0.5, mirror.shape[0])
    return read3(mirror, row, within((column + 0.5) / _MIRROR_SHRINK - 0.5, mirror.shape[1]))


@inline
def backdrop_colour(ray: Vec, backdrop: Backdrop, light: Light, drift: float) -> Vec:
    """What the camera sees in this direction; the clouds have moved `drift` radians."""
    row, column = plane_place(ray, backdrop)
    rows, columns = backdrop.sky.shape[0], backdrop.sky.shape[1]
    row, shifted = within(row, rows), within(column + drift * backdrop.per_unit, columns)
    column = within(column, columns)
    colour = read3(backdrop.sky, row, column)
    near = dot(ray, light.sun)
    if light.disc > 0.0 and near > 0.9990:
        disc = smooth(0.99986, 0.99991, near) * light.disc * 7.0
        tint = light.sun_colour
        colour = (colour[0] + tint[0] * disc, colour[1] + tint[1] * disc, colour[2] + tint[2] * disc)
    cover = read_alpha(backdrop.clouds, row, shifted)
    if cover > 0.002:
        cloud = read3(backdrop.clouds, row, shifted)
        rest = 1.0 - cover
        colour = (colour[0] * rest + cloud[0], colour[1] * rest + cloud[1], colour[2] * rest + cloud[2])
    if LOWEST + row / backdrop.per_unit < backdrop.relief_top:
        hidden = read_alpha(backdrop.relief, row, column)
        if hidden > 0.002:
            far = read3(backdrop.relief, row, column)
            rest = 1.0 - hidden
            colour = (colour[0] * rest + far[0], colour[1] * rest + far[1], colour[2] * rest + far[2])
    return colour
