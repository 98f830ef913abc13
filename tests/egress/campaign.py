"""The guard against many attacks: `python -m tests.egress.campaign --mutations 100000 --rebindings 20000`.

Every connect of the process is judged by an audit hook that raises before a packet leaves, by an opinion
that is not the guard's own (`oracle.py`), inside a network namespace that has nothing but loopback. Prints
figures; ends with 1 when one forbidden connect was tried, and with 2 where no such namespace can be had.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from fairstack_server.egress import AddressRefused, Egress, EgressError, Purpose, judge_url
from tests.campaigns import Figure, report
from tests.egress.mutants import CASES, mutants
from tests.egress.namespace import enter_empty_network, interfaces
from tests.egress.oracle import is_forbidden

PUBLIC = ("93.184.215.14", "1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808")
FORBIDDEN = (
    "127.0.0.1",
    "10.0.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.168.1.1",
    "::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::a9fe:a9fe",
    "224.0.0.1",
)
_AT_ONCE = 50


@dataclass
class Judge:
    """Stops every connect of this process before a packet leaves, and remembers where it would have gone."""

    tried: list[str] = field(default_factory=list)

    def on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        """The audit hook."""
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            self.tried.append(str(arguments[1][0]))
            raise ConnectionRefusedError("judged, not connected")

    @property
    def forbidden(self) -> list[str]:
        """The connects that must not have been tried."""
        return [address for address in self.tried if is_forbidden(address)]

    def take(self) -> list[str]:
        """The connects since the last look."""
        tried, self.tried = self.tried, []
        return tried


class DicedDns:
    """Every name exists; a seeded dice says what it answers, another thing each time."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.answers: list[list[str]] = []

    async def resolve(self, host: str) -> Sequence[str]:
        """One to three addresses, now and then a forbidden one among them."""
        pool = PUBLIC if self._dice.random() < 0.5 else PUBLIC + FORBIDDEN
        answer = [self._dice.choice(pool) for _ in range(self._dice.randint(1, 3))]
        self.answers.append(answer)
        return answer


class OneDns:
    """Answers as the case says."""

    def __init__(self, lines: list[list[str]]) -> None:
        self._lines = lines

    async def resolve(self, host: str) -> Sequence[str]:
        """The next line; the last one stays."""
        return self._lines.pop(0) if len(self._lines) > 1 else self._lines[0]


async def _ends(call: Awaitable[object]) -> EgressError | None:
    """How a call ended; any other error than the guard's own ends the campaign."""
    try:
        await call
    except EgressError as error:
        return error
    return None


async def _get(egress: Egress, url: str) -> None:
    async with egress.get(url, purpose=Purpose.IMAGE, max_bytes=1000, timeout_seconds=5) as transfer:
        await transfer.read()


async def judge_cases(judge: Judge) -> list[Figure]:
    """The listed cases: as webhook, and as image in their https form."""
    refused_connects, accepted = 0, 0
    for case in CASES["refused"]:
        for secure in (False, True):
            url = case["url"].replace("http:", "https:", 1) if secure else case["url"]
            egress = Egress(resolver=OneDns(list(case.get("dns", [["93.184.215.14"]]))))
            await _ends(_get(egress, url) if secure else egress.post(url, b"{}", {}))
            never = set(case.get("never", ()))
            tried = judge.take()
            refused_connects += sum(is_forbidden(a) or (a in never if never else True) for a in tried)
    for case in CASES["callable"]:
        egress = Egress(resolver=OneDns(next(iter(case["dns"].values())) if "dns" in case else [[]]))
        await _ends(_get(egress, case["url"]))
        tried = judge.take()
        accepted += bool(tried) and not any(map(is_forbidden, tried))
    return [
        Figure(
            "reject cases", f"{len(CASES['refused'])}, {refused_connects} connects", refused_connects == 0
        ),
        Figure("accept cases", f"{accepted} of {len(CASES['callable'])}", accepted == len(CASES["callable"])),
    ]


