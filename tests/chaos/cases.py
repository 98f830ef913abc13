"""Cases: one order, and the blows that its gateways are dealt while it is on its way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Literal

from tests.upstreams.upstream import Script

Klass = Literal["A", "B", "C", "D", "D+"]
#: D+: class D with a vendor that calls back.
CLASSES: tuple[Klass, ...] = ("A", "B", "C", "D", "D+")

BlowKind = Literal["kill", "random", "term", "freeze", "rows", "clock", "disk", "postmaster", "hog"]


@dataclass(frozen=True, slots=True)
class Blow:
    """What one life of a gateway comes to.

    kill, freeze: SIGKILL or SIGSTOP at `point`. random: SIGKILL after `seconds`. term: SIGTERM then.
    Before the SIGKILL after `seconds` there may be more. rows: all queue rows are deleted. clock: the wall
    clock jumps by `amount`. disk: it fails `amount` times (`point`: full, broken, short). postmaster:
    PostgreSQL gets a SIGKILL. hog: somebody takes all its connections for a while.
    """

    kind: BlowKind
    point: str = ""
    seconds: float = 0.0
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """One order of a class; the seed says how its vendor behaves."""

    klass: Klass
    seed: int
    blows: tuple[Blow, ...]

    def as_text(self) -> str:
        """The case as `--case` takes it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def of_text(text: str) -> Case:
        """The case again."""
        told: dict[str, Any] = json.loads(text)
        return Case(told["klass"], told["seed"], tuple(Blow(**blow) for blow in told["blows"]))

    def script(self) -> Script:
        """How the vendor's task goes: seed 0 is the plainest."""
        if self.seed == 0:
            return Script()
        dice = Random(f"script {self.seed} {self.klass}")
        if self.klass == "D+":
            # Counted by status calls, a task that nobody can ask about would never end, and call nobody.
            return Script(render_seconds=dice.choice((0.0, 0.1, 0.3)))
        return Script(
            queue_polls=dice.choice((0, 0, 1)),
            render_polls=dice.choice((0, 1, 2)),
            latency_seconds=dice.choice((0.0, 0.0, 0.05)),
            list_lag_seconds=dice.choice((0.0, 0.0, 0.3)),
        )


@dataclass(frozen=True, slots=True)
class Known:
    """The points of each class that recorded lives came to, in their order."""

    first: Mapping[Klass, Sequence[str]]
    later: Mapping[Klass, Mapping[str, Sequence[str]]]
    """Point of a crash -> the points of the life after it."""

    def after(self, klass: Klass, point: str) -> Sequence[str]:
        """The points of a life after a crash about there: at the nearest recorded one before it."""
        order = self.first[klass]
        found, at = order, order.index(point) if point in order else len(order)
        for crash, points in self.later[klass].items():
            if order.index(crash) <= at:
                found = points
        return found


def at_points(known: Known, seed: int) -> Iterator[Case]:
    """Every point of every class: alone with seed 0, else with two more crashes in the recovery."""
    for klass in known.first:
        for point in known.first[klass]:
            dice, blows = Random(f"{seed} {klass} {point}"), [Blow("kill", point)]
            while seed and len(blows) < 3:
                blows.append(Blow("kill", dice.choice(known.after(klass, blows[-1].point))))
            yield Case(klass, seed, tuple(blows))


def at_random(classes: Sequence[Klass], count: int, seed: int, longest_seconds: float) -> Iterator[Case]:
    """Kills at random times, up to three in a row, with SIGTERM and deleted queue rows among them."""
    dice = Random(f"random {seed}")
    for number in range(count):
        kinds: list[BlowKind] = dice.choices(
            ("random", "term", "rows"), (6, 2, 2), k=dice.choice((1, 1, 2, 3))
        )
        blows = tuple(Blow(kind, seconds=round(dice.uniform(0.02, longest_seconds), 3)) for kind in kinds)
        yield Case(dice.choice(classes), 1 + number, blows)


def frozen(known: Known, count: int, seed: int) -> Iterator[Case]:
    """Workers that freeze outside a transaction, are taken for dead, and wake up again."""
    dice = Random(f"frozen {seed}")
    for number in range(count):
        klass = dice.choice(list(known.first))
        apart = [
            point for point in known.first[klass] if not point.startswith(("in transaction", "before commit"))
        ]
        yield Case(klass, 1 + number, (Blow("freeze", dice.choice(apart)),))


def on_bad_disks(count: int, seed: int) -> Iterator[Case]:
    """Disks that are full, broken, or cut files short, for a while; and a crash in the middle of it."""
    dice = Random(f"disks {seed}")
    for number in range(count):
        blow = Blow(
            "disk",
            dice.choice(("full", "broken", "short")),
            seconds=round(dice.uniform(0.3, 1.2), 3),
            amount=dice.choice((1, 2, 5, 9)),
        )
        yield Case(dice.choice(CLASSES), 1 + number, (blow,))


def under_jumping_clocks(count: int, seed: int) -> Iterator[Case]:
    """Wall clocks that jump 30 days ahead, or an hour back, in the middle of a job."""
    dice = Random(f"clocks {seed}")
    for number in range(count):
        amount = dice.choice((30 * 86_400.0, -3_600.0))
        blow = Blow("clock", seconds=round(dice.uniform(0.05, 0.35), 3), amount=amount)
        yield Case(dice.choice(CLASSES), 1 + number, (blow,))


def of_the_database(kind: Literal["postmaster", "hog"], count: int, seed: int) -> Iterator[Case]:
    """PostgreSQL dies, or has no connection left, at a random time."""
    dice = Random(f"{kind} {seed}")
    for number in range(count):
        yield Case(dice.choice(CLASSES), 1 + number, (Blow(kind, seconds=round(dice.uniform(0.05, 0.4), 3)),))
