"""Whose files are brought in when many come at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.accounts.store import Caller
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.errors import FairStackError
from fairstack_server.files import ACCOUNT_FETCHES, Files
from fairstack_server.inputs import Inputs
from fairstack_server.media.fetch import MediaFetch
from fairstack_server.media.pictures import CleanImage, ImageRefused
from fairstack_server.media.store import MediaStore

NOBODY: Any = None
LONG = 30
"""Seconds after which a test that hangs has failed."""


class SlowPictures(MediaFetch):
    """Pictures of a name, each of which takes until it is let go, and is refused."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.is_here = asyncio.Event()
        self.let_go = asyncio.Event()

    async def fetch_image(self, source: str, *, crop_ratio: tuple[int, int] | None = None) -> CleanImage:
        """Of a request."""
        return await self.clean_image(source.encode(), "")

    async def clean_image(
        self, data: bytes, declared: str, *, crop_ratio: tuple[int, int] | None = None
    ) -> CleanImage:
        """Of an upload."""
        name = data.decode()
        self.begun[name] += 1
        if name == "other":
            self.is_here.set()
        await self.let_go.wait()
        raise ImageRefused("it is none")


@pytest.mark.parametrize("way", ["request", "upload"])
async def test_many_pictures_of_one_account_leave_room_for_another(way: str, tmp_path: Path) -> None:
    """Of five slow pictures two are worked on at a time, and another account's comes in before the rest."""
    pictures, media = SlowPictures(), MediaStore(tmp_path, "https://media.example.com")
    files = Files(NOBODY, media, pictures, NOBODY, tmp_path, 1000)
    inputs = Inputs(files, media, pictures, NOBODY, {}, max_bytes=1000, public=False)

    async def bring(account: str) -> None:
        caller = Caller(account, f"key of {account}", "live", frozenset())
        if way == "upload":
            await files.upload(caller, account.encode(), "image/png")
            return
        async with inputs.fetch(caller, VideoAsk(model="any", prompt="a dog", image=account)):
            pytest.fail("a refused picture was taken")

    many = [asyncio.create_task(bring("busy")) for _ in range(5)]
    other = asyncio.create_task(bring("other"))
    async with asyncio.timeout(LONG):
        await pictures.is_here.wait()
        assert pictures.begun["busy"] == ACCOUNT_FETCHES
        pictures.let_go.set()
        ended = await asyncio.gather(*many, other, return_exceptions=True)
    assert all(isinstance(each, FairStackError) for each in ended), ended
    assert pictures.begun == {"busy": 5, "other": 1}
