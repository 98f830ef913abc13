"""The campaign against hostile media holds, and would notice a hole."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

#: Damage that somebody could do one day: in every confined child, or in the server's own process.
_IN_CHILDREN = "from tests.media import watched; watched.PLANTED = {!r}"


@dataclass(frozen=True, slots=True)
class Hole:
    """Where damage is done, which trial must notice it, and in which line of the table."""

    done: str
    trial: str
    line: str


HOLES = {
    "a decoder that opens a file": Hole(
        _IN_CHILDREN.format(
            "from fairstack_server.media import pictures; "
            "pictures._check_claims = lambda picture: open('/etc/hostname')"
        ),
        "flips",
        "forbidden calls",
    ),
    "a picture that keeps what was behind it": Hole(
        _IN_CHILDREN.format(
            "from fairstack_server.media import pictures; encode = pictures._encode; "
            "pictures._encode = lambda picture, lossless: "
            "(lambda made: (made[0], made[1] + b'more'))(encode(picture, lossless=lossless))"
        ),
        "flips",
        "wrong answers",
    ),
    "a decoder without a limit of memory": Hole(
        _IN_CHILDREN.format(
            "from fairstack_server.media import child, pictures; child._MEMORY_BYTES = 1 << 30; "
            "pictures._check_claims = lambda picture: bytearray(600 << 20).find(1)"
        ),
        "flips",
        "memory of a child",
    ),
    "a walk that loses its temper": Hole(
        "from fairstack_server.media import boxes; boxes.only = lambda found, kind: found[kind][0]",
        "boxes",
        "wrong answers",
    ),
    "a walk that counts one frame less": Hole(
        "from fairstack_server.media import boxes; of = boxes._read_sizes; "
        "boxes._read_sizes = lambda *told: (of(*told)[0] - 1, 1); "
        "of_times = boxes.Walker.table; "
        "boxes.Walker.table = lambda self, box, skip, entry: "
        "[(row[0] - 1, *row[1:]) if box.kind == 'stts' else row for row in of_times(self, box, skip, entry)]",
        "good",
        "wrong answers",
    ),
    "a server that hoards": Hole(
        "from fairstack_server.media import fetch; kept = []; check = fetch.check_clip; "
        "fetch.check_clip = lambda path: (kept.append(bytearray(b'x' * 400_000)), check(path))[1]",
        "boxes",
        "memory of this process",
    ),
}
_RUN = "import sys; from tests.media.campaign import main; sys.exit(main())"


def _run(*arguments: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"{before}\n{_RUN}", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_damaged_files_do_no_harm() -> None:
    """Hundreds of damaged pictures and clips, and honest clips beside them: every figure holds."""
    trials = ("--only", "flips", "--only", "boxes", "--only", "good")
    done = _run("--flips", "120", "--boxes", "100", "--every", "12", *trials)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT" not in done.stdout


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_found(name: str) -> None:
    """With damage done on purpose the campaign fails, in the line that is about it."""
    hole = HOLES[name]
    done = _run("--flips", "12", "--boxes", "100", "--every", "20", "--only", hole.trial, before=hole.done)
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(line.startswith(f"NOT  {hole.line}") for line in done.stdout.splitlines()), done.stdout
