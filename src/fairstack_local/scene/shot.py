"""All that the kernels of one frame share, and what every ground does with it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import inline
from fairstack_local.scene.camera import Eye
from fairstack_local.scene.light import Light
from fairstack_local.scene.relief import far_air
from fairstack_local.scene.shadow import Shadow
from fairstack_local.scene.sky import Backdrop, backdrop_colour
from fairstack_local.scene.vectors import Vec, blend

Picture = npt.NDArray[np.float32]


class Shot(NamedTuple):
    """One frame to be drawn."""

    eye: Eye
    light: Light
    backdrop: Backdrop
    body: Picture
    """The subject's layer: premultiplied RGBA and distance, (height, width, 5)."""
    reflection: Picture
    """The subject upside down, half as fine."""
    shadow: Shadow
    seconds: float
    """Time in the scene, which slow motion slows."""
    drift: float
    """How far the clouds have moved, in radians."""


@inline
def horizon_colour(ray: Vec, shot: Shot) -> Vec:
    """Sky, clouds and relief in this direction."""
    return backdrop_colour(ray, shot.backdrop, shot.light, shot.drift)


@inline
def subject_hides(row: int, column: int, shot: Shot) -> bool:
    """Whether the subject covers this pixel wholly, as far as its layer knows."""
    return bool(shot.body[row, column, 3] > 0.999)


@inline
def mirrored_subject(seen: Vec, row: float, column: float, shot: Shot) -> Vec:
    """What a still ground plane mirrors at this place of the frame: the subject over `seen`."""
    upside = shot.reflection
    r = int(min(max(row * 0.5, 0.0), upside.shape[0] - 1.0))
    c = int(min(max(column * 0.5, 0.0), upside.shape[1] - 1.0))
    rest = 1.0 - upside[r, c, 3]
    return (
        seen[0] * rest + upside[r, c, 0],
        seen[1] * rest + upside[r, c, 1],
        seen[2] * rest + upside[r, c, 2],
    )


@inline
def through_air(colour: Vec, ray: Vec, distance: float, shot: Shot) -> Vec:
    """The colour after `distance` metres of air."""
    share = 1.0 - math.exp(-distance * shot.light.haze)
    return blend(colour, far_air(ray, shot.light), share)


@inline
def put(picture: Picture, row: int, column: int, behind: Vec, distance: float, ray: Vec, shot: Shot) -> None:
    """Set a pixel: the ground or sky at this distance in metres, and the subject if it stands before it."""
    cover = shot.body[row, column, 3]
    if cover > 0.0 and shot.body[row, column, 4] < distance + 0.03:
        rest = 1.0 - cover
        air = far_air(ray, shot.light)
        share = 1.0 - math.exp(-shot.body[row, column, 4] * shot.light.haze)
        behind = (
            behind[0] * rest + shot.body[row, column, 0] * (1.0 - share) + air[0] * share * cover,
            behind[1] * rest + shot.body[row, column, 1] * (1.0 - share) + air[1] * share * cover,
            behind[2] * rest + shot.body[row, column, 2] * (1.0 - share) + air[2] * share * cover,
        )
    picture[row, column, 0] = behind[0]
    picture[row, column, 1] = behind[1]
    picture[row, column, 2] = behind[2]


@inline
def ground_octave(row: int, rows: int, shot: Shot) -> float:
    """For this row of the frame, the size of a pixel on flat ground, as a power of two of metres.

    Between the pixel's short side and its long one, which perspective draws out.
    """
    v = (1.0 - 2.0 * (row + 0.5) / rows) * shot.eye.half_height
    rise = shot.eye.forward[1] + shot.eye.up[1] * v
    drop = max(-rise / math.sqrt(1.0 + v * v), 0.002)
    distance = shot.eye.position[1] / drop
    return math.log2(distance * 2.0 * shot.eye.half_height / rows / math.sqrt(drop))


FAR_AWAY = 1e6


@inline
def lit_ground(albedo: Vec, direct: float, sky: float, shot: Shot) -> Vec:
    """A matt colour under `direct` (0..1) of the sun and `sky` (about 1) of the light around."""
    a, s = shot.light.ambient, shot.light.sun_colour
    return (
        albedo[0] * (a[0] * sky + s[0] * direct),
        albedo[1] * (a[1] * sky + s[1] * direct),
        albedo[2] * (a[2] * sky + s[2] * direct),
    )
