"""/media: stored clips and posters, public under unguessable addresses that never change"""

from __future__ import annotations

from litestar import HttpMethod, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream

from fairstack_server.api.answers import HttpRequest
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.bootstrap import Gateway
from fairstack_server.errors import NotFound
from fairstack_server.media.serve import MediaRequest, answer

_OTHER_TYPES = ("video/*", "image/*", "audio/*")

MEDIA = Doc(
    summary="A stored file: ranges, validators, immutable",
    tag="Media",
    params=(
        Param(
            "key",
            "path",
            "As the job's `url` has it, slashes and all.",
            {"type": "string", "examples": ["video/c98ca88d03750b64dd540ce3aa7bf796/output.mp4"]},
        ),
    ),
    answers={
        200: Answer("The file.", None, "video/mp4", _OTHER_TYPES),
        206: Answer("The part that `Range` asks for.", None, "video/mp4", _OTHER_TYPES),
        304: Answer("Not changed; nothing here ever changes."),
        416: Answer("The range lies outside the file."),
    },
    errors=("not_found",),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The media routes."""

    async def respond(request: HttpRequest, key: str) -> Response[bytes] | Stream:
        headers = {name.lower(): value for name, value in request.headers.items()}
        found = await answer(MediaRequest(request.method, key.lstrip("/"), headers), gateway.media)
        if found.status == 404:
            raise NotFound("There is no such file.")
        media_type = found.headers.get("Content-Type", "application/octet-stream")
        plain = {name: value for name, value in found.headers.items() if name != "Content-Type"}
        if found.body is None:
            return Response(b"", status_code=found.status, media_type=media_type, headers=plain)
        return Stream(found.body, status_code=found.status, media_type=media_type, headers=plain)

    @route("/media/{key:path}", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt=MEDIA.opt())
    async def get_media(request: HttpRequest, key: FromPath[str]) -> Response[bytes] | Stream:
        return await respond(request, key)

    return [get_media]
