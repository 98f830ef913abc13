"""Upload files, and turn local pictures, clips and sounds into something that a request can name."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

from fairstack.call import call, call_for, get
from fairstack.errors import BadArgument
from fairstack.flow import Flow, Request, do
from fairstack.types import File


class BinaryFile(Protocol):
    """What was opened for reading as "rb", or anything else that gives its bytes, such as BytesIO."""

    def read(self) -> bytes:
        """All bytes from here on."""


#: A picture, clip or sound: an https or data URL, the id of an uploaded file, a path on this machine, bytes,
#: or an open binary file, which is read from where it stands.
Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile"

_REMOTE = ("https://", "http://", "data:")
_FILE_ID = re.compile(r"file_[0-9A-Za-z]+")
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
)


def upload(source: Source, param: str = "file") -> Flow[File]:
    """Send a file as it is, with the content type that its first bytes show; errors name the parameter."""
    content, name = yield from _content(source, param)
    request = Request(
        method="POST", path="/v1/files", content=content, content_type=media_type(content, name)
    )
    return (yield from call_for(File, request))


def fetch(file_id: str) -> Flow[File]:
    """What is known of an uploaded file."""
    return (yield from call_for(File, get(f"/v1/files/{path_part(file_id)}")))


def delete(file_id: str) -> Flow[None]:
    """Delete an uploaded file."""
    yield from call(Request(method="DELETE", path=f"/v1/files/{path_part(file_id)}"))


def named(param: str, source: Source, *, inline: bool) -> Flow[str]:
    """What a request says for this source: a URL or id as it stands; a local file uploaded, or inlined.

    Inlined as a data URL, the request has the same bytes each time, as a caller's own idempotency key needs.
    """
    if isinstance(source, str) and (source.lower().startswith(_REMOTE) or _FILE_ID.fullmatch(source)):
        return source
    if source == "":
        raise BadArgument(f"{param} is empty", param=param)
    if not inline:
        return (yield from upload(source, param)).id
    content, name = yield from _content(source, param)
    return f"data:{media_type(content, name)};base64,{base64.b64encode(content).decode()}"


def _content(source: Source, param: str) -> Flow[tuple[bytes, str]]:
    """The bytes, read once so that every try sends the same, and a name for them."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), ""
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        return (yield from _read(path.read_bytes, param, str(path))), path.name
    if not callable(getattr(source, "read", None)):
        raise BadArgument(
            f"{param} must be a URL, a file id, a path, bytes or an open file, not {type(source).__name__}",
            param=param,
        )
    name = str(getattr(source, "name", ""))
    content: object = yield from _read(source.read, param, name or type(source).__name__)
    if not isinstance(content, bytes):
        raise BadArgument(f'{param} was opened as text: open it as bytes, with mode "rb"', param=param)
    if not content:
        raise BadArgument(
            f"{param} has no bytes left: an open file is read from where it stands", param=param
        )
    return content, name


def _read(read: Callable[[], bytes], param: str, name: str) -> Flow[bytes]:
    try:
        return (yield from do(read))
    except UnicodeDecodeError:
        raise BadArgument(
            f'{param} was opened as text: open it as bytes, with mode "rb"', param=param
        ) from None
    except (OSError, ValueError) as error:
        # A closed file raises ValueError.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BadArgument(
            f"{param}: {name!r} cannot be read ({reason}). Give a file, an https URL or a file id.",
            param=param,
        ) from error


def media_type(content: bytes, name: str = "") -> str:
    """The content type that the first bytes show, else that of the name, else octet-stream."""
    for offset, magic, kind in _MAGIC:
        if content[offset : offset + len(magic)] == magic:
            return kind
    import mimetypes

    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def path_part(identifier: str) -> str:
    """An id made safe as one part of a path; raises BadArgument for an empty one."""
    from urllib.parse import quote

    if not identifier:
        raise BadArgument("An id is empty")
    return quote(identifier, safe="")
