"""Sends what the dice made, and judges each answer by the document that the same server gives out."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import sys
from collections import Counter
from typing import Any

import aiohttp
from yarl import URL

from tests.access import estate as things
from tests.access.estate import Estate
from tests.access.fuzz import LEAKS, SHOWS_SECRETS, Cast, Dice, Wish
from tests.campaigns import Figure
from tests.gateway.pictures import PHOTO

AT_ONCE = 16
_ANSWER_SECONDS = 60.0
_RAW_SECONDS = 1.0
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) ")


async def make_cast(estate: Estate) -> Cast:
    """Keys of every kind, and one thing of each noun of the owner, of the neighbour and of nobody."""
    keys = {role.name: role.key for role in estate.roles}
    makers = {
        "job_id v1": (things.cancelled_job, "job_"),
        "file_id v1": (things.new_file, "file_"),
        "delivery_id v1": (things.new_delivery, "whd_"),
        "key_id v1": (things.new_key, "key_"),
        "account_id v1": (things.the_account, "acct_"),
        "provider v1": (things.a_provider, "p"),
        "key v1": (things.a_model, "m"),
        "key media": (things.media_path, "video/"),
    }
    found: dict[str, dict[str, str]] = {}
    for name, (make, prefix) in makers.items():
        found[name] = {
            "own": await make(estate, "owner", "live"),
            "sandbox": await make(estate, "owner", "test"),
            "neighbour": await make(estate, "neighbour", "live"),
            "absent": prefix + "0" * 24,
        }
    provider, nonce = (await things.an_attempt(estate, "owner", "live")).split("/")
    found["provider_name callbacks"] = {"own": provider, "absent": "nobody"}
    found["nonce callbacks"] = {"own": nonce, "absent": "att_0"}
    masters = ("owner, live key", "owner, test key", "operator, live key")
    return Cast(keys, masters, found, PHOTO)


async def judge_requests(estate: Estate, count: int, seed: int) -> list[Figure]:
    """So many mutated requests: no answer that the document does not promise, none that says too much."""
    dice = Dice(estate.gateway.conformity.document, await make_cast(estate), seed)
    faults: dict[str, list[str]] = {"5xx": [], "shape": [], "leak": []}
    statuses: Counter[int] = Counter()
    numbers = iter(range(count))
    async with _client() as http:

        async def client() -> None:
            for number in numbers:
                kind, said, status = await _judged(estate, http, dice.wish(number))
                statuses[status] += 1
                if kind:
                    faults[kind].append(f"--seed {seed} --only {number}: {said}")

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    for found in faults.values():
        for line in found[:5]:
            sys.stdout.write(f"     python -m tests.access.campaign {line}\n")
    told = " ".join(f"{status}:{times}" for status, times in sorted(statuses.items()))
    return [
        Figure(
            "mutated requests", f"{count:,}: {told}", sum(statuses.values()) == count and len(statuses) > 8
        ),
        Figure("undocumented 5xx", f"{len(faults['5xx'])}", not faults["5xx"]),
        Figure("answers out of shape", f"{len(faults['shape'])}", not faults["shape"]),
        Figure("leaked traces or keys", f"{len(faults['leak'])}", not faults["leak"]),
    ]


def _client() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE), timeout=timeout)


async def _judged(estate: Estate, http: aiohttp.ClientSession, wish: Wish) -> tuple[str, str, int]:
    """Kind of fault ("" for none), what is wrong, and the status (0: no answer)."""
    url = URL(estate.gateway.base_url + wish.path, encoded=True)
    try:
        async with http.request(
            wish.method, url, headers=wish.headers, data=wish.body, allow_redirects=False
        ) as answer:
            body, status, headers = await answer.read(), answer.status, answer.headers
    except (aiohttp.ClientError, TimeoutError) as error:
        return "shape", f"{wish.method} {wish.path}: no answer, {error!r}", 0
    where = f"{wish.method} {wish.path[:200]} -> {status} {body[:300]!r}"
    if status == 500 or (status > 500 and not _is_promised(status, body)):
        return "5xx", where, status
    shown = wish.operation in SHOWS_SECRETS and status in (200, 201)
    if (
        not shown
        and not wish.operation.startswith(("get_docs", "get_openapi", "get_media"))
        and LEAKS.search(body)
    ):
        return "leak", where, status
    try:
        estate.gateway.conformity.check(wish.method, wish.path, status, headers, body)
    except (AssertionError, ValueError, KeyError) as error:
        return "shape", f"{where}: {error}", status
    return "", "", status


def _is_promised(status: int, body: bytes) -> bool:
    return status == 503 and (b'"model_unavailable"' in body or b'"provider_unavailable"' in body)


async def show_one(estate: Estate, seed: int, number: int) -> Figure:
    """Send one request again, and print it with what it was answered."""
    wish = Dice(estate.gateway.conformity.document, await make_cast(estate), seed).wish(number)
    sys.stdout.write(f"{wish.method} {wish.path}\n{dict(wish.headers)}\n{wish.body!r}\n")
    async with _client() as http:
        kind, said, status = await _judged(estate, http, wish)
    return Figure(f"request {number}", f"{status} {said}", not kind)


async def judge_raw_bytes(estate: Estate, count: int, seed: int) -> Figure:
    """Bytes that may be no HTTP at all: a refusal or nothing, never a 5xx, and the server lives on."""
    port = int(estate.gateway.base_url.rpartition(":")[2])
    statuses: Counter[str] = Counter()
    wrong = []
    room = asyncio.Semaphore(AT_ONCE)

    async def attack(number: int) -> None:
        sent = raw_mutant(random.Random(f"raw {seed}:{number}"), estate.owners["owner", "test"])
        async with room:
            said = await _say(port, sent)
        found = _STATUS.match(said)
        statuses[found[1].decode() if found else "nothing"] += 1
        if (
            (found is not None and found[1].startswith(b"5"))
            or (said and found is None)
            or LEAKS.search(said)
        ):
            wrong.append((number, sent[:100], said[:200]))

    await asyncio.gather(*(attack(number) for number in range(count)))
    alive = (await estate.gateway.call("GET", "/healthz", key="")).status == 200
    told = " ".join(f"{status}:{times}" for status, times in sorted(statuses.items()))
    return Figure("mutated bytes", f"{count:,}: {told} {wrong[:3] or ''}".strip(), not wrong and alive)


async def _say(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said: Any = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(sent)
        await writer.drain()
        said = await asyncio.wait_for(reader.read(65_536), _RAW_SECONDS)
    writer.close()
    return bytes(said)


_BODY = b'{"model":"wan-2-1-t2v","prompt":"a dog","confirm":false}'
_STARTS = (b"POST /v1/generations/video HTTP/1.1", b"GET /v1/jobs?limit=1 HTTP/1.1", b"GET /docs HTTP/1.0")
_HOSTS = (b"", b"a\x00b", b"x" * 300)
_LENGTHS = (
    b"Content-Length: 9",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 1\r\nContent-Length: 2",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: x, chunked",
)
_LINES = (
    b"X: \r\n y",
    b": empty",
    b"X\x01Y: 1",
    b"Expect: 100-continue",
    b"Upgrade: websocket\r\nConnection: upgrade",
    b"\xff\xfe: \xff",
)


def raw_mutant(dice: random.Random, key: str) -> bytes:
    """A request, then a few bytes, lines or lengths of it changed."""
    lines = [
        dice.choice(_STARTS),
        b"Host: " + (dice.choice(_HOSTS) if dice.random() < 0.2 else b"127.0.0.1"),
        f"Authorization: Bearer {key}".encode(),
        dice.choice(_LENGTHS) if dice.random() < 0.4 else b"Content-Length: %d" % len(_BODY),
    ]
    if dice.random() < 0.3:
        lines.insert(dice.randint(1, len(lines)), dice.choice(_LINES))
    raw = bytearray(b"\r\n".join(lines) + b"\r\n\r\n" + _BODY)
    for _ in range(dice.choice([0, 0, 0, 1, 2, 9])):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    return bytes(raw[: dice.randrange(1, len(raw))] if dice.random() < 0.1 else raw)
