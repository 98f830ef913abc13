"""Gives every file of an order a URL that the vendor can read: ours where it is public, else a data URL."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fairstack_server.providers.base import InputFile, LimitsInputs, Order, Provider, ProviderError

#: A file that no vendor can fetch goes inside the order; a larger clip or sound than this does not.
INLINE_MAX_BYTES: Final = 5 * 1024 * 1024


def largest_input_bytes(provider: Provider | None, *, has_url: bool) -> int | None:
    """The largest clip or sound that an order for this provider can be made of; None: any."""
    if isinstance(provider, LimitsInputs):
        return provider.largest_input_bytes(has_url=has_url)
    return None if has_url else INLINE_MAX_BYTES


def files_of(order: Order) -> list[InputFile]:
    """Every file that this order carries."""
    single = (order.image, order.end_image, order.video, order.audio_track)
    return [file for file in single if file is not None] + list(order.images)


async def file_urls(order: Order) -> dict[str, str]:
    """Path -> URL of every file of this order; reads a file only where it has no public URL.

    Raises ProviderError (not sent) when a file cannot be read, or is too large to go inside the order.
    """
    urls: dict[str, str] = {}
    for file in files_of(order):
        urls[file.path] = file.url if file.url is not None else await asyncio.to_thread(_data_url, file)
    return urls


def read_file(file: InputFile) -> bytes:
    """The bytes of an input file. Raises ProviderError (not sent) when it cannot be read."""
    with _readable():
        return Path(file.path).read_bytes()


def read_inline(file: InputFile, max_bytes: int, otherwise: str) -> str:
    """The bytes of an input file as base64, to go inside the order.

    Raises ProviderError (not sent): permanent for a clip or sound of more than `max_bytes`, and its message
    ends in what to do `otherwise`. Pictures are small enough by the time they are ours.
    """
    with _readable():
        size = Path(file.path).stat().st_size
    if size > max_bytes and not file.content_type.startswith("image/"):
        said = f"An input of {size} bytes ({file.content_type}) is too large to go inside an order"
        raise ProviderError(f"{said} (at most {max_bytes}); {otherwise}", sent=False, permanent=True)
    return base64.b64encode(read_file(file)).decode()


def url_or_base64(file: InputFile) -> str:
    """Our public URL, or bare base64, for vendors that take no data URL; reads the file for the latter."""
    return file.url if file.url is not None else _base64(file)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProviderError(f"An input file cannot be read: {error.strerror or error}", sent=False) from None


def _data_url(file: InputFile) -> str:
    return f"data:{file.content_type};base64,{_base64(file)}"


def _base64(file: InputFile) -> str:
    return read_inline(file, INLINE_MAX_BYTES, "set FAIRSTACK_PUBLIC_URL, so that vendors can fetch it")
