"""Writes docs/reference/settings.md from the settings themselves.

python -m fairstack_server.settings_page            write it
python -m fairstack_server.settings_page --check    fail if it is stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from fairstack_server.settings import ENV_PREFIX, PROVIDER_SETTINGS, Settings, default_home

PAGE = Path("docs/reference/settings.md")

#: Settings of the client and the command line; `fairstack/connection.py` reads them.
CLIENT_SETTINGS: Mapping[str, str] = {
    "FAIRSTACK_API_KEY": "The key to use. Without it: the keys that the server's first start wrote.",
    "FAIRSTACK_BASE_URL": "The server to talk to. Without it: the one of this machine.",
    "FAIRSTACK_HOME": "Where the keys of the first start lie, in `credentials.json`.",
    "FAIRSTACK_PORT": "The port of the server of this machine.",
}
#: Beginnings of the settings whose provider has its module in this release; the others are kept for theirs.
SPOKEN = ("FAL_", "OPENAI_VIDEOS_")

_HEAD = """\
# Settings

<!-- Written by `python -m fairstack_server.settings_page` from settings.py. Do not edit. -->

Every setting is an environment variable, read once at the start.
A value that cannot be used stops the start, and the message names it.
None is needed: `fairstack serve` without any is a whole server.

"""
_SERVER = """\
## The server

| Setting | Default | Meaning |
|---|---|---|
"""
_PROVIDERS = """
`fairstack serve` also takes `--host`, `--port` and `--home`; these win over the environment.
A yes is `1`, `true` or `yes`; a no is `0`, `false` or `no`. Sizes are bytes.

## Providers

By the vendors' usual names. `fairstack doctor` says which are set and which models each enables.

| Setting | Meaning | In this release |
|---|---|---|
"""
_CLIENT = """
## Client and command line

| Setting | Meaning |
|---|---|
"""


def settings_page() -> str:
    """The whole page."""
    server = "".join(_server_rows())
    providers = "".join(
        f"| `{name}` | {meaning} | {'used' if name.startswith(SPOKEN) else 'no module yet'} |\n"
        for name, meaning in PROVIDER_SETTINGS.items()
    )
    client = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in CLIENT_SETTINGS.items())
    return _HEAD + _SERVER + server + _PROVIDERS + providers + _CLIENT + client


def _server_rows() -> Iterator[str]:
    for setting in fields(Settings):
        if setting.name == "providers":
            continue
        default = setting.default_factory if setting.default is MISSING else setting.default
        name = f"`{ENV_PREFIX}{setting.name.upper()}`"
        yield f"| {name} | {_shown(default)} | {setting.metadata['meaning']} |\n"


def _shown(default: Any) -> str:
    """A default as it would be written into the environment."""
    if default is default_home:
        return "`$XDG_DATA_HOME/fairstack`, else `~/.local/share/fairstack`"
    if default in ("", (), None):
        return "none"
    if isinstance(default, bool):
        return "`true`" if default else "`false`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it; exit status 1 when the check fails."""
    parser = argparse.ArgumentParser(prog="python -m fairstack_server.settings_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the page is stale")
    if not PAGE.parent.is_dir():
        parser.error(f"run this at the root of a checkout: there is no {PAGE.parent} here")
    if parser.parse_args(arguments).check:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == settings_page():
            return 0
        sys.stderr.write(f"{PAGE} is stale: {parser.prog}\n")
        return 1
    PAGE.write_text(settings_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
