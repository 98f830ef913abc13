"""What a large picture leaves behind in the server: nothing."""

from __future__ import annotations

import subprocess
import sys

HOARD = """
import sys
from fairstack_server.media.heap import return_large_blocks
if sys.argv[1] == "returning":
    return_large_blocks()
large = bytearray(b"x" * (30 << 20))
del large
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 if sys.platform == "linux" else 0
before = resident()
blocks = [b"x" * (4 << 20) for _ in range(8)]
behind = [bytes(1000) for _ in range(200)]
del blocks
print(resident() - before)
"""


def _left(how: str) -> int:
    run = subprocess.run([sys.executable, "-c", HOARD, how], capture_output=True, text=True, check=True)
    return int(run.stdout)


def test_large_blocks_go_back_when_they_are_gone() -> None:
    """Of 32 MB that came and went behind an even larger block, a server keeps next to nothing."""
    assert _left("returning") < 2 << 20
