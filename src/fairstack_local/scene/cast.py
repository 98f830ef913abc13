"""Who is in the scene: the subject's body at every moment, its way, and how the camera frames it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fairstack_local.plan.scene_plan import Action, Move, Place, ScenePlan, Subject
from fairstack_local.scene.body import COLUMNS, Packed, moved, pack
from fairstack_local.scene.builds import BUILDS
from fairstack_local.scene.camera import Framing
from fairstack_local.scene.coats import pelt_of
from fairstack_local.scene.quadruped import GALLOP, STANCE, WALK, Build, Gait, pose, speed_of
from fairstack_local.scene.coats import Pelt
from fairstack_local.scene.vectors import Vec


class Cast(Protocol):
    """The subject of a scene."""

    framing: Framing
    grounded: bool
    """Whether it stands on the ground and throws a shadow there."""

    def place(self, seconds: float, whole: float) -> Vec:
        """Where the subject is after `seconds` of `whole`."""
        ...

    def followed(self, place: Vec) -> Vec:
        """The place that the camera keeps to when the subject is at `place`."""
        ...

    def body(self, seconds: float, place: Vec) -> Packed:
        """The subject's capsules."""
        ...


_GAITS = {Action.RUN: GALLOP, Action.WALK: WALK, Action.STAND: STANCE}
_EMPTY_HEIGHTS = {
    Place.BEACH: 1.45,
    Place.SEA: 3.4,
    Place.MEADOW: 1.1,
    Place.DUNES: 1.6,
    Place.SNOWFIELD: 1.6,
    Place.LAKE: 2.2,
}
_LATERAL = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Animal:
    """A four-legged animal on its way along +x."""

    framing: Framing
    build: Build
    pelt: Pelt
    gait: Gait
    speed: float
    tracked: bool
    grounded: bool = True

    def place(self, seconds: float, whole: float) -> Vec:
        """On a straight line, half-way at half time."""
        return self.speed * (seconds - whole / 2), 0.0, 0.0

    def followed(self, place: Vec) -> Vec:
        """The animal, or the middle of its way under a camera that stands still."""
        return place if self.tracked else (0.0, 0.0, 0.0)

    def body(self, seconds: float, place: Vec) -> Packed:
        """The pose of this moment."""
        return moved(pack(pose(self.build, self.pelt, self.gait, seconds), _LATERAL), np.array(place))


@dataclass(frozen=True)
class Nobody:
    """An empty scene, seen from a camera that moves by itself."""

    framing: Framing
    grounded: bool = False

    def place(self, seconds: float, whole: float) -> Vec:
        """Nowhere in particular."""
        return 0.0, 0.0, 0.0

    def followed(self, place: Vec) -> Vec:
        """The middle of the scene."""
        return place

    def body(self, seconds: float, place: Vec) -> Packed:
        """No capsules."""
        return np.zeros((0, COLUMNS))


def cast_of(plan: ScenePlan, seed: int) -> Cast:
    """The subject that the plan names."""
    if plan.subject in BUILDS:
        return _animal(plan)
    height = _EMPTY_HEIGHTS[plan.place]
    return Nobody(Framing(5.0, height, 0.0, (0.0, height - 0.12, 0.0)))


def _animal(plan: ScenePlan) -> Animal:
    build = BUILDS[plan.subject]
    gait = _GAITS[plan.action]
    speed = 0.0 if gait is STANCE else speed_of(build, gait)
    size = build.withers / 0.58
    framing = Framing(
        distance=2.35 * size, height=0.62 * size, azimuth=-0.20, target=(0.06 * size, 0.47 * size, 0.0)
    )
    return Animal(framing, build, pelt_of(plan.subject, plan.coat), gait, speed, plan.move is not Move.STATIC)
