"""Makes the list of typed parts that some vendors take from what a route names: a text, media by role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import ProviderError

#: What a medium is for -> the type of its part, which is also the field that holds its address.
TYPE_OF_ROLE: Final[Mapping[str, str]] = {
    "first_frame": "image_url",
    "last_frame": "image_url",
    "reference_image": "image_url",
    "reference_video": "video_url",
    "reference_audio": "audio_url",
}


def content_parts(named: JSONObject) -> list[JSON]:
    """`{"text": …, "first_frame": url, "reference_image": [url, …]}` as parts, one for each text and medium.

    Raises ProviderError (not sent, permanent) for a role that has no type.
    """
    return [
        _part(role, each)
        for role, value in named.items()
        for each in (value if isinstance(value, list) else [value])
    ]


def _part(role: str, value: JSON) -> JSON:
    if role == "text":
        return {"type": "text", "text": value}
    kind = TYPE_OF_ROLE.get(role)
    if kind is None:
        known = ", ".join(TYPE_OF_ROLE)
        said = f"The route places a medium at content.{role}; known are {known}"
        raise ProviderError(said, sent=False, permanent=True)
    return {"type": kind, kind: {"url": value}, "role": role}
