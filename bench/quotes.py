"""How long it takes to quote every setting of every model."""

from __future__ import annotations

import time
from datetime import date

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.combinations import count_and_quote_all


async def measure() -> str:
    """Read the catalog, then quote all that it offers, once."""
    began = time.perf_counter()
    models = Catalog().models()
    read = time.perf_counter()
    count = count_and_quote_all(models, on=date(2026, 11, 22))
    seconds = time.perf_counter() - read
    return (
        f"Prices: {len(models)} models read in {(read - began) * 1000:.0f} ms; "
        f"{count:,} settings, all that there are, quoted in {seconds:.1f} s"
        f" ({seconds / count * 1e6:.0f} µs each)"
    )
