"""Lives of the gateway by seed: `python -m tests.simulation.campaign --seeds 20000`.

The real lifecycle, worker, placement, settlement, webhook sender and circuits run on a seeded event loop with
virtual time, against an in-memory PostgreSQL and vendors of all four classes, while processes die and freeze,
lines are cut and answers get lost. `--seed N` replays one seed and prints what happened; the same seed gives
the same trace, byte for byte. Then the same with bugs planted on purpose, each of which must be found.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.campaigns import Figure, Progress, report
from tests.simulation.bugs import BUGS
from tests.simulation.simulation import Bug, Outcome, simulate

SEEDS = 20_000
BUG_SEEDS = 2_000
PROCESSES = 2
_CHUNK = 50
_SHOWN = 5
_YEAR_SECONDS = 365.25 * 86400


@dataclass
class Tally:
    """What came of many seeds."""

    seeds: int = 0
    steps: int = 0
    commits: int = 0
    virtual_seconds: float = 0.0
    jobs: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[int, str]] = field(default_factory=list)
    """(seed, first finding)."""

    def add(self, outcome: Outcome) -> None:
        """Count one seed."""
        self.seeds += 1
        self.steps += outcome.steps
        self.commits += outcome.commits
        self.virtual_seconds += outcome.seconds
        self.jobs.update(outcome.jobs)
        if outcome.findings:
            self.broken.append((outcome.seed, outcome.findings[0]))

    def join(self, other: Tally) -> None:
        """Count what another process counted."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.commits += other.commits
        self.virtual_seconds += other.virtual_seconds
        self.jobs.update(other.jobs)
        self.broken += other.broken


def live_through(first: int, count: int) -> Tally:
    """Simulate so many seeds."""
    tally = Tally()
    for outcome in _outcomes(first, count, None):
        tally.add(outcome)
    return tally


def seeds_until_found(name: str, most: int) -> tuple[int | None, str]:
    """With this bug planted, after how many seeds something is found, and what; None for never."""
    for outcome in _outcomes(0, most, BUGS[name]):
        if outcome.findings:
            return outcome.seed + 1, outcome.findings[0]
    return None, ""


def _outcomes(first: int, count: int, bug: Bug | None) -> Iterator[Outcome]:
    # Collected once in a while: each seed leaves a world of cycles, and looking often costs more.
    gc.collect()
    gc.disable()
    try:
        for seed in range(first, first + count):
            yield simulate(seed, bug)
            if seed % _CHUNK == 0:
                gc.collect()
    finally:
        gc.enable()


def _live_all(seeds: int, first: int, pool: ProcessPoolExecutor) -> Tally:
    tally, progress = Tally(), Progress()
    chunks = [(begin, min(_CHUNK, first + seeds - begin)) for begin in range(first, first + seeds, _CHUNK)]
    for part in pool.map(live_through, *zip(*chunks, strict=True)):
        tally.join(part)
        progress.tell(f"{tally.seeds:,} of {seeds:,} seeds, {len(tally.broken)} with a finding")
    return tally


def _figures_of_lives(tally: Tally, seconds: float) -> list[Figure]:
    ended = ", ".join(f"{count:,} {state}" for state, count in sorted(tally.jobs.items()))
    return [
        Figure(
            "seeds",
            f"{tally.seeds:,} in {seconds:.0f} s ({tally.seeds / seconds:.0f}/s), {tally.steps:,} steps",
            tally.seeds > 0,
        ),
        Figure(
            "virtual time", f"{tally.virtual_seconds / _YEAR_SECONDS:.2f} years, {tally.commits:,} commits"
        ),
        Figure("jobs", ended, tally.jobs["completed"] > 0),
        Figure("seeds with a finding", f"{len(tally.broken)}", not tally.broken),
    ]


def _figures_of_bugs(seeds: int, pool: ProcessPoolExecutor) -> list[Figure]:
    names = list(BUGS)
    found = pool.map(seeds_until_found, names, [seeds] * len(names))
    figures = []
    for name, (after, what) in zip(names, found, strict=True):
        said = (
            f"found after {after} seeds: {what[:70]}" if after is not None else f"not found in {seeds} seeds"
        )
        figures.append(Figure(name, said, after is not None))
    return figures


def run(seeds: int, first: int, bug_seeds: int) -> int:
    """The whole campaign; 0 when nothing was found but what was planted."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        began = time.monotonic()
        tally = _live_all(seeds, first, pool)
        figures = _figures_of_lives(tally, time.monotonic() - began)
        if bug_seeds:
            figures += _figures_of_bugs(bug_seeds, pool)
    notes = [
        f"{finding[:160]}: python -m tests.simulation.campaign --seed {seed}"
        for seed, finding in tally.broken[:_SHOWN]
    ]
    return report(figures, *notes)


def replay(seed: int, bug: str | None) -> int:
    """Print what happens in one seed; 1 when something is found."""
    outcome = simulate(seed, BUGS[bug] if bug else None, keeps_lines=True)
    sys.stdout.write("\n".join(outcome.lines) + "\n")
    for finding in outcome.findings:
        sys.stdout.write(f"FOUND {finding}\n")
    sys.stdout.write(f"trace {outcome.trace_hash}\n")
    return 1 if outcome.findings else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign, or replay a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument(
        "--bug-seeds", type=int, default=BUG_SEEDS, help="most seeds for each planted bug; 0: none"
    )
    parser.add_argument("--seed", type=int, help="replay this one and print its trace")
    parser.add_argument("--bug", choices=list(BUGS), help="the bug that is planted in the replay")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return replay(given.seed, given.bug)
    return run(given.seeds, given.first, given.bug_seeds)


if __name__ == "__main__":
    sys.exit(main())
