"""Figures of the campaign that need no mutants: races, keys, slow clients, and what time tells."""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

import aiohttp

from fairstack_server.ids import BASE62, api_key_mode, new_api_key
from tests.access import estate as things
from tests.access.estate import Estate
from tests.campaigns import Figure
from tests.gateway.running import VIDEO

CLIENTS = 64
PRICE = 48_000
ORDER = {"model": "wan-2-1-t2v", "prompt": "test:slow 600"}


def judge_mistyped_keys(count: int, seed: int) -> Figure:
    """Keys with one to three characters changed, swapped or lost: none is taken for a key."""
    dice, taken = random.Random(seed), 0
    keys = [new_api_key("live") for _ in range(1000)]
    for number in range(count):
        key = keys[number % len(keys)]
        typed = _mistyped(dice, key)
        taken += typed != key and api_key_mode(typed) is not None
    well = sum(api_key_mode(key) == "live" for key in keys)
    said = f"{count:,} edits, {taken} taken for a key; {well} of {len(keys)} true keys taken"
    return Figure("mistyped keys", said, taken == 0 and well == len(keys))


def _mistyped(dice: random.Random, key: str) -> str:
    typed = list(key)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(8, len(typed))
        match dice.randrange(3):
            case 0:
                typed[at] = dice.choice(BASE62)
            case 1:
                typed[at - 1], typed[at] = typed[at], typed[at - 1]
            case _:
                typed[at : at + 1] = [dice.choice(BASE62), typed[at]]
                typed.pop()
    return "".join(typed)