async def judge_mutations(judge: Judge, count: int, seed: int) -> list[Figure]:
    """Mutated URLs as webhook and image; what is taken is read alike by a browser's parser."""
    dns = DicedDns(seed)
    room = asyncio.Semaphore(_AT_ONCE)
    taken: list[tuple[str, str]] = []

    async def attack(url: str, number: int) -> None:
        async with room:
            egress = Egress(resolver=dns)
            await _ends(_get(egress, url) if number % 2 else egress.post(url, b"{}", {}))
        try:
            taken.append((url, judge_url(url).host))
        except AddressRefused:
            return

    async with asyncio.TaskGroup() as group:
        for number, url in enumerate(mutants(count, seed)):
            group.create_task(attack(url, number))
    forbidden, tried = judge.forbidden, len(judge.take())
    said = f"{count:,} distinct, {len(taken):,} taken, {tried:,} connects tried, {len(forbidden)} forbidden"
    return [Figure("mutations", said, not forbidden and tried > 0), _compare_with_a_browser(taken)]


def _compare_with_a_browser(taken: list[tuple[str, str]]) -> Figure:
    node = shutil.which("node")
    if node is None:
        return Figure("read as a browser does", "NOT COMPARED: no node on this machine", holds=True)
    script = str(Path(__file__).parent / "whatwg.js")
    told = json.dumps([url for url, _ in taken])
    hosts = json.loads(
        subprocess.run([node, script], input=told, capture_output=True, text=True, check=True).stdout
    )
    others = [url for (url, ours), theirs in zip(taken, hosts, strict=True) if not _same_host(ours, theirs)]
    said = f"{len(taken):,} hosts compared, {len(others)} differ {others[:3] if others else ''}"
    return Figure("read as a browser does", said.strip(), not others and len(hosts) > 0)


def _same_host(ours: str, theirs: str | None) -> bool:
    if theirs is None:
        return False
    if ":" in ours:
        return ip_address(ours) == ip_address(theirs)
    return ours == theirs


async def judge_rebindings(judge: Judge, count: int, seed: int) -> Figure:
    """A name is checked at submit, posted to and posted to again; its answers change in between."""
    room = asyncio.Semaphore(1)  # one at a time, so that each connect belongs to a schedule
    breaches = connects = 0
    for number in range(count):
        async with room:
            dns = DicedDns(seed * 1_000_003 + number)
            egress = Egress(resolver=dns)
            url = "https://r.example.com/hook"
            await _ends(egress.check_webhook(url))
            for call in (egress.post(url, b"{}", {}), egress.post(url, b"{}", {}), _get(egress, url)):
                before = len(dns.answers)
                await _ends(call)
                answers = dns.answers[before:]
                tried = judge.take()
                connects += len(tried)
                seen = {str(ip_address(a)) for a in (answers[0] if answers else ())}
                hostile = any(map(is_forbidden, seen))
                breaches += len(answers) > 1 or bool(tried and hostile) or not set(tried) <= seen
    said = f"{count:,} schedules, {connects:,} connects tried, {breaches} to what was not judged"
    return Figure("rebinding", said, breaches == 0 and connects > 0)


async def run(mutations: int, rebindings: int, seed: int) -> list[Figure]:
    """The whole campaign."""
    judge = Judge()
    sys.addaudithook(judge.on_event)
    return [
        *await judge_cases(judge),
        *await judge_mutations(judge, mutations, seed),
        await judge_rebindings(judge, rebindings, seed),
    ]


def main() -> int:
    """Enter the namespace, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--rebindings", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    if not enter_empty_network():
        sys.stdout.write("no network namespace can be made here (Linux with user namespaces is needed)\n")
        return 2
    began = time.monotonic()
    figures = asyncio.run(run(told.mutations, told.rebindings, told.seed))
    seconds = time.monotonic() - began
    return report(figures, f"network {', '.join(interfaces())} only, seed {told.seed}, {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
