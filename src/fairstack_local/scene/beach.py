"""A beach: dry and wet sand, the swash that runs up it, breakers, and the sea behind them.

The shore runs along x; sand lies towards -z and the sea towards +z.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fairstack_local.kernels import inline, kernel
from fairstack_local.scene.camera import ray_through
from fairstack_local.scene.noise import tiling_cells, tiling_fractal
from fairstack_local.scene.shadow import shadow_at
from fairstack_local.scene.shot import Picture, Shot, footprint, horizon_colour, put, through_air
from fairstack_local.scene.sky import reflected
from fairstack_local.scene.textures import Texture, level_for, look_up1, look_up3, mip_chain, with_slopes
from fairstack_local.scene.vectors import Vec, blend, clamp, dot, smooth, unit
from fairstack_local.scene.water import Swell, water_colour, waves

SHORE = 1.55
_BREAKER_METRES, _BREAKER_SECONDS = 8.5, 5.2
_FINE_METRES, _COARSE_METRES, _FOAM_METRES = 2.3, 13.7, 3.1


class Sand(NamedTuple):
    """The textures of a beach; slopes, then tone."""

    fine: Texture
    coarse: Texture
    foam: Texture


def bake_sand(seed: int) -> Sand:
    """Make the textures."""
    grain = tiling_fractal(512, 72, 3, seed) * 0.0016 + tiling_fractal(512, 17, 4, seed + 1) * 0.004
    specks = tiling_cells(512, 34, seed + 2)
    luck = tiling_fractal(512, 34, 1, seed + 3)
    tone = tiling_fractal(512, 40, 4, seed + 4) * 0.07 - np.where((specks > 0.55) & (luck > 0.9), 0.45, 0.0)
    tone += np.where((specks > 0.6) & (luck < -1.35), 0.5, 0.0)
    swells = tiling_fractal(512, 11, 5, seed + 5) * 0.020
    broad = tiling_fractal(512, 5, 5, seed + 6) * 0.09
    lace = tiling_cells(512, 9, seed + 7) + 0.45 * tiling_cells(512, 23, seed + 8)
    clumps = tiling_fractal(512, 4, 5, seed + 9)
    return Sand(
        mip_chain(_slopes_and_tone(grain.astype(np.float32), _FINE_METRES, tone)),
        mip_chain(_slopes_and_tone(swells.astype(np.float32), _COARSE_METRES, broad)),
        mip_chain(np.stack((lace, clumps), axis=2).astype(np.float32)),
    )


def _slopes_and_tone(height: Texture, metres: float, tone: Texture) -> Texture:
    chain = with_slopes(height, metres)
    chain[..., 2] = tone
    return chain


@kernel
def draw_beach(top: int, bottom: int, picture: Picture, shot: Shot, sand: Sand, swell: Swell) -> None:
    """Draw rows `top` to `bottom` of the frame, in linear light."""
    height, width = picture.shape[0], picture.shape[1]
    for row in range(top, bottom):
        for column in range(width):
            ray = ray_through(shot.eye, column + 0.5, row + 0.5, width, height)
            behind = (0.0, 0.0, 0.0)
            if shot.body[row, column, 3] < 0.999:
                if ray[1] > -0.0008:
                    behind = horizon_colour(ray, shot)
                else:
                    behind = _ground(ray, row, column, height, shot, sand, swell)
            put(picture, row, column, behind, ray, shot)


@inline
def _ground(ray: Vec, row: int, column: int, height: int, shot: Shot, sand: Sand, swell: Swell) -> Vec:
    distance = shot.eye.position[1] / -ray[1]
    x, z = shot.eye.position[0] + ray[0] * distance, shot.eye.position[2] + ray[2] * distance
    size = footprint(distance, -ray[1], shot, height)
    offshore, film, wet, foam = _swash(x, z, shot.seconds, sand, size)
    colour = (0.0, 0.0, 0.0)
    if offshore < 0.35:
        colour = _sand(ray, x, z, size, wet, film, row, column, shot, sand)
    if offshore > 0.0:
        sea = _sea(ray, x, z, offshore, size, shot, sand, swell)
        colour = blend(colour, sea, smooth(0.0, 0.35, offshore))
    if foam > 0.0:
        colour = blend(colour, _foam_colour(x, z, shot), foam)
    return through_air(colour, ray, distance, shot)


@inline
def _shore_line(x: float) -> float:
    return SHORE + 0.42 * math.sin(x * 0.21) + 0.20 * math.sin(x * 0.53 + 1.3)


@inline
def _swash(x: float, z: float, seconds: float, sand: Sand, size: float) -> tuple[float, float, float, float]:
    """Metres into the water (negative: on sand), film of water, wetness and foam of this place."""
    lag = 0.35 * math.sin(x * 0.13 + 0.5) + 0.15 * math.sin(x * 0.41)
    turn = seconds / _BREAKER_SECONDS + lag * 0.35
    turn = turn - math.floor(turn)
    # A quick run up the sand, then a slow retreat.
    run = smooth(0.0, 0.30, turn) * (1.0 - smooth(0.34, 1.0, turn))
    level = level_for(sand.foam, _FOAM_METRES, size)
    ragged = look_up1(sand.foam, x / 9.3, z / 9.3, min(level, 3.0), 1) * 0.10
    reach = 1.15 * run + ragged
    inland = _shore_line(x) - z
    offshore = reach - inland
    retreating = smooth(0.30, 0.5, turn)
    wet = smooth(1.75, 0.55, inland + 0.25 * ragged)
    film = smooth(-0.02, 0.10, offshore)
    film = max(film, wet * smooth(1.5, 0.6, inland) * (1.0 - 0.6 * smooth(0.6, 1.0, turn)) * 0.8)
    lace = look_up1(sand.foam, x / _FOAM_METRES, (z + 0.4 * run) / _FOAM_METRES, level, 0)
    edge = smooth(-0.015, 0.02, offshore) * smooth(0.20 + 0.25 * run, 0.02, offshore)
    web = smooth(0.52, 0.20, lace) * smooth(0.0, 0.15, offshore) * smooth(2.4, 0.3, offshore)
    foam = edge * (0.55 + 0.45 * (1.0 - retreating)) * smooth(0.9, 0.25, lace * 0.8) + web * 0.65
    return offshore, film, wet, clamp(foam, 0.0, 0.95)


@inline
def _foam_colour(x: float, z: float, shot: Shot) -> Vec:
    sun, sky = shadow_at(shot.shadow, x, z)
    low = 0.35 + 0.65 * max(shot.light.sun[1], 0.12)
    a, s = shot.light.ambient, shot.light.sun_colour
    return (
        0.80 * (a[0] * sky + s[0] * low * sun * 0.62),
        0.80 * (a[1] * sky + s[1] * low * sun * 0.62),
        0.80 * (a[2] * sky + s[2] * low * sun * 0.62),
    )


@inline
def _sand(
    ray: Vec, x: float, z: float, size: float, wet: float, film: float, row: int, column: int, shot: Shot, sand: Sand
) -> Vec:
    level = level_for(sand.fine, _FINE_METRES, size * 0.7)
    ax, az, grain = look_up3(sand.fine, x / _FINE_METRES, z / _FINE_METRES, level)
    coarse = level_for(sand.coarse, _COARSE_METRES, size * 0.7)
    bx, bz, broad = look_up3(sand.coarse, x / _COARSE_METRES, z / _COARSE_METRES, coarse)
    rough = 1.0 - 0.80 * wet
    slope_x, slope_z = (ax + bx) * rough, (az + bz) * rough
    normal = unit((-slope_x, 1.0, -slope_z))
    sun, sky = shadow_at(shot.shadow, x, z)
    # A low sun grazes: the small slopes decide what catches it.
    direct = clamp(dot(normal, shot.light.sun), 0.0, 1.0) * sun
    tone = (1.0 + grain * (1.0 - 0.45 * wet) + broad) * (1.0 - 0.50 * wet)
    light = shot.light
    albedo = blend((0.60, 0.475, 0.34), (0.50, 0.37, 0.25), wet)
    open_sky = sky * (1.0 + 1.5 * clamp(-slope_z, -0.3, 0.3))
    colour = (
        albedo[0] * tone * (light.ambient[0] * open_sky + light.sun_colour[0] * direct),
        albedo[1] * tone * (light.ambient[1] * open_sky + light.sun_colour[1] * direct),
        albedo[2] * tone * (light.ambient[2] * open_sky + light.sun_colour[2] * direct),
    )
    if wet > 0.02:
        colour = _mirrored(colour, ray, slope_x, slope_z, wet, film, sun, row, column, shot)
    return colour


@inline
def _mirrored(
    colour: Vec,
    ray: Vec,
    slope_x: float,
    slope_z: float,
    wet: float,
    film: float,
    sun: float,
    row: int,
    column: int,
    shot: Shot,
) -> Vec:
    """Wet sand: a dark ground under a thin mirror that shows the sky and the subject."""
    still = 0.10 + 0.35 * (1.0 - film)
    normal = unit((-slope_x * still, 1.0, -slope_z * still))
    facing = clamp(-dot(ray, normal), 0.0, 1.0)
    mirror = (0.03 + 0.97 * (1.0 - facing) ** 4) * wet * (0.42 + 0.58 * film)
    turn = 2.0 * dot(ray, normal)
    ahead = (ray[0] - turn * normal[0], abs(ray[1] - turn * normal[1]), ray[2] - turn * normal[2])
    seen = reflected(ahead, shot.backdrop)
    near = max(dot(ahead, shot.light.sun), 0.0)
    glare = (near**900 * 2.2 + near**90 * 0.22) * sun
    tint = shot.light.sun_colour
    seen = (seen[0] + tint[0] * glare, seen[1] + tint[1] * glare, seen[2] + tint[2] * glare)
    upside = shot.reflection
    r = int(clamp(row * 0.5 + slope_z * 14.0 * still, 0.0, upside.shape[0] - 1.0))
    c = int(clamp(column * 0.5 + slope_x * 22.0 * still, 0.0, upside.shape[1] - 1.0))
    cover = upside[r, c, 3]
    if cover > 0.0:
        seen = (
            seen[0] * (1.0 - cover) + upside[r, c, 0],
            seen[1] * (1.0 - cover) + upside[r, c, 1],
            seen[2] * (1.0 - cover) + upside[r, c, 2],
        )
    return blend(colour, seen, mirror)


@inline
def _sea(
    ray: Vec, x: float, z: float, offshore: float, size: float, shot: Shot, sand: Sand, swell: Swell
) -> Vec:
    slope_x, slope_z, _height, lost = waves(x, z, size, swell)
    calm = smooth(0.0, 3.0, offshore) * 0.75 + 0.25
    slope_x, slope_z, lost = slope_x * calm, slope_z * calm, lost * calm * calm
    rise, crest, white = _breaker(x, z, offshore, shot.seconds, size, sand)
    slope_z += rise
    light = shot.light
    shallow = math.exp(-offshore * 0.16)
    tint = blend((0.016, 0.060, 0.085), (0.13, 0.22, 0.21), shallow)
    tint = blend(tint, (0.20, 0.34, 0.30), crest * 0.7)
    glow = 0.55 + 0.6 * crest
    below = (
        tint[0] * (light.ambient[0] + light.sun_colour[0] * 0.22) * glow * 1.4,
        tint[1] * (light.ambient[1] + light.sun_colour[1] * 0.22) * glow * 1.4,
        tint[2] * (light.ambient[2] + light.sun_colour[2] * 0.22) * glow * 1.4,
    )
    colour = water_colour(ray, slope_x, slope_z, lost, below, light, shot.backdrop)
    return blend(colour, _foam_colour(x, z, shot), white)


@inline
def _breaker(
    x: float, z: float, offshore: float, seconds: float, size: float, sand: Sand
) -> tuple[float, float, float]:
    """Slope towards the sea, height of the crest (0..1) and foam of the waves that roll in."""
    jitter = 0.55 * math.sin(x * 0.13 + 0.5) + 0.22 * math.sin(x * 0.37 + 2.0)
    count = (z - SHORE + jitter * 2.2) / _BREAKER_METRES + seconds / _BREAKER_SECONDS
    number = math.floor(count)
    phase = count - number
    grown = smooth(30.0, 9.0, offshore) * smooth(0.2, 2.2, offshore)
    here = 0.55 + 0.45 * math.sin(x * 0.17 + number * 2.4) * math.sin(x * 0.071 + number * 1.1)
    grown *= here
    front, back = smooth(0.36, 0.50, phase), smooth(0.86, 0.50, phase)
    crest = front * back * grown
    slope = (0.95 * front * (1.0 - front) * 4.0 * (phase < 0.5) - 0.30 * back * (1.0 - back) * 4.0 * (phase > 0.5)) * grown
    level = level_for(sand.foam, _FOAM_METRES, size)
    lace = look_up1(sand.foam, x / _FOAM_METRES, z / (_FOAM_METRES * 1.3), level, 0)
    clumps = look_up1(sand.foam, x / 11.0, z / 17.0 + number * 0.37, min(level, 4.0), 1)
    breaking = smooth(13.0, 4.0, offshore) * here
    curl = smooth(0.455, 0.50, phase) * smooth(0.62, 0.51, phase) * smooth(0.25, 0.75, breaking + 0.18 * clumps)
    trail = smooth(0.50, 0.54, phase) * smooth(1.05, 0.56, phase) * smooth(0.60, 0.15, lace) * breaking
    spent = smooth(7.0, 1.5, offshore) * smooth(0.48, 0.14, lace) * smooth(-0.6, 0.9, clumps)
    return slope, crest, clamp(curl * smooth(1.2, 0.2, lace) + trail * 0.75 + spent * 0.5, 0.0, 0.95)
