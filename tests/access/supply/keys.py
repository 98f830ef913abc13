"""True API keys among the files of the repository: known by their check digits, so that examples are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fairstack_server.ids import api_key_mode
from tests.access.redaction import KEY

_FOLDERS = ("bench", "catalog", "docs", "scripts", "sdks", "spec", "src", "tests", ".ci")
_MADE = frozenset({"node_modules", "dist", "__pycache__"})


def keys_in(root: Path) -> tuple[int, list[str]]:
    """How many files were searched, and which of them hold a key."""
    searched, found = 0, []
    for path in sorted(_files(root)):
        searched += 1
        text = path.read_bytes().decode("utf-8", "replace")
        if any(api_key_mode(key) for key in KEY.findall(text)):
            found.append(str(path.relative_to(root)))
    return searched, found


def _files(root: Path) -> Iterator[Path]:
    yield from (path for path in root.iterdir() if path.is_file())
    for folder in _FOLDERS:
        for path in (root / folder).rglob("*"):
            if path.is_file() and not _MADE.intersection(path.parts):
                yield path
