"""`python -m bench [PART …]`: measure and print; without a name, everything (under four minutes)."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time

from bench import client_weight, job_overhead, quotes, request_rates, starts
from bench.machine import describe, load
from fairstack_server.logs import configure_logging

PARTS = {
    # First, for a start that finds nothing compiled can be measured once.
    "start": starts.measure_starts,
    "clients": client_weight.measure,
    "prices": quotes.measure,
    "requests": request_rates.measure,
    "jobs": job_overhead.measure,
}


async def main(names: list[str]) -> None:
    """Print each part as it is measured."""
    began = time.perf_counter()
    print(f"FairStack, measured on this machine\n{describe()}", flush=True)
    for name in names:
        print(f"\n{await PARTS[name]()}\n  (load now: {load()})", flush=True)
    print(f"\nTook {time.perf_counter() - began:.0f} s.")


def compile_into(folder: str) -> None:
    """Let every process that is started keep its compiled modules there, whatever this shell says.

    A first start then finds none, as after an installation that compiles nothing, and a later one finds all.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "part", nargs="*", choices=[[], *PARTS], metavar="PART", help=f"of: {', '.join(PARTS)}"
    )
    configure_logging("warning", "console")
    chosen = parser.parse_args().part or list(PARTS)
    with tempfile.TemporaryDirectory(prefix="fairstack-bench-") as compiled:
        compile_into(compiled)
        asyncio.run(main(chosen))
