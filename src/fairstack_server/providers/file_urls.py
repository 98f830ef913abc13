"""Gives every file of an order a URL that the vendor can read: ours where it is public, else a data URL."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

from fairstack_server.providers.base import InputFile, Order, ProviderError


def files_of(order: Order) -> list[InputFile]:
    """Every file that this order carries."""
    single = (order.image, order.end_image, order.video, order.audio_track)
    return [file for file in single if file is not None] + list(order.images)


async def file_urls(order: Order) -> dict[str, str]:
    """Path -> URL of every file of this order; reads a file only where it has no public URL.

    Raises ProviderError (not sent) when a file cannot be read.
    """
    urls: dict[str, str] = {}
    for file in files_of(order):
        urls[file.path] = file.url if file.url is not None else await asyncio.to_thread(_data_url, file)
    return urls


def read_file(file: InputFile) -> bytes:
    """The bytes of an input file. Raises ProviderError (not sent) when it cannot be read."""
    try:
        return Path(file.path).read_bytes()
    except OSError as error:
        raise ProviderError(f"An input file cannot be read: {error.strerror or error}", sent=False) from None


def url_or_base64(file: InputFile) -> str:
    """Our public URL, or bare base64, for vendors that take no data URL; reads the file for the latter."""
    return file.url if file.url is not None else base64.b64encode(read_file(file)).decode()


def _data_url(file: InputFile) -> str:
    return f"data:{file.content_type};base64,{base64.b64encode(read_file(file)).decode()}"
