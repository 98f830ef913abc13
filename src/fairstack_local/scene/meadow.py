"""A meadow: blades of grass that rise before the camera, bend in the wind and let the sun through."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fairstack_local.kernels import inline, kernel
from fairstack_local.scene.camera import ray_through
from fairstack_local.scene.noise import tiling_fractal
from fairstack_local.scene.shadow import shadow_at
from fairstack_local.scene.shot import (
    FAR_AWAY,
    Picture,
    Shot,
    ground_octave,
    horizon_colour,
    lit_ground,
    put,
    through_air,
)
from fairstack_local.scene.textures import Texture, Tile, look_up1, look_up3, tile
from fairstack_local.scene.vectors import Vec, blend, clamp, smooth, swing

_BLADE_METRES, _PATCH_METRES = 1.9, 23.0
_STEPS = 22
_BLADES_SEEN_TO = 26.0


class Grass(NamedTuple):
    """Blades (height, hue, lean) and patches of the meadow (height, hue, flowers), and the tallest blade."""

    blades: Tile
    patches: Tile
    tallest: float


def bake_grass(seed: int, tallest: float) -> Grass:
    """Sow the meadow; `tallest` in metres."""
    random = np.random.default_rng(seed)
    height = np.full((512, 512), 0.30, np.float32)
    hue = np.zeros((512, 512), np.float32)
    for _ in range(16_000):
        _sow(height, hue, random)
    patches = np.stack(
        (
            tiling_fractal(256, 9, 4, seed + 1) * 0.5,
            tiling_fractal(256, 5, 5, seed + 2),
            tiling_fractal(256, 30, 3, seed + 3),
        ),
        axis=2,
    )
    lean = tiling_fractal(512, 20, 3, seed + 4)
    blades = np.stack((height, hue, lean), axis=2)
    return Grass(tile(blades.astype(np.float32), _BLADE_METRES), tile(patches, _PATCH_METRES), tallest)


def _sow(height: Texture, hue: Texture, random: np.random.Generator) -> None:
    """One blade as a short ridge of the height map, as broad as a blade and leaning somewhere."""
    size = height.shape[0]
    x, y = random.integers(0, size, 2)
    tall, tint = 0.45 + 0.55 * random.random(), random.normal()
    dx, dy = random.normal(0.0, 1.6, 2)
    for step in range(4):
        px, py = int(x + dx * step) % size, int(y + dy * step) % size
        rise = tall * (1.0 - 0.16 * step)
        if rise > height[py, px]:
            height[py, px], hue[py, px] = rise, tint


@kernel
def draw_meadow(top: int, bottom: int, picture: Picture, shot: Shot, grass: Grass) -> None:
    """Draw rows `top` to `bottom` of the frame, in linear light."""
    height, width = picture.shape[0], picture.shape[1]
    for row in range(top, bottom):
        octave = ground_octave(row, height, shot)
        for column in range(width):
            ray = ray_through(shot.eye, column + 0.5, row + 0.5, width, height)
            if ray[1] > -0.0008:
                put(picture, row, column, horizon_colour(ray, shot), FAR_AWAY, ray, shot)
            else:
                distance, share = _blade_distance(ray, octave, shot, grass)
                ground = _grass_colour(ray, distance, share, octave, shot, grass)
                put(picture, row, column, ground, distance, ray, shot)


@inline
def _wind(x: float, z: float, seconds: float) -> float:
    """How far the tips are blown aside here, in shares of their height: gusts that cross the field."""
    return 0.55 * swing(x * 0.9 + z * 0.5 - seconds * 2.6) + 0.3 * swing(x * 2.3 - z * 1.1 - seconds * 4.1)


@inline
def _blade_distance(ray: Vec, octave: float, shot: Shot, grass: Grass) -> tuple[float, float]:
    """How far away the ray meets a blade, and how high up on the blade (0 its root, 1 its tip)."""
    eye = shot.eye.position
    ground = eye[1] / -ray[1]
    enter = max((eye[1] - grass.tallest) / -ray[1], 0.05)
    if enter > _BLADES_SEEN_TO:
        return enter, 0.70
    step = min(ground - enter, 3.0) / _STEPS
    distance = enter
    fine = max(octave - 2.2, -9.0)
    for _ in range(_STEPS):
        y = eye[1] + ray[1] * distance
        x, z = eye[0] + ray[0] * distance, eye[2] + ray[2] * distance
        up = y / grass.tallest
        blown = 0.05 * up * up * _wind(x, z, shot.seconds)
        tall = look_up1(grass.blades, x - blown, z, fine, 0)
        tall *= clamp(0.80 + 0.35 * look_up1(grass.patches, x, z, octave, 0), 0.35, 1.15)
        if up < tall:
            return distance, clamp(up, 0.0, 1.0)
        distance += step
    return min(distance, ground), 0.10


@inline
def _grass_colour(ray: Vec, distance: float, share: float, octave: float, shot: Shot, grass: Grass) -> Vec:
    x, z = shot.eye.position[0] + ray[0] * distance, shot.eye.position[2] + ray[2] * distance
    up = share * grass.tallest
    blown = 0.05 * share * share * _wind(x, z, shot.seconds)
    _tall, hue, lean = look_up3(grass.blades, x - blown, z, octave - 1.5)
    _high, patch, flecks = look_up3(grass.patches, x, z, octave)
    far = smooth(6.0, _BLADES_SEEN_TO, distance)
    share = share + (0.70 - share) * far
    albedo = blend((0.095, 0.180, 0.030), (0.270, 0.330, 0.070), clamp(0.5 + 0.32 * patch, 0.0, 1.0))
    albedo = blend(albedo, (0.40, 0.34, 0.12), clamp(0.16 * hue - 0.05 + 0.10 * flecks, 0.0, 0.6))
    sun, sky = shadow_at(shot.shadow, x, z)
    # Roots stand in the shade of the blades around them.
    depth = 0.34 + 0.66 * share
    against = max(ray[0] * shot.light.sun[0] + ray[2] * shot.light.sun[2], 0.0)
    high = max(shot.light.sun[1], 0.0)
    direct = (0.26 + 0.50 * high + 0.07 * lean) * smooth(0.05, 0.85, share) * sun
    gleam = against**4 * smooth(0.45, 1.0, share) * 0.42 * sun
    gust = 1.0 + 0.10 * _wind(x * 0.5, z * 0.5, shot.seconds) * far
    colour = lit_ground(albedo, direct * gust, sky * depth * 1.05, shot)
    through = shot.light.sun_colour
    colour = (
        colour[0] + albedo[0] * through[0] * gleam * 1.6,
        colour[1] + albedo[1] * through[1] * gleam * 1.6,
        colour[2] + albedo[2] * through[2] * gleam,
    )
    return through_air(colour, ray, distance + up, shot)
