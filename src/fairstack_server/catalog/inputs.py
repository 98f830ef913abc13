"""Checks which files a request brings: images, a video, a sound track."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NoReturn

from fairstack_server.catalog.model import Model, Price
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.errors import BadRequest

#: Our words for one file each, and what a person calls it.
SINGLE_INPUTS = {
    "image": "an image",
    "end_image": "an image for the last frame",
    "video": "a video",
    "audio_url": "a sound track",
}
#: The inputs that have a length.
RecordingRole = Literal["video", "audio_url"]
STAND_IN_URL = "https://example.com/input"


def check_inputs(model: Model, ask: VideoAsk) -> tuple[frozenset[str], int]:
    """The roles that files were given for, and the number of images. Raises BadRequest naming the field."""
    roles = {role for role in SINGLE_INPUTS if _check_single(model, ask, role)}
    images = _check_images(model, ask)
    if images:
        roles.add("images")
    elif needs_images(model):
        raise BadRequest(f'{model.key} works from references: give "images".', param="images")
    return frozenset(roles), images + len(roles & {"image", "end_image"})


def needs_images(model: Model) -> bool:
    """Whether a request must bring reference images."""
    return model.type == "r2v" and model.capabilities.images_max > 0


def measured_input(model: Model) -> RecordingRole | None:
    """The input whose length the clip or a price follows; None where nothing depends on it."""
    caps = model.capabilities
    if caps.length_of is not None:
        return caps.length_of
    prices = [*model.prices, *(price for route in model.routes for price in route.costs)]
    if not any(map(_counts_input, prices)):
        return None
    return "video" if caps.video != "none" else "audio_url"


def _counts_input(price: Price) -> bool:
    return any(rate.counts_input or rate.per_input_second_micros for rate in price.rates)


def default_ask(model: Model) -> VideoAsk:
    """The least that a request for this model must say, with stand-ins for the prompt and the files."""
    caps = model.capabilities

    def needed(need: str) -> str | None:
        return STAND_IN_URL if need == "required" else None

    return VideoAsk(
        model=model.key,
        prompt="-",
        image=needed(caps.image),
        end_image=needed(caps.end_image),
        images=(STAND_IN_URL,) if needs_images(model) else None,
        video=needed(caps.video),
        audio_url=needed(caps.audio_url),
        input_seconds=Decimal(5) if "required" in (caps.video, caps.audio_url) else None,
    )


def _check_single(model: Model, ask: VideoAsk, role: str) -> bool:
    given = getattr(ask, role)
    need = getattr(model.capabilities, role)
    if given is None:
        if need == "required":
            what = SINGLE_INPUTS[role]
            raise BadRequest(f'{model.key} needs {what}: give "{role}", such as an https URL.', param=role)
        return False
    if need == "none":
        _refuse_input(model, role)
    if not isinstance(given, str) or not given:
        raise BadRequest(
            f'"{role}" must be an https URL, a data: URL or the id of an uploaded file.', param=role
        )
    return True


def _refuse_input(model: Model, role: str) -> NoReturn:
    message = f'{model.key} takes no "{role}".'
    if role == "image" and model.twin is not None:
        message += f' For a clip from an image use "{model.twin}".'
    elif role == "image":
        message += " Models that make a clip from an image: GET /v1/models?type=i2v"
    raise BadRequest(message, param=role, allowed=[])


def _check_images(model: Model, ask: VideoAsk) -> int:
    given, most = ask.images, model.capabilities.images_max
    if given is None:
        return 0
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) and each for each in given):
        raise BadRequest('"images" must be a list of URLs or file ids.', param="images")
    if len(given) > most:
        what = f"takes at most {most}" if most else "takes no reference images"
        raise BadRequest(
            f'{len(given)} "images" given; {model.key} {what}.', param="images", allowed={"max": most}
        )
    return len(given)
