"""What a campaign against media plays, and what it found out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.campaigns import Figure
from tests.media.mutants import Mutant
from tests.media.watched import SIGSYS, Watch

MOST_CHILD_BYTES = 512 * 1024 * 1024
MOST_GROWTH_BYTES = 20 * 1024 * 1024
MOST_SECONDS = 3.0
MOST_CLOCK_SECONDS = 12.0
MB = 1024 * 1024
_SIGKILL = 9


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played, and how much of it."""

    flips: int
    boxes: int
    every: int
    """Of the corpus and of the honest clips each such one."""
    seed: int
    trials: tuple[str, ...]
    number: int | None = None
    """Of the one trial that is played, only the case of this number."""

    def chosen(self, mutants: Iterable[Mutant]) -> Iterator[Mutant]:
        """The mutants to play."""
        return (each for each in mutants if self.number in (None, each.number))


@dataclass
class Tally:
    """What the trials found out so far."""

    plan: Plan
    files: int = 0
    processes: int = 0
    peak: tuple[int, str] = (0, "none")
    work: tuple[float, str] = (0.0, "none")
    slowest: tuple[float, str] = (0.0, "none")
    given_up: int = 0
    crashed: int = 0
    forbidden: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def collect(self, watch: Watch) -> None:
        """Take in what the kernel said of the processes that have ended since."""
        for ended in watch.take():
            name = f"{ended.kind}: {self.names.get(ended.file, ended.file)}"
            self.processes += 1
            self.peak = max(self.peak, (ended.kilobytes * 1024, name))
            self.work = max(self.work, (ended.cpu_seconds, name))
            self.given_up += ended.signal == _SIGKILL
            self.crashed += ended.signal not in (0, _SIGKILL, SIGSYS)
            if ended.signal == SIGSYS:
                self.forbidden.append(name)
        self.names.clear()

    def took(self, seconds: float, name: str) -> None:
        """One file was answered after so long."""
        self.files += 1
        self.slowest = max(self.slowest, (seconds, name))

    def fault(self, trial: str, number: int, said: str) -> None:
        """Something that must not be; `said` in words."""
        plan = self.plan
        command = f"--seed {plan.seed} --every {plan.every} --only {trial} --number {number}"
        self.wrong.append(f"{said[:300]}: python -m tests.media.campaign {command}")

    def figures(self) -> list[Figure]:
        """Of all confined processes together."""
        peak, work, slowest = self.peak, self.work, self.slowest
        return [
            Figure(
                "processes", f"{self.processes:,} for {self.files:,} files, {self.given_up} stopped by limits"
            ),
            Figure(
                "forbidden calls", f"{len(self.forbidden)} {self.forbidden[:3] or ''}", not self.forbidden
            ),
            Figure("decoders that crashed", f"{self.crashed}, contained in their processes"),
            Figure(
                "memory of a child", f"{peak[0] // MB} MB at most ({peak[1]})", peak[0] <= MOST_CHILD_BYTES
            ),
            Figure("work for a file", f"{work[0]:.2f} s at most ({work[1]})", work[0] <= MOST_SECONDS),
            # The clock runs on while others use the machine; what one file may cost is the work.
            Figure(
                "time for a file",
                f"{slowest[0]:.2f} s at most ({slowest[1]})",
                slowest[0] <= MOST_CLOCK_SECONDS,
            ),
        ]


def growth(what: str, grown: int) -> Figure:
    """How much more memory a process has than before."""
    return Figure(what, f"{grown / MB:+.1f} MB", grown <= MOST_GROWTH_BYTES)
