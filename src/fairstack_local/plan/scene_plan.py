"""The typed plan of a scene: all that the renderer is told, and nothing that it cannot draw."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Subject(StrEnum):
    """What the scene shows."""

    NONE = "none"
    DOG = "dog"
    WOLF = "wolf"
    FOX = "fox"
    BIRD = "bird"
    SAILBOAT = "sailboat"


class Coat(StrEnum):
    """The colouring of an animal; NATURAL is the usual one of its kind."""

    NATURAL = "natural"
    GOLDEN = "golden"
    BLACK = "black"
    WHITE = "white"
    BROWN = "brown"
    GREY = "grey"
    HUSKY = "husky"
    RED = "red"


class Action(StrEnum):
    """What the subject does."""

    RUN = "run"
    WALK = "walk"
    STAND = "stand"
    FLY = "fly"
    SAIL = "sail"


class Place(StrEnum):
    """Where it happens."""

    BEACH = "beach"
    SEA = "sea"
    MEADOW = "meadow"
    DUNES = "dunes"
    SNOWFIELD = "snowfield"
    LAKE = "lake"


class Hour(StrEnum):
    """The light."""

    SUNRISE = "sunrise"
    DAY = "day"
    GOLDEN_HOUR = "golden_hour"
    SUNSET = "sunset"
    DUSK = "dusk"
    NIGHT = "night"


class Weather(StrEnum):
    """The sky and the air."""

    CLEAR = "clear"
    FAIR = "fair"
    CLOUDY = "cloudy"
    FOG = "fog"
    RAIN = "rain"
    SNOW = "snow"


class Move(StrEnum):
    """How the camera moves; TRACK travels along with the subject and is what the other moves build on."""

    TRACK = "track"
    STATIC = "static"
    PUSH_IN = "push_in"
    PULL_OUT = "pull_out"
    PAN_LEFT = "pan_left"
    PAN_RIGHT = "pan_right"
    TILT_UP = "tilt_up"
    TILT_DOWN = "tilt_down"
    ORBIT = "orbit"


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """One scene to draw. `time_scale` is 1.0 at natural speed and less in slow motion."""

    subject: Subject
    coat: Coat
    action: Action
    place: Place
    hour: Hour
    weather: Weather
    move: Move
    time_scale: float

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON-safe dict of words and one number."""
        return {name: str(v) if isinstance(v, StrEnum) else v for name, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class PlannedScene:
    """A plan, and one plain sentence for each thing the prompt asked for that the plan does not honour."""

    plan: ScenePlan
    substitutions: tuple[str, ...]
