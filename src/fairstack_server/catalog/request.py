"""What a user asks for, before anything was checked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fairstack_server.jsonvalue import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoAsk:
    """A request as its JSON body had it; `parameters.resolve` checks every value, types included.

    None means "not given" (JSON null says the same). `model` has been looked up already.
    """

    model: str
    prompt: JSON
    image: JSON = None
    end_image: JSON = None
    images: JSON | tuple[str, ...] = None
    video: JSON = None
    audio_url: JSON = None
    duration: JSON | Decimal = None
    aspect_ratio: JSON = None
    resolution: JSON = None
    audio: JSON = None
    seed: JSON = None
    negative_prompt: JSON = None
    options: JSON = None
    image_size: tuple[int, int] | None = None
    """Width and height of the fetched image, where it is known: decides the default ratio of some models."""
    input_seconds: Decimal | None = None
    """Measured length of the input video or sound, for models whose clip or price follows it."""
