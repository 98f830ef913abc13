"""Which providers a clip of a request can be brought to, with a public address and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.errors import Unavailable
from fairstack_server.inputs import Fetched, Inputs
from fairstack_server.media.fetch_recording import FetchedRecording
from fairstack_server.providers.base import Provider
from fairstack_server.providers.google import Google, VertexPlace
from fairstack_server.providers.openai_videos import OpenAIVideos
from fairstack_server.providers.xai import XAI

NOBODY: Any = None
MIB = 1024 * 1024


def providers(folder: Path) -> dict[str, Provider]:
    """An engine asked by forms, one asked by JSON, Vertex, and a vendor of the ordinary kind."""
    clock = SystemClock()
    return {
        "forms": OpenAIVideos(NOBODY, "http://engine", "", clock, "multipart"),
        "json": OpenAIVideos(NOBODY, "http://engine", "", clock, "json"),
        "google": Google(NOBODY, VertexPlace("demo"), NOBODY, folder, clock),
        "xai": XAI(NOBODY, "key", "http://xai", clock),
    }


@pytest.mark.parametrize(
    ("names", "public", "mebibytes", "says"),
    [
        (["json"], False, 4, None),
        (["json"], False, 6, "json must fetch"),
        (["json"], True, 100, None),
        (["forms"], False, 100, None),
        (["google"], False, 10, None),
        (["google"], True, 20, "google takes at most 14680064"),
        (["google"], False, 20, "google takes at most 14680064"),
        (["xai"], False, 6, "FAIRSTACK_PUBLIC_URL"),
        (["google", "xai"], False, 10, None),
        (["google", "xai"], False, 20, "xai must fetch a file of more than 14680064 bytes"),
        (["google", "xai"], True, 20, None),
        ([], False, 100, None),
    ],
)
def test_a_clip_is_refused_where_no_provider_can_have_it(
    tmp_path: Path, names: list[str], public: bool, mebibytes: int, says: str | None
) -> None:
    """A clip is refused, in words, only when none of the providers can be sent it or fetch it."""
    inputs = Inputs(NOBODY, NOBODY, NOBODY, NOBODY, providers(tmp_path), max_bytes=1000, public=public)
    clip = FetchedRecording(tmp_path / "clip", mebibytes * MIB, "ab" * 32, NOBODY)
    fetched = Fetched((), (("video", clip),))
    if says is None:
        inputs.check_reach(fetched, names)
        return
    with pytest.raises(Unavailable) as refused:
        inputs.check_reach(fetched, names)
    assert says in refused.value.message
