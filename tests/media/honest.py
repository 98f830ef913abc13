"""Honest clips: what we say of them is what another reader says."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from fairstack_server.media import fetch
from fairstack_server.media.fetch import ClipRefused
from fairstack_server.media.recordings import RecordingRefused
from tests.campaigns import Figure
from tests.media.good_clips import Told, named_opinion, second_opinion
from tests.media.parts import Media
from tests.media.tally import Plan, Tally

#: Edit lists tell lengths in milliseconds, which ffprobe follows.
_SLACK = 0.001


async def honest_clips(plan: Plan, tally: Tally, media: Media) -> list[Figure]:
    """Both ways in, a provider's and a user's, against the other reader."""
    command = [sys.executable, "-m", "tests.media.good_clips", str(media.folder), str(plan.every)]
    maker = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    if await maker.wait():
        raise RuntimeError("the clips could not be made")
    names: list[str] = json.loads((media.folder / "clips.json").read_text())
    chosen = [number for number in range(len(names)) if plan.number in (None, number)]
    for number in chosen:
        path = media.folder / str(number)
        told = await asyncio.to_thread(second_opinion, path)
        try:
            wrong = await _user_way(media, path, told) or _provider_way(path, told)
        except (RecordingRefused, ClipRefused) as refused:
            wrong = f"refused: {refused.reason}"
        if wrong is not None:
            tally.fault("good", number, f"{names[number]}: {wrong}; {named_opinion()} says {told}")
    return [
        Figure("honest clips", f"{len(chosen)} measured twice, compared with {named_opinion()}", bool(chosen))
    ]


async def _user_way(media: Media, path: Path, told: Told) -> str | None:
    if told.codec == "mpeg4":
        return None  # which is taken of providers only
    measured = await media.prober.measure(path, "clip", "video/mp4")
    same = (measured.width, measured.height, measured.audio, measured.fps) == (
        told.width,
        told.height,
        told.audio,
        float(told.fps),
    )
    # Its length is rounded up to the millisecond.
    same = same and abs(measured.milliseconds / 1000 - told.seconds) <= 2 * _SLACK
    return None if same else f"measured as {measured}"


def _provider_way(path: Path, told: Told) -> str | None:
    facts = fetch.check_clip(path).facts
    size, rate = (facts.width, facts.height), (facts.duration_seconds, facts.fps)
    ours = Told(*size, facts.frames, *rate, facts.codec, facts.audio)
    same = abs(ours.seconds - told.seconds) <= _SLACK and replace(ours, seconds=told.seconds) == told
    return None if same else f"we say {ours}"
