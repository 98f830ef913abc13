"""The error table of the contract, row by row: status, code, shape, headers."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.api.openapi import STATUS_OF_CODE
from fairstack_server.db.dsn import Dsn
from fairstack_server.ids import new_api_key
from tests.gateway.running import VIDEO, Answer, Running, running_gateway

WAN = {"model": "wan-2-1-t2v", "prompt": "a dog"}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


def error_of(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The error of an answer, after its status and code were checked."""
    assert (answer.status, answer.json["error"]["code"]) == (status, code), answer.body
    error: dict[str, Any] = answer.json["error"]
    return error


@pytest.mark.parametrize(
    ("body", "param", "allowed"),
    [
        (b"{", None, None),
        ({**WAN, "colour": "red"}, "colour", "a list"),
        ({**WAN, "duration": "5"}, "duration", "a list"),
        ({**WAN, "resolution": "8k"}, "resolution", "a list"),
        ({**WAN, "aspect_ratio": "7:3"}, "aspect_ratio", "a list"),
        ({**WAN, "confirm": "no"}, "confirm", None),
        ({"prompt": "a dog"}, "model", None),
    ],
)
async def test_400_validation_error(gateway: Running, body: Any, param: str | None, allowed: Any) -> None:
    """What is wrong with a request is said with the field and what it may be."""
    error = error_of(await gateway.call("POST", VIDEO, body), 400, "validation_error")
    assert error.get("param") == param
    assert ("allowed" in error) == (allowed is not None)
    if param is not None:
        assert param in error["message"]


async def test_400_unknown_model(gateway: Running) -> None:
    """A model that there is not is answered with the closest keys and where to find all."""
    error = error_of(await gateway.submit({**WAN, "model": "wan-2-1"}), 400, "unknown_model")
    assert error["param"] == "model"
    assert "wan-2-1-t2v" in error["message"]
    assert "GET /v1/models" in error["message"]


async def test_400_refused_addresses(gateway: Running) -> None:
    """An image or webhook at an address that may not be reached is refused without a word about it."""
    body = {"model": "kling-2-1-std-i2v", "prompt": "p", "image": "https://169.254.169.254/latest"}
    error = error_of(await gateway.submit(body, key=gateway.keys.test), 400, "image_refused")
    assert error["param"] == "image"
    error = error_of(
        await gateway.submit({**WAN, "webhook_url": "http://127.0.0.1:1/"}), 400, "webhook_url_refused"
    )
    assert error["param"] == "webhook_url"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic ZnM6bGl2ZQ==",
        "Bearer fs_live_" + "0" * 36,
        "Bearer {unknown}",
        "Bearer {unknown}x",
    ],
)
async def test_401_authentication_error(gateway: Running, authorization: str | None) -> None:
    """No key, a mistyped key and an unknown key are 401 with WWW-Authenticate."""
    sent = None if authorization is None else authorization.format(unknown=new_api_key("live"))
    headers = {} if sent is None else {"Authorization": sent}
    answer = await gateway.call("GET", "/v1/credits", key="", headers=headers)
    error_of(answer, 401, "authentication_error")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_401_after_a_key_ends(gateway: Running) -> None:
    """A revoked key and an expired key open nothing any more."""
    revoked, expiring = await gateway.key("jobs:read"), await gateway.key("jobs:read")
    keys = (await gateway.call("GET", "/v1/api-keys")).json["items"]
    assert (await gateway.call("GET", "/v1/jobs", key=revoked)).status == 200
    await gateway.call("DELETE", f"/v1/api-keys/{keys[-2]['id']}")
    await gateway.gateway.pool.execute(
        "update api_keys set expires_at = now() - interval '1 second' where id = $1", keys[-1]["id"]
    )
    for key in (revoked, expiring):
        error_of(await gateway.call("GET", "/v1/jobs", key=key), 401, "authentication_error")


async def test_402_payment(gateway: Running) -> None:
    """Too little money and a cap are 402: how much is needed and there, and which cap."""
    key = gateway.keys.test
    capped = await gateway.key("generate", mode="test", cap_micro=10_000)
    error = error_of(await gateway.submit(WAN, key=capped), 402, "cap_reached")
    assert "key" in error["message"]
    error = error_of(await gateway.submit({**WAN, "max_cost_micro": 47_999}, key=key), 402, "cap_reached")
    assert error["param"] == "max_cost_micro"
    assert "$0.048" in error["message"]
    assert error["details"]["required_micro"] == 48_000


