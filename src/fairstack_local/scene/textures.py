"""Pictures that tile and shrink: mip chains packed in one array, and their lookups."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import inline

Texture = npt.NDArray[np.float32]


class Tile(NamedTuple):
    """A picture that covers a plane by repeating: its mip chain, and how it lies in the world."""

    chain: Texture
    per_metre: float
    """Tiles to a metre."""
    octave: float
    """The power of two of its texels to a metre."""


def tile(picture: Texture, metres: float) -> Tile:
    """A tiling (n, n, channels) picture, n a power of two, with a side of `metres`."""
    return Tile(mip_chain(picture), 1.0 / metres, math.log2(picture.shape[0] / metres))


def mip_chain(picture: Texture) -> Texture:
    """Pack a tiling (n, n, channels) picture, n a power of two, above its halvings: (2n, n, channels)."""
    size, _, channels = picture.shape
    chain = np.zeros((2 * size, size, channels), np.float32)
    row, level = 0, picture
    while True:
        n = level.shape[0]
        chain[row : row + n, :n] = level
        if n == 1:
            return chain
        row += n
        level = 0.25 * (level[::2, ::2] + level[1::2, ::2] + level[::2, 1::2] + level[1::2, 1::2])


def with_slopes(height: Texture, metres: float, *more: Texture) -> Texture:
    """Stack slope along x, slope along z, height, and further channels: (n, n, 3 + len(more)).

    `height` is in metres and `metres` the side of the tile, so the slopes are true slopes.
    """
    step = 2.0 * metres / height.shape[0]
    slope_x = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) / step
    slope_z = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) / step
    return np.stack((slope_x, slope_z, height, *more), axis=2).astype(np.float32)


@inline
def tap(chain: Texture, u: float, v: float, level: int, channel: int) -> float:
    """One channel at (u, v) in tiles, bilinear, from one level of the chain."""
    size = chain.shape[1] >> level
    top = 2 * chain.shape[1] - (2 * chain.shape[1] >> level)
    x, y = u * size, v * size
    fx, fy = math.floor(x), math.floor(y)
    ix, iy = int(fx) & (size - 1), int(fy) & (size - 1)
    jx, jy = (ix + 1) & (size - 1), (iy + 1) & (size - 1)
    s, r = x - fx, y - fy
    a = chain[top + iy, ix, channel] * (1.0 - s) + chain[top + iy, jx, channel] * s
    b = chain[top + jy, ix, channel] * (1.0 - s) + chain[top + jy, jx, channel] * s
    return float(a * (1.0 - r) + b * r)


@inline
def level_for(tiled: Tile, octave: float) -> float:
    """The level whose texels are as large as 2 to the power of `octave` metres."""
    level = tiled.octave + octave
    deepest = tiled.octave - math.log2(tiled.per_metre) - 1.0
    return 0.0 if level < 0.0 else min(level, deepest)


@inline
def look_up3(tiled: Tile, x: float, z: float, octave: float) -> tuple[float, float, float]:
    """The first three channels at (x, z) in metres, for pixels of 2 to the power of `octave` metres."""
    chain = tiled.chain
    level = level_for(tiled, octave)
    u, v = x * tiled.per_metre, z * tiled.per_metre
    coarse, share = _blended_level(level)
    a, b, c = _three(chain, u, v, coarse)
    if share > 0.0:
        p, q, r = _three(chain, u, v, coarse + 1)
        return a + (p - a) * share, b + (q - b) * share, c + (r - c) * share
    return a, b, c


@inline
def _blended_level(level: float) -> tuple[int, float]:
    """A level, and the share of the next one: mixing only half-way between two saves most second lookups."""
    coarse = int(level + 0.25)
    share = (level - coarse - 0.25) * 2.0
    return coarse, share if share > 0.0 else 0.0


@inline
def _three(chain: Texture, u: float, v: float, level: int) -> tuple[float, float, float]:
    size = chain.shape[1] >> level
    top = 2 * chain.shape[1] - (2 * chain.shape[1] >> level)
    x, y = u * size, v * size
    fx, fy = math.floor(x), math.floor(y)
    s, r = x - fx, y - fy
    ix, iy = int(fx) & (size - 1), int(fy) & (size - 1)
    p, q = chain[top + iy, ix], chain[top + iy, (ix + 1) & (size - 1)]
    iy = (iy + 1) & (size - 1)
    m, n = chain[top + iy, ix], chain[top + iy, (ix + 1) & (size - 1)]
    a, b, c, d = (1.0 - s) * (1.0 - r), s * (1.0 - r), (1.0 - s) * r, s * r
    return (
        p[0] * a + q[0] * b + m[0] * c + n[0] * d,
        p[1] * a + q[1] * b + m[1] * c + n[1] * d,
        p[2] * a + q[2] * b + m[2] * c + n[2] * d,
    )


@inline
def look_up1(tiled: Tile, x: float, z: float, octave: float, channel: int) -> float:
    """One channel at (x, z) in metres, for pixels of 2 to the power of `octave` metres."""
    level = level_for(tiled, octave)
    u, v = x * tiled.per_metre, z * tiled.per_metre
    coarse, share = _blended_level(level)
    value = tap(tiled.chain, u, v, coarse, channel)
    if share > 0.0:
        value += (tap(tiled.chain, u, v, coarse + 1, channel) - value) * share
    return value
