"""What makes an animal's way of going: its build in metres, its gait, and the speed that follows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Build:
    """The measures of an animal, in metres."""

    withers: float
    trunk: float
    """From shoulder joint to hip joint."""
    chest: float
    waist: float
    rump: float
    girth_squash: float
    neck: float
    neck_lift: float
    """Angle of the neck above the horizontal at the run, in radians."""
    neck_radius: float
    skull: float
    muzzle: float
    muzzle_radius: float
    ear: float
    ears_hang: bool
    fore: tuple[float, float, float]
    """Upper arm, forearm, pastern."""
    hind: tuple[float, float, float]
    """Thigh, shank, metatarsus."""
    leg_radius: float
    thigh_radius: float
    paw: float
    tail: float
    tail_radius: float
    tail_lift: float
    """Angle of the tail above the horizontal, in radians."""
    tail_curl: float
    """How much each joint of the tail bends down (positive) or up, in radians."""
    tail_fur: float
    fur: float
    feathers: float
    """Length of the long hair on tail, chest and legs."""


@dataclass(frozen=True, slots=True)
class Gait:
    """A cycle of footfalls. Phases are shares of the cycle at which each foot comes down."""

    cycle_seconds: float
    duty: float
    """The share of the cycle that a foot stays down."""
    hind_phases: tuple[float, float]
    fore_phases: tuple[float, float]
    hind_reach: tuple[float, float]
    """How far before and behind the hip the hind foot stands, in metres for withers of 0.58."""
    fore_reach: tuple[float, float]
    lift: float
    bob: float
    flex: float
    pitch: float


GALLOP = Gait(
    cycle_seconds=0.44,
    duty=0.25,
    hind_phases=(0.00, 0.10),
    fore_phases=(0.44, 0.56),
    hind_reach=(0.30, -0.24),
    fore_reach=(0.29, -0.25),
    lift=0.17,
    bob=0.028,
    flex=1.0,
    pitch=0.085,
)
WALK = Gait(
    cycle_seconds=0.92,
    duty=0.62,
    hind_phases=(0.00, 0.50),
    fore_phases=(0.24, 0.74),
    hind_reach=(0.19, -0.17),
    fore_reach=(0.18, -0.18),
    lift=0.075,
    bob=0.006,
    flex=0.10,
    pitch=0.008,
)
STANCE = Gait(
    cycle_seconds=3.2,
    duty=1.0,
    hind_phases=(0.0, 0.0),
    fore_phases=(0.0, 0.0),
    hind_reach=(0.02, 0.02),
    fore_reach=(0.02, 0.02),
    lift=0.0,
    bob=0.002,
    flex=0.0,
    pitch=0.0,
)
_MEASURED_WITHERS = 0.58


def speed_of(build: Build, gait: Gait) -> float:
    """How fast this animal moves in this gait, in metres per second: what its feet need to stand still."""
    return scale_of(build) * (gait.fore_reach[0] - gait.fore_reach[1]) / (gait.duty * gait.cycle_seconds)


def scale_of(build: Build) -> float:
    """How large this animal is against the one that the gaits were measured on."""
    return build.withers / _MEASURED_WITHERS
