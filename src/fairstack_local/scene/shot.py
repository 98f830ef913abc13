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
def through_air(colour: Vec, ray: Vec, distance: float, shot: Shot) -> Vec:
    """The colour after `distance` metres of air."""
    share = 1.0 - math.exp(-distance * shot.light.haze)
    return blend(colour, far_air(ray, shot.light), share)


@inline
def put(picture: Picture, row: int, column: int, behind: Vec, ray: Vec, shot: Shot) -> None:
    """Set a pixel: what is behind, and the subject over it."""
    cover = shot.body[row, column, 3]
    if cover > 0.0:
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
def footprint(distance: float, drop: float, shot: Shot, rows: int) -> float:
    """How many metres of flat ground a pixel covers, between its short and its long side."""
    short = distance * 2.0 * shot.eye.half_height / rows
    return short / math.sqrt(max(drop, 0.004))
