"""Draws a body of capsules as a layer: marches to its coat, then through the hair, strand by strand."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import Bands, inline, kernel
from fairstack_local.scene.body import Packed, bounds, capsule_distance, skin
from fairstack_local.scene.camera import Eye, ray_through
from fairstack_local.scene.light import Light
from fairstack_local.scene.noise import Texture
from fairstack_local.scene.vectors import Vec, clamp, dot, smooth

Layer = npt.NDArray[np.float32]

_TILE = 8
_MARCH_STEPS = 56
_HAIR_STEPS = 24
_COAT_DEPTH = 0.45
_KIN_REACH = 0.10
_STRANDS_PER_METRE = 270.0
_STRAND_STRETCH = 0.11
_HELD_OFF = 0.025


class Tiles(NamedTuple):
    """Which capsules may be seen in each square of the layer, and how far away they lie."""

    near: npt.NDArray[np.int16]
    counts: npt.NDArray[np.int16]
    first_row: int
    first_column: int
    closest: npt.NDArray[np.float32]
    """For each square, the distance at which the first capsule can be met."""
    farthest: float


def draw_body(layer: Layer, body: Packed, eye: Eye, light: Light, grain: Texture, bands: Bands) -> None:
    """Draw the body on a cleared layer (height, width, 5): premultiplied RGBA, and distance where covered."""
    layer[...] = 0.0
    if len(body) == 0:
        return
    tiles = _tiles(layer, body, eye)
    if tiles.near.shape[0] and tiles.near.shape[1]:
        bands.run(_draw_tiles, tiles.near.shape[0], layer, body, eye, light, grain, tiles)


def _tiles(layer: Layer, body: Packed, eye: Eye) -> Tiles:
    height, width = layer.shape[:2]
    points, radii = bounds(body)
    offset = points - np.array(eye.position)
    depth = offset @ np.array(eye.forward)
    safe = np.maximum(depth, 0.2)
    x = ((offset @ np.array(eye.right)) / safe / eye.half_width + 1.0) * 0.5 * width
    y = (1.0 - (offset @ np.array(eye.up)) / safe / eye.half_height) * 0.5 * height
    reach = (radii + _HELD_OFF) / np.maximum(safe - radii, 0.15) / eye.half_height * 0.5 * height * 1.12 + 2.0
    half = len(body)
    left, right = (
        np.minimum(x[:half] - reach[:half], x[half:] - reach[half:]),
        np.maximum(x[:half] + reach[:half], x[half:] + reach[half:]),
    )
    top, bottom = (
        np.minimum(y[:half] - reach[:half], y[half:] - reach[half:]),
        np.maximum(y[:half] + reach[:half], y[half:] + reach[half:]),
    )
    first_row, last_row = (int(np.clip(v, 0, height)) // _TILE for v in (top.min(), bottom.max() + _TILE - 1))
    first_column, last_column = (
        int(np.clip(v, 0, width)) // _TILE for v in (left.min(), right.max() + _TILE - 1)
    )
    rows = (first_row + np.arange(max(0, last_row - first_row + 1))) * _TILE
    columns = (first_column + np.arange(max(0, last_column - first_column + 1))) * _TILE
    rows, columns = rows[rows < height], columns[columns < width]
    seen = ((left < columns[:, None] + _TILE) & (right > columns[:, None]))[None] & (
        (top < rows[:, None] + _TILE) & (bottom > rows[:, None])
    )[:, None]
    order = np.argsort(~seen, axis=2, kind="stable").astype(np.int16)
    nearest = np.minimum((depth - radii)[:half], (depth - radii)[half:]) - 0.01
    closest = np.where(seen, nearest, np.inf).min(axis=2, initial=np.inf)
    return Tiles(
        order,
        seen.sum(axis=2).astype(np.int16),
        first_row,
        first_column,
        np.clip(closest, 0.10, 1e6).astype(np.float32),
        float((depth + radii).max()) * 1.25 + 0.3,
    )


@kernel
def _draw_tiles(
    top: int, bottom: int, layer: Layer, body: Packed, eye: Eye, light: Light, grain: Texture, tiles: Tiles
) -> None:
    height, width = layer.shape[0], layer.shape[1]
    relatives = np.empty(body.shape[0], np.int16)
    for tile_row in range(top, bottom):
        for tile_column in range(tiles.near.shape[1]):
            count = tiles.counts[tile_row, tile_column]
            if count == 0:
                continue
            near = tiles.near[tile_row, tile_column]
            first = tiles.closest[tile_row, tile_column]
            row0 = (tiles.first_row + tile_row) * _TILE
            column0 = (tiles.first_column + tile_column) * _TILE
            for row in range(row0, min(row0 + _TILE, height)):
                for column in range(column0, min(column0 + _TILE, width)):
                    ray = ray_through(eye, column + 0.5, row + 0.5, width, height)
                    _draw_pixel(
                        layer[row, column],
                        ray,
                        body,
                        eye,
                        light,
                        grain,
                        near,
                        count,
                        first,
                        tiles.farthest,
                        height,
                        relatives,
                    )


@inline
def _draw_pixel(
    pixel: Layer,
    ray: Vec,
    body: Packed,
    eye: Eye,
    light: Light,
    grain: Texture,
    near: npt.NDArray[np.int16],
    count: int,
    first: float,
    farthest: float,
    height: int,
    relatives: npt.NDArray[np.int16],
) -> None:
    pixel_angle = 2.0 * eye.half_height / height
    far, miss, missed_at, missed_fur = first, 1.0, 0.0, 0.0
    for _ in range(_MARCH_STEPS):
        x, y, z = (
            eye.position[0] + ray[0] * far,
            eye.position[1] + ray[1] * far,
            eye.position[2] + ray[2] * far,
        )
        distance, fur, nearest = skin(x, y, z, body, near, count)
        gap = distance - fur
        if gap < far * pixel_angle * 0.4:
            break
        # Flat capsules understate their distance, so that it cannot tell how much of a pixel they cover.
        if gap < miss * far * pixel_angle and body[nearest, 24] > 0.99:
            miss, missed_at, missed_fur = gap / (far * pixel_angle), far, fur
        far += gap * 0.85
        if far > farthest:
            break
    if far <= farthest:
        _draw_coat(pixel, ray, far, body, eye, light, grain, near, count, pixel_angle, relatives)
    # Long hair frays by itself; what is sleek needs its edge softened.
    sleek = 1.0 - smooth(1.0, 3.0, missed_fur / (max(missed_at, 0.1) * pixel_angle))
    if missed_at > 0.0 and sleek > 0.02 and pixel[3] < 0.9:
        _draw_outline(pixel, ray, missed_at, (1.0 - miss) * sleek, body, eye, light, near, count)


@inline
def _draw_outline(
    pixel: Layer,
    ray: Vec,
    far: float,
    cover: float,
    body: Packed,
    eye: Eye,
    light: Light,
    near: npt.NDArray[np.int16],
    count: int,
) -> None:
    """Soften an edge: a ray that passes within a pixel of a coat sees a share of it."""
    x, y, z = eye.position[0] + ray[0] * far, eye.position[1] + ray[1] * far, eye.position[2] + ray[2] * far
    nearest = skin(x, y, z, body, near, count)[2]
    lit = _lit_coat(x, y, z, ray, body, near, count, nearest, light)
    cover *= 1.0 - pixel[3]
    for c in range(3):
        pixel[c] += lit[c] * cover * 0.9
    pixel[3] += cover
    pixel[4] = max(pixel[4], far)


@inline
def _draw_coat(
    pixel: Layer,
    ray: Vec,
    far: float,
    body: Packed,
    eye: Eye,
    light: Light,
    grain: Texture,
    near: npt.NDArray[np.int16],
    count: int,
    pixel_angle: float,
    relatives: npt.NDArray[np.int16],
) -> None:
    """Step through the hair from its tips, gathering strands until nothing shines through."""
    r, g, b, clear = 0.0, 0.0, 0.0, 1.0
    inside = False
    lit = (0.0, 0.0, 0.0)
    first, second, share2, kin = 0, 0, 0.0, 0
    start = far
    for step in range(_HAIR_STEPS):
        x, y, z = (
            eye.position[0] + ray[0] * far,
            eye.position[1] + ray[1] * far,
            eye.position[2] + ray[2] * far,
        )
        if not inside:
            distance, fur, nearest = skin(x, y, z, body, near, count)
            if distance > fur + 0.003:
                # Between two coats, or past the last one.
                far += max((distance - fur) * 0.85, 0.003)
                if far > start + _COAT_DEPTH:
                    break
                continue
            kin = _kin(x, y, z, body, near, count, distance + _KIN_REACH, relatives)
            lit = _lit_coat(x, y, z, ray, body, near, count, nearest, light)
            first, second, share2 = _two_nearest(x, y, z, body, relatives, kin)
            inside = True
        distance, fur, nearest = skin(x, y, z, body, relatives, kin)
        inside = distance < fur + 0.004
        depth = 1.0 - clamp(distance / (fur + 1e-5), 0.0, 1.0)
        strand = 0.6 if body[first, 21] > 0.5 else _strand(x, y, z, body, first, grain, fur)
        if share2 > 0.12 and body[first, 21] < 0.5:
            strand += (_strand(x, y, z, body, second, grain, fur) - strand) * share2
        share = smooth(0.0, 0.16, 0.34 + 0.66 * (1.0 - strand) ** 1.5 - (1.0 - depth)) * 0.9
        if distance < far * pixel_angle * 0.5 + 0.0004 or (inside and step == _HAIR_STEPS - 1):
            share = 1.0
        shade = (0.50 + 0.75 * strand) * (1.05 - 0.35 * depth) * share * clear
        r, g, b = r + lit[0] * shade, g + lit[1] * shade, b + lit[2] * shade
        clear *= 1.0 - share
        if clear < 0.03:
            break
        far += max(distance * 0.38, fur * 0.17 + far * pixel_angle * 0.4) * (1.0 + 0.12 * step)
    if clear < 0.03:
        whole = 1.0 / (1.0 - clear)
        r, g, b, clear = r * whole, g * whole, b * whole, 0.0
    pixel[0], pixel[1], pixel[2], pixel[3], pixel[4] = r, g, b, 1.0 - clear, start


@inline
def _kin(
    x: float,
    y: float,
    z: float,
    body: Packed,
    near: npt.NDArray[np.int16],
    count: int,
    reach: float,
    relatives: npt.NDArray[np.int16],
) -> int:
    """Pick from `near` what matters within a few centimetres of this point; how many were picked."""
    picked = 0
    for n in range(count):
        if capsule_distance(x, y, z, body, near[n])[0] < reach:
            relatives[picked] = near[n]
            picked += 1
    return picked


@inline
def _two_nearest(
    x: float, y: float, z: float, body: Packed, near: npt.NDArray[np.int16], count: int
) -> tuple[int, int, float]:
    """The two capsules nearest to a point, and the share of the second in the hair there (up to a half)."""
    first, second, d1, d2 = near[0], near[0], 9.0, 9.0
    for n in range(count):
        i = near[n]
        d = capsule_distance(x, y, z, body, i)[0]
        if d < d1:
            first, second, d1, d2 = i, first, d, d1
        elif d < d2:
            second, d2 = i, d
    return first, second, 0.5 * math.exp(-(d2 - d1) * 90.0)


@inline
def _strand(x: float, y: float, z: float, body: Packed, i: int, grain: Texture, fur: float) -> float:
    """How deep the hair begins here, 0..1: fine across the hair, long along it, combed towards the end."""
    distance, along, side, back = capsule_distance(x, y, z, body, i)
    scale = _STRANDS_PER_METRE * (0.62 if fur > 0.025 else 1.0)
    u = (along - 1.3 * distance) * scale * _STRAND_STRETCH + i * 7.3
    fine = _grain(grain, u, side * scale, back * scale)
    clump = _grain(grain, u * 0.4 + 31.0, side * scale * 0.31, back * scale * 0.31)
    return 0.62 * fine + 0.38 * clump


@inline
def _grain(grain: Texture, x: float, y: float, z: float) -> float:
    size = grain.shape[0]
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    ix, iy, iz = int(fx) % size, int(fy) % size, int(fz) % size
    jx, jy, jz = (ix + 1) % size, (iy + 1) % size, (iz + 1) % size
    u, v, w = x - fx, y - fy, z - fz
    near = (grain[iz, iy, ix] * (1 - u) + grain[iz, iy, jx] * u) * (1 - v) + (
        grain[iz, jy, ix] * (1 - u) + grain[iz, jy, jx] * u
    ) * v
    far = (grain[jz, iy, ix] * (1 - u) + grain[jz, iy, jx] * u) * (1 - v) + (
        grain[jz, jy, ix] * (1 - u) + grain[jz, jy, jx] * u
    ) * v
    return float(near * (1 - w) + far * w)


@inline
def _surface(
    x: float, y: float, z: float, body: Packed, near: npt.NDArray[np.int16], count: int, nearest: int
) -> tuple[Vec, Vec]:
    """The normal and the colour of the melted body at a point by its surface."""
    nx, ny, nz, r, g, b, whole, tint = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    closest = capsule_distance(x, y, z, body, nearest)[0]
    for n in range(count):
        i = near[n]
        distance, along, side, back = capsule_distance(x, y, z, body, i)
        above = distance - closest
        if above > 0.10:
            continue
        weight = math.exp(-above * 42.0)
        length = body[i, 6]
        beyond = along - clamp(along, 0.0, length)
        taper = (body[i, 7] - body[i, 8]) / length if 0.0 < along < length else 0.0
        wide = side * body[i, 9] * body[i, 9]
        scale = weight / (math.sqrt(beyond * beyond + wide * wide + back * back) + 1e-6)
        lean = beyond + taper * math.sqrt(wide * wide + back * back)
        nx += (body[i, 3] * lean + body[i, 10] * wide + body[i, 13] * back) * scale
        ny += (body[i, 4] * lean + body[i, 11] * wide + body[i, 14] * back) * scale
        nz += (body[i, 5] * lean + body[i, 12] * wide + body[i, 15] * back) * scale
        keen = 2500.0 if body[i, 21] > 0.5 or body[nearest, 21] > 0.5 else 150.0
        colour = math.exp(-above * keen)
        r += body[i, 18] * colour
        g += body[i, 19] * colour
        b += body[i, 20] * colour
        tint += colour
        whole += weight
    size = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    return (nx / size, ny / size, nz / size), (r / tint, g / tint, b / tint)


@inline
def _lit_coat(
    x: float,
    y: float,
    z: float,
    ray: Vec,
    body: Packed,
    near: npt.NDArray[np.int16],
    count: int,
    nearest: int,
    light: Light,
) -> Vec:
    """The coat's colour under sun, sky and the light that the ground throws back."""
    normal, colour = _surface(x, y, z, body, near, count, nearest)
    out = _HELD_OFF
    room = skin(x + normal[0] * out, y + normal[1] * out, z + normal[2] * out, body, near, count)[0]
    open_sky = (0.40 + 0.60 * clamp(room / out, 0.0, 1.0)) * body[nearest, 23]
    sunward = dot(normal, light.sun)
    # Hair scatters light around its body: a low sun also brightens what it only grazes.
    direct = clamp(sunward * 0.62 + 0.38, 0.0, 1.0) ** 1.6 * open_sky
    facing = max(-dot(normal, ray), 0.0)
    against = max(dot(ray, light.sun), 0.0)
    edge = (1.0 - facing) ** 2.5 * against**2 * smooth(-0.40, 0.35, sunward) * 0.55
    for reach in (0.06, 0.16):
        if edge > 0.01:
            sx, sy, sz = x + light.sun[0] * reach, y + light.sun[1] * reach, z + light.sun[2] * reach
            edge *= smooth(0.0, 0.04, skin(sx, sy, sz, body, near, count)[0])
    up = 0.5 + 0.5 * normal[1]
    shine = 0.0
    if body[nearest, 22] > 0.0:
        half = dot(normal, (light.sun[0] - ray[0], light.sun[1] - ray[1], light.sun[2] - ray[2])) * 0.5
        shine = body[nearest, 22] * (max(half, 0.0) ** 18 * 0.8 + (1.0 - facing) ** 4 * 0.2 + 0.03)
    return (
        _lit_channel(0, colour[0], light, open_sky, up, direct, edge, shine),
        _lit_channel(1, colour[1], light, open_sky, up, direct, edge, shine),
        _lit_channel(2, colour[2], light, open_sky, up, direct, edge, shine),
    )


@inline
def _lit_channel(
    c: int, colour: float, light: Light, open_sky: float, up: float, direct: float, edge: float, shine: float
) -> float:
    soft: float = (light.ambient[c] * (0.06 + 1.12 * up**1.4) + light.bounce[c] * (1.0 - up)) * open_sky
    # Light that comes through the hair at the outline takes on most of the hair's colour.
    glow = light.sun_colour[c] * edge * (0.25 + 0.75 * colour)
    return colour * (soft * 1.5 + light.sun_colour[c] * direct) + glow + shine * light.ambient[c] * 2.0
