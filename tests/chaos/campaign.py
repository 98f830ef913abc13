"""Crashes at every boundary: `python -m tests.chaos.campaign`.

A user orders one clip; the gateways that work on it are struck down at a point and in their recovery; in the
end the vendor's own log, the books, the webhook's receiver and the disk must agree. A case that went wrong is
played again with the command that is printed with it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from random import Random

from fairstack_server.logs import configure_logging
from tests.campaigns import Figure, Progress, report
from tests.chaos.cases import (
    CLASSES,
    Case,
    Klass,
    Known,
    at_points,
    at_random,
    frozen,
    of_the_database,
    on_bad_disks,
    under_jumping_clocks,
)
from tests.chaos.life import live, prepare
from tests.chaos.plants import PLANTS
from tests.chaos.play import Played
from tests.chaos.theatre import Theatre, open_theatre
from tests.chaos.zygote import fork_zygote

_FEWEST_POINTS = 60
_LONGEST_LIFE_SECONDS = 0.8


class Campaign:
    """All phases, and the figures that come of them."""

    def __init__(self, theatre: Theatre, seed: int) -> None:
        self._theatre = theatre
        self._seed = seed
        self._known = Known({}, {})
        self._struck: set[str] = set()
        self._progress = Progress()
        self.figures: list[Figure] = []

    async def run(self, classes: Sequence[Klass], kills: int, randoms: int, others: int) -> None:
        """Until so many SIGKILLs have hit a point, then so many cases of each other kind; then the plants."""
        self._known = await self._theatre.explore(classes)
        seed = self._seed
        await self._phase("at points", self._until(kills))
        seen = f"{len(self._struck)} struck: {len({p.rpartition(' #')[0] for p in self._struck})} boundaries"
        self.figures.append(Figure("crash points", seen, len(self._struck) >= min(_FEWEST_POINTS, kills)))
        await self._phase(
            "at random, SIGTERM, lost rows", at_random(classes, randoms, seed, _LONGEST_LIFE_SECONDS)
        )
        if not others:
            return
        await self._phase("zombies", frozen(self._known, others, seed))
        await self._phase("full and broken disks", on_bad_disks(others, seed))
        await self._phase("jumping clocks", under_jumping_clocks(others, seed))
        # PostgreSQL is everybody's: one stage at a time.
        await self._phase("postmaster kill -9", of_the_database("postmaster", others // 3, seed), stages=1)
        await self._phase("no connection left", of_the_database("hog", others // 6, seed), stages=1)

    async def find_plants(self) -> None:
        """Every bug that is planted must be found."""
        missed = await self._theatre.find({name: plant.case for name, plant in PLANTS.items()})
        said = (
            f"{len(PLANTS) - len(missed)} of {len(PLANTS)} found{', not: ' * bool(missed)}{', '.join(missed)}"
        )
        self.figures.append(Figure("planted bugs", said, not missed))

    def _until(self, kills: int) -> Iterator[Case]:
        """Every point alone, in every class; then each with two more in the recovery, seed by seed.

        With fewer kills than points, some of them, with two more.
        """
        dice = Random(f"order {self._seed}")
        points = sum(len(self._known.first[klass]) for klass in self._known.first)
        first = 0 if kills > points else 1
        for seed in range(first, sys.maxsize):
            cases = list(at_points(self._known, seed))
            dice.shuffle(cases)
            for case in cases:
                if self._theatre.kills >= kills:
                    return
                yield case

    def _told(self, name: str, cases: Iterable[Case]) -> Iterator[Case]:
        """The cases; on the way it is said how far they are."""
        for case in cases:
            self._progress.tell(f"{name}: {self._theatre.kills:,} SIGKILLs so far")
            yield case

    async def _phase(self, name: str, cases: Iterable[Case], *, stages: int | None = None) -> None:
        before, began = self._theatre.kills, time.monotonic()
        played = await self._theatre.play(self._told(name, cases), stages=stages)
        seconds, kills = time.monotonic() - began, self._theatre.kills - before
        self._struck |= {f"{each.case.klass} {point}" for each in played for point in each.struck}
        wrong = sum(bool(each.faults) for each in played)
        said = f"{kills:,} SIGKILLs in {len(played):,} cases, {_missed(played)} missed, {seconds:.0f} s"
        self.figures.append(Figure(name, f"{said}; {wrong} wrong", not wrong))


def _missed(played: Sequence[Played]) -> int:
    return sum(each.missed for each in played)


async def _run(told: argparse.Namespace, line: socket.socket, listeners: Sequence[socket.socket]) -> int:
    began = time.monotonic()
    async with open_theatre(line, listeners) as theatre:
        if told.case:
            [played] = await theatre.play([Case.of_text(told.case)])
            return report([Figure("the case", "; ".join(played.faults) or "all is well", not played.faults)])
        campaign = Campaign(theatre, told.seed)
        await campaign.run(told.classes, told.kills, told.random, told.others)
        await campaign.find_plants()
        kills, seconds, cpu = theatre.kills, time.monotonic() - began, theatre.cpu_seconds
    rate = f"{kills:,} SIGKILLs in {seconds:.0f} s, {kills / seconds:.1f}/s"
    rate += f"; {cpu / kills:.2f} s of a core each; seed {told.seed}"
    return report(campaign.figures, rate)


def main() -> int:
    """Run the campaign, or one case of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=6_000, help="SIGKILLs at points")
    parser.add_argument("--random", type=int, default=500, help="cases with kills at random times")
    parser.add_argument("--others", type=int, default=60, help="cases of each other kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stages", type=int, default=6, help="cases at a time")
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=CLASSES)
    parser.add_argument("--case", help="play this case alone")
    told = parser.parse_args()
    configure_logging("error", "json")
    # PostgreSQL will be killed under the harness, too; its pool talks of nothing else then.
    logging.getLogger("asyncpg.pool").setLevel(logging.CRITICAL)
    listeners = [_listener() for _ in range(1 if told.case else told.stages)]
    nursery = prepare(listeners)
    line = fork_zygote(lambda life: live(life, nursery))
    return asyncio.run(_run(told, line, listeners))


def _listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


if __name__ == "__main__":
    sys.exit(main())
