"""Writes spec/openapi.json from the route table; needs no database.

python -m fairstack_server.spec            write it
python -m fairstack_server.spec --check    fail if it is stale
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from litestar import Litestar

from fairstack_server.api.app import build_app
from fairstack_server.api.openapi import openapi
from fairstack_server.bootstrap import Gateway
from fairstack_server.settings import Settings

FILE = Path("spec") / "openapi.json"


def described_app() -> Litestar:
    """The application with all its routes and nothing behind them: enough to be described, not to answer."""
    # Routes are declared without touching the gateway but for its settings.
    return build_app(cast(Gateway, SimpleNamespace(settings=Settings())))


def spec_text() -> str:
    """The OpenAPI document as the file has it."""
    return json.dumps(openapi(described_app()), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or check it; exit status 1 when the check fails."""
    parser = argparse.ArgumentParser(prog="python -m fairstack_server.spec", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the file is stale")
    path = Path.cwd() / FILE
    if not (Path.cwd() / "src" / "fairstack_server").is_dir():
        parser.error("run this at the root of a checkout: there is no src/fairstack_server here")
    if parser.parse_args(arguments).check:
        fresh = path.is_file() and path.read_text(encoding="utf-8") == spec_text()
        if not fresh:
            sys.stderr.write(f"{FILE} is stale: python -m fairstack_server.spec\n")
        return 0 if fresh else 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(spec_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
