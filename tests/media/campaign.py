"""Hostile media against the server: `python -m tests.media.campaign --flips 20000 --boxes 20000`.

A corpus of hostile files is posted to a whole server; damaged pictures go through the confined decoder and
damaged clips through the box walk, a part of them through the other confined children as well; hostile peers
serve files; honest clips are measured and compared with another reader. Judges are the system (memory and
time of processes, SIGSYS for a forbidden call), a strict reader of our clean pictures, and ffprobe.
Ends with 1 when a figure does not hold; a case that fails is named with the command that plays it alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import time

from tests.campaigns import Figure, report
from tests.media.besieged import resident_bytes
from tests.media.damage import damaged_boxes, turned_bits
from tests.media.honest import honest_clips
from tests.media.mutants import flipped_pictures, mutated_clips
from tests.media.parts import Media, media_parts
from tests.media.peers import honest_peers, misbehaving_peers
from tests.media.siege import siege
from tests.media.tally import Plan, Tally, growth
from tests.media.watched import Watch, watching

TRIALS = ("siege", "good", "peers", "flips", "boxes")


async def run(plan: Plan) -> tuple[list[Figure], list[str]]:
    """The whole campaign: its figures, and what went wrong."""
    tally, figures = Tally(plan), list[Figure]()
    with watching() as watch:
        if "siege" in plan.trials:
            figures += await siege(plan, tally, watch)
        async with media_parts(children=_at_once()) as media:
            figures += await _in_this_process(plan, tally, watch, media)
        tally.collect(watch)
    wrong = Figure("wrong answers", str(len(tally.wrong)), not tally.wrong)
    return [*figures, *tally.figures(), wrong], tally.wrong


async def _in_this_process(plan: Plan, tally: Tally, watch: Watch, media: Media) -> list[Figure]:
    """The trials of single parts; this process is the server then, and must not grow either."""
    figures: list[Figure] = []
    # What makes the files, and what fetches them, is loaded, used and paid for before.
    next(flipped_pictures(1, plan.seed))
    next(mutated_clips(1, plan.seed))
    if "peers" in plan.trials:
        await honest_peers(media)
    watch.take()
    gc.collect()
    before = resident_bytes()
    if "good" in plan.trials:
        figures += await honest_clips(plan, tally, media)
    if "peers" in plan.trials:
        figures += await misbehaving_peers(plan, tally, media, 10.0 if plan.every == 1 else 6.0)
    if "flips" in plan.trials:
        figures += await turned_bits(plan, tally, watch, media, _at_once())
    if "boxes" in plan.trials:
        figures += await damaged_boxes(plan, tally, watch, media)
    confined = media.decoder.confinement
    gc.collect()
    return [
        *figures,
        growth("memory of this process", resident_bytes() - before),
        Figure("confinement", str(confined), confined == "seccomp+rlimits"),
    ]


def _at_once() -> int:
    return max(2, os.cpu_count() or 2)


def main() -> int:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--flips", type=int, default=20_000)
    parser.add_argument("--boxes", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=1, help="play each such file of the corpus")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=TRIALS, action="append")
    parser.add_argument("--number", type=int, help="of the one trial, only this case")
    told = parser.parse_args()
    trials = tuple(told.only or TRIALS)
    began = time.monotonic()
    plan = Plan(told.flips, told.boxes, told.every, told.seed, trials, told.number)
    figures, wrong = asyncio.run(run(plan))
    return report(figures, *wrong[:10], f"seed {told.seed}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
