"""The subject's shadow on flat ground, drawn once a frame from above: sun kept off, and sky kept off."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fairstack_local.kernels import Bands, inline, kernel
from fairstack_local.scene.body import Packed, bounds
from fairstack_local.scene.noise import Texture
from fairstack_local.scene.vectors import Vec, clamp, smooth

_LONGEST = 5.0
_MARGIN = 0.45
_ROWS, _COLUMNS = 120, 200


class Shadow(NamedTuple):
    """A map from above, (rows along z, columns along x, 2): shares of sun and sky that reach the ground."""

    shares: Texture
    x: float
    z: float
    columns_per_metre: float
    rows_per_metre: float


def no_shadow() -> Shadow:
    """Full light everywhere."""
    return Shadow(np.ones((2, 2, 2), np.float32), 1e6, 1e6, 1.0, 1.0)


def cast_shadow(body: Packed, sun: Vec, bands: Bands) -> Shadow:
    """The shadow of this body on the plane y = 0 under a sun in this direction."""
    if len(body) == 0:
        return no_shadow()
    points, _ = bounds(body)
    along = np.minimum(points[:, 1] / max(sun[1], 0.02), _LONGEST)
    thrown_x, thrown_z = points[:, 0] - sun[0] * along, points[:, 2] - sun[2] * along
    left = min(points[:, 0].min(), thrown_x.min()) - _MARGIN
    right = max(points[:, 0].max(), thrown_x.max()) + _MARGIN
    near = min(points[:, 2].min(), thrown_z.min()) - _MARGIN
    far = max(points[:, 2].max(), thrown_z.max()) + _MARGIN
    shares = np.ones((_ROWS, _COLUMNS, 2), np.float32)
    shadow = Shadow(shares, left, near, (_COLUMNS - 1) / (right - left), (_ROWS - 1) / (far - near))
    bands.run(_fill, _ROWS, shadow, body, sun)
    return shadow


@kernel
def _fill(top: int, bottom: int, shadow: Shadow, body: Packed, sun: Vec) -> None:
    for row in range(top, bottom):
        z = shadow.z + row / shadow.rows_per_metre
        for column in range(shadow.shares.shape[1]):
            x = shadow.x + column / shadow.columns_per_metre
            sunlight, sky = 1.0, 1.0
            for i in range(body.shape[0]):
                sunlight = min(sunlight, _sun_past(x, z, body, i, sun))
                sky *= 1.0 - _sky_hidden(x, z, body, i)
            # The map ends in full light, so that its border is never seen.
            inside = smooth(0.0, 12.0, min(row, shadow.shares.shape[0] - 1 - row)) * smooth(
                0.0, 12.0, min(column, shadow.shares.shape[1] - 1 - column)
            )
            shadow.shares[row, column, 0] = 1.0 - (1.0 - sunlight) * inside
            shadow.shares[row, column, 1] = 1.0 - (1.0 - max(sky, 0.12)) * inside


@inline
def _sun_past(x: float, z: float, body: Packed, i: int, sun: Vec) -> float:
    """How much of the sun passes capsule i: from the distance between its axis and the ray to the sun."""
    px, py, pz = body[i, 0] - x, body[i, 1], body[i, 2] - z
    length = body[i, 6]
    turn = body[i, 3] * sun[0] + body[i, 4] * sun[1] + body[i, 5] * sun[2]
    to_sun = px * sun[0] + py * sun[1] + pz * sun[2]
    to_axis = px * body[i, 3] + py * body[i, 4] + pz * body[i, 5]
    bend = 1.0 - turn * turn
    along = clamp((turn * to_sun - to_axis) / bend, 0.0, length) if bend > 1e-4 else 0.0
    reach = max(to_sun + along * turn, 0.0)
    dx = px + body[i, 3] * along - sun[0] * reach
    dy = py + body[i, 4] * along - sun[1] * reach
    dz = pz + body[i, 5] * along - sun[2] * reach
    radius = body[i, 7] + (body[i, 8] - body[i, 7]) * along / length + body[i, 16] * 0.5
    gap = math.sqrt(dx * dx + dy * dy + dz * dz) - radius
    penumbra = 0.012 + 0.035 * reach
    return smooth(-penumbra, penumbra, gap)


@inline
def _sky_hidden(x: float, z: float, body: Packed, i: int) -> float:
    """The share of the sky, by its light on flat ground, that capsule i hides."""
    px, pz = x - body[i, 0], z - body[i, 2]
    length = body[i, 6]
    along = clamp(px * body[i, 3] - body[i, 1] * body[i, 4] + pz * body[i, 5], 0.0, length)
    dx, dy, dz = body[i, 3] * along - px, body[i, 1] + body[i, 4] * along, body[i, 5] * along - pz
    radius = body[i, 7] + (body[i, 8] - body[i, 7]) * along / length
    squared = dx * dx + dy * dy + dz * dz + 1e-6
    distance = math.sqrt(squared)
    return clamp(radius * radius / squared * max(dy, radius * 0.5) / distance * 0.85, 0.0, 0.9)


@inline
def shadow_at(shadow: Shadow, x: float, z: float) -> tuple[float, float]:
    """The shares of sun and sky that reach this point of the ground."""
    column, row = (x - shadow.x) * shadow.columns_per_metre, (z - shadow.z) * shadow.rows_per_metre
    if (
        row < 0.0
        or column < 0.0
        or row > shadow.shares.shape[0] - 1.01
        or column > shadow.shares.shape[1] - 1.01
    ):
        return 1.0, 1.0
    iy, ix = int(row), int(column)
    t, s = row - iy, column - ix
    a, b, c, d = (1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t
    m = shadow.shares
    sun = m[iy, ix, 0] * a + m[iy, ix + 1, 0] * b + m[iy + 1, ix, 0] * c + m[iy + 1, ix + 1, 0] * d
    sky = m[iy, ix, 1] * a + m[iy, ix + 1, 1] * b + m[iy + 1, ix, 1] * c + m[iy + 1, ix + 1, 1] * d
    return sun, sky
