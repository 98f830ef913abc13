"""Open water to the horizon: a rolling sea with white caps, or a lake that is almost still."""

from __future__ import annotations

from fairstack_local.kernels import inline, kernel
from fairstack_local.scene.camera import ray_through
from fairstack_local.scene.shot import (
    FAR_AWAY,
    Picture,
    Shot,
    ground_octave,
    horizon_colour,
    lit_ground,
    mirrored_subject,
    put,
    through_air,
)
from fairstack_local.scene.textures import Tile, look_up1
from fairstack_local.scene.vectors import Vec, blend, clamp, smooth
from fairstack_local.scene.water import Swell, water_colour, waves

_HEIGHT_ROUNDS = 3
_WAVES_SEEN_TO = 90.0


@kernel
def draw_sea(
    top: int, bottom: int, picture: Picture, shot: Shot, swell: Swell, foam: Tile, deep: Vec, caps: float
) -> None:
    """Draw rows `top` to `bottom` of the frame; `caps` is the height in metres at which waves turn white."""
    height, width = picture.shape[0], picture.shape[1]
    for row in range(top, bottom):
        octave = ground_octave(row, height, shot)
        for column in range(width):
            ray = ray_through(shot.eye, column + 0.5, row + 0.5, width, height)
            if ray[1] > -0.0012:
                put(picture, row, column, horizon_colour(ray, shot), FAR_AWAY, ray, shot)
            else:
                distance = _water_distance(ray, octave, shot, swell)
                water = _water(ray, distance, row, column, octave, shot, swell, foam, deep, caps)
                put(picture, row, column, water, distance, ray, shot)


@inline
def _water_distance(ray: Vec, octave: float, shot: Shot, swell: Swell) -> float:
    """Where the ray meets the moving surface: from the flat one, by rounds of correction."""
    eye = shot.eye.position
    distance = eye[1] / -ray[1]
    if distance > _WAVES_SEEN_TO:
        return distance
    for _ in range(_HEIGHT_ROUNDS):
        level = waves(eye[0] + ray[0] * distance, eye[2] + ray[2] * distance, octave, swell)[2]
        distance += 0.7 * ((eye[1] - min(level, eye[1] * 0.5)) / -ray[1] - distance)
    return max(distance, 0.2)


@inline
def _water(
    ray: Vec,
    distance: float,
    row: int,
    column: int,
    octave: float,
    shot: Shot,
    swell: Swell,
    foam: Tile,
    deep: Vec,
    caps: float,
) -> Vec:
    x, z = shot.eye.position[0] + ray[0] * distance, shot.eye.position[2] + ray[2] * distance
    slope_x, slope_z, level, hidden = waves(x, z, octave, swell)
    light = shot.light
    # Light that enters a crest from behind makes it glow.
    crest = clamp(level / (caps + 0.05), 0.0, 1.0) * smooth(0.05, 0.35, -slope_z) * 0.5
    glow = 1.3 + 2.2 * crest
    below = (
        deep[0] * (light.ambient[0] + light.sun_colour[0] * 0.20) * glow,
        deep[1] * (light.ambient[1] + light.sun_colour[1] * 0.20) * glow * (1.0 + 0.6 * crest),
        deep[2] * (light.ambient[2] + light.sun_colour[2] * 0.20) * glow * (1.0 + 0.3 * crest),
    )
    colour = water_colour(ray, slope_x, slope_z, hidden, below, light, shot.backdrop)
    far = max(distance, 1.0)
    shifted_row, shifted_column = row + slope_z * 260.0 / far, column + slope_x * 420.0 / far
    facing = clamp(-ray[1], 0.02, 1.0)
    mirror = (0.02 + 0.98 * (1.0 - facing) ** 5) * 0.8
    colour = blend(colour, mirrored_subject(colour, shifted_row, shifted_column, shot), mirror)
    white = smooth(caps, caps * 1.7 + 0.01, level) * smooth(0.42, 0.10, look_up1(foam, x, z, octave, 0))
    if white > 0.0:
        colour = blend(colour, lit_ground((0.8, 0.8, 0.8), 0.45, 1.0, shot), white * 0.8)
    return through_air(colour, ray, distance, shot)
