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
from fairstack_local.scene.shot import (
    FAR_AWAY,
    Picture,
    Shot,
    ground_octave,
    horizon_colour,
    lit_ground,
    mirrored_subject,
    put,
    subject_hides,
    through_air,
)
from fairstack_local.scene.sky import reflected
from fairstack_local.scene.textures import Texture, Tile, look_up1, look_up3, tile, with_slopes
from fairstack_local.scene.vectors import Vec, blend, clamp, dot, smooth, swing, unit
from fairstack_local.scene.water import Swell, water_colour, waves

SHORE = 1.30
_BREAKER_METRES, _BREAKER_SECONDS = 8.5, 5.2
_FINE_METRES, _COARSE_METRES, _FOAM_METRES, _PATCH_METRES = 2.3, 13.7, 3.1, 7.3


class Sand(NamedTuple):
    """The textures of a beach: two scales of sand (slopes, then tone), and foam in laces and in patches."""

    fine: Tile
    coarse: Tile
    foam: Tile
    patches: Tile


def bake_sand(seed: int) -> Sand:
    """Make the textures."""
    grain = tiling_fractal(512, 72, 3, seed) * 0.0007 + tiling_fractal(512, 17, 4, seed + 1) * 0.0013
    specks = tiling_cells(512, 34, seed + 2)
    luck = tiling_fractal(512, 34, 1, seed + 3)
    tone = tiling_fractal(512, 40, 4, seed + 4) * 0.07 - np.where((specks > 0.55) & (luck > 0.9), 0.45, 0.0)
    tone += np.where((specks > 0.6) & (luck < -1.35), 0.5, 0.0)
    swells = tiling_fractal(512, 9, 4, seed + 5) * 0.006
    broad = tiling_fractal(512, 5, 5, seed + 6) * 0.09
    lace = tiling_cells(512, 9, seed + 7) + 0.45 * tiling_cells(512, 23, seed + 8)
    clumps = tiling_fractal(256, 4, 5, seed + 9)
    return Sand(
        tile(_slopes_and_tone(grain.astype(np.float32), _FINE_METRES, tone), _FINE_METRES),
        tile(_slopes_and_tone(swells.astype(np.float32), _COARSE_METRES, broad), _COARSE_METRES),
        tile(lace[..., None].astype(np.float32), _FOAM_METRES),
        tile(clumps[..., None], _PATCH_METRES),
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
        octave = ground_octave(row, height, shot)
        for column in range(width):
            ray = ray_through(shot.eye, column + 0.5, row + 0.5, width, height)
            if ray[1] > -0.0008:
                put(picture, row, column, horizon_colour(ray, shot), FAR_AWAY, ray, shot)
            elif subject_hides(row, column, shot):
                put(picture, row, column, (0.0, 0.0, 0.0), FAR_AWAY, ray, shot)
            else:
                ground = _ground(ray, row, column, octave, shot, sand, swell)
                put(picture, row, column, ground, FAR_AWAY, ray, shot)


@inline
def _ground(ray: Vec, row: int, column: int, octave: float, shot: Shot, sand: Sand, swell: Swell) -> Vec:
    distance = shot.eye.position[1] / -ray[1]
    x, z = shot.eye.position[0] + ray[0] * distance, shot.eye.position[2] + ray[2] * distance
    offshore, film, wet, foam = _swash(x, z, shot.seconds, sand, octave)
    colour = (0.0, 0.0, 0.0)
    if offshore < 0.35:
        colour = _sand(ray, x, z, octave, wet, film, row, column, shot, sand)
    if offshore > 0.0:
        sea = _sea(ray, x, z, offshore, octave, shot, sand, swell)
        colour = blend(colour, sea, smooth(0.0, 0.35, offshore))
    if foam > 0.0:
        colour = blend(colour, _foam_colour(x, z, shot), foam)
    return through_air(colour, ray, distance, shot)


@inline
def _shore_line(x: float) -> float:
    return SHORE + 0.42 * swing(x * 0.21) + 0.20 * swing(x * 0.53 + 1.3)


@inline
def _swash(
    x: float, z: float, seconds: float, sand: Sand, octave: float
) -> tuple[float, float, float, float]:
    """Metres into the water (negative: on sand), film of water, wetness and foam of this place."""
    inland = _shore_line(x) - z
    if inland > 3.2:
        return -inland, 0.0, 0.0, 0.0
    turn = seconds / _BREAKER_SECONDS + 0.12 * swing(x * 0.13 + 0.5) + 0.05 * swing(x * 0.41)
    turn = turn - math.floor(turn)
    # A quick run up the sand, then a slow retreat.
    run = smooth(0.0, 0.30, turn) * (1.0 - smooth(0.34, 1.0, turn))
    ragged = look_up1(sand.patches, x, z, max(octave, -6.0), 0) * 0.10
    offshore = 1.15 * run + ragged - inland
    wet = smooth(2.6, 1.25, inland + 0.5 * ragged)
    film = smooth(-0.02, 0.10, offshore)
    film = max(film, wet * smooth(2.0, 0.7, inland) * (0.85 - 0.4 * smooth(0.6, 1.0, turn)))
    if offshore < -0.02 or offshore > 2.6:
        return offshore, film, wet, 0.0
    lace = look_up1(sand.foam, x, z + 0.4 * run, octave, 0)
    patch = look_up1(sand.patches, x * 1.3 + 2.0, z * 1.8, octave, 0)
    edge = smooth(-0.015, 0.02, offshore) * smooth(0.20 + 0.25 * run, 0.02, offshore)
    web = (
        smooth(0.34, 0.10, lace)
        * smooth(-0.9, 0.8, patch)
        * smooth(0.0, 0.15, offshore)
        * smooth(2.6, 0.3, offshore)
    )
    foam = edge * (1.0 - 0.45 * smooth(0.30, 0.5, turn)) * smooth(0.9, 0.25, lace * 0.8) + web * 0.65
    return offshore, film, wet, clamp(foam, 0.0, 0.95)


@inline
def _foam_colour(x: float, z: float, shot: Shot) -> Vec:
    sun, sky = shadow_at(shot.shadow, x, z)
    low = 0.35 + 0.65 * max(shot.light.sun[1], 0.12)
    return lit_ground((0.80, 0.80, 0.80), low * sun * 0.62, sky, shot)


@inline
def _sand(
    ray: Vec,
    x: float,
    z: float,
    octave: float,
    wet: float,
    film: float,
    row: int,
    column: int,
    shot: Shot,
    sand: Sand,
) -> Vec:
    ax, az, grain = look_up3(sand.fine, x, z, octave - 0.5)
    bx, bz, broad = look_up3(sand.coarse, x, z, octave - 0.5)
    rough = 1.0 - 0.80 * wet
    slope_x, slope_z = (ax + bx) * rough, (az + bz) * rough
    normal = unit((-slope_x, 1.0, -slope_z))
    sun, sky = shadow_at(shot.shadow, x, z)
    # A low sun grazes: the small slopes decide what catches it.
    direct = clamp(dot(normal, shot.light.sun), 0.0, 1.0) * sun
    tone = (1.0 + grain * (1.0 - 0.45 * wet) + broad) * (1.0 - 0.50 * wet)
    albedo = blend((0.60, 0.475, 0.34), (0.50, 0.37, 0.25), wet)
    open_sky = sky * (1.0 + 1.5 * clamp(-slope_z, -0.3, 0.3))
    colour = lit_ground((albedo[0] * tone, albedo[1] * tone, albedo[2] * tone), direct, open_sky, shot)
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
    seen = mirrored_subject(seen, row + slope_z * 28.0 * still, column + slope_x * 44.0 * still, shot)
    return blend(colour, seen, mirror)


@inline
def _sea(
    ray: Vec, x: float, z: float, offshore: float, octave: float, shot: Shot, sand: Sand, swell: Swell
) -> Vec:
    slope_x, slope_z, _height, lost = waves(x, z, octave, swell)
    calm = smooth(0.0, 3.0, offshore) * 0.75 + 0.25
    slope_x, slope_z, lost = slope_x * calm, slope_z * calm, lost * calm * calm
    rise, crest, white = _breaker(x, z, offshore, shot.seconds, octave, sand)
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
    x: float, z: float, offshore: float, seconds: float, octave: float, sand: Sand
) -> tuple[float, float, float]:
    """Slope towards the sea, height of the crest (0..1) and foam of the waves that roll in."""
    if offshore > 30.0:
        return 0.0, 0.0, 0.0
    jitter = 0.55 * swing(x * 0.13 + 0.5) + 0.22 * swing(x * 0.37 + 2.0)
    count = (z - SHORE + jitter * 2.2) / _BREAKER_METRES + seconds / _BREAKER_SECONDS
    number = math.floor(count)
    phase = count - number
    here = 0.55 + 0.45 * swing(x * 0.17 + number * 2.4) * swing(x * 0.071 + number * 1.1)
    grown = smooth(30.0, 9.0, offshore) * smooth(0.2, 2.2, offshore) * here
    front, back = smooth(0.36, 0.50, phase), smooth(0.86, 0.50, phase)
    steep = 3.8 * front * (1.0 - front) if phase < 0.5 else -1.2 * back * (1.0 - back)
    if offshore > 14.0:
        return steep * grown, front * back * grown, 0.0
    lace = look_up1(sand.foam, x, z / 1.3, octave, 0)
    clumps = look_up1(sand.patches, x * 0.66, z * 0.43 + number * 2.7, octave, 0)
    breaking = smooth(13.0, 4.0, offshore) * here
    curl = (
        smooth(0.455, 0.50, phase) * smooth(0.62, 0.51, phase) * smooth(0.25, 0.75, breaking + 0.18 * clumps)
    )
    trail = smooth(0.50, 0.54, phase) * smooth(1.0, 0.56, phase) * smooth(0.52, 0.12, lace) * breaking
    spent = smooth(8.0, 1.5, offshore) * smooth(0.32, 0.08, lace) * smooth(-0.5, 1.0, clumps)
    white = curl * smooth(1.2, 0.2, lace) + trail * 0.75 + spent * 0.5
    return steep * grown, front * back * grown, clamp(white, 0.0, 0.95)
