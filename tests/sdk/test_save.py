"""Saving a clip: whole, checked, in place, or not at all."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from fairstack import BadArgument, DownloadFailed
from fairstack.save import display_bytes
from tests.sdk.clocks import FakeClock
from tests.sdk.faces import done
from tests.sdk.fake_fairstack import CLIP, Books

REQUEST = {"model": "wan-2-1-t2v", "prompt": "A dog"}


def names_in(folder: Path) -> list[str]:
    """The names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
async def result(client: Any) -> Any:
    """A finished clip."""
    return await done((await done(client.generate.video(**REQUEST))).wait())


async def test_saves_the_very_bytes(result: Any, tmp_path: Path) -> None:
    """The file has the clip's bytes, can be used as a path and shows its size; no other is left there."""
    saved = await done(result.save(tmp_path / "clip.mp4"))
    assert Path(saved).read_bytes() == CLIP
    assert str(saved) == str(tmp_path / "clip.mp4")
    assert "16.4 kB" in repr(saved)
    assert names_in(tmp_path) == ["clip.mp4"]


async def test_key_is_not_shown_to_media(result: Any, books: Books, tmp_path: Path) -> None:
    """The request for the clip carries no key."""
    await done(result.save(tmp_path))
    assert "authorization" not in books.of("/media/")[0].headers


@pytest.mark.parametrize("fault", ["drop_before", "cut_body", "500", "502_page"])
async def test_a_broken_copy_is_made_again(result: Any, books: Books, tmp_path: Path, fault: Any) -> None:
    """A copy that breaks is made again; nothing is rendered again."""
    books.faults.append(("/media/", fault))
    saved = await done(result.save(tmp_path))
    assert saved.path.read_bytes() == CLIP
    assert (len(books.of("/media/")), len(books.jobs), len(books.submits())) == (2, 1, 1)


async def test_a_failed_copy_leaves_nothing(result: Any, books: Books, tmp_path: Path) -> None:
    """A copy that keeps breaking raises with the id and the address; an older file stays as it was."""
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"older")
    books.faults.extend([("/media/", "cut_body")] * 5)
    with pytest.raises(DownloadFailed, match=re.escape(result.url)) as caught:
        await done(result.save(target))
    assert caught.value.job_id == result.id
    assert target.read_bytes() == b"older"
    assert names_in(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize(("old", "new"), [("http://", "ftp://"), ("/media/", "/nothing/"), ("http", "file")])
async def test_no_clip_at_the_address(
    result: Any, clock: FakeClock, tmp_path: Path, old: str, new: str
) -> None:
    """An answer other than 200 is not saved, nor an address that is not HTTP; neither is tried again."""
    result.record = dataclasses.replace(result.record, url=result.url.replace(old, new))
    with pytest.raises(DownloadFailed):
        await done(result.save(tmp_path))
    assert names_in(tmp_path) == []
    assert clock.sleeps == []


@pytest.mark.parametrize("clip", [CLIP[:-1], CLIP[:-1] + b"x"])
async def test_wrong_bytes_are_refused(result: Any, books: Books, tmp_path: Path, clip: bytes) -> None:
    """Bytes of another length or checksum than promised are not kept."""
    books.clip = clip
    with pytest.raises(DownloadFailed, match=r"bytes came of|checksum"):
        await done(result.save(tmp_path))
    assert names_in(tmp_path) == []


async def test_folder_must_exist(result: Any, tmp_path: Path) -> None:
    """A folder that is not there is named; nothing is fetched."""
    with pytest.raises(BadArgument, match="nowhere"):
        await done(result.save(tmp_path / "nowhere" / "clip.mp4"))


async def test_notebook_shows_the_clip(result: Any) -> None:
    """A notebook gets a video element with the clip's address, escaped."""
    shown = result._repr_html_()
    assert f'<video src="{result.url}"' in shown
    assert "$0.048" in shown
    result.url = 'https://x.example/"><script>'
    assert "<script>" not in result._repr_html_()
    result.url = "javascript:alert(1)"
    assert "javascript" not in result._repr_html_()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_950, "1.0 MB"),
        (1_400_000, "1.4 MB"),
        (2e9, "2.0 GB"),
    ],
)
def test_sizes_for_people(count: float, text: str) -> None:
    """Sizes are shown in the unit that people use."""
    assert display_bytes(int(count)) == text
