"""The campaign itself: seeds hold, replays are equal byte by byte, planted bugs are found."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

#: Some of those that `python -m tests.simulation.campaign` plants.
_BUGS = (
    "lease without fence",
    "hold freed on unknown",
    "receipt overwritten",
    "cancel releases while the render goes on",
)
_SEEDS = 100
_REPLAYS = """
from tests.simulation.simulation import simulate
for _ in range(5):
    outcome = simulate({seed}, keeps_lines=True)
    print(outcome.trace_hash, hash(tuple("".join(outcome.lines).encode())))
"""


async def _python(*arguments: str, hash_seed: str = "random") -> tuple[int, str]:
    """Run Python in a process of its own, whose sets of strings have an order of their own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_seeds_hold() -> None:
    """A handful of lives with all kinds of trouble break nothing."""
    status, said = await _python("-m", "tests.simulation.campaign", "--seeds", "60", "--bug-seeds", "0")
    assert status == 0, said


@pytest.mark.parametrize("seed", [3, 41])
async def test_a_replay_is_equal_byte_by_byte(seed: int) -> None:
    """Ten of ten replays, in processes that hash differently, leave the same trace."""
    traces = set()
    for hash_seed in ("1", "2"):
        status, said = await _python("-c", _REPLAYS.format(seed=seed), hash_seed=hash_seed)
        assert status == 0, said
        lines = said.split()
        assert len(lines) == 10, said
        traces |= set(lines[::2])
        assert len(set(lines[1::2])) == 1
    assert len(traces) == 1


@pytest.mark.parametrize("bug", _BUGS)
async def test_a_planted_bug_is_found(bug: str) -> None:
    """With a bug in the code, the simulation says so soon."""
    looking = f"print(seeds_until_found({bug!r}, {_SEEDS})[0])"
    status, said = await _python("-c", f"from tests.simulation.campaign import seeds_until_found; {looking}")
    assert status == 0 and said.strip().isdigit(), said


async def test_a_replay_with_a_finding_says_so() -> None:
    """`--seed` prints what happened and what was found, and ends with 1."""
    replay = ("-m", "tests.simulation.campaign", "--seed", "0", "--bug", "settle before store")
    status, said = await _python(*replay)
    assert status == 1
    assert "FOUND" in said and "is not in the store" in said and "trace " in said
