"""Three-vectors as plain tuples, and the few curves that every kernel uses."""

from __future__ import annotations

import math

from fairstack_local.kernels import inline

Vec = tuple[float, float, float]


@inline
def dot(a: Vec, b: Vec) -> float:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inline
def unit(a: Vec) -> Vec:
    """The same direction with length 1."""
    scale = 1.0 / math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2] + 1e-12)
    return a[0] * scale, a[1] * scale, a[2] * scale


@inline
def blend(a: Vec, b: Vec, share: float) -> Vec:
    """From `a` (share 0) to `b` (share 1)."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


@inline
def clamp(x: float, low: float, high: float) -> float:
    """The nearest number to `x` from `low` to `high`."""
    return low if x < low else (high if x > high else x)


@inline
def smooth(low: float, high: float, x: float) -> float:
    """0 at `low`, 1 at `high`, an S-curve between them; `low` may be the greater."""
    s = (x - low) / (high - low)
    s = 0.0 if s < 0.0 else (1.0 if s > 1.0 else s)
    return s * s * (3.0 - 2.0 * s)


@inline
def swing(turn: float) -> float:
    """A cheap sine of an angle in radians, right to a few hundredths: for waves that nobody measures."""
    t = turn * (0.5 / math.pi)
    t = 2.0 * (t - math.floor(t + 0.5))
    return 4.0 * t * (1.0 - abs(t))
