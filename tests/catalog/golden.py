"""The golden table of quotes: model x settings x date -> micros.

python -m tests.catalog.golden --write     only when a price has really changed
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.combinations import every_setting
from fairstack_server.catalog.settled import Settled
from fairstack_server.pricing import quote

TABLE = Path(__file__).with_name("golden_quotes.txt")
DATES = (date(2025, 6, 1), date(2026, 11, 22))


def golden_lines() -> list[str]:
    """One line for each model, date and different settings, as the catalog quotes them now."""
    lines = (
        f"{model.key} | {on} | {_shown(settled)} | {quote(model, settled, on=on).micros}"
        for model in Catalog().models()
        for on in DATES
        for settled in every_setting(model)
    )
    return list(dict.fromkeys(lines))


def _shown(settled: Settled) -> str:
    sound = "sound" if settled.audio else "silent"
    return f"{settled.duration} s {settled.resolution} {settled.aspect_ratio} {sound}"


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    TABLE.write_text("\n".join(golden_lines()) + "\n", encoding="utf-8")
