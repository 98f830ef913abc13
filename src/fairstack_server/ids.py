"""Ids and API keys: prefixed, unguessable, and checkable without a database read."""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from typing import Literal

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
Prefix = Literal[
    "acct",
    "att",
    "aud",
    "file",
    "job",
    "key",
    "led",
    "req",
    "whd",
    "msg",
]
Mode = Literal["live", "test"]

_RANDOM_CHARACTERS = 24  # 24 base62 characters are 142 bits
_KEY_RANDOM_CHARACTERS = 30
_KEY_CHECK_CHARACTERS = 6
_KEY_PREFIX_SHOWN = 12


def new_id(prefix: Prefix) -> str:
    """Make an id such as `job_4fT…`: prefix, underscore, 24 random base62 characters."""
    return f"{prefix}_{random_base62(_RANDOM_CHARACTERS)}"


def random_base62(length: int) -> str:
    """Draw that many base62 characters from the system's randomness."""
    # One draw for all of them: a draw per character costs seven times as much.
    number, drawn = secrets.randbelow(62**length), []
    for _ in range(length):
        number, digit = divmod(number, 62)
        drawn.append(BASE62[digit])
    return "".join(drawn)


def new_api_key(mode: Mode) -> str:
    """Make `fs_live_` or `fs_test_`, 30 random base62 characters, and 6 that check them (CRC32)."""
    body = f"fs_{mode}_{random_base62(_KEY_RANDOM_CHARACTERS)}"
    return body + _check_characters(body)


def api_key_mode(key: str) -> Mode | None:
    """Say whether this is a well-formed live or test key; None for a mistyped or foreign one."""
    mode: Mode
    if key.startswith("fs_live_"):
        mode = "live"
    elif key.startswith("fs_test_"):
        mode = "test"
    else:
        return None
    if len(key) != len("fs_live_") + _KEY_RANDOM_CHARACTERS + _KEY_CHECK_CHARACTERS:
        return None
    body, check = key[:-_KEY_CHECK_CHARACTERS], key[-_KEY_CHECK_CHARACTERS:]
    if not body.isascii() or check != _check_characters(body):
        return None
    return mode


def api_key_hash(key: str) -> bytes:
    """SHA-256 of the key: what is stored and looked up; the key has 178 bits, so no salt is needed."""
    return hashlib.sha256(key.encode()).digest()


def api_key_shown_prefix(key: str) -> str:
    """First 12 characters, kept so that an owner recognises a key."""
    return key[:_KEY_PREFIX_SHOWN]


def _check_characters(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(_KEY_CHECK_CHARACTERS):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
