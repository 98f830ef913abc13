"""Writes docs/reference/settings.md from the settings themselves.

python -m fairstack_server.settings_page            write it
python -m fairstack_server.settings_page --check    fail if it is stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from fairstack_server.providers.base import Provider
from fairstack_server.providers.local import Local
from fairstack_server.providers.registry import REQUIRED_SETTINGS, SPOKEN
from fairstack_server.settings import ENV_PREFIX, PROVIDER_SETTINGS, Settings, default_home

PAGE = Path("docs/reference/settings.md")

#: Settings of the client and the command line; `fairstack/connection.py` reads them.
CLIENT_SETTINGS: Mapping[str, str] = {
    "FAIRSTACK_API_KEY": "The key to use. Without it: the keys that the server's first start wrote.",
    "FAIRSTACK_BASE_URL": "The server to talk to. Without it: the one of this machine.",
    "FAIRSTACK_HOME": "Where the keys of the first start lie, in `credentials.json`.",
    "FAIRSTACK_PORT": "The port of the server of this machine.",
}

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

These are spoken to in this release. `fairstack doctor` says which models each enables.
The [submit class](../explain/lost-answers.md#submit-classes) decides what is done when an answer is lost.

| Provider | Enabled by | Submit class | Cancels | Calls back |
|---|---|---|---|---|
"""
_PROVIDER_SETTINGS = """
Every setting of providers, by the vendors' usual names:

| Setting | Meaning |
|---|---|
"""
_CLIENT = """
## Client and command line

| Setting | Meaning |
|---|---|
"""


def settings_page() -> str:
    """The whole page."""
    server = "".join(_server_rows())
    providers = "".join(_provider_row(name) for name in sorted(SPOKEN - {Local.name}))
    vendors = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in PROVIDER_SETTINGS.items())
    client = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in CLIENT_SETTINGS.items())
    return "".join(
        (_HEAD, _SERVER, server, _PROVIDERS, providers, _PROVIDER_SETTINGS, vendors, _CLIENT, client)
    )


def _server_rows() -> Iterator[str]:
    for setting in fields(Settings):
        if setting.name == "providers":
            continue
        default = setting.default_factory if setting.default is MISSING else setting.default
        name = f"`{ENV_PREFIX}{setting.name.upper()}`"
        yield f"| {name} | {_shown(default)} | {setting.metadata['meaning']} |\n"


def _provider_row(name: str) -> str:
    provider = provider_class(name)
    needed = " and ".join(f"`{setting}`" for setting in REQUIRED_SETTINGS[name])
    cancels, calls = (_yes(hasattr(provider, ability)) for ability in ("cancel", "read_callback"))
    return f"| `{name}` | {needed} | {provider.submit_class.name} | {cancels} | {calls} |\n"


def provider_class(name: str) -> type[Provider]:
    """The class of the vendor in `providers/<name>.py`."""
    module = import_module(f"fairstack_server.providers.{name}")
    found: type[Provider] = next(
        each for each in vars(module).values() if isinstance(each, type) and getattr(each, "name", "") == name
    )
    return found


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


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
