"""Guards compared: `make guards`, or `python -m tests.egress.guards --venv PYTHON [--venv PYTHON] [--cases]`.

Every hostile and every ordinary URL of cases.json through our guard and through the public ones, each in a
process of its own, judged by the connects that it tries. Ends with 1 when ours tries a wrong one or refuses
a good one, and with 2 where no empty network namespace can be had.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from tests.campaigns import Figure, report
from tests.egress.guard_trial import CASES, GUARDS
from tests.egress.namespace import enter_empty_network, interfaces
from tests.egress.oracle import is_forbidden

_OURS = "fairstack"
_AT_ONCE = 2
_ROOT = Path(__file__).parents[2]
_NO_MODULE = "ModuleNotFoundError"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard let through and what it kept out: ids of cases."""

    reached: Sequence[str]
    """Hostile URLs that ended at an address which nobody should reach."""
    against_policy: Sequence[str]
    """URLs that our policy refuses (user names, ports, odd spellings) and that ended at a public address."""
    refused: Sequence[str]
    """Ordinary URLs that ended nowhere."""


def judge(tried: Mapping[str, Sequence[str]]) -> Verdict:
    """Sort the cases by what they made a guard connect to."""
    reached, against_policy = [], []
    for case in CASES["refused"]:
        never = set(case.get("never", ()))
        if any(_is_harmful(address) or address in never for address in tried[case["id"]]):
            reached.append(case["id"])
        elif tried[case["id"]] and not never:
            against_policy.append(case["id"])
    return Verdict(reached, against_policy, [c["id"] for c in CASES["callable"] if not tried[c["id"]]])


def _is_harmful(text: str) -> bool:
    """By the campaign's oracle, but `::ffff:8.8.8.8` is what the kernel makes of it: 8.8.8.8."""
    try:
        address = ip_address(text)
    except ValueError:
        return True  # a name, which would have been looked up by nobody that judged it
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return is_forbidden(str(address.ipv4_mapped))
    return is_forbidden(text)


async def try_guard(name: str, pythons: Sequence[str]) -> tuple[str, Verdict] | None:
    """The version of a guard and its verdict, by the first Python that has it; None where none has."""
    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    for python in pythons:
        process = await asyncio.create_subprocess_exec(
            *(python, "-W", "ignore", "-m", "tests.egress.guard_trial", name),
            cwd=_ROOT,
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaint = await process.communicate()
        if process.returncode == 0:
            told = json.loads(said)
            return told["version"], judge(told["tried"])
        if _NO_MODULE not in complaint.decode():
            raise RuntimeError(f"{name}: {complaint.decode()[-2000:]}")
    return None


def figure(name: str, outcome: tuple[str, Verdict] | None, cases: bool) -> Figure:
    """One line of the table; only ours has to hold, the others have to be there."""
    if outcome is None:
        return Figure(name, "NOT COMPARED: not installed in any --venv", holds=name != _OURS)
    version, verdict = outcome
    columns = (verdict.reached, verdict.against_policy, verdict.refused)
    said = "{:9d}{:8d}{:9d}   ".format(*map(len, columns)) + version
    if cases:
        said += "".join(f"\n       {', '.join(column) or 'none'}" for column in columns)
    return Figure(name, said, name != _OURS or not any(columns))


async def compare(pythons: Sequence[str], cases: bool = False) -> list[Figure]:
    """Every guard, two at a time."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> Figure:
        async with room:
            return figure(name, await try_guard(name, pythons), cases)

    return list(await asyncio.gather(*map(one, GUARDS)))


def main() -> int:
    """Enter the namespace, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--venv", action="append", default=[], help="python of a venv with other guards")
    parser.add_argument("--cases", action="store_true", help="name the cases of each figure")
    told = parser.parse_args()
    if not enter_empty_network():
        sys.stdout.write("no network namespace can be made here (Linux with user namespaces is needed)\n")
        return 2
    began = time.monotonic()
    figures = asyncio.run(compare([sys.executable, *told.venv], told.cases))
    hostile, ordinary = len(CASES["refused"]), len(CASES["callable"])
    sys.stdout.write(f"{'':34}reached  policy  refused\n")
    return report(
        figures,
        f"reached: of {hostile} hostile URLs, those that ended at an address nobody should reach",
        "policy: those that our policy refuses and that ended at a public address",
        f"refused: of {ordinary} ordinary URLs, those that ended nowhere",
        f"network {', '.join(interfaces())} only, {time.monotonic() - began:.0f} s",
    )


if __name__ == "__main__":
    sys.exit(main())
