"""Bodies made of capsules: how a rig's limbs are packed for the kernels, and how far a point is from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import inline
from fairstack_local.scene.vectors import Vec

Packed = npt.NDArray[np.float64]
Point = npt.NDArray[np.float64]

# Columns of a packed body.
START, AXIS, LENGTH, RADIUS_A, RADIUS_B, SQUASH = 0, 3, 6, 7, 8, 9
SIDE, BACK, FUR, BLEND, COLOUR, SHARP, GLOSS, OPEN, CARE, COLUMNS = 10, 13, 16, 17, 18, 21, 22, 23, 24, 25

_FAR = 1e9
_FLAT = 2.5


@dataclass(frozen=True, slots=True)
class Capsule:
    """A rounded cone from `a` to `b`, in metres; the hair of its coat flows from `a` to `b`."""

    a: Point
    b: Point
    radius_a: float
    radius_b: float
    colour: Vec
    fur: float = 0.01
    """Length of the hair, in metres."""
    blend: float = 0.03
    """How widely it melts into its neighbours, in metres."""
    squash: float = 1.0
    """How much narrower it is sideways, or along `flat`."""
    flat: Point | None = None
    """The direction in which it is squashed, where that is not sideways."""
    sharp: bool = False
    """Keeps its own colour up to its border: eyes, nose, claws, planks."""
    gloss: float = 0.0
    open: float = 1.0
    """The share of the light around that reaches it: less for limbs under a body."""


def pack(capsules: Sequence[Capsule], lateral: Point) -> Packed:
    """The rows that the kernels read; `lateral` is the body's sideways direction."""
    rows = np.zeros((len(capsules), COLUMNS))
    for row, capsule in zip(rows, capsules, strict=True):
        along = capsule.b - capsule.a
        length = float(np.sqrt(along @ along)) + 1e-6
        axis = along / length
        thin = lateral if capsule.flat is None else capsule.flat
        side = thin - axis * (thin @ axis)
        norm = float(np.sqrt(side @ side))
        side = side / norm if norm > 1e-3 else np.array([axis[1], -axis[0], 0.0])
        row[START : START + 3], row[AXIS : AXIS + 3], row[LENGTH] = capsule.a, axis, length
        row[RADIUS_A], row[RADIUS_B], row[SQUASH] = capsule.radius_a, capsule.radius_b, capsule.squash
        row[SIDE : SIDE + 3], row[BACK : BACK + 3] = side, np.cross(axis, side)
        row[FUR], row[BLEND], row[COLOUR : COLOUR + 3] = capsule.fur, capsule.blend, capsule.colour
        row[SHARP], row[GLOSS], row[OPEN] = float(capsule.sharp), capsule.gloss, capsule.open
        # A very flat capsule overstates its distance: march it with care.
        row[CARE] = 1.0 if capsule.squash < _FLAT else 1.6 / capsule.squash
    return rows


def moved(body: Packed, offset: Point) -> Packed:
    """The same body somewhere else."""
    copy = body.copy()
    copy[:, START : START + 3] += offset
    return copy


def mirrored_in_ground(body: Packed) -> Packed:
    """The body as a puddle shows it: upside down below y = 0."""
    copy = body.copy()
    for column in (START, AXIS, SIDE, BACK):
        copy[:, column + 1] *= -1.0
    return copy


def bounds(body: Packed) -> tuple[Point, Point]:
    """The ends and the outer radii of the capsules, hair included: points (2n, 3) and radii (2n,)."""
    start = body[:, START : START + 3]
    end = start + body[:, AXIS : AXIS + 3] * body[:, LENGTH, None]
    reach = body[:, FUR] + 0.25 * body[:, BLEND]
    radii = np.concatenate((body[:, RADIUS_A] + reach, body[:, RADIUS_B] + reach))
    return np.concatenate((start, end)), radii


@inline
def capsule_distance(x: float, y: float, z: float, body: Packed, i: int) -> tuple[float, float, float, float]:
    """Distance to capsule i, and where the point lies by it: metres along, sideways and backwards."""
    x, y, z = x - body[i, 0], y - body[i, 1], z - body[i, 2]
    along = x * body[i, 3] + y * body[i, 4] + z * body[i, 5]
    side = x * body[i, 10] + y * body[i, 11] + z * body[i, 12]
    back = x * body[i, 13] + y * body[i, 14] + z * body[i, 15]
    length = body[i, 6]
    share = along / length
    share = 0.0 if share < 0.0 else (1.0 if share > 1.0 else share)
    beyond = along - share * length
    wide = side * body[i, 9]
    reach = math.sqrt(beyond * beyond + wide * wide + back * back)
    return (reach - (body[i, 7] + (body[i, 8] - body[i, 7]) * share)) * body[i, 24], along, side, back


@inline
def skin(
    x: float, y: float, z: float, body: Packed, near: npt.NDArray[np.int16], count: int
) -> tuple[float, float, int]:
    """Distance to the skin of the melted body, hair length there, and the nearest capsule.

    Only the first `count` capsules of `near` are looked at.
    """
    distance, fur, nearest, closest = _FAR, 0.0, 0, _FAR
    for n in range(count):
        i = near[n]
        d = capsule_distance(x, y, z, body, i)[0]
        if d < closest:
            closest, nearest = d, i
        width = body[i, 17]
        gap = width - abs(distance - d)
        melt = gap / width if gap > 0.0 else 0.0
        share = 0.5 * melt * melt
        if d < distance:
            share = 1.0 - share
            distance = d
        distance -= 0.25 * melt * melt * width
        fur += (body[i, 16] - fur) * share
    return distance, fur, nearest
