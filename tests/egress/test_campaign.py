"""The campaign against the guard holds, and would notice a hole."""

from __future__ import annotations

import subprocess
import sys

import pytest

SMALL = ["--mutations", "3000", "--rebindings", "300"]

#: Holes that somebody could make one day: an empty table, every answer taken, odd spellings let through.
HOLES = {
    "table": "address.blocked_reason = url.blocked_reason = lambda _: None",
    "answers": "connect.judge_addresses = connect.parse_answers",
    "spellings": "url._NUMERIC_LABEL = __import__('re').compile('never')",
}
_WITH_HOLE = "import sys; from fairstack_server.egress import address, connect, url; {}; "
_RUN = "from tests.egress.campaign import main; sys.exit(main())"


def _run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *SMALL]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_no_attack_reaches_a_connect() -> None:
    """Every listed case, thousands of mutations and hundreds of rebindings: no forbidden connect is tried."""
    done = _run("import sys; " + _RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "network lo only" in done.stdout


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_found(hole: str) -> None:
    """With a hole made in the guard the campaign fails: it is able to see one."""
    done = _run(_WITH_HOLE.format(HOLES[hole]) + _RUN)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT" in done.stdout
