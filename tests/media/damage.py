"""Damaged pictures and clips against the parts that read them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from fairstack_server.media import boxes, fetch
from fairstack_server.media.fetch import ClipRefused
from fairstack_server.media.pictures import ImageRefused
from fairstack_server.media.recordings import RecordingRefused
from fairstack_server.media.sandbox import ImageDecoder
from tests.campaigns import Figure
from tests.media.clean import sides_of
from tests.media.mutants import Mutant, flipped_pictures, mutated_clips
from tests.media.parts import LONGEST_SECONDS, Media
from tests.media.tally import MOST_SECONDS, Plan, Tally
from tests.media.watched import Watch, name_of

#: Of the damaged clips each such one goes through the confined children as well, up to a thousand.
_LEAST_SAMPLE = 5


async def turned_bits(plan: Plan, tally: Tally, watch: Watch, media: Media, at_once: int) -> list[Figure]:
    """Pictures with turned bits through the confined decoder: clean, or refused in words."""
    mutants = plan.chosen(flipped_pictures(plan.flips, plan.seed))
    outcomes: Counter[str] = Counter()

    async def play() -> None:
        for mutant in mutants:
            tally.names[name_of(mutant.data)] = f"flip {mutant.number}, {mutant.parent}"
            started = time.monotonic()
            outcomes[await _decoded(tally, media.decoder, mutant)] += 1
            tally.took(time.monotonic() - started, f"flip {mutant.number}, {mutant.parent}")
            if mutant.number % 500 == 0:
                tally.collect(watch)

    await asyncio.gather(*(play() for _ in range(at_once)))
    tally.collect(watch)
    said = f"{outcomes.total():,}: {outcomes['clean']:,} taken clean, {outcomes['refused']:,} refused"
    return [
        Figure(
            "turned bits", said, plan.number is not None or min(outcomes["clean"], outcomes["refused"]) > 0
        )
    ]


async def _decoded(tally: Tally, decoder: ImageDecoder, mutant: Mutant) -> str:
    try:
        image = await decoder.decode(mutant.data, max_side=4096)
    except ImageRefused as refused:
        if not refused.reason:
            tally.fault("flips", mutant.number, "refused without a reason")
        return "refused"
    try:
        sides = sides_of(image.data)
    except ValueError as error:
        tally.fault("flips", mutant.number, str(error))
    else:
        if sides != (image.width, image.height):
            tally.fault("flips", mutant.number, f"{sides} told as {image.width} x {image.height}")
    return "clean"


async def damaged_boxes(plan: Plan, tally: Tally, watch: Watch, media: Media) -> list[Figure]:
    """Clips with damaged boxes through the walk and the move of the index, and some through the children."""
    outcomes: Counter[str] = Counter()
    sample = max(_LEAST_SAMPLE, plan.boxes // 1000)
    slowest = 0.0
    for mutant in plan.chosen(mutated_clips(plan.boxes, plan.seed)):
        path = media.folder / f"box-{mutant.number}"
        path.write_bytes(mutant.data)
        started = time.process_time()
        outcomes[_walked(tally, path, mutant)] += 1
        slowest = max(slowest, time.process_time() - started)
        if mutant.number % sample == 0 or plan.number is not None:
            path.write_bytes(mutant.data)
            started = time.monotonic()
            outcomes.update(
                await asyncio.gather(_probed(tally, media, path, mutant), _posed(tally, media, path, mutant))
            )
            tally.took(time.monotonic() - started, f"box {mutant.number}, {mutant.parent}")
        path.unlink()
        if mutant.number % 500 == 0:
            await asyncio.sleep(0)
    tally.collect(watch)
    return _box_figures(outcomes, slowest)


def _box_figures(outcomes: Counter[str], slowest: float) -> list[Figure]:
    taken, refused = outcomes["taken"], outcomes["refused"]
    walked = f"{taken + refused:,}: {taken:,} measured, {refused:,} refused"
    measured, not_measured, posters = outcomes["measured"], outcomes["not measured"], outcomes["poster"]
    probed = f"{measured:,} measured, {not_measured:,} refused, {posters:,} posters"
    return [
        Figure("damaged boxes", f"{walked}, {slowest * 1000:.0f} ms at most", slowest <= MOST_SECONDS),
        Figure("of them, confined", probed),
    ]


def _walked(tally: Tally, path: Path, mutant: Mutant) -> str:
    """The way of a provider's clip; what is measured stays so when the index is moved, and is in bounds."""
    try:
        facts = fetch.check_clip(path).facts
        plain = boxes.read_mp4_facts(mutant.data)
    except ClipRefused as refused:
        if not refused.reason:
            tally.fault("boxes", mutant.number, "refused without a reason")
        return "refused"
    except Exception as error:
        tally.fault("boxes", mutant.number, f"{type(error).__name__}: {error}")
        return "crashed"
    if replace(facts, faststart=plain.faststart) != plain:
        tally.fault("boxes", mutant.number, f"{plain} became {facts}")
    sides = max(facts.width, facts.height) <= boxes.MAX_SIDE_PIXELS and min(facts.width, facts.height) > 0
    if not (
        sides and 0 < facts.fps <= boxes.MAX_FPS and 0 < facts.duration_seconds <= boxes.MAX_DURATION_SECONDS
    ):
        tally.fault("boxes", mutant.number, f"out of bounds: {facts}")
    return "taken"


async def _probed(tally: Tally, media: Media, path: Path, mutant: Mutant) -> str:
    try:
        measured = await media.prober.measure(path, "clip", "video/mp4")
    except RecordingRefused as refused:
        if not refused.reason:
            tally.fault("boxes", mutant.number, "not measured, without a reason")
        found = "not measured"
    else:
        found = "measured"
        if not 0 < measured.milliseconds <= LONGEST_SECONDS * 1000:
            tally.fault("boxes", mutant.number, f"out of bounds: {measured}")
    return found


async def _posed(tally: Tally, media: Media, path: Path, mutant: Mutant) -> str:
    poster = await media.poster.make(path)
    if poster.jpeg is None and not poster.reason:
        tally.fault("boxes", mutant.number, "no poster, and no reason")
    return "no poster" if poster.jpeg is None else "poster"
