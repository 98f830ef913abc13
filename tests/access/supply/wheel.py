"""Two builds of the wheel, from two places and at two times, are the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

#: What a wheel is made of.
_PARTS = ("src", "catalog", "pyproject.toml", "README.md", "LICENSE")
_EPOCH = "1700000000"


def build_twice(root: Path, work: Path) -> tuple[str, str]:
    """SHA-256 of two wheels of the checkout at `root`, built in two copies of it under `work`."""
    return _build(root, work / "one", 1_600_000_000), _build(root, work / "other" / "deeper", 1_650_000_000)


def _build(root: Path, copy: Path, touched_at: int) -> str:
    copy.mkdir(parents=True)
    for part in _PARTS:
        source = root / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / part)
    for path in copy.rglob("*"):
        os.utime(path, (touched_at, touched_at))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(copy / "out")]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
    subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True)
    (wheel,) = (copy / "out").glob("*.whl")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()
