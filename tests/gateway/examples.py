"""The examples of the wire, `spec/examples/*.json`: an answer is one, but for what differs by nature.

Fixed values stand in place of ids, times, addresses, secrets, sizes and hashes; what is left, the order of
keys included, must be the file's text. A failing test shows the text that the file would have.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "examples"

_WITHIN = [
    (
        re.compile(r"http://127\.0\.0\.1:\d+/media/(image|video)/[0-9A-Za-z]+/"),
        r"http://127.0.0.1:8787/media/\1/4f9c2a71/",
    ),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://127.0.0.1:8787"),
    (re.compile(r"\b(job|file|key|led|whd|msg|acct|req)_[0-9A-Za-z]{24}\b"), r"\1_4Zb9pXw2Lk7Qe1TnVd3RsYuM"),
    (re.compile(r"\b(fs_(?:live|test)_)[0-9A-Za-z]{36}\b"), r"\g<1>4Zb9pXw2Lk7Qe1TnVd3RsYuM0aB1cDxxxxxx"),
    (re.compile(r"\b(fs_(?:live|test)_)[0-9A-Za-z]{4}\b"), r"\g<1>4Zb9"),
    (re.compile(r"whsec_[0-9A-Za-z+/=]+"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "2026-11-22T09:30:00.000Z"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
]
_WHOLE = {"bytes": 123456, "duration_ms": 12, "progress": 0.42, "models": 3}


def plain(value: Any, name: str = "") -> Any:
    """The value with fixed values in place of what differs by nature."""
    if isinstance(value, dict):
        return {key: plain(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, name) for inner in value]
    if isinstance(value, str):
        for pattern, instead in _WITHIN:
            value = pattern.sub(instead, value)
        return value
    return _WHOLE.get(name, value) if value is not None else None


def text_of(value: Any) -> str:
    """A value as its example file has it."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n"


def example(name: str) -> str:
    """The text of an example."""
    path = FOLDER / f"{name}.json"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
