"""Every public shape is, but for ids and times, the example under `spec/examples/`, key order included."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from tests.conftest import make_folder
from tests.gateway.examples import FOLDER, example, text_of
from tests.gateway.pictures import PHOTO
from tests.gateway.receiver import receiving
from tests.gateway.running import VIDEO, Running, running_gateway
from tests.gateway.schema import faults

ORDER = {
    "model": "wan-2-1-t2v",
    "prompt": "A golden retriever running on a beach at sunset, slow motion",
    "tags": {"project": "demo"},
}

#: Example -> the shape of the document that it is an example of.
SHAPES = {
    "submit-request": "VideoRequest",
    "submitted": "Submitted",
    "estimated": "Estimated",
    "job-queued": "JobView",
    "job-processing": "JobView",
    "job-completed": "JobView",
    "job-failed": "JobView",
    "job-cancelled": "JobView",
    "job-cancel-requested": "JobView",
    "job-list": "JobList",
    "error": "ErrorAnswer",
    "model": "ModelView",
    "model-list": "ModelList",
    "credits": "CreditsView",
    "ledger": "LedgerView",
    "usage": "UsageView",
    "key-request": "KeyRequest",
    "key-created": "KeyView",
    "key-list": "KeyList",
    "file": "FileView",
    "delivery": "DeliveryView",
    "delivery-list": "DeliveryList",
    "webhook-secret": "SecretView",
    "webhook-endpoint": "EndpointView",
    "account-created": "NewAccountView",
    "account-list": "AccountList",
    "grant": "GrantView",
    "provider-list": "ProviderList",
}


@dataclass(slots=True)
class Collected:
    """What one account's story looks like on the wire."""

    shapes: dict[str, Any]
    document: Any


@pytest.fixture(scope="module")
async def collected(module_database: Dsn) -> AsyncIterator[Collected]:
    """One of each shape, collected from a fresh server."""
    home = make_folder()
    async with (
        receiving() as receiver,
        running_gateway(module_database, home, webhook_allow=receiver.address) as gateway,
    ):
        shapes = await _jobs(gateway, receiver.url("/hook"))
        await receiver.wait("/hook")
        shapes |= await _webhooks(gateway) | await _money(gateway) | await _rest(gateway)
        yield Collected(shapes, gateway.conformity.document)
    shutil.rmtree(home)


async def _jobs(gateway: Running, hook: str) -> dict[str, Any]:
    key = gateway.keys.test

    async def job(method: str, job_id: str, suffix: str = "") -> Any:
        return (await gateway.call(method, f"/v1/jobs/{job_id}{suffix}", key=key)).json

    done = (await gateway.submit({**ORDER, "webhook_url": hook}, key=key)).json
    failed = (await gateway.submit({**ORDER, "prompt": "test:content_filtered"}, key=key)).json["id"]
    slow = [
        (await gateway.submit({**ORDER, "prompt": "test:slow 600"}, key=key)).json["id"] for _ in range(5)
    ]
    completed, ended = await _ended(gateway, done["id"]), await _ended(gateway, failed)
    by_status: dict[str, list[str]] = {}
    while len(by_status.get("processing", [])) < 4:
        by_status = {}
        for job_id in slow:
            by_status.setdefault((await job("GET", job_id))["status"], []).append(job_id)
        await asyncio.sleep(0.05)
    queued, processing = by_status["queued"][0], by_status["processing"][0]
    shapes = {
        "submit-request": {**ORDER, "webhook_url": "https://yourapp.com/hooks/fairstack"},
        "submitted": done,
        "estimated": (await gateway.submit({**ORDER, "confirm": False}, key=key)).json,
        "job-queued": await job("GET", queued),
        "job-processing": await job("GET", processing),
        "job-completed": completed,
        "job-failed": ended,
        "job-cancelled": await job("DELETE", queued),
        "job-cancel-requested": await job("POST", processing, "/cancel"),
        "job-list": (await gateway.call("GET", "/v1/jobs?status=failed&limit=1", key=key)).json,
        "error": (await gateway.submit({**ORDER, "duration": 999}, key=key)).json,
    }
    for job_id in slow[0:5]:
        await gateway.call("DELETE", f"/v1/jobs/{job_id}", key=key)
    return shapes


