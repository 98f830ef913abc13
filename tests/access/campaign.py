"""The long proofs of access: races on one key, requests nobody meant, slow clients, guessing, telling apart.

python -m tests.access.campaign [--races 500] [--requests 50000] [--raw 2000] [--keys 1000000] [--seed 1]
python -m tests.access.campaign --seed 1 --only 4711     one request of the fuzz again, with all that it said
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Sequence

from fairstack_server.logs import configure_logging
from tests.access.estate import Estate, open_estate
from tests.access.measures import judge_mistyped_keys, judge_races, judge_slow_clients, judge_telling_apart
from tests.access.mutants import judge_raw_bytes, judge_requests, show_one
from tests.campaigns import Figure, campaign_database, report
from tests.conftest import make_folder


async def run(told: argparse.Namespace) -> list[Figure]:
    """The whole campaign, on one gateway."""
    home = make_folder()
    try:
        async with campaign_database() as dsn, open_estate(dsn, home) as estate:
            if told.only is not None:
                return [await show_one(estate, told.seed, told.only)]
            return await _all(estate, told)
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _all(estate: Estate, told: argparse.Namespace) -> list[Figure]:
    return [
        judge_mistyped_keys(told.keys, told.seed),
        await judge_races(estate, told.races),
        *await judge_telling_apart(estate, told.looks, told.seed),
        await judge_slow_clients(estate, told.slow),
        *await judge_requests(estate, told.requests, told.seed),
        await judge_raw_bytes(estate, told.raw, told.seed),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 when a figure does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--races", type=int, default=500, help="times that 64 clients race for one key")
    parser.add_argument("--requests", type=int, default=50_000, help="mutated requests")
    parser.add_argument("--raw", type=int, default=2_000, help="mutated bytes on a socket")
    parser.add_argument("--keys", type=int, default=1_000_000, help="mistyped keys")
    parser.add_argument("--looks", type=int, default=1_500, help="looks at another's and at nothing")
    parser.add_argument("--slow", type=int, default=200, help="slow clients")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="send this one request of the fuzz, and show it")
    told = parser.parse_args(arguments)
    configure_logging("error", "console")
    began = time.monotonic()
    figures = asyncio.run(run(told))
    return report(figures, f"seed {told.seed}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
