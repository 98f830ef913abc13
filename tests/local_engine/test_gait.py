"""The bodies: feet that stand still on the ground, limbs that stay whole."""

from __future__ import annotations

import numpy as np
import pytest

from fairstack_local.plan.scene_plan import Coat, Subject
from fairstack_local.scene.body import Capsule
from fairstack_local.scene.builds import BUILDS
from fairstack_local.scene.coats import pelt_of
from fairstack_local.scene.gaits import GALLOP, STANCE, WALK, Gait, speed_of
from fairstack_local.scene.quadruped import pose

ANIMALS = sorted(BUILDS)
GAITS = {"gallop": GALLOP, "walk": WALK, "stance": STANCE}


def _moment(subject: Subject, gait: Gait, share: float) -> list[Capsule]:
    return pose(BUILDS[subject], pelt_of(subject, Coat.NATURAL), gait, share * gait.cycle_seconds)


def _lowest(capsules: list[Capsule]) -> float:
    return min(
        float(end[1]) - radius for c in capsules for end, radius in ((c.a, c.radius_a), (c.b, c.radius_b))
    )


@pytest.mark.parametrize("subject", ANIMALS)
@pytest.mark.parametrize("gait", GAITS.values(), ids=GAITS)
def test_no_foot_sinks_into_the_ground(subject: Subject, gait: Gait) -> None:
    """At every moment the lowest part of the body is at the ground or above it, within a few millimetres."""
    for step in range(24):
        assert _lowest(_moment(subject, gait, step / 24)) > -0.02 * BUILDS[subject].withers


@pytest.mark.parametrize("subject", ANIMALS)
def test_a_walking_animal_always_touches_the_ground(subject: Subject) -> None:
    """In a walk some foot stands at every moment."""
    for step in range(24):
        assert _lowest(_moment(subject, WALK, step / 24)) < 0.02 * BUILDS[subject].withers


@pytest.mark.parametrize("subject", ANIMALS)
def test_a_standing_foot_does_not_slide(subject: Subject) -> None:
    """While the first hind foot is down, it moves back exactly as fast as the body moves on."""
    build = BUILDS[subject]
    speed = speed_of(build, WALK)
    paws = []
    for share in (0.10, 0.20, 0.30):
        parts = _moment(subject, WALK, share)
        near = [c for c in parts if c.a[2] < 0 and c.a[1] < 1.5 * build.paw and c.a[0] < 0]
        paws.append(float(min(near, key=lambda c: float(c.a[1])).a[0]) + speed * share * WALK.cycle_seconds)
    assert np.ptp(paws) < 0.012 * build.withers
