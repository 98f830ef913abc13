"""Writes the files that follow from the catalog: JSON Schemas for editors and the page of models.

python -m fairstack_server.catalog.generate            write them
python -m fairstack_server.catalog.generate --check    fail if one is stale
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from msgspec import Struct

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.entry import ModelEntry, OverridesEntry, ProviderEntry, json_schema
from fairstack_server.catalog.model_page import model_page

_SCHEMAS: Mapping[str, type[Struct]] = {
    "model": ModelEntry,
    "provider": ProviderEntry,
    "overrides": OverridesEntry,
}


def generated_files(root: Path) -> Mapping[Path, str]:
    """Path -> text of every generated file of the checkout at `root`."""
    catalog = Catalog(root / "catalog")
    schemas = {
        root / "catalog" / "schema" / f"{name}.schema.json": json.dumps(json_schema(entry), indent=2) + "\n"
        for name, entry in _SCHEMAS.items()
    }
    # The last price of every file: the page follows from the files alone, not from the day it was made.
    page = model_page(catalog.models(), on=date.max)
    return {**schemas, root / "docs" / "reference" / "models.md": page}


def stale_files(root: Path) -> list[Path]:
    """Generated files that are missing or do not say what the catalog says."""
    return [
        path
        for path, text in generated_files(root).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or check them; exit status 1 when the check fails."""
    parser = argparse.ArgumentParser(prog="python -m fairstack_server.catalog.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a file is stale")
    root = Path.cwd()
    if not (root / "catalog" / "models").is_dir():
        parser.error("run this at the root of a checkout: there is no catalog/models here")
    if parser.parse_args(arguments).check:
        stale = stale_files(root)
        for path in stale:
            sys.stderr.write(f"{path.relative_to(root)} is stale: python -m {__spec__.name}\n")
        return 1 if stale else 0
    for path, text in generated_files(root).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
