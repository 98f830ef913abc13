"""The crash harness finds nothing wrong with the gateway, and finds every bug that is planted in it."""

from __future__ import annotations

import subprocess
import sys

SMALL = ["--classes", "B", "--kills", "6", "--random", "1", "--others", "0"]


def test_a_few_crashes_and_every_planted_bug() -> None:
    """A handful of kills leaves all books right; each of the planted bugs is found by an ordinary case."""
    command = [sys.executable, "-m", "tests.chaos.campaign", *SMALL]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 of 7 found" in done.stdout
    assert "NOT" not in done.stdout
