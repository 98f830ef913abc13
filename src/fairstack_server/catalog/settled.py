"""A request after its defaults were filled and every value was checked: what is priced and rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from fairstack_server.catalog.conditions import Facts
from fairstack_server.jsonvalue import JSON, JSONObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The settings of one clip. None = nobody on our side knows or decides it."""

    duration: Decimal | None = None
    """Seconds."""
    frames: int | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    width: int | None = None
    height: int | None = None
    fps: int | None = None
    audio: bool = False
    seed: int | None = None
    negative_prompt: str | None = None
    options: Mapping[str, JSON] = field(default_factory=dict)
    inputs: frozenset[str] = frozenset()
    """Roles that files were given for: image, end_image, images, video, audio_url."""
    image_count: int = 0
    """How many images were given, in all roles."""
    input_seconds: Decimal | None = None
    """Length of the input video or sound."""
    reframe: bool = False
    """The image is to be cropped or padded to width x height before it is handed on."""
    asked: frozenset[str] = frozenset()
    """The words that the request itself gave a value; a route that cannot carry one of them is no route."""

    def facts(self) -> Facts:
        """These settings as conditions see them."""
        roles: dict[str, JSON | Decimal] = dict.fromkeys(self.inputs, True)
        options: dict[str, JSON | Decimal] = {
            f"options.{name}": value for name, value in self.options.items()
        }
        return {
            **roles,
            **options,
            "resolution": self.resolution,
            "aspect_ratio": self.aspect_ratio,
            "audio": self.audio,
            "duration": self.duration,
            "fps": self.fps,
        }

    def as_json(self) -> JSONObject:
        """Plain JSON of these settings, from which `from_json` makes an equal value."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, JSON]) -> Settled:
        """The settings that `as_json` wrote down."""
        values: dict[str, Any] = dict(stored)
        for name in ("duration", "input_seconds"):
            values[name] = None if values[name] is None else Decimal(values[name])
        for name in ("inputs", "asked"):
            values[name] = frozenset(values[name])
        return cls(**values)


def _plain(value: Any) -> JSON:
    match value:
        case Decimal():
            return str(value)
        case frozenset():
            return sorted(value)
        case Mapping():
            return dict(value)
        case _:
            result: JSON = value
            return result
