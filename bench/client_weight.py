"""`python -m bench.client_weight`: what the clients cost who only calls: time of the import, and bytes."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.starts import measure_import

IMPORT_LIMIT_MS = 120
INSTALL_LIMIT_BYTES = 15_000_000
_ROOT = Path(__file__).parents[1]
_NODE = _ROOT / "sdks" / "node"


async def measure() -> str:
    """Three lines: the import, the base install, the Node package."""
    own, needed = await _wheel_bytes(), sum(map(_dist_bytes, _closure(_base_requirements())))
    return "\n".join(
        [
            f"{await measure_import()} (limit {IMPORT_LIMIT_MS} ms)",
            f"`pip install fairstack`: {_megabytes(own + needed)} unpacked, {_megabytes(own)} of it our own "
            f"(limit {_megabytes(INSTALL_LIMIT_BYTES)}; what Python compiles of it comes on top)",
            f"`npm install fairstack`: {await _node_package()}",
        ]
    )


async def is_light() -> bool:
    """Whether the base install keeps to its limit."""
    needed = sum(map(_dist_bytes, _closure(_base_requirements())))
    return await _wheel_bytes() + needed < INSTALL_LIMIT_BYTES


def _base_requirements() -> list[str]:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


def _closure(requirements: Iterable[str]) -> set[str]:
    """The names of all packages that these need on this machine, without extras."""
    found: set[str] = set()
    todo = [Requirement(text) for text in requirements]
    while todo:
        needed = todo.pop()
        name = canonicalize_name(needed.name)
        if name in found or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        todo += [Requirement(text) for text in metadata.requires(needed.name) or ()]
    return found


def _dist_bytes(name: str) -> int:
    """Bytes of an installed package, without what Python compiles of it."""
    files = metadata.files(name) or ()
    return sum(Path(str(file.locate())).stat().st_size for file in files if file.suffix != ".pyc")


async def _wheel_bytes() -> int:
    with tempfile.TemporaryDirectory() as folder:
        await _said(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=_ROOT)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return sum(file.file_size for file in archive.infolist())


async def _node_package() -> str:
    npm = shutil.which("npm")
    if npm is None or not (_NODE / "dist").is_dir():
        return "not built here (make node)"
    told = json.loads(await _said(npm, "pack", "--dry-run", "--json", "--ignore-scripts", cwd=_NODE))
    # npm has answered with a list, and with a map by name.
    (package,) = told.values() if isinstance(told, dict) else told
    return f"{package['size'] / 1000:.1f} kB packed, {package['unpackedSize'] / 1000:.1f} kB unpacked"


async def _said(*command: str, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {complaint.decode()}")
    return out.decode()


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB"


if __name__ == "__main__":
    print(asyncio.run(measure()))
    if not asyncio.run(is_light()):
        sys.exit(f"The base install is over its limit of {_megabytes(INSTALL_LIMIT_BYTES)}")
