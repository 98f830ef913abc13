"""Hostile URLs by the hundred thousand, made from the known cases by a seeded dice."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

CASES = json.loads((Path(__file__).parent / "cases.json").read_text())
SEEDS = {kind: [case["url"] for case in CASES[kind]] for kind in ("refused", "callable")}

#: What parsers have stumbled over, put anywhere.
PIECES = [
    "@",
    "\\",
    "/",
    "//",
    "#",
    "?",
    ":",
    ":80",
    "%2e",
    "%00",
    "[",
    "]",
    ".",
    "..",
    "0x7f",
    "127.0.0.1",
    "localhost",
    "\t",
    " ",
    "\u3002",
    "\uff0e",
    "xn--",
    "_",
    "-",
    "https://",
    "[::1]",
    "::ffff:127.0.0.1",
    "example.com",
]
_SPELLINGS = ("{}", "{:#x}", "{:#o}", "0{:o}", "00{}", "{:08x}", "+{}", "{}.")
_UNPRINTABLE = "\x00\x0a\x0d\x7f\u00ad\u200b\u2060\u202e\ufeff\u00b2\u2460\uff11"


def mutants(count: int, seed: int) -> Iterator[str]:
    """So many distinct URLs; the same ones for the same seed."""
    dice = random.Random(seed)
    found: set[str] = set()
    makers = (_spliced, _spliced, _respelt_address, _sprinkled, _crossed)
    while len(found) < count:
        url = dice.choice(makers)(dice)
        if url not in found:
            found.add(url)
            yield url


def _a_seed(dice: random.Random) -> str:
    return str(dice.choice(SEEDS[dice.choice(("refused", "callable"))]))


def _spliced(dice: random.Random) -> str:
    """Pieces pushed in anywhere, over some of what stood there."""
    url = _a_seed(dice)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(url) + 1)
        cut = dice.choice((0, 0, 1, 4))
        url = url[:at] + dice.choice(PIECES) + url[at + cut :]
    return url


def _respelt_address(dice: random.Random) -> str:
    """A blocked IPv4 address in some spelling of inet_aton, or inside an IPv6 one."""
    address = dice.choice((0x7F000001, 0xA9FEA9FE, 0x0A000001, 0xC0A80001, 0xA83F8110, dice.getrandbits(32)))
    octets = [address >> shift & 255 for shift in (24, 16, 8, 0)]
    kept = dice.randint(1, 4)
    tail = int.from_bytes(bytes(octets[kept - 1 :]), "big")
    parts = [dice.choice(_SPELLINGS).format(part) for part in [*octets[: kept - 1], tail]]
    host = ".".join(parts)
    if dice.random() < 0.4:
        before = ("::", "::ffff:", "::ffff:0:", "64:ff9b::", "64:ff9b:1::", "2002::", "fe80::5efe:")
        host = f"[{dice.choice(before)}{'.'.join(map(str, octets))}]"
    port = dice.choice(("", "", ":80", ":443", ":22", ":0080", ":65616"))
    return f"{dice.choice(('http', 'https', 'HTTP'))}://{host}{port}/{dice.choice(('', 'a?b', '#c'))}"


def _sprinkled(dice: random.Random) -> str:
    """Controls, invisible letters and look-alikes between the letters of a known case."""
    letters = list(_a_seed(dice))
    for _ in range(dice.randint(1, 4)):
        letters.insert(dice.randrange(len(letters) + 1), dice.choice(_UNPRINTABLE))
    return "".join(letters)


def _crossed(dice: random.Random) -> str:
    """The head of one case with the tail of another."""
    one, other = _a_seed(dice), _a_seed(dice)
    return one[: dice.randint(0, len(one))] + other[dice.randint(0, len(other)) :]
