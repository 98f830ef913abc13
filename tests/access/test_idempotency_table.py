"""The table of the contract, row by row: what uses an idempotency key up, and what comes back under it."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fairstack_server.db.dsn import Dsn
from tests.access.dropping import DroppingProxy, Loss
from tests.conftest import make_folder
from tests.gateway.detour import PUBLIC, Detour
from tests.gateway.pictures import PHOTO
from tests.gateway.running import VIDEO, Answer, Running, running_gateway

GOOD: dict[str, Any] = {"model": "wan-2-1-t2v", "prompt": "test:slow 600"}
PRICE = 48_000
RATE = 300


class Pictures:
    """A host of one picture, which is given out when `let_go` is called and not before."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._go = asyncio.Event()
        self._status = 200

    async def page(self, request: web.Request) -> web.Response:
        self.asked.set()
        await self._go.wait()
        return web.Response(body=PHOTO, content_type="image/png", status=self._status)

    def hold(self) -> None:
        """From now on whoever asks waits."""
        self.asked, self._go = asyncio.Event(), asyncio.Event()

    def let_go(self, status: int) -> None:
        """Answer those who wait."""
        self._status = status
        self._go.set()


@pytest.fixture(scope="module")
async def pictures() -> AsyncIterator[tuple[Pictures, str]]:
    """The host of pictures and its origin."""
    host, app = Pictures(), web.Application()
    app.router.add_get("/photo.png", host.page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield host, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture(scope="module")
async def gateway(module_database: Dsn, pictures: tuple[Pictures, str]) -> AsyncIterator[Running]:
    """A gateway whose jobs stay queued, with low limits."""
    home = make_folder()
    limits = {"body_max_bytes": "60000", "rate_limit_per_minute": str(RATE)}
    egress = Detour(pictures[1])
    async with running_gateway(module_database, home, works=False, egress=egress, **limits) as running:
        yield running
    shutil.rmtree(home)


async def send(gateway: Running, key: str, idempotency_key: str, body: Any) -> Answer:
    """POST an order under an idempotency key."""
    return await gateway.call(
        "POST", VIDEO, body, key=key, headers={"Idempotency-Key": idempotency_key} if idempotency_key else {}
    )


async def stands(gateway: Running, key: str) -> tuple[int, int]:
    """How many jobs there are, and how much is held for them."""
    jobs = (await gateway.call("GET", "/v1/jobs?limit=100", key=key)).json["items"]
    return len(jobs), (await gateway.money(key=key))[1]


Refuse = Callable[[Running, str, str], Awaitable[Answer]]


def with_body(**changes: Any) -> Refuse:
    """A refusal for what the body says."""

    async def refuse(gateway: Running, key: str, idempotency_key: str) -> Answer:
        return await send(gateway, key, idempotency_key, {**GOOD, **changes})

    return refuse


async def no_key(gateway: Running, key: str, idempotency_key: str) -> Answer:
    """Sent without an API key."""
    return await send(gateway, "", idempotency_key, GOOD)


async def capped(gateway: Running, key: str, idempotency_key: str) -> Answer:
    """Sent with a key whose cap is too low."""
    return await send(
        gateway, await gateway.key("generate", key=key, mode="test", cap_micro=1), idempotency_key, GOOD
    )


async def unscoped(gateway: Running, key: str, idempotency_key: str) -> Answer:
    """Sent with a key that may only read."""
    return await send(gateway, await gateway.key("jobs:read", key=key, mode="test"), idempotency_key, GOOD)


async def too_often(gateway: Running, key: str, idempotency_key: str) -> Answer:
    """Sent with a key that has used up its minute."""
    tired = await gateway.key("generate", "credits:read", key=key, mode="test")
    for _ in range(RATE):
        await gateway.call("GET", "/v1/credits", key=tired)
    return await send(gateway, tired, idempotency_key, GOOD)


async def broken(gateway: Running, key: str, idempotency_key: str) -> Answer:
    """Sent while a table is missing: the transaction that would have taken the job fails."""
    await gateway.gateway.pool.execute("alter table job_events rename to job_events_away")
    answer = await send(gateway, key, idempotency_key, GOOD)
    await gateway.gateway.pool.execute("alter table job_events_away rename to job_events")
    return answer


REFUSALS: list[tuple[int, str, Refuse]] = [
    (400, "validation_error", with_body(duration=999)),
    (400, "validation_error", with_body(colour="red")),
    (400, "unknown_model", with_body(model="wan")),
    (400, "image_refused", with_body(model="kling-2-1-std-i2v", image="https://169.254.169.254/x")),
    (400, "webhook_url_refused", with_body(webhook_url="http://127.0.0.1:1/")),
    (401, "authentication_error", no_key),
    (402, "cap_reached", capped),
    (402, "cap_reached", with_body(max_cost_micro=PRICE - 1)),
    (403, "forbidden", unscoped),
    (413, "payload_too_large", with_body(prompt="x" * 100_000)),
    (429, "rate_limited", too_often),
    (500, "internal_error", broken),
]


@pytest.mark.parametrize(
    ("status", "code", "refuse"), REFUSALS, ids=[f"{s} {c} {n}" for n, (s, c, _) in enumerate(REFUSALS)]
)
async def test_a_refusal_uses_no_key_up(gateway: Running, status: int, code: str, refuse: Refuse) -> None:
    """After any refusal the key is free: the request that was meant becomes the job, and is no replay."""
    _, key = await gateway.other_account()
    refused = await refuse(gateway, key, "row")
    assert (refused.status, refused.json["error"]["code"]) == (status, code), refused.body
    assert await stands(gateway, key) == (0, 0)
    taken = await send(gateway, key, "row", GOOD)
    assert taken.status == 202, taken.body
    assert "Idempotent-Replayed" not in taken.headers
    assert await stands(gateway, key) == (1, PRICE)


async def test_while_the_first_is_worked_on_others_are_told_to_wait(
    gateway: Running, pictures: tuple[Pictures, str]
) -> None:
    """409 with `Retry-After` for the same key, whatever the body; then the replay; and only one picture."""
    host, _ = pictures
    host.hold()
    _, key = await gateway.other_account()
    body = {"model": "kling-2-1-std-i2v", "prompt": "test:slow 600", "image": f"{PUBLIC}/photo.png"}
    first = asyncio.create_task(send(gateway, key, "busy", body))
    await host.asked.wait()
    for other in (body, {**body, "seed": 1}):
        told = await send(gateway, key, "busy", other)
        assert (told.status, told.json["error"]["code"]) == (409, "idempotency_in_flight")
        assert told.headers["Retry-After"] == "1"
    host.let_go(200)
    taken = await first
    assert taken.status == 202, taken.body
    assert (await send(gateway, key, "busy", body)).body == taken.body
    assert (await send(gateway, key, "busy", {**body, "seed": 1})).status == 422
    assert (await stands(gateway, key))[0] == 1


async def test_a_first_that_fails_lets_the_next_one_in(
    gateway: Running, pictures: tuple[Pictures, str]
) -> None:
    """When the request that others waited for is refused, the next one under the key is taken."""
    host, _ = pictures
    host.hold()
    _, key = await gateway.other_account()
    body = {"model": "kling-2-1-std-i2v", "prompt": "test:slow 600", "image": f"{PUBLIC}/photo.png"}
    first = asyncio.create_task(send(gateway, key, "fails", body))
    await host.asked.wait()
    assert (await send(gateway, key, "fails", body)).status == 409
    host.let_go(404)
    assert (await first).status == 400
    host.let_go(200)
    taken = await send(gateway, key, "fails", body)
    assert (taken.status, "Idempotent-Replayed" in taken.headers) == (202, False)


@pytest.mark.parametrize(
    "loss", [Loss.REQUEST, Loss.ANSWER, Loss.MIDDLE, Loss.CALLER], ids=lambda it: it.name
)
async def test_an_answer_that_got_lost_is_given_again(gateway: Running, loss: Loss) -> None:
    """Whatever part of the exchange is lost, sending it again gives the one job, held once."""
    _, key = await gateway.other_account()
    port = int(gateway.base_url.rpartition(":")[2])
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": secrets.token_hex(8)}
    once = aiohttp.TCPConnector(force_close=True)
    async with (
        DroppingProxy(port).running() as proxy,
        aiohttp.ClientSession(connector=once, headers=headers) as http,
    ):
        proxy.loss = loss
        with pytest.raises(aiohttp.ClientError):
            async with http.post(proxy.base_url + VIDEO, json=GOOD) as answer:
                await answer.read()
        proxy.loss = Loss.NONE
        bodies: list[bytes] = []
        while len(bodies) < 2:
            async with http.post(proxy.base_url + VIDEO, json=GOOD) as answer:
                assert answer.status in (202, 409)
                if answer.status == 202:
                    bodies.append(await answer.read())
                    replayed = answer.headers.get("Idempotent-Replayed")
        assert bodies[0] == bodies[1]
        assert replayed == "true"
    assert await stands(gateway, key) == (1, PRICE)
