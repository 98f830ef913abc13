"""Find the server and the key: arguments, then the environment, then what the server's first start wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fairstack.errors import NotConfigured

DEFAULT_PORT = 8787
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: The key that documentation shows; a program that still has it was never given a real one.
_PLACEHOLDER = "YOUR_KEY"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the server is and the key to show it."""

    base_url: str
    api_key: str = field(repr=False)


def connect(
    api_key: str | None,
    base_url: str | None,
    environment: Mapping[str, str] | None = None,
    mode: Literal["live", "test"] = "live",
) -> Connection:
    """Settle on a server and a key. Raises NotConfigured, which says what to set."""
    known = os.environ if environment is None else environment
    stored_at = credentials_path(known)
    stored = _stored(stored_at)
    url = base_url or known.get("FAIRSTACK_BASE_URL") or _local_url(known, stored)
    url = _checked_url(url)
    key = api_key or _environment_key(known, mode)
    if not key and _belongs(stored, url):
        key = stored.get(f"{mode}_key", "")
    if not key:
        raise NotConfigured(_no_key(url, stored_at, stored, mode))
    return Connection(url, _checked_key(key))


def is_loopback(url: str) -> bool:
    """Whether this address is on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def credentials_path(environment: Mapping[str, str]) -> Path:
    """Where the server's first start writes the keys: `$FAIRSTACK_HOME/credentials.json`."""
    home = environment.get("FAIRSTACK_HOME")
    if home:
        return Path(home).expanduser() / "credentials.json"
    data = environment.get("XDG_DATA_HOME")
    base = Path(data) if data else Path.home() / ".local" / "share"
    return base / "fairstack" / "credentials.json"


def _stored(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        # Said when it matters, in the message about the missing key.
        return {"problem": type(error).__name__}
    return stored if isinstance(stored, dict) else {"problem": "not a JSON object"}


def _environment_key(environment: Mapping[str, str], mode: str) -> str:
    key = environment.get("FAIRSTACK_API_KEY", "").strip()
    # Who asks for the sandbox must not spend real money with a live key that happens to be set.
    return "" if mode == "test" and not key.startswith("fs_test_") else key


def _local_url(environment: Mapping[str, str], stored: Mapping[str, Any]) -> str:
    port = environment.get("FAIRSTACK_PORT")
    if port:
        return f"http://127.0.0.1:{port}"
    return str(stored.get("base_url") or f"http://127.0.0.1:{DEFAULT_PORT}")


def _belongs(stored: Mapping[str, Any], url: str) -> bool:
    """Whether the stored keys are of this server; a local key is never shown to a foreign one."""
    return is_loopback(url) or str(stored.get("base_url", "")).rstrip("/") == url


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username:
        raise NotConfigured(f"The base URL {url!r} cannot be used. Write it like http://127.0.0.1:8787")
    # People copy the address with the version in it.
    return url.strip().rstrip("/").removesuffix("/v1")


def _checked_key(key: str) -> str:
    key = key.strip()
    if _PLACEHOLDER in key:
        raise NotConfigured("The API key is the one from the documentation's example: put your own there")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise NotConfigured("The API key has characters that no key has: copy it again")
    return key


def _no_key(url: str, path: Path, stored: Mapping[str, Any], mode: str) -> str:
    problem = stored.get("problem")
    if problem:
        file = f"{path} is there but cannot be read ({problem})"
    elif stored:
        file = f"{path} has no {mode} key for this server"
    else:
        file = f"start the server on this machine once (fairstack serve), which writes {path}"
    return (
        f"No {mode} API key for {url}. Give FairStack(api_key=…), or set FAIRSTACK_API_KEY, or {file}."
        if not stored
        else f"No {mode} API key for {url}: {file}. Give FairStack(api_key=…), or set FAIRSTACK_API_KEY, "
        "or start the server on this machine (fairstack serve)."
    )