async def test_403_forbidden(gateway: Running) -> None:
    """A key without the scope is told which one it lacks."""
    key = await gateway.key("jobs:read")
    error = error_of(await gateway.submit(WAN, key=key), 403, "forbidden")
    assert "'generate'" in error["message"]


async def test_404_says_nothing_of_what_others_have(gateway: Running) -> None:
    """Another account's ids, and live ids asked with a test key, answer as ids of nothing."""
    made = await _one_of_each(gateway)
    stranger_live, stranger_test = await gateway.other_account()
    for method, path, owned, nothing in made:
        for key in (stranger_live, stranger_test, gateway.keys.live):
            theirs = await gateway.call(method, path.format(owned), key=key)
            none = await gateway.call(method, path.format(nothing), key=key)
            error_of(theirs, 404, "not_found")
            assert _blank(theirs).replace(owned.encode(), nothing.encode()) == _blank(none)
            assert _names(theirs) == _names(none)


async def _one_of_each(gateway: Running) -> list[tuple[str, str, str, str]]:
    """(method, path, an id that the default account's test key owns, an id of nothing)"""
    key, nothing = gateway.keys.test, "0" * 24
    job = (await gateway.submit({**WAN, "prompt": "test:slow 600"}, key=key)).json["id"]
    png = (Path(__file__).parent / "photo.png").read_bytes()
    file = (await gateway.call("POST", "/v1/files", png, key=key, headers={"Content-Type": "image/png"})).json
    webhook = {"url": "https://hooks.example.com/x"}
    delivery = (await gateway.call("POST", "/v1/webhooks/test", webhook, key=key)).json
    rows = [
        ("GET", "/v1/jobs/{}", job),
        ("DELETE", "/v1/jobs/{}", job),
        ("POST", "/v1/jobs/{}/cancel", job),
        ("GET", "/v1/jobs/{}/events", job),
        ("GET", "/v1/jobs/{}/late_result", job),
        ("GET", "/v1/files/{}", file["id"]),
        ("DELETE", "/v1/files/{}", file["id"]),
        ("GET", "/v1/webhooks/deliveries/{}", delivery["id"]),
        ("POST", "/v1/webhooks/deliveries/{}/redeliver", delivery["id"]),
    ]
    return [(method, path, owned, f"{owned.partition('_')[0]}_{nothing}") for method, path, owned in rows]


