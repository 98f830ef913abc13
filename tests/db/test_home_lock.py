from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairstack_server.db.home_lock import HomeHolder, HomeInUse, HomeLock, read_holder

HOLD = """
import sys; from pathlib import Path; from fairstack_server.db.home_lock import HomeLock
lock = HomeLock(Path(sys.argv[1])).take("http://127.0.0.1:1"); print(flush=True); sys.stdin.read()
"""


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    """A folder has one server; the second is told which, and what to do."""
    with HomeLock(tmp_path).take("http://127.0.0.1:8787"):
        assert read_holder(tmp_path) == HomeHolder(os.getpid(), "http://127.0.0.1:8787")
        with pytest.raises(HomeInUse, match=f"process {os.getpid()} at"):
            HomeLock(tmp_path).take("http://127.0.0.1:8788")
    assert read_holder(tmp_path) is None
    HomeLock(tmp_path).take("http://127.0.0.1:8788").release()


def test_a_killed_server_leaves_its_folder_free(tmp_path: Path) -> None:
    """The lock of a server that was killed is gone with it, whatever the file says."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        assert read_holder(tmp_path) == HomeHolder(server.pid, "http://127.0.0.1:1")
        server.kill()
    assert read_holder(tmp_path) is None
    HomeLock(tmp_path).take("http://127.0.0.1:2").release()


def test_no_server_ever_ran(tmp_path: Path) -> None:
    """Looking makes nothing."""
    assert read_holder(tmp_path / "home") is None
    assert not (tmp_path / "home").exists()
