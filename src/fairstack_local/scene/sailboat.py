"""A small sailing yacht: a hull, a mast, two full sails, heeling to the wind and riding the waves."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fairstack_local.scene.body import Capsule, Point
from fairstack_local.scene.vectors import Vec

_SPEED = 2.6
_FREEBOARD = -0.10
_HULL: Vec = (0.70, 0.70, 0.70)
_STRIPE: Vec = (0.03, 0.07, 0.17)
_DECK: Vec = (0.38, 0.22, 0.11)
_SAIL: Vec = (0.80, 0.78, 0.73)
_SPAR: Vec = (0.30, 0.20, 0.12)


def sailing_speed() -> float:
    """How fast the boat sails, in metres per second."""
    return _SPEED


def boat_pose(lift: float, pitch: float, seconds: float) -> list[Capsule]:
    """The boat's capsules: 7 m long, heading for +x, lifted by `lift` metres, its bow by `pitch` radians."""
    heel = 0.13 + 0.025 * math.sin(2 * math.pi * seconds / 4.3)
    turn = _rolled(heel, pitch)
    parts = [
        *_hull(),
        _spar(_v(0.55, 0.5, 0), _v(0.45, 9.0, 0), 0.055, 0.035),
        _spar(_v(0.55, 1.25, 0), _v(-2.75, 1.18, 0.42), 0.050, 0.040),
        *_main_sail(),
        *_jib(),
    ]
    for part in parts:
        part.a[:] = turn @ part.a + (0.0, lift + _FREEBOARD, 0.0)
        part.b[:] = turn @ part.b + (0.0, lift + _FREEBOARD, 0.0)
        if part.flat is not None:
            part.flat[:] = turn @ part.flat
    return parts


def _hull() -> list[Capsule]:
    return [
        _planks(_v(-3.0, 0.20, 0), _v(1.4, 0.16, 0), 0.50, 0.58, _HULL, 0.20, 0.72),
        _planks(_v(1.0, 0.16, 0), _v(3.7, 0.42, 0), 0.58, 0.20, _HULL, 0.20, 0.80),
        _planks(_v(-2.9, 0.66, 0), _v(1.5, 0.68, 0), 0.14, 0.14, _STRIPE, 0.02, 0.20),
        _planks(_v(1.5, 0.68, 0), _v(3.6, 0.60, 0), 0.13, 0.03, _STRIPE, 0.02, 0.26),
        _planks(_v(-1.2, 0.86, 0), _v(0.9, 0.84, 0), 0.20, 0.18, _DECK, 0.04, 0.45),
    ]


def _planks(
    a: Point, b: Point, radius_a: float, radius_b: float, colour: Vec, blend: float, squash: float
) -> Capsule:
    return Capsule(
        a, b, radius_a, radius_b, colour, fur=0.002, blend=blend, squash=squash, sharp=True, gloss=0.10
    )


def _spar(a: Point, b: Point, radius_a: float, radius_b: float) -> Capsule:
    return Capsule(a, b, radius_a, radius_b, _SPAR, fur=0.001, blend=0.01, sharp=True)


def _main_sail() -> list[Capsule]:
    """Cloth between boom and mast, which bellies out to leeward."""
    tack, clew, head = _v(0.46, 1.42, 0.0), _v(-2.70, 1.36, 0.42), _v(0.40, 8.9, 0.0)
    return _sail(tack, clew, head, 15, 0.42)


def _jib() -> list[Capsule]:
    tack, clew, head = _v(3.55, 0.95, 0.0), _v(0.75, 1.25, 0.55), _v(0.62, 7.4, 0.0)
    return _sail(tack, clew, head, 13, 0.34)


def _sail(tack: Point, clew: Point, head: Point, panels: int, belly: float) -> list[Capsule]:
    """Panels side by side from the foot to the head, each of two stretches, melted into one cloth."""
    parts = []
    for panel in range(panels):
        share = panel / (panels - 1)
        foot = tack + (clew - tack) * share
        lee = _v(0.0, 0.0, belly * math.sin(math.pi * min(share * 0.9 + 0.08, 1.0)))
        middle = foot * 0.52 + head * 0.48 + lee
        for a, b, ra, rb in ((foot, middle, 0.125, 0.085), (middle, head, 0.085, 0.030)):
            parts.append(
                Capsule(a.copy(), b.copy(), ra, rb, _SAIL, fur=0.004, blend=0.12, sharp=True, open=0.95)
            )
    return parts


def _v(x: float, y: float, z: float) -> Point:
    return np.array([x, y, z], np.float64)


def _rolled(heel: float, pitch: float) -> npt.NDArray[np.float64]:
    """Lean away from the wind (towards +z), then lift the bow."""
    c, s, p, q = math.cos(heel), math.sin(heel), math.cos(pitch), math.sin(pitch)
    lean = np.array(((1, 0, 0), (0, c, -s), (0, s, c)))
    nod = np.array(((p, -q, 0), (q, p, 0), (0, 0, 1)))
    turned: npt.NDArray[np.float64] = nod @ lean
    return turned