async def test_the_printed_address_leads_to_the_documentation(gateway: Running) -> None:
    """Whoever opens the server's own address is sent to /docs."""
    async with gateway.http.get(f"{gateway.base_url}/", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (302, "/docs")


async def test_404_for_addresses_of_nothing(gateway: Running) -> None:
    """An unknown path, an impossible id and an unknown model page are 404 in the one shape."""
    for path in (
        "/v2/jobs",
        "/v1/jobs/job_x/nothing",
        "/v1/jobs/%00",
        "/v1/jobs/%ff",
        "/v1/files/a%00b",
    ):
        error_of(await gateway.call("GET", path), 404, "not_found")
    error_of(await gateway.call("POST", "/v1/admin/accounts/%00/grants", {"micro": 1}), 404, "not_found")
    error_of(await gateway.call("GET", "/v1/models/nothing", key=""), 404, "not_found")
    error_of(await gateway.call("GET", "/media/video/nothing/output.mp4", key=""), 404, "not_found")


async def test_options_names_every_method_of_a_path(gateway: Running) -> None:
    """Also where several routes share the path; and it needs no key."""
    for path, operations in gateway.conformity.document["paths"].items():
        url = gateway.base_url + re.sub(r"\{\w+\}", "some", path)
        async with gateway.http.options(url) as answer:
            told = set(answer.headers["Allow"].split(", "))
            assert (answer.status, told) == (204, {"OPTIONS", *map(str.upper, operations)}), path


async def test_405_names_the_methods(gateway: Running) -> None:
    """A method that a path does not take is 405 and says which ones it takes."""
    answer = await gateway.call("PUT", "/v1/generations/video", {})
    error_of(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


async def test_409_job_not_cancellable(gateway: Running) -> None:
    """A job that has ended cannot be cancelled."""
    job = await gateway.ended({**WAN, "prompt": "test:refused"}, key=gateway.keys.test)
    answer = await gateway.call("POST", f"/v1/jobs/{job['id']}/cancel", key=gateway.keys.test)
    error = error_of(answer, 409, "job_not_cancellable")
    assert "failed" in error["message"]


async def test_415_unsupported_media_type(gateway: Running) -> None:
    """Only pictures are taken as files."""
    for data, declared in (
        (SVG, "image/svg+xml"),
        (b"<html></html>", "image/png"),
        (b"\x00" * 9, "image/png"),
    ):
        answer = await gateway.call("POST", "/v1/files", data, headers={"Content-Type": declared})
        error_of(answer, 415, "unsupported_media_type")


async def test_422_idempotency_key_reused(gateway: Running) -> None:
    """One idempotency key for two bodies is 422."""
    headers = {"Idempotency-Key": "row-of-the-table"}
    body = {**WAN, "prompt": "test:refused"}
    await gateway.submit(body, key=gateway.keys.test, headers=headers)
    answer = await gateway.submit({**body, "seed": 1}, key=gateway.keys.test, headers=headers)
    error_of(answer, 422, "idempotency_key_reused")


async def test_503_model_unavailable(gateway: Running) -> None:
    """A model without a configured route is 503 and names the settings that would enable it."""
    error = error_of(await gateway.submit(WAN), 503, "model_unavailable")
    assert "wan-2-1-t2v" in error["message"]
    assert "OPENAI_VIDEOS_URL" in error["message"]


async def test_413_and_429(database: Dsn, home: Path) -> None:
    """A body over the limit is 413, also when its length is not said; past the rate it is 429 with when."""
    async with running_gateway(
        database,
        home,
        works=False,
        body_max_bytes="100000",
        image_max_bytes="50000",
        rate_limit_per_minute="5",
    ) as gateway:
        padded = json.dumps({**WAN, "prompt": "x" * 100_000}).encode()
        error_of(await gateway.call("POST", VIDEO, padded), 413, "payload_too_large")
        error_of(await gateway.call("POST", VIDEO, _unsaid(padded)), 413, "payload_too_large")
        png = (Path(__file__).parent / "photo.png").read_bytes() + b"\0" * 50_000
        error_of(
            await gateway.call("POST", "/v1/files", png, headers={"Content-Type": "image/png"}),
            413,
            "payload_too_large",
        )
        good = [await gateway.call("GET", "/v1/credits") for _ in range(2)]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in good] == ["1", "0"]
        refused = await gateway.call("GET", "/v1/credits")
        error_of(refused, 429, "rate_limited")
        assert 1 <= int(refused.headers["Retry-After"]) <= 61
        assert refused.headers["X-RateLimit-Limit"] == "5"
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert refused.headers["X-RateLimit-Reset"] == refused.headers["Retry-After"]
        assert re.fullmatch(r'"default";r=0;t=\d+', refused.headers["RateLimit"])
        assert refused.headers["RateLimit-Policy"] == '"default";q=5;w=60'
        assert (await gateway.call("GET", "/v1/credits", key=gateway.keys.test)).status == 200


def _unsaid(body: bytes) -> Any:
    """The body in chunks, without a Content-Length."""

    async def chunks() -> Any:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]
            await asyncio.sleep(0)

    return chunks()


async def test_500_and_a_lost_database(database: Dsn, home: Path) -> None:
    """A fault of ours shows no trace of itself; without its database the server says that it is not ready."""
    async with running_gateway(database, home, works=False) as gateway:
        await gateway.gateway.pool.execute("alter table clips rename to clips_away")
        await gateway.gateway.pool.execute("alter table jobs rename to jobs_away")
        error = error_of(await gateway.call("GET", "/v1/jobs"), 500, "internal_error")
        assert "request id" in error["message"]
        assert not re.search(r"relation|jobs|asyncpg|sql", error["message"], re.IGNORECASE)
        assert set(error) == {"code", "message", "status", "request_id"}
        await gateway.gateway.pool.close()
        error_of(await gateway.call("GET", "/readyz", key=""), 503, "provider_unavailable")
        assert (await gateway.call("GET", "/healthz", key="")).status == 200


async def test_every_code_has_its_status_in_the_document(gateway: Running) -> None:
    """The document knows each code of the table under the status that the table gives it."""
    told: dict[str, set[str]] = {}
    expected = {code: {str(status)} for code, status in STATUS_OF_CODE.items()}
    for operations in gateway.conformity.document["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                for code in re.findall("`([a-z_]+)`", answer["description"]) if int(status) >= 400 else []:
                    told.setdefault(code, set()).add(status)
    del expected["method_not_allowed"]  # the answer about what is not an operation
    assert told == expected


def _blank(answer: Answer) -> bytes:
    return answer.body.replace(answer.json["error"]["request_id"].encode(), b"")


def _names(answer: Answer) -> list[str]:
    return sorted(answer.headers)
