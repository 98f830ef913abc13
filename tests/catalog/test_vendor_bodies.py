"""Routes to the makers themselves: their strict stand-ins take what we would send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.combinations import every_choice
from fairstack_server.catalog.conditions import holds
from fairstack_server.catalog.inputs import default_ask
from fairstack_server.catalog.model import Model, Route
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.pricing import dropped_words
from fairstack_server.providers.base import InputFile
from fairstack_server.providers.content_parts import content_parts
from fairstack_server.providers.dashscope import media_list
from fairstack_server.providers.xai import wrap_references
from tests.catalog.test_bodies import REFERENCE, body_of, routes_to
from tests.upstreams import (
    bfl,
    byteplus,
    dashscope,
    kling,
    ltx,
    luma,
    minimax,
    pixverse,
    replicate,
    runway,
    vertex,
    vidu,
    xai,
)
from tests.upstreams.fields import complaint

Complain = Callable[[Route, Mapping[str, Any]], str | None]


def _of_replicate(route: Route, body: Mapping[str, Any]) -> str | None:
    names = replicate.inputs()[route.endpoint]
    assert names is not None, f"nothing is known of what {route.endpoint} takes"
    if unknown := sorted(set(body) - set(names)):
        return f"{unknown[0]} is not a known field"
    known = {name: replicate.KINDS[name] for name in names if name in replicate.KINDS}
    return complaint({name: value for name, value in body.items() if name in known}, known)


def _of_luma(_: Route, body: Mapping[str, Any]) -> str | None:
    # The provider names the type of the frames that there are.
    frames = {name: {"type": "image", **frame} for name, frame in body.get("keyframes", {}).items()}
    return complaint({**body, "keyframes": frames} if frames else body, luma.VIDEO)


def _of_dashscope(_: Route, body: Mapping[str, Any]) -> str | None:
    # The provider makes a list of the media that there are.
    inputs = dict(body["input"])
    if "media" in inputs:
        inputs["media"] = media_list(inputs["media"])
    return dashscope.complaint_of({**body, "input": inputs})


def _of_minimax(route: Route, body: Mapping[str, Any]) -> str | None:
    if route.endpoint.startswith("/v2/"):
        return minimax.complaint_of_v2({**body, "content": content_parts(body["content"])})
    return minimax.complaint_of_v1(body)


COMPLAINTS: Mapping[str, Complain] = {
    "bfl": lambda _, body: bfl.complaint_of(body),
    "byteplus": lambda _, body: byteplus.complaint_of({**body, "content": content_parts(body["content"])}),
    "dashscope": _of_dashscope,
    "google": lambda _, body: complaint(body, vertex.BODY),
    "kling": lambda route, body: complaint(body, kling.TAKEN[route.endpoint.rpartition("/")[2]]),
    "ltx": lambda route, body: ltx.complaint_of(route.endpoint.rpartition("/")[2], body),
    "luma": _of_luma,
    "minimax": _of_minimax,
    "pixverse": lambda route, body: pixverse.complaint_of(route.endpoint.split("/")[-2], body),
    "replicate": _of_replicate,
    "runway": lambda route, body: complaint(
        {name: value for name, value in body.items() if name != "model"},
        runway.TAKEN[route.endpoint.rpartition("/")[2], str(body["model"])],
    ),
    "vidu": lambda route, body: vidu.complaint_of(route.endpoint.rpartition("/")[2], dict(body)),
    "xai": lambda route, body: xai.complaint_of(
        route.endpoint.rpartition("/")[2], wrap_references(dict(body))
    ),
}


def place(provider: str) -> Callable[[InputFile], Any]:
    """How a file stands in a body to this provider."""
    if provider == "pixverse":
        return lambda _: 7001
    return _inline if provider == "google" else lambda file: file.url


def _inline(file: InputFile) -> dict[str, Any]:
    media = {"bytesBase64Encoded": "AAAA", "mimeType": "image/png"}
    return {"image": media, "referenceType": "asset"} if file is REFERENCE else media


def carried(model: Model, route: Route) -> list[VideoAsk]:
    """The requests that may be sent there; without those that differ in the length alone."""
    seen: dict[str, VideoAsk] = {}
    least = default_ask(model)
    for asked, settled in [(least, resolve(model, least)), *every_choice(model)]:
        if holds(route.when, settled.facts()) and not dropped_words(model, route, settled):
            seen.setdefault(str(replace(settled, duration=None, frames=None)), asked)
    return list(seen.values())


@pytest.mark.parametrize("provider", sorted(COMPLAINTS))
def test_the_makers_take_what_we_would_send(builtin: Catalog, provider: str) -> None:
    """Each route takes some request of its model, and none that it may get is refused."""
    found = []
    for model, route in routes_to(builtin, provider):
        if route.end_of_life is not None:
            continue  # The vendor has closed it, and nothing is sent there.
        asks = carried(model, route)
        assert asks, f"{model.key}: {provider} carries no request at all"
        for asked in asks:
            body = body_of(model, route, asked, place_file=place(provider))
            found.append((model.key, COMPLAINTS[provider](route, body)))
    assert [each for each in found if each[1] is not None] == []
    assert len(found) >= 5
