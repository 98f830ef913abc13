"""Who is in the scene: the subject's body at every moment, its way, and how the camera frames it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fairstack_local.plan.scene_plan import Action, Move, Place, ScenePlan, Subject
from fairstack_local.scene.bird import bird_pose, flight_speed
from fairstack_local.scene.body import COLUMNS, Packed, moved, pack
from fairstack_local.scene.builds import BUILDS
from fairstack_local.scene.camera import Framing
from fairstack_local.scene.coats import Pelt, Plumage, pelt_of, plumage_of
from fairstack_local.scene.gaits import GALLOP, STANCE, WALK, Build, Gait, speed_of
from fairstack_local.scene.grounds import Ground, Water
from fairstack_local.scene.quadruped import pose
from fairstack_local.scene.sailboat import boat_pose, sailing_speed
from fairstack_local.scene.vectors import Vec


class Cast(Protocol):
    """The subject of a scene."""

    @property
    def framing(self) -> Framing:
        """How the camera sees it at rest."""
        ...

    @property
    def grounded(self) -> bool:
        """Whether it stands on the ground and throws a shadow there."""
        ...

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
class Bird:
    """A bird that flies along +x, high above the ground."""

    framing: Framing
    plumage: Plumage
    tracked: bool
    altitude: float
    grounded: bool = False

    def place(self, seconds: float, whole: float) -> Vec:
        """On a level line, half-way at half time."""
        return flight_speed() * (seconds - whole / 2), self.altitude, 0.0

    def followed(self, place: Vec) -> Vec:
        """The bird, or the middle of its way under a camera that stands still."""
        return (place[0] if self.tracked else 0.0), self.altitude, 0.0

    def body(self, seconds: float, place: Vec) -> Packed:
        """The pose of this moment."""
        return moved(pack(bird_pose(self.plumage, seconds), _LATERAL), np.array(place))


@dataclass(frozen=True)
class Boat:
    """A sailboat under way along +x, on the long waves of this water."""

    framing: Framing
    tracked: bool
    water: Water
    grounded: bool = False

    def place(self, seconds: float, whole: float) -> Vec:
        """On a straight line, half-way at half time."""
        return sailing_speed() * (seconds - whole / 2), 0.0, 0.0

    def followed(self, place: Vec) -> Vec:
        """The boat, or the middle of its way under a camera that stands still."""
        return place if self.tracked else (0.0, 0.0, 0.0)

    def body(self, seconds: float, place: Vec) -> Packed:
        """The boat on the wave that is under it now."""
        bow, stern = (self.water.height(place[0] + end, 0.0, seconds) for end in (2.4, -2.4))
        parts = boat_pose(0.5 * (bow + stern), 0.5 * math.atan2(bow - stern, 4.8), seconds)
        return moved(pack(parts, _LATERAL), np.array(place))


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


def cast_of(plan: ScenePlan, ground: Ground) -> Cast:
    """The subject that the plan names, on this ground."""
    tracked = plan.move is not Move.STATIC
    match plan.subject:
        case Subject.NONE:
            height = _EMPTY_HEIGHTS[plan.place]
            return Nobody(Framing(5.0, height, 0.0, (0.0, height - 0.12, 0.0)))
        case Subject.BIRD:
            return Bird(Framing(2.5, -0.10, -0.42, (0.0, 0.06, 0.0)), plumage_of(plan.coat), tracked, 4.0)
        case Subject.SAILBOAT:
            assert isinstance(ground, Water)
            return Boat(Framing(19.5, 2.4, -0.30, (0.3, 3.9, 0.0)), tracked, ground)
        case _:
            return _animal(plan, tracked)


def _animal(plan: ScenePlan, tracked: bool) -> Animal:
    build = BUILDS[plan.subject]
    gait = _GAITS[plan.action]
    speed = 0.0 if gait is STANCE else speed_of(build, gait)
    size = build.withers / 0.58
    framing = Framing(
        distance=2.2 * size, height=0.62 * size, azimuth=-0.20, target=(0.06 * size, 0.47 * size, 0.0)
    )
    return Animal(framing, build, pelt_of(plan.subject, plan.coat), gait, speed, tracked)
