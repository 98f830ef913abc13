"""/v1/files: pictures, clips and sounds to make clips of"""

from __future__ import annotations

from litestar import Response, delete, get, post
from litestar.datastructures import UploadFile
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from fairstack_server.api.answers import HttpRequest, caller_of, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.api.file_view import FileView, file_view
from fairstack_server.bootstrap import Gateway
from fairstack_server.errors import BadRequest

_FILE_ID = Param("file_id", "path", "The file's id, as `file_…`.")

UPLOAD = Doc(
    summary="Upload a picture, a clip or a sound: as the raw body, or as the field `file` of a form",
    tag="Files",
    scope="generate",
    body=bytes,
    body_media_types=(
        "image/png",
        "image/jpeg",
        "image/webp",
        "video/mp4",
        "video/quicktime",
        "audio/wav",
        "audio/mpeg",
        "audio/mp4",
        "audio/aac",
        "audio/flac",
        "audio/ogg",
        "multipart/form-data",
    ),
    answers={201: Answer("The file; use its id as `image`, `video` or `audio_url`.", FileView)},
    errors=("validation_error", "payload_too_large", "unsupported_media_type"),
)
GET_FILE = Doc(
    summary="Get a file's facts",
    tag="Files",
    scope="assets:read",
    params=(_FILE_ID,),
    answers={200: Answer("The file.", FileView)},
    errors=("not_found",),
)
DELETE_FILE = Doc(
    summary="Delete a file",
    tag="Files",
    scope="assets:delete",
    params=(_FILE_ID,),
    answers={204: Answer("It is gone.")},
    errors=("not_found",),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The file routes."""

    @post("/v1/files", opt=UPLOAD.opt(), status_code=201)
    async def upload(request: HttpRequest) -> Response[bytes]:
        data, content_type = await _content(request)
        if not data:
            raise BadRequest("The file is empty.", param="file")
        return json_answer(file_view(await gateway.files.upload(caller_of(request), data, content_type)), 201)

    @get("/v1/files/{file_id:str}", opt=GET_FILE.opt())
    async def get_file(request: HttpRequest, file_id: FromPath[str]) -> Response[bytes]:
        return json_answer(file_view(await gateway.files.get(caller_of(request), file_id)))

    @delete("/v1/files/{file_id:str}", opt=DELETE_FILE.opt(), status_code=204)
    async def delete_file(request: HttpRequest, file_id: FromPath[str]) -> None:
        await gateway.files.delete(caller_of(request), file_id)

    return [upload, get_file, delete_file]


async def _content(request: HttpRequest) -> tuple[bytes, str]:
    """The file's bytes and the type that it was sent as."""
    declared = request.headers.get("content-type", "application/octet-stream")
    if not declared.lower().startswith("multipart/form-data"):
        return await request.body(), declared
    try:
        form = await request.form()
    except (HTTPException, ValueError, KeyError) as error:
        if isinstance(error, HTTPException) and error.status_code == 413:
            raise
        raise BadRequest("The form cannot be read.", param="file") from error
    part = form.get("file")
    if not isinstance(part, UploadFile):
        raise BadRequest("The form has no file in its field 'file'.", param="file")
    return await part.read(), part.content_type or "application/octet-stream"
