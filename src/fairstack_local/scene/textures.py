"""Pictures that tile and shrink: mip chains packed in one array, and their lookups."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import inline

Texture = npt.NDArray[np.float32]


def mip_chain(picture: Texture) -> Texture:
    """Pack a tiling (n, n, channels) picture, n a power of two, with its halvings below it: (2n, n, channels)."""
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
    return a * (1.0 - r) + b * r


@inline
def level_for(chain: Texture, metres: float, footprint: float) -> float:
    """The level whose texels are as large as `footprint` metres, for a tile of `metres`."""
    texels = footprint * chain.shape[1] / metres
    deepest = math.log2(chain.shape[1]) - 1.0
    return 0.0 if texels <= 1.0 else min(math.log2(texels), deepest)


@inline
def look_up3(chain: Texture, u: float, v: float, level: float) -> tuple[float, float, float]:
    """The first three channels at (u, v) in tiles, blended between the two nearest levels."""
    size0 = chain.shape[1]
    coarse = int(level)
    a, b, c = 0.0, 0.0, 0.0
    for step in range(2):
        weight = level - coarse if step == 1 else 1.0 - (level - coarse)
        if weight > 0.004:
            size = size0 >> (coarse + step)
            top = 2 * size0 - (2 * size0 >> (coarse + step))
            x, y = u * size, v * size
            fx, fy = math.floor(x), math.floor(y)
            ix, iy = int(fx) & (size - 1), int(fy) & (size - 1)
            jx, jy = (ix + 1) & (size - 1), top + ((iy + 1) & (size - 1))
            iy += top
            s, r = x - fx, y - fy
            w00, w01 = (1.0 - s) * (1.0 - r) * weight, s * (1.0 - r) * weight
            w10, w11 = (1.0 - s) * r * weight, s * r * weight
            a += chain[iy, ix, 0] * w00 + chain[iy, jx, 0] * w01 + chain[jy, ix, 0] * w10 + chain[jy, jx, 0] * w11
            b += chain[iy, ix, 1] * w00 + chain[iy, jx, 1] * w01 + chain[jy, ix, 1] * w10 + chain[jy, jx, 1] * w11
            c += chain[iy, ix, 2] * w00 + chain[iy, jx, 2] * w01 + chain[jy, ix, 2] * w10 + chain[jy, jx, 2] * w11
    return a, b, c


@inline
def look_up1(chain: Texture, u: float, v: float, level: float, channel: int) -> float:
    """One channel at (u, v) in tiles, blended between the two nearest levels."""
    coarse = int(level)
    share = level - coarse
    value = tap(chain, u, v, coarse, channel)
    if share > 0.004:
        value += (tap(chain, u, v, coarse + 1, channel) - value) * share
    return value