async def _ended(gateway: Running, job_id: str) -> Any:
    """The job as it ended, however long a busy machine takes for its card."""
    while True:
        job = await gateway.wait(job_id, key=gateway.keys.test)
        if job["status"] not in ("queued", "processing"):
            return job


async def _webhooks(gateway: Running) -> dict[str, Any]:
    key = gateway.keys.test
    while True:
        page = (await gateway.call("GET", "/v1/webhooks/deliveries", key=key)).json
        if page["items"][0]["state"] == "delivered":
            break
    delivery = f"/v1/webhooks/deliveries/{page['items'][0]['id']}"
    return {
        "delivery": (await gateway.call("GET", delivery, key=key)).json,
        "delivery-list": page,
        "webhook-secret": (await gateway.call("GET", "/v1/webhooks/secret", key=key)).json,
        "webhook-endpoint": (await gateway.call("GET", "/v1/webhooks/endpoint", key=key)).json,
    }


async def _money(gateway: Running) -> dict[str, Any]:
    _, key = await gateway.other_account()
    await gateway.ended(ORDER, key=key)
    return {
        "credits": (await gateway.call("GET", "/v1/credits", key=key)).json,
        "ledger": (await gateway.call("GET", "/v1/ledger", key=key)).json,
        "usage": (await gateway.call("GET", "/v1/usage?group_by=model", key=key)).json,
    }


async def _rest(gateway: Running) -> dict[str, Any]:
    account = await gateway.call("POST", "/v1/admin/accounts", {"name": "studio", "cap_micro": 50_000_000})
    account_id, key = account.json["account"]["id"], account.json["live_key"]
    grant = {"micro": 25_000_000, "memo": "first payment"}
    wish = {"name": "render farm", "scopes": ["generate", "jobs:read"], "cap_micro": 10_000_000}
    headers = {"Content-Type": "image/png"}
    accounts = f"/v1/admin/accounts/{account_id}/grants"
    granted = await gateway.call("POST", accounts, grant)
    created = await gateway.call("POST", "/v1/api-keys", wish, key=key)
    listed = (await gateway.call("GET", "/v1/admin/accounts")).json["items"]
    providers = (await gateway.call("GET", "/v1/admin/providers")).json["items"]
    return {
        "model": (await gateway.call("GET", "/v1/models/wan-2-1-t2v", key="")).json,
        "model-list": (await gateway.call("GET", "/v1/models?q=kling-2-1-std-i2v", key="")).json,
        "key-request": wish,
        "key-created": created.json,
        "key-list": (await gateway.call("GET", "/v1/api-keys", key=key)).json,
        "file": (await gateway.call("POST", "/v1/files", PHOTO, key=key, headers=headers)).json,
        "account-created": account.json,
        "account-list": {"items": [each for each in listed if each["name"] == "studio"]},
        "grant": granted.json,
        "provider-list": {"items": [each for each in providers if each["name"] in ("fal", "local")]},
    }


@pytest.mark.parametrize("name", SHAPES)
async def test_the_wire_is_as_its_example(collected: Collected, name: str) -> None:
    """The server's answer and the example are the same text, but for ids, times, sizes and addresses."""
    assert text_of(collected.shapes[name]) == example(name)


@pytest.mark.parametrize("name", SHAPES)
async def test_an_example_fits_the_document(collected: Collected, name: str) -> None:
    """An example is what the OpenAPI document says of its shape."""
    components = collected.document["components"]["schemas"]
    assert faults(json.loads(example(name)), {"$ref": f"#/{SHAPES[name]}"}, components) == []


def test_every_example_is_proven() -> None:
    """No example lies about that nothing is compared with."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SHAPES)


def test_the_seeds_answers_are_the_examples() -> None:
    """The completed example begins as the seed's does: same keys, same order, same values."""
    completed = json.loads(example("job-completed"))
    assert list(completed)[:7] == ["id", "status", "url", "model", "modality", "cost", "metadata"]
    assert completed["cost"] == {"micro": 48000, "display": "$0.048", "currency": "USD"}
    facts = list(completed["metadata"].items())[:4]
    assert facts == [("width", 1280), ("height", 720), ("duration", 5), ("fps", 24)]
    assert list(json.loads(example("submitted"))) == ["id", "status", "estimated_cost"]
    assert json.loads(example("estimated")) == {"estimated_cost": {"micro": 48000, "display": "$0.048"}}
    assert VIDEO == "/v1/generations/video"
