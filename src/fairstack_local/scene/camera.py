"""The camera: where it stands in each frame, and the ray through each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fairstack_local.kernels import inline
from fairstack_local.plan.scene_plan import Move
from fairstack_local.scene.vectors import Vec


class Eye(NamedTuple):
    """A camera at one moment. `half_width` and `half_height` are tangents of half the view's angles."""

    position: Vec
    right: Vec
    up: Vec
    forward: Vec
    half_width: float
    half_height: float


@dataclass(frozen=True, slots=True)
class Framing:
    """How a scene is composed at rest: metres and radians, seen from the subject."""

    distance: float
    height: float
    azimuth: float
    """From which the camera looks: 0 looks along +z, positive turns it towards +x."""
    target: Vec
    """The point in the middle of the picture, from the subject's place on the ground."""


def view_angles(width: int, height: int) -> tuple[float, float]:
    """Tangents of half the horizontal and vertical angle of view for this shape of picture."""
    aspect = width / height
    if aspect >= 1.0:
        vertical = 0.36 + 0.06 * max(0.0, (16 / 9 - aspect)) / (7 / 9)
        return vertical * aspect, vertical
    horizontal = 0.42 - 0.10 * min(1.0, (1.0 - aspect) / (7 / 16))
    return horizontal, horizontal / aspect


def eye_at(framing: Framing, move: Move, share: float, subject: Vec, angles: tuple[float, float]) -> Eye:
    """The camera when `share` (0 to 1) of the clip has passed, with the subject at `subject`."""
    ease = share * share * (3.0 - 2.0 * share)
    half = ease - 0.5
    distance, azimuth, turn, tilt = framing.distance, framing.azimuth, 0.0, 0.0
    match move:
        case Move.PUSH_IN:
            distance *= 1.14 - 0.36 * ease
        case Move.PULL_OUT:
            distance *= 0.84 + 0.42 * ease
        case Move.ORBIT:
            azimuth += math.radians(40.0) * half
        case Move.PAN_LEFT | Move.PAN_RIGHT:
            turn = math.radians(24.0) * half * (1.0 if move is Move.PAN_RIGHT else -1.0)
        case Move.TILT_UP | Move.TILT_DOWN:
            tilt = math.radians(13.0) * half * (1.0 if move is Move.TILT_UP else -1.0)
        case _:
            pass
    # A wide format sees enough at the given distance; a narrow one steps back to hold the subject.
    distance *= (0.64 / angles[0]) ** 0.72
    position = (
        subject[0] + framing.target[0] - distance * math.sin(azimuth),
        subject[1] + framing.height,
        subject[2] + framing.target[2] - distance * math.cos(azimuth),
    )
    drop = math.atan2(framing.target[1] - framing.height, distance)
    return _looking(position, azimuth + turn, drop + tilt, angles)


def _looking(position: Vec, azimuth: float, elevation: float, angles: tuple[float, float]) -> Eye:
    flat = math.cos(elevation)
    forward = (flat * math.sin(azimuth), math.sin(elevation), flat * math.cos(azimuth))
    right = (math.cos(azimuth), 0.0, -math.sin(azimuth))
    up = np.cross(forward, right)
    return Eye(position, right, (float(up[0]), float(up[1]), float(up[2])), forward, *angles)


@inline
def ray_through(eye: Eye, column: float, row: float, width: int, height: int) -> Vec:
    """The direction, of length 1, from the eye through this point of a picture in pixels."""
    u = (2.0 * column / width - 1.0) * eye.half_width
    v = (1.0 - 2.0 * row / height) * eye.half_height
    x = eye.forward[0] + eye.right[0] * u + eye.up[0] * v
    y = eye.forward[1] + eye.right[1] * u + eye.up[1] * v
    z = eye.forward[2] + eye.right[2] * u + eye.up[2] * v
    scale = 1.0 / math.sqrt(x * x + y * y + z * z)
    return x * scale, y * scale, z * scale
