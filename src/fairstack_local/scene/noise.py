"""Seeded lattice noise: for baking textures once a clip, where every frame then only looks up."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import inline, kernel

Texture = npt.NDArray[np.float32]


@inline
def lattice(ix: int, iy: int, seed: int) -> float:
    """A fixed random number in 0..1 for this lattice point."""
    n = (ix * 374761393 + iy * 668265263 + seed * 974634777) & 0x7FFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0x7FFFFFFF
    n = ((n ^ (n >> 15)) * 972663749) & 0x7FFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFF) / 65535.0


@inline
def value_noise(x: float, y: float, period: int, seed: int) -> float:
    """Smooth noise in 0..1 with one bump per unit, repeating after `period` units (0: never)."""
    fx, fy = math.floor(x), math.floor(y)
    ix, iy = int(fx), int(fy)
    jx, jy = ix + 1, iy + 1
    if period > 0:
        ix, iy, jx, jy = ix % period, iy % period, jx % period, jy % period
    u, v = x - fx, y - fy
    u = u * u * u * (u * (u * 6.0 - 15.0) + 10.0)
    v = v * v * v * (v * (v * 6.0 - 15.0) + 10.0)
    a, b = lattice(ix, iy, seed), lattice(jx, iy, seed)
    c, d = lattice(ix, jy, seed), lattice(jx, jy, seed)
    return a + (b - a) * u + (c - a) * v + (a - b - c + d) * u * v


@inline
def fractal(x: float, y: float, octaves: int, period: int, seed: int) -> float:
    """Octaves of noise summed, about 0.5 on average; repeats after `period` units (0: never)."""
    total, weight, size = 0.0, 0.5, period
    for octave in range(octaves):
        total += weight * value_noise(x, y, size, seed + octave)
        x, y, size, weight = x * 2.0, y * 2.0, size * 2, weight * 0.5
    return total / (1.0 - weight * 2.0) if octaves > 0 else 0.5


@inline
def ridged(x: float, y: float, octaves: int, seed: int) -> float:
    """Octaves of creased noise in 0..1, for mountain ridges."""
    total, weight, whole = 0.0, 0.5, 0.0
    for octave in range(octaves):
        crease = 1.0 - abs(2.0 * value_noise(x, y, 0, seed + octave) - 1.0)
        total += weight * crease * crease
        whole += weight
        x, y, weight = x * 2.03 + 3.1, y * 2.03 + 1.7, weight * 0.5
    return total / whole


@kernel
def fill_fractal(out: Texture, cells: int, octaves: int, seed: int) -> None:
    """Fill a square picture with tiling noise, `cells` bumps of the first octave across."""
    size = out.shape[0]
    for row in range(size):
        for column in range(size):
            out[row, column] = fractal(column * cells / size, row * cells / size, octaves, cells, seed)


@kernel
def fill_cells(out: Texture, cells: int, seed: int) -> None:
    """Fill a square picture with tiling cell noise: distance to the second nearest point less the nearest."""
    size = out.shape[0]
    for row in range(size):
        for column in range(size):
            x, y = column * cells / size, row * cells / size
            ix, iy = int(x), int(y)
            nearest, second = 9.0, 9.0
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    cx, cy = (ix + dx) % cells, (iy + dy) % cells
                    px = ix + dx + lattice(cx, cy, seed) - x
                    py = iy + dy + lattice(cx, cy, seed + 77) - y
                    distance = math.sqrt(px * px + py * py)
                    if distance < nearest:
                        nearest, second = distance, nearest
                    elif distance < second:
                        second = distance
            out[row, column] = second - nearest


def tiling_fractal(size: int, cells: int, octaves: int, seed: int) -> Texture:
    """A tiling square of fractal noise, mean removed and scaled to a deviation of 1."""
    out = np.empty((size, size), np.float32)
    fill_fractal(out, cells, octaves, seed)
    centred = out - np.float32(out.mean())
    return np.asarray(centred / np.float32(out.std() + 1e-6), np.float32)


def tiling_cells(size: int, cells: int, seed: int) -> Texture:
    """A tiling square of cell noise: 0 on the borders between cells, up to about 1 inside."""
    out = np.empty((size, size), np.float32)
    fill_cells(out, cells, seed)
    return out


def tiling_volume(size: int, seed: int) -> Texture:
    """A tiling cube of soft random grain in 0..1: white noise, slightly blurred, made uniform by rank."""
    grain: npt.NDArray[np.float64] = np.random.default_rng(seed).random((size, size, size))
    for axis in range(3):
        grain = 0.5 * grain + 0.25 * (np.roll(grain, 1, axis) + np.roll(grain, -1, axis))
    ranks: npt.NDArray[np.int64] = np.argsort(np.argsort(grain, axis=None)).reshape((size, size, size))
    return np.asarray(np.divide(ranks, size**3 - 1), np.float32)
