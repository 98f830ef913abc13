"""The JSON Schema of a request for one model, as `GET /v1/models/:key` serves it."""

from __future__ import annotations

from typing import Any

from fairstack_server.catalog.inputs import SINGLE_INPUTS, needs_images
from fairstack_server.catalog.model import RATIO_OF_IMAGE, Capabilities, Durations, Model
from fairstack_server.catalog.parameters import SEED_MAXIMUM, default_resolution, duration_allowed

_FILE = "https URL, data: URL, or the id of an uploaded file"
_FORMATS = {
    "image": "PNG, JPEG or WebP",
    "end_image": "PNG, JPEG or WebP",
    "video": "MP4 or MOV",
    "audio_url": "WAV, MP3, M4A, AAC, FLAC or Ogg",
}


def request_schema(model: Model) -> dict[str, Any]:
    """What a request may say for this model, with defaults; `parameters.resolve` holds to the same rules."""
    caps = model.capabilities
    properties: dict[str, Any] = {
        "model": {"enum": [model.key, *model.aliases]},
        "prompt": {"type": "string", "minLength": 1, "maxLength": caps.prompt_max_characters},
        **_inputs(caps),
        **_settings(model),
        **_general(),
    }
    required = ["model", "prompt", *(role for role in SINGLE_INPUTS if getattr(caps, role) == "required")]
    if needs_images(model):
        required.append("images")
        properties["images"]["minItems"] = 1
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": model.name,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _inputs(caps: Capabilities) -> dict[str, Any]:
    properties: dict[str, Any] = {
        role: {"type": "string", "description": f"{what[0].upper()}{what[1:]}, {_FORMATS[role]}: {_FILE}."}
        for role, what in SINGLE_INPUTS.items()
        if getattr(caps, role) != "none"
    }
    if caps.images_max:
        properties["images"] = {"type": "array", "items": {"type": "string"}, "maxItems": caps.images_max}
    return properties


def _settings(model: Model) -> dict[str, Any]:
    caps = model.capabilities
    properties: dict[str, Any] = {}
    if caps.durations is not None:
        properties["duration"] = _duration(caps.durations, has_default=caps.length_of is None)
    if caps.aspect_ratios:
        properties["aspect_ratio"] = _aspect_ratio(caps)
    if caps.resolutions:
        properties["resolution"] = {"enum": list(caps.resolutions), "default": default_resolution(model)}
    if caps.audio_toggle:
        properties["audio"] = {"type": "boolean", "default": bool(caps.audio_default)}
    else:
        properties["audio"] = {"const": caps.audio, "default": caps.audio}
    if caps.seed:
        properties["seed"] = {"type": "integer", "minimum": 0, "maximum": SEED_MAXIMUM}
    if caps.negative_prompt:
        properties["negative_prompt"] = {"type": "string", "maxLength": caps.prompt_max_characters}
    if caps.options:
        properties["options"] = {
            "type": "object",
            "properties": dict(caps.options),
            "additionalProperties": False,
        }
    return properties


def _duration(durations: Durations, *, has_default: bool) -> dict[str, Any]:
    allowed = duration_allowed(durations)
    schema: dict[str, Any] = {"type": "number", "description": "Seconds."}
    if isinstance(allowed, list):
        schema["enum"] = allowed
    else:
        schema |= {"minimum": allowed["min"], "maximum": allowed["max"]}
        if durations.step is not None and durations.minimum is not None:
            # JSON Schema counts steps from 0, we count them from the minimum.
            aligned = durations.minimum % durations.step == 0
            schema |= {"multipleOf": allowed["step"]} if aligned else {}
            schema["description"] = f"Seconds, in steps of {durations.step}."
    if has_default:
        schema["default"] = float(durations.default) if durations.default % 1 else int(durations.default)
    return schema


def _aspect_ratio(caps: Capabilities) -> dict[str, Any]:
    schema: dict[str, Any] = {"enum": list(caps.aspect_ratios)}
    if caps.default_aspect_ratio == RATIO_OF_IMAGE:
        schema["description"] = "Without it, the ratio that is nearest to the image's own."
    elif caps.default_aspect_ratio is not None:
        schema["default"] = caps.default_aspect_ratio
    else:
        schema["description"] = "Without it, the image's own ratio." if caps.image != "none" else "Optional."
    return schema


def _general() -> dict[str, Any]:
    """Fields that every model takes."""
    return {
        "webhook_url": {"type": "string", "description": "Called with the finished job."},
        "confirm": {
            "type": "boolean",
            "default": True,
            "description": "false: only the price, nothing is made.",
        },
        "tags": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 20},
        "max_cost_micro": {"type": "integer", "minimum": 0, "description": "Refuse if the price is higher."},
        "cancel_after": {"type": "number", "exclusiveMinimum": 0, "description": "Seconds."},
    }
