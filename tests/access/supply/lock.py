"""The lock files, and whether what is installed is what they name, file by file."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

#: These install the rest; scripts/setup brings uv, and Python its pip.
INSTALLERS = frozenset({"pip", "setuptools", "uv"})
OURS = "fairstack"

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?: ; (?P<marker>.+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class LockError(ValueError):
    """A lock file that cannot be trusted: a line without a version or without hashes."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock file."""

    name: str
    version: str
    hashes: tuple[str, ...]
    applies: bool
    """Whether it is wanted on this system."""


def read_lock(path: Path) -> dict[str, Pin]:
    """Canonical name -> pin. Raises LockError for a requirement without an exact version and hashes."""
    pins: dict[str, Pin] = {}
    for block in _blocks(path.read_text("utf-8").splitlines()):
        requirement, _, options = block.partition(" --")
        matched, hashes = _PIN.fullmatch(requirement.strip()), tuple(_HASH.findall(f"--{options}"))
        if matched is None or not hashes:
            raise LockError(f"{path.name}: {block.split(' ', 1)[0]!r} has no exact version with hashes")
        marker = matched["marker"]
        name = canonicalize_name(matched["name"])
        applies = marker is None or Marker(marker).evaluate()
        # A package may be there in two versions, for two systems: ours counts.
        if applies or name not in pins:
            pins[name] = Pin(name, matched["version"], hashes, applies)
    return pins


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Each requirement with its hashes as one line."""
    block: list[str] = []
    for line in lines:
        if line.strip().startswith("#") or not line.strip():
            continue
        if not line.startswith(" ") and block:
            yield " ".join(block)
            block = []
        block.append(line.strip().removesuffix("\\").strip())
    if block:
        yield " ".join(block)


def name_of(distribution: Distribution) -> str:
    """The canonical name of something installed."""
    return canonicalize_name(distribution.metadata["Name"])


def differences(installed: Iterable[Distribution], pins: Mapping[str, Pin]) -> list[str]:
    """What is in another version, too much or missing, each in words; empty when all is right."""
    there = {name_of(each): each.version for each in installed if name_of(each) not in {*INSTALLERS, OURS}}
    wanted = {name: pin.version for name, pin in pins.items() if pin.applies and name not in INSTALLERS}
    found = [f"{name} {there[name]} is in no lock" for name in sorted(there.keys() - pins.keys())]
    found += [f"{name} {wanted[name]} is missing" for name in sorted(wanted.keys() - there.keys())]
    both = sorted(there.keys() & pins.keys())
    found += [
        f"{name} is {there[name]}, not {pins[name].version}"
        for name in both
        if there[name] != pins[name].version
    ]
    return found


def changed_files(distribution: Distribution) -> tuple[int, list[str]]:
    """How many files were compared with what the package said of them, and which are not as it said."""
    compared, changed = 0, []
    for file in distribution.files or ():
        if file.hash is None or file.hash.mode != "sha256":
            continue
        compared += 1
        path = Path(str(file.locate()))
        if not path.is_file() or _sha256(path) != file.hash.value:
            changed.append(f"{distribution.name}: {file}")
    return compared, changed


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
