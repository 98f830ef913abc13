"""Webhooks end to end: the job's own bytes, signed, to whoever should know."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from fairstack_server.db.dsn import Dsn
from tests.conftest import make_folder
from tests.gateway.receiver import Got, Receiver, receiving
from tests.gateway.running import Running, running_gateway

WAN: dict[str, Any] = {"model": "wan-2-1-t2v"}


@dataclass(slots=True)
class World:
    """A gateway, a receiver that it may call, and a fresh account's keys."""

    gateway: Running
    receiver: Receiver
    live: str
    test: str

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """One good call with the account's test key."""
        answer = await self.gateway.call(method, path, body, key=key or self.test)
        assert answer.status < 300, answer.body
        return answer.json

    async def secret(self) -> str:
        """The account's signing secret."""
        return str((await self.call("GET", "/v1/webhooks/secret"))["secret"])


@pytest.fixture(scope="module")
async def servers(module_database: Dsn) -> AsyncIterator[tuple[Running, Receiver]]:
    """A gateway and a receiver."""
    home = make_folder()
    async with (
        receiving() as receiver,
        running_gateway(module_database, home, webhook_allow=receiver.address) as gateway,
    ):
        yield gateway, receiver
    shutil.rmtree(home)


@pytest.fixture
async def world(servers: tuple[Running, Receiver]) -> World:
    """An account of the test's own."""
    live, test = await servers[0].other_account()
    return World(*servers, live, test)


def verified(got: Got, secret: str) -> Any:
    """The message, if its signature holds. Raises WebhookVerificationError."""
    assert got.headers["Content-Type"] == "application/json"
    return Webhook(secret).verify(got.body, {name.lower(): value for name, value in got.headers.items()})


@pytest.mark.parametrize(
    ("prompt", "status"),
    [("a lighthouse", "completed"), ("test:fail", "failed"), ("test:slow 600", "cancelled")],
)
async def test_every_end_is_told_with_the_jobs_bytes(world: World, prompt: str, status: str) -> None:
    """Completed, failed and cancelled jobs are told once, signed, with the exact bytes of GET."""
    path = f"/{status}"
    body = {**WAN, "prompt": prompt, "webhook_url": world.receiver.url(path)}
    job = await world.call("POST", "/v1/generations/video", body)
    if status == "cancelled":
        await world.call("POST", f"/v1/jobs/{job['id']}/cancel")
    got = (await world.receiver.wait(path))[0]
    answer = await world.gateway.call("GET", f"/v1/jobs/{job['id']}", key=world.test)
    assert got.body == answer.body
    assert verified(got, await world.secret()) == answer.json
    assert answer.json["status"] == status
    assert len(world.receiver.at(path)) == 1
    listed = (await world.call("GET", f"/v1/webhooks/deliveries?job={job['id']}"))["items"]
    assert [each["webhook_id"] for each in listed] == [got.headers["webhook-id"]]
    assert (await _settled(world, job["id"]))["state"] == "delivered"


async def test_a_forged_message_does_not_verify(world: World) -> None:
    """Another account's secret, or one changed byte, breaks the signature."""
    await world.call("POST", "/v1/webhooks/test", {"url": world.receiver.url("/forged")})
    got = (await world.receiver.wait("/forged"))[0]
    secret = await world.secret()
    verified(got, secret)
    with pytest.raises(WebhookVerificationError):
        verified(Got(got.path, got.headers, got.body.replace(b"test", b"tset")), secret)
    _, stranger = await world.gateway.other_account()
    other = (await world.call("GET", "/v1/webhooks/secret", key=stranger))["secret"]
    with pytest.raises(WebhookVerificationError):
        verified(got, other)


async def test_the_default_endpoint(world: World) -> None:
    """A job without a webhook_url of its own is told to the default endpoint; null takes it away."""
    nowhere = {"url": None, "disabled_at": None, "reason": None}
    assert await world.call("GET", "/v1/webhooks/endpoint") == nowhere
    address = world.receiver.url("/default")
    put = await world.call("PUT", "/v1/webhooks/endpoint", {"url": address})
    assert put == await world.call("GET", "/v1/webhooks/endpoint") == {**nowhere, "url": address}
    job = await world.call("POST", "/v1/generations/video", {**WAN, "prompt": "test:refused"})
    got = (await world.receiver.wait("/default"))[0]
    assert verified(got, await world.secret())["id"] == job["id"]
    own = {**WAN, "prompt": "test:refused", "webhook_url": world.receiver.url("/own")}
    await world.call("POST", "/v1/generations/video", own)
    await world.receiver.wait("/own")
    assert len(world.receiver.at("/default")) == 1
    assert await world.call("PUT", "/v1/webhooks/endpoint", {"url": None}) == nowhere
    refused = await world.gateway.call(
        "PUT", "/v1/webhooks/endpoint", {"url": "http://10.0.0.1/"}, key=world.test
    )
    assert (refused.status, refused.json["error"]["code"]) == (400, "webhook_url_refused")