async def judge_races(estate: Estate, count: int) -> Figure:
    """64 clients send one order under one key at once: one job, one hold, the same bytes for all."""
    gateway, key = estate.gateway, estate.owners["neighbour", "test"]
    before = await _stands(estate)
    wrong: list[str] = []
    statuses: Counter[int] = Counter()
    connector = aiohttp.TCPConnector(limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {key}"}) as http:
        for race in range(count):
            bodies: set[bytes] = set()

            async def client(name: str, bodies: set[bytes] = bodies) -> None:
                while True:
                    named = {"Idempotency-Key": name}
                    async with http.post(gateway.base_url + VIDEO, json=ORDER, headers=named) as answer:
                        statuses[answer.status] += 1
                        body = await answer.read()
                        if answer.status != 409:
                            bodies.add(body if answer.status == 202 else str(answer.status).encode())
                            return
                    await asyncio.sleep(0.001)

            await asyncio.gather(*(client(f"race-{race}") for _ in range(CLIENTS)))
            if len(bodies) != 1:
                wrong.append(f"race-{race}: {len(bodies)} different answers")
    after = await _stands(estate)
    jobs, held = after[0] - before[0], after[1] - before[1]
    good = not wrong and jobs == count and held == count * PRICE and set(statuses) <= {202, 409}
    told = f"{jobs} jobs, ${held / 1e6:.3f} held, {len(wrong)} with other bytes, answers {dict(statuses)}"
    said = f"{count} races of {CLIENTS}: {told}"
    return Figure("idempotency races", said, good)


async def _stands(estate: Estate) -> tuple[int, int]:
    """Jobs and held micros of the neighbour's sandbox, as the tables have them."""
    pool, account = estate.gateway.gateway.pool, estate.account_ids["neighbour"]
    jobs = await pool.fetchval("select count(*) from jobs where account_id = $1 and mode = 'test'", account)
    held = "select held_micros from wallets where account_id = $1 and mode = 'test'"
    return int(jobs), int(await pool.fetchval(held, account))


async def judge_telling_apart(estate: Estate, count: int, seed: int) -> list[Figure]:
    """How well the time of a 404 tells another's id from an id of nothing: 0.5 is not at all, 1 is always."""
    rows = {
        "jobs": ("/v1/jobs/{}", things.new_job, "job_"),
        "files": ("/v1/files/{}", things.new_file, "file_"),
        "deliveries": ("/v1/webhooks/deliveries/{}", things.new_delivery, "whd_"),
    }
    figures = []
    for noun, (path, make, prefix) in rows.items():
        theirs = [path.format(await make(estate, "owner", "live")) for _ in range(20)]
        nothing = [path.format(prefix + thing[-24:][::-1]) for thing in theirs]
        told = await _told_apart(estate, theirs, nothing, count, seed)
        said = f"{count:,} looks each: {told:.3f}"
        figures.append(Figure(f"time of a 404, {noun}", said, 0.4 < told < 0.6))
    return figures


async def _told_apart(
    estate: Estate, theirs: Sequence[str], nothing: Sequence[str], count: int, seed: int
) -> float:
    dice = random.Random(seed)
    times: tuple[list[float], list[float]] = ([], [])
    stranger = {"Authorization": f"Bearer {estate.owners['neighbour', 'live']}"}
    async with aiohttp.ClientSession(headers=stranger) as http:
        turns = [0, 1] * count
        dice.shuffle(turns)
        for turn in turns:
            path = dice.choice((theirs, nothing)[turn])
            began = time.perf_counter()
            async with http.get(estate.gateway.base_url + path) as answer:
                await answer.read()
                assert answer.status == 404
            times[turn].append(time.perf_counter() - began)
    return _likelihood(*times)


def _likelihood(one: Sequence[float], other: Sequence[float]) -> float:
    """How likely a value of the one is above one of the other (the area under the ROC curve)."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = sum(rank for rank, (_, whose) in enumerate(ranked, start=1) if whose == 0)
    return (ranks - len(one) * (len(one) + 1) / 2) / (len(one) * len(other))


async def judge_slow_clients(estate: Estate, count: int, rounds: int = 5) -> Figure:
    """With so many clients that send a byte now and then, the others wait less than twice as long."""
    alone, beside = [], []
    await _p99(estate)  # the first requests are slow by themselves
    for _ in range(rounds):
        alone.append(await _p99(estate))
        async with _slow_clients(estate, count) as held:
            beside.append(await _p99(estate))
            still = held()
    quiet, busy = statistics.median(alone) * 1000, statistics.median(beside) * 1000
    times = f"p99 {quiet:.1f} ms alone, {busy:.1f} ms beside them ({busy / quiet:.2f}x)"
    said = f"{still} of {count} held open: {times}"
    return Figure("slow clients", said, busy < 2 * quiet and still == count)


async def _p99(estate: Estate, requests: int = 400, at_once: int = 4) -> float:
    key = {"Authorization": f"Bearer {estate.owners['owner', 'live']}"}
    times: list[float] = []
    async with aiohttp.ClientSession(headers=key) as http:

        async def client() -> None:
            for _ in range(requests // at_once):
                began = time.perf_counter()
                async with http.get(f"{estate.gateway.base_url}/v1/credits") as answer:
                    await answer.read()
                times.append(time.perf_counter() - began)

        await asyncio.gather(*(client() for _ in range(at_once)))
    return statistics.quantiles(times, n=100)[98]


@contextlib.asynccontextmanager
async def _slow_clients(estate: Estate, count: int) -> AsyncIterator[Callable[[], int]]:
    """Half of them are slow with the head, half with the body, each a byte every half second."""
    port = int(estate.gateway.base_url.rpartition(":")[2])
    ends = []
    body = (
        b"POST /v1/api-keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 9999\r\n\r\n"
    )
    starts = (b"GET /v1/jobs HTTP/1.1\r\nX-Slow: ", body % estate.owners["owner", "live"].encode())
    for number in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(starts[number % 2])
        ends.append((reader, writer))

    async def trickle() -> None:
        while True:
            for _, writer in ends:
                writer.write(b"a")
            await asyncio.sleep(0.5)

    trickling = asyncio.create_task(trickle())
    await asyncio.sleep(0.1)
    try:
        yield lambda: sum(not reader.at_eof() for reader, _ in ends)
    finally:
        trickling.cancel()
        for _, writer in ends:
            writer.close()
