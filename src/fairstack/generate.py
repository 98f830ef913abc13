"""Ask for a clip, or for its price; the flows behind `client.generate`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Required, TypedDict

from fairstack import files
from fairstack.call import IDEMPOTENCY_HEADER, call, json_bytes, json_of
from fairstack.errors import BadArgument, FairStackError, UnexpectedAnswer
from fairstack.files import Source
from fairstack.flow import Flow, Request
from fairstack.types import Cost, JobRecord, read

PATH = "/v1/generations/video"


class VideoOptions(TypedDict, total=False):
    """What a request may say beyond model and prompt; what is left out takes the model's default."""

    #: First frame, for image-to-video models.
    image: Source | None
    #: Seconds.
    duration: float | None
    #: Such as "16:9", "9:16", "1:1".
    aspect_ratio: str | None
    #: Such as "720p", "1080p".
    resolution: str | None
    #: Where the result is posted when the job ends.
    webhook_url: str | None
    negative_prompt: str | None
    seed: int | None
    #: Last frame, for models that take one.
    end_image: Source | None
    #: For models that take reference images.
    images: Sequence[Source] | None
    #: Whether the clip has sound, for models that make it.
    audio: bool | None
    #: For video-to-video models.
    video: Source | None
    #: The sound, for lip-sync models.
    audio_url: Source | None
    #: Further parameters of this model, as its JSON Schema names them.
    options: Mapping[str, Any] | None
    #: Up to 20 labels, found again in usage.
    tags: Mapping[str, str] | None
    #: Refuse (CapReached) if the quote is higher.
    max_cost_micro: int | None
    #: Cancel the job if it has not ended after so many seconds.
    cancel_after: float | None


class VideoRequest(VideoOptions, total=False):
    """One request of many: what `video()` takes, as a dictionary."""

    model: Required[str]
    prompt: Required[str]
    #: Makes your own repeats of this request safe; without one it gets a fresh key.
    idempotency_key: str | None


_SOURCES = ("image", "end_image", "video", "audio_url")
_UPLOADED = (*_SOURCES, "images")


def submit(
    model: str, prompt: str, options: Mapping[str, Any], idempotency_key: str | None
) -> Flow[JobRecord]:
    """Submit once, however often it must be sent: every try carries the same Idempotency-Key."""
    body = yield from _body(model, prompt, options, inline=idempotency_key is not None)
    request = Request(
        method="POST",
        path=PATH,
        content=json_bytes(body),
        headers={IDEMPOTENCY_HEADER: _idempotency_key(idempotency_key)},
        replay="keyed",
    )
    try:
        reply = yield from call(request)
    except FairStackError as error:
        uploaded = [f"{name}={body[name]!r}" for name in _UPLOADED if body.get(name) != options.get(name)]
        if error.idempotency_key and uploaded and idempotency_key is None:
            # The same key wants the same body, and a second upload would have another id.
            error.message += f" Name what was uploaded then: {', '.join(uploaded)}."
        raise
    answer = yield from json_of(reply)
    if not isinstance(answer, dict):
        raise UnexpectedAnswer(f"{PATH} did not answer with a job")
    return read(JobRecord, {"model": model, **answer, "text": reply.text})


def estimate(model: str, prompt: str, options: Mapping[str, Any]) -> Flow[Cost]:
    """The exact price of this request; nothing is made, held or charged."""
    reply = yield from call((yield from estimate_request(model, prompt, options)))
    answer = yield from json_of(reply)
    return read(Cost, answer.get("estimated_cost") if isinstance(answer, dict) else answer)


def estimate_request(model: str, prompt: str, options: Mapping[str, Any]) -> Flow[Request]:
    """The request that asks for the price."""
    body = yield from _body(model, prompt, options, inline=False)
    return Request(method="POST", path=PATH, content=json_bytes({**body, "confirm": False}))


def _body(model: str, prompt: str, options: Mapping[str, Any], *, inline: bool) -> Flow[dict[str, Any]]:
    check_names(options, "video()")
    body: dict[str, Any] = {"model": model, "prompt": prompt}
    body |= {name: value for name, value in options.items() if value is not None}
    for name in _SOURCES:
        if name in body:
            body[name] = yield from files.named(name, body[name], inline=inline)
    if "images" in body:
        body["images"] = yield from _named_images(body["images"], inline=inline)
    return body


def check_names(names: Iterable[str], call: str) -> None:
    """Raise TypeError, as for any function, for a name that no request has."""
    unknown = sorted(set(names) - set(VideoOptions.__annotations__))
    if unknown:
        raise TypeError(
            f"{call} got an unexpected keyword argument {unknown[0]!r}. "
            f"A parameter of one model goes into options={{{unknown[0]!r}: …}}"
        )


def _named_images(images: Sequence[Source], *, inline: bool) -> Flow[list[str]]:
    if isinstance(images, str | bytes):
        raise BadArgument("images must be a list of pictures, not one", param="images")
    named: list[str] = []
    for image in images:
        named += [(yield from files.named("images", image, inline=inline))]
    return named


def _idempotency_key(given: str | None) -> str:
    if given is None:
        return f"py-{secrets.token_hex(16)}"
    if not 1 <= len(given) <= 255 or not all("!" <= character <= "~" for character in given):
        raise BadArgument(
            "idempotency_key must be 1 to 255 visible ASCII characters", param="idempotency_key"
        )
    return given
