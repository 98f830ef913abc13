"""A bird in flight: a body, a tail, and two wings of two bones that beat and fold."""

from __future__ import annotations

import math

import numpy as np

from fairstack_local.scene.body import Capsule, Point
from fairstack_local.scene.coats import Plumage
from fairstack_local.scene.vectors import Vec

_BEAT_SECONDS = 0.62
_SPEED = 9.0
_WING_SQUASH = 7.0


def flight_speed() -> float:
    """How fast the bird flies, in metres per second."""
    return _SPEED


def bird_pose(plumage: Plumage, seconds: float) -> list[Capsule]:
    """The bird's capsules at this time, its body at the origin, heading for +x. Wing span about 1.3 m."""
    p = plumage
    turn = 2 * math.pi * seconds / _BEAT_SECONDS
    # A few beats, then a glide: the strength of the beat comes and goes.
    effort = 0.45 + 0.55 * max(0.0, math.sin(2 * math.pi * seconds / 3.9 + 0.9)) ** 0.5
    heave = -0.030 * effort * math.sin(turn + 0.6)
    at = np.array([0.0, heave, 0.0])
    parts = [*_trunk_and_head(p, at), *_tail(p, at, -1.0), *_tail(p, at, 1.0)]
    return parts + _wing(p, at, -1.0, turn, effort) + _wing(p, at, 1.0, turn, effort)


def _trunk_and_head(p: Plumage, at: Point) -> list[Capsule]:
    def down(a: Point, b: Point, ra: float, rb: float, colour: Vec, blend: float) -> Capsule:
        return Capsule(at + a, at + b, ra, rb, colour, fur=0.007, blend=blend)

    def horn(a: Point, b: Point, ra: float, rb: float, colour: Vec, gloss: float) -> Capsule:
        return Capsule(at + a, at + b, ra, rb, colour, fur=0.0005, blend=0.004, sharp=True, gloss=gloss)

    black = (0.01, 0.01, 0.01)
    return [
        down(_v(-0.13, 0.0, 0), _v(0.12, 0.012, 0), 0.058, 0.066, p.body, 0.06),
        down(_v(-0.22, 0.006, 0), _v(-0.08, 0.0, 0), 0.026, 0.056, p.body, 0.05),
        down(_v(0.12, 0.014, 0), _v(0.205, 0.036, 0), 0.052, 0.040, p.head, 0.05),
        down(_v(0.205, 0.036, 0), _v(0.222, 0.037, 0), 0.043, 0.039, p.head, 0.03),
        horn(_v(0.25, 0.030, 0), _v(0.318, 0.012, 0), 0.014, 0.005, p.beak, 0.0),
        horn(_v(0.236, 0.047, -0.035), _v(0.237, 0.047, -0.035), 0.006, 0.006, black, 1.0),
        horn(_v(0.236, 0.047, 0.035), _v(0.237, 0.047, 0.035), 0.006, 0.006, black, 1.0),
    ]


def _tail(p: Plumage, at: Point, side: float) -> list[Capsule]:
    root, tip = at + _v(-0.19, 0.006, side * 0.012), at + _v(-0.33, 0.004, side * 0.045)
    return [Capsule(root, tip, 0.022, 0.036, p.tail, fur=0.004, blend=0.02, squash=4.0, flat=_v(0, 1, 0))]


def _wing(p: Plumage, at: Point, side: float, turn: float, effort: float) -> list[Capsule]:
    """One wing: the arm leads the beat, the hand follows, and folds a little on the way up."""
    lift = 0.16 + 0.62 * effort * math.sin(turn)
    follow = lift + 0.55 * effort * math.sin(turn - 1.05) - 0.10
    rising = max(0.0, math.cos(turn)) * effort
    root = at + _v(0.055, 0.028, side * 0.045)
    wrist = root + _span(0.265 - 0.03 * rising, lift, side, 0.045)
    tip = wrist + _span(0.40 - 0.09 * rising, follow, side, -0.13 - 0.10 * rising)
    arm_up, hand_up = _normal(lift, side), _normal(follow, side)
    hand, behind = wrist * 0.45 + tip * 0.55, _v(-0.075, -0.004, 0)
    return [
        _feathers(root, wrist, 0.060, 0.050, p.wing, arm_up),
        _feathers(root + behind, wrist + behind * 0.8, 0.058, 0.052, p.wing, arm_up),
        _feathers(wrist, hand, 0.048, 0.036, p.wing, hand_up),
        _feathers(wrist + behind * 0.7, hand + behind * 0.45, 0.050, 0.034, p.wing, hand_up),
        _feathers(hand, tip, 0.040, 0.008, p.wing_tip, hand_up),
    ]


def _feathers(a: Point, b: Point, radius_a: float, radius_b: float, colour: Vec, flat: Point) -> Capsule:
    return Capsule(a, b, radius_a, radius_b, colour, fur=0.003, blend=0.022, squash=_WING_SQUASH, flat=flat)


def _v(x: float, y: float, z: float) -> Point:
    return np.array([x, y, z], np.float64)


def _span(length: float, angle: float, side: float, forward: float) -> Point:
    return _v(forward, length * math.sin(angle), side * length * math.cos(angle))


def _normal(angle: float, side: float) -> Point:
    return _v(0.0, math.cos(angle), -side * math.sin(angle))
