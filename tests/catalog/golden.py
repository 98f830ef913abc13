"""The golden table of quotes: model x settings x date -> micros.

python -m tests.catalog.golden             which quotes moved
python -m tests.catalog.golden --write     accept them: only when a price has really changed
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.combinations import seconds_of
from fairstack_server.catalog.inputs import default_ask
from fairstack_server.catalog.model import Model
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import BadRequest
from fairstack_server.pricing import quote

TABLE = Path(__file__).with_name("golden_quotes.txt")


def golden_lines() -> list[str]:
    """One line for each model, date of a price and different settings, as the catalog quotes them now."""
    lines = (
        f"{model.key} | {on} | {_shown(settled)} | {quote(model, settled, on=on).micros}"
        for model in Catalog().models()
        for on in price_days(model)
        for settled in telling_settings(model)
    )
    return list(dict.fromkeys(lines))


def moved_quotes() -> list[str]:
    """What the catalog quotes otherwise than the table: `- ` as the table has it, `+ ` as it is now."""
    told = TABLE.read_text(encoding="utf-8").splitlines()
    lines = difflib.unified_diff(told, golden_lines(), n=0, lineterm="")
    return [f"{line[0]} {line[1:]}" for line in lines if not line.startswith(("---", "+++", "@@"))]


def price_days(model: Model) -> list[date]:
    """The first day of each of the model's prices and costs."""
    prices = [*model.prices, *(price for route in model.routes for price in route.costs)]
    return sorted({price.since for price in prices})


def telling_settings(model: Model) -> Iterator[Settled]:
    """The defaults; then each resolution, with and without sound, at the least, usual and greatest length;
    then each ratio.
    """
    caps, least = model.capabilities, default_ask(model)
    yield resolve(model, least)
    lengths = seconds_of(caps.durations) if caps.durations is not None else (None,)
    usual = caps.durations.default if caps.durations is not None else None
    asks = [
        replace(least, resolution=resolution, audio=audio, duration=duration)
        for resolution, audio, duration in product(
            caps.resolutions or (None,),
            (False, True) if caps.audio_toggle else (None,),
            dict.fromkeys((lengths[0], usual, lengths[-1])),
        )
    ]
    asks += [replace(least, aspect_ratio=ratio) for ratio in caps.aspect_ratios]
    for ask in asks:
        try:
            yield resolve(model, ask)
        except BadRequest:
            if not caps.limits:
                raise


def _shown(settled: Settled) -> str:
    sound = "sound" if settled.audio else "silent"
    length = "-" if settled.duration is None else f"{settled.duration} s"
    return f"{length} {settled.resolution or '-'} {settled.aspect_ratio or '-'} {sound}"


def main(arguments: list[str]) -> int:
    """Tell what moved, or write the table; exit status 1 when something moved and was not accepted."""
    if arguments not in ([], ["--write"]):
        sys.stderr.write(__doc__ or "")
        return 2
    moved = moved_quotes()
    for line in moved:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{len(moved)} lines moved\n")
    if arguments:
        TABLE.write_text("\n".join(golden_lines()) + "\n", encoding="utf-8")
    return 1 if moved and not arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