async def test_an_endpoint_that_is_gone_is_disabled_until_it_is_set_again(world: World) -> None:
    """410 disables the default endpoint, says why, and setting it again enables it."""
    address = world.receiver.url("/gone")
    world.receiver.statuses["/gone"] = 410
    await world.call("PUT", "/v1/webhooks/endpoint", {"url": address})
    job = await world.call("POST", "/v1/generations/video", {**WAN, "prompt": "test:refused"})
    await world.receiver.wait("/gone")
    delivery = await _settled(world, job["id"])
    assert delivery["state"] == "disabled"
    endpoint = await world.call("GET", "/v1/webhooks/endpoint")
    assert endpoint["disabled_at"] is not None
    assert endpoint["reason"]
    enabled = await world.call("PUT", "/v1/webhooks/endpoint", {"url": address})
    assert enabled["disabled_at"] is None


async def test_the_test_message(world: World) -> None:
    """A test message goes to the named address, or to the default endpoint; without both it is a 400."""
    named = await world.call("POST", "/v1/webhooks/test", {"url": world.receiver.url("/hello")})
    message = verified((await world.receiver.wait("/hello"))[0], await world.secret())
    assert (message["type"], named["job_id"]) == ("test", None)
    without = await world.gateway.call("POST", "/v1/webhooks/test", key=world.test)
    assert (without.status, without.json["error"]["param"]) == (400, "url")
    await world.call("PUT", "/v1/webhooks/endpoint", {"url": world.receiver.url("/hello-default")})
    await world.call("POST", "/v1/webhooks/test")
    await world.receiver.wait("/hello-default")


async def test_a_redelivery_is_the_same_message(world: World) -> None:
    """Sent again, a message has the same id and bytes and a new timestamp, and its log shows both."""
    body = {**WAN, "prompt": "test:refused", "webhook_url": world.receiver.url("/again")}
    job = await world.call("POST", "/v1/generations/video", body)
    await world.receiver.wait("/again")
    delivery = await _settled(world, job["id"])
    assert delivery["state"] == "delivered"
    again = await world.call("POST", f"/v1/webhooks/deliveries/{delivery['id']}/redeliver")
    assert again["id"] == delivery["id"]
    first, second = await world.receiver.wait("/again", 2)
    assert second.body == first.body
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    verified(second, await world.secret())
    shown = await _settled(world, job["id"])
    assert [attempt["number"] for attempt in shown["log"]] == [1, 2]


async def test_a_failed_delivery_is_tried_again_later(world: World) -> None:
    """An answer of 500 is no delivery: the next attempt is due later, and the log says what came."""
    world.receiver.statuses["/broken"] = 500
    body = {**WAN, "prompt": "test:refused", "webhook_url": world.receiver.url("/broken")}
    job = await world.call("POST", "/v1/generations/video", body)
    await world.receiver.wait("/broken")
    delivery = await _settled(world, job["id"])
    assert delivery["state"] == "pending"
    assert delivery["next_attempt_at"] is not None
    assert delivery["log"][0]["status_code"] == 500


async def test_a_rotated_secret(world: World) -> None:
    """After a rotation messages verify with the old and the new secret, and the answer says until when."""
    old = await world.secret()
    rotated = await world.call("POST", "/v1/webhooks/secret", key=world.live)
    new = rotated["secret"]
    assert new != old
    assert rotated["previous_valid_until"] is not None
    assert await world.secret() == new
    await world.call("POST", "/v1/webhooks/test", {"url": world.receiver.url("/rotated")})
    got = (await world.receiver.wait("/rotated"))[0]
    assert verified(got, old) == verified(got, new)


async def test_a_test_key_cannot_rotate_the_secret_of_live_webhooks(world: World) -> None:
    """The secret signs live webhooks too, so a sandbox key is refused and the secret stays."""
    old = await world.secret()
    refused = await world.gateway.call("POST", "/v1/webhooks/secret", key=world.test)
    assert (refused.status, refused.json["error"]["code"]) == (403, "forbidden")
    assert await world.secret() == old


async def test_deliveries_page_and_filter(world: World) -> None:
    """The list of deliveries pages without gaps and keeps to its filters."""
    for _ in range(3):
        await world.call("POST", "/v1/webhooks/test", {"url": world.receiver.url("/pages")})
    await world.receiver.wait("/pages", 3)
    first = await world.call("GET", "/v1/webhooks/deliveries?limit=2")
    second = await world.call("GET", f"/v1/webhooks/deliveries?limit=2&cursor={first['next_cursor']}")
    assert (first["has_more"], second["has_more"]) == (True, False)
    ids = [each["id"] for each in first["items"] + second["items"]]
    assert len(set(ids)) == 3
    assert (await world.call("GET", "/v1/webhooks/deliveries?state=failed"))["items"] == []
    assert (await world.call("GET", "/v1/webhooks/deliveries", key=world.live))["items"] == []


async def _settled(world: World, job_id: str) -> Any:
    """The job's newest delivery with its log, once no attempt of it is under way."""
    while True:
        found = (await world.call("GET", f"/v1/webhooks/deliveries?job={job_id}"))["items"][0]
        delivery = await world.call("GET", f"/v1/webhooks/deliveries/{found['id']}")
        if delivery["log"] and len(delivery["log"]) == delivery["attempts"]:
            return delivery
