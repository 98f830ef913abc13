"""Files fetched from a server that misbehaves while it serves them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from fairstack_server.media.fetch import ClipRefused, MediaFetch
from fairstack_server.media.fetch_recording import RecordingFetch, RecordingLimits
from fairstack_server.media.pictures import ImageRefused
from fairstack_server.media.recordings import RecordingRefused
from tests.campaigns import Figure
from tests.media.hostile_peers import RunningPeer, running_peer
from tests.media.parts import Media
from tests.media.tally import MB, Plan, Tally
from tests.media.test_fetch import LoopbackEgress

Call = Callable[[], Awaitable[object]]
#: For the process to get its turn on a busy machine, and to close.
_SPARE_SECONDS = 3.0


async def misbehaving_peers(plan: Plan, tally: Tally, media: Media, seconds: float) -> list[Figure]:
    """Peers that misbehave while they serve a picture, a clip of a user, a clip of a provider."""
    async with running_peer() as peer:
        calls = _calls(peer, media, seconds)
        refusals = (
            _refused(tally, number, *call, seconds)
            for number, call in enumerate(calls)
            if plan.number in (None, number)
        )
        slowest = max(await asyncio.gather(*refusals))
    left = len(list((media.folder / "incoming").iterdir()))
    said = f"{len(peer.ways)} ways x 3, slowest {slowest:.1f} s of {seconds:g}, {left} files left"
    return [Figure("hostile peers", said, left == 0)]


async def honest_peers(media: Media) -> None:
    """As many honest pictures as misbehaving peers serve at a time, so that what that needs is there."""
    async with running_peer() as peer:
        pictures = MediaFetch(LoopbackEgress(peer.origin), media.decoder, image_timeout_seconds=60)
        await asyncio.gather(*(pictures.fetch_image(peer.honest) for _ in range(3 * len(peer.ways))))


def _calls(peer: RunningPeer, media: Media, seconds: float) -> list[tuple[str, Call]]:
    egress = LoopbackEgress(peer.origin)
    pictures = MediaFetch(
        egress,
        media.decoder,
        image_timeout_seconds=seconds,
        clip_timeout_seconds=seconds,
        clip_max_bytes=20 * MB,
    )
    incoming = media.folder / "incoming"
    incoming.mkdir()
    limits = RecordingLimits(max_bytes=20 * MB, timeout_seconds=seconds)
    clips = RecordingFetch(egress, media.prober, incoming, limits)
    calls: list[tuple[str, Call]] = []
    for way, url in peer.ways.items():
        calls += [
            (f"{way}, picture", partial(pictures.fetch_image, url)),
            (f"{way}, clip", partial(_fetch_clip, clips, url)),
            (f"{way}, result", partial(pictures.fetch_clip, url, incoming)),
        ]
    return calls


async def _fetch_clip(clips: RecordingFetch, url: str) -> None:
    async with clips.fetched(url, "clip"):
        pass


async def _refused(tally: Tally, number: int, name: str, call: Call, seconds: float) -> float:
    """Seconds until it was refused in our own words; anything else is a fault."""
    started = time.monotonic()
    try:
        await call()
    except (ImageRefused, RecordingRefused, ClipRefused) as refused:
        if not refused.reason:
            tally.fault("peers", number, f"{name}: refused without a reason")
    except Exception as error:
        tally.fault("peers", number, f"{name}: {type(error).__name__}: {error}")
    else:
        tally.fault("peers", number, f"{name}: taken")
    took = time.monotonic() - started
    if took > seconds + _SPARE_SECONDS:
        tally.fault("peers", number, f"{name}: {took:.1f} s")
    return took
