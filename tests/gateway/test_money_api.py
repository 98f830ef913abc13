"""Money and keys over HTTP: credits, ledger, usage, caps, grants, keys and their scopes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fairstack_server.accounts.store import SCOPES
from fairstack_server.api.openapi import documented
from fairstack_server.spec import described_app
from tests.gateway.running import Running

PRICE = 48_000
DONE: dict[str, Any] = {"model": "wan-2-1-t2v", "prompt": "a lighthouse in the rain"}
REFUSED: dict[str, Any] = {"model": "wan-2-1-t2v", "prompt": "test:refused"}
SLOW: dict[str, Any] = {"model": "wan-2-1-t2v", "prompt": "test:slow 600"}

SCOPED = [
    (method, re.sub(r"\{[a-z_]+\}", "x", path), doc.scope)
    for path, method, doc in documented(described_app())
    if path.startswith("/v1/") and not path.startswith("/v1/models")
]


async def get(gateway: Running, path: str, key: str) -> Any:
    """The JSON of a good GET."""
    answer = await gateway.call("GET", path, key=key)
    assert answer.status == 200, answer.body
    return answer.json


async def test_credits_ledger_and_usage_agree(gateway: Running) -> None:
    """A hold, a capture and a release show in credits, ledger and usage as the same money."""
    _, key = await gateway.other_account()
    done = await gateway.ended({**DONE, "tags": {"team": "red", "shot": "1"}}, key=key)
    assert done["status"] == "completed"
    await gateway.ended(REFUSED, key=key)
    held = (await gateway.submit(SLOW, key=key)).json["id"]
    credits = await get(gateway, "/v1/credits", key)
    assert list(credits) == ["balance", "held", "caps", "mode"]
    assert credits["balance"] == {"micro": 99_904_000, "display": "$99.904", "currency": "USD"}
    assert credits["held"]["micro"] == PRICE
    assert credits["caps"] == {"account": None, "project": None, "key": None}
    items = (await get(gateway, "/v1/ledger?limit=100", key))["items"]
    kinds = [item["kind"] for item in items][::-1]
    assert kinds == ["grant", "hold", "capture", "hold", "release", "hold"]
    assert items[0]["job_id"] == held
    assert sum(item["available_change_micro"] for item in items) == 99_904_000
    assert sum(item["held_change_micro"] for item in items) == PRICE
    for group, names in {
        "day": [done["completed_at"][:10]],
        "model": ["wan-2-1-t2v"],
        "tag": ["shot=1", "team=red"],
    }.items():
        usage = await get(gateway, f"/v1/usage?group_by={group}", key)
        assert [item["name"] for item in usage["items"]] == names
        assert all(item["cost"]["micro"] == PRICE and item["jobs"] == 1 for item in usage["items"])
    by_key = await get(gateway, "/v1/usage?group_by=key", key)
    keys = await gateway.call("GET", "/v1/api-keys", key=key)
    assert [item["name"] for item in by_key["items"]] == [keys.json["items"][0]["id"]]
    assert by_key["total"]["micro"] == PRICE


async def test_the_ledger_pages(gateway: Running) -> None:
    """Pages of the ledger have each movement once, newest first."""
    _, key = await gateway.other_account()
    for _ in range(2):
        await gateway.ended(REFUSED, key=key)
    whole = (await get(gateway, "/v1/ledger?limit=100", key))["items"]
    paged: list[Any] = []
    path = "/v1/ledger?limit=2"
    while path:
        page = await get(gateway, path, key)
        paged += page["items"]
        path = f"/v1/ledger?limit=2&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert paged == whole
    assert len(whole) == 5


async def test_too_little_money_names_both_amounts(gateway: Running) -> None:
    """A 402 says what the clip costs and what there is, to the microdollar, and holds nothing."""
    _, key = await gateway.other_account()
    pool = gateway.gateway.pool
    dear = {**SLOW, "model": "veo-3"}
    price = (await gateway.submit({**dear, "confirm": False}, key=key)).json["estimated_cost"]
    for _ in range(100_000_000 // price["micro"]):
        assert (await gateway.submit(dear, key=key)).status == 202
    left, held = await gateway.money(key=key)
    answer = await gateway.submit(dear, key=key)
    assert (answer.status, answer.json["error"]["code"]) == (402, "insufficient_credits")
    error = answer.json["error"]
    assert price["display"] in error["message"]
    assert f"${left / 1_000_000:.2f}" in error["message"]
    assert error["details"]["required_micro"] == price["micro"]
    assert error["details"]["available_micro"] == left
    assert await gateway.money(key=key) == (left, held)
    assert await pool.fetchval("select min(available_micros) from wallets") >= 0


async def test_caps_refuse_by_name(gateway: Running) -> None:
    """The cap of a key and of an account stop spending before it begins; credits show both."""
    capped = await gateway.key("generate", "credits:read", mode="test", cap_micro=2 * PRICE)
    assert [(await gateway.submit(SLOW, key=capped)).status for _ in range(3)] == [202, 202, 402]
    answer = await gateway.submit(SLOW, key=capped)
    assert (answer.json["error"]["code"], "key" in answer.json["error"]["message"]) == ("cap_reached", True)
    cap = (await get(gateway, "/v1/credits", capped))["caps"]["key"]
    assert (cap["limit"]["micro"], cap["spent"]["micro"], cap["period"]) == (2 * PRICE, 2 * PRICE, "month")
    live, _ = await gateway.other_account(cap_micro=123)
    assert (await get(gateway, "/v1/credits", live))["caps"]["account"]["limit"]["micro"] == 123


async def test_a_release_gives_the_cap_back(gateway: Running) -> None:
    """A job that costs nothing in the end takes nothing from its key's cap."""
    capped = await gateway.key("generate", "jobs:read", "credits:read", mode="test", cap_micro=PRICE)
    for _ in range(2):
        assert (await gateway.ended(REFUSED, key=capped))["status"] == "failed"
    assert (await get(gateway, "/v1/credits", capped))["caps"]["key"]["spent"]["micro"] == 0


async def test_grants_and_accounts(gateway: Running) -> None:
    """An administrator opens accounts and puts live money in, by id or name; the list shows it."""
    made = await gateway.call("POST", "/v1/admin/accounts", {"name": "studio", "cap_micro": 5})
    assert made.status == 201
    account = made.json["account"]
    for name in (account["id"], "studio"):
        grant = await gateway.call("POST", f"/v1/admin/accounts/{name}/grants", {"micro": 7, "memo": "x"})
        assert grant.status == 201
    assert grant.json["balance"]["micro"] == 14
    listed = (await gateway.call("GET", "/v1/admin/accounts")).json["items"]
    shown = next(each for each in listed if each["name"] == "studio")
    assert (shown["balance"]["micro"], shown["cap"]["micro"]) == (14, 5)
    assert (await gateway.money(key=made.json["live_key"]))[0] == 14
    again = await gateway.call("POST", "/v1/admin/accounts", {"name": "studio"})
    assert (again.status, again.json["error"]["param"]) == (400, "name")
    assert (await gateway.call("POST", "/v1/admin/accounts/nobody/grants", {"micro": 1})).status == 404
    providers = (await gateway.call("GET", "/v1/admin/providers")).json["items"]
    assert {each["name"]: each["configured"] for each in providers}["fal"] is False


async def test_a_grant_too_high_is_taken_back(gateway: Running) -> None:
    """An administrator takes back what is available, for a reason that the ledger keeps; never more."""
    made = (await gateway.call("POST", "/v1/admin/accounts", {"name": "overpaid"})).json
    path = "/v1/admin/accounts/overpaid/corrections"
    await gateway.call("POST", "/v1/admin/accounts/overpaid/grants", {"micro": 250})
    back = await gateway.call("POST", path, {"micro": 225, "memo": "25, not 250"})
    assert (back.status, back.json["balance"]["micro"]) == (201, 25)
    newest = (await get(gateway, "/v1/ledger", made["live_key"]))["items"][0]
    assert (newest["kind"], newest["memo"]) == ("correction", "25, not 250")
    assert newest["available_change_micro"] == -225
    for wrong in (
        {"micro": 26, "memo": "x"},
        {"micro": 0, "memo": "x"},
        {"micro": 1, "memo": " "},
        {"micro": 1},
    ):
        assert (await gateway.call("POST", path, wrong)).status == 400, wrong
    assert await gateway.money(key=made["live_key"]) == (25, 0)


async def test_a_key_from_its_birth_to_its_end(gateway: Running) -> None:
    """A key is shown once, works at once, changes at once, and ends at once."""
    made = (await gateway.call("POST", "/v1/api-keys", {"name": "ci", "scopes": ["jobs:read"]})).json
    key = made.pop("key")
    assert key.startswith(made["prefix"])
    assert made == next(
        each for each in (await gateway.call("GET", "/v1/api-keys")).json["items"] if each["id"] == made["id"]
    )
    assert (await gateway.call("GET", "/v1/jobs", key=key)).status == 200
    assert (await gateway.call("GET", "/v1/credits", key=key)).status == 403
    path = f"/v1/api-keys/{made['id']}"
    changed = await gateway.call(
        "PATCH", path, {"scopes": ["credits:read"], "name": "billing", "cap_micro": 9}
    )
    assert (changed.json["name"], changed.json["cap"]["micro"]) == ("billing", 9)
    assert (await gateway.call("GET", "/v1/jobs", key=key)).status == 403
    assert (await gateway.call("GET", "/v1/credits", key=key)).status == 200
    assert (await gateway.call("PATCH", path, {"cap_micro": None})).json["cap"] is None
    assert (await gateway.call("PATCH", path, {"name": "b"})).json["scopes"] == ["credits:read"]
    for _ in range(2):
        assert (await gateway.call("DELETE", path)).json["revoked_at"] is not None
    assert (await gateway.call("GET", "/v1/credits", key=key)).status == 401
    assert (await gateway.call("PATCH", path, {"name": "c"})).status == 404


async def test_a_key_gives_no_more_than_it_has(gateway: Running) -> None:
    """A key makes and widens keys only within its own scopes and mode; a test key reaches no live key."""
    small = await gateway.key("keys:write", "jobs:read")
    assert (await gateway.call("POST", "/v1/api-keys", {"scopes": ["generate"]}, key=small)).status == 403
    mine = (await gateway.call("POST", "/v1/api-keys", {}, key=small)).json
    assert mine["scopes"] == ["jobs:read", "keys:write"]
    wider = await gateway.call("PATCH", f"/v1/api-keys/{mine['id']}", {"scopes": ["admin"]}, key=small)
    assert wider.status == 403
    test = gateway.keys.test
    assert (await gateway.call("POST", "/v1/api-keys", {"mode": "live"}, key=test)).status == 403
    seen = (await gateway.call("GET", "/v1/api-keys", key=test)).json["items"]
    assert {key["mode"] for key in seen} == {"test"}
    for method, body in (("PATCH", {"name": "taken"}), ("DELETE", None)):
        answer = await gateway.call(method, f"/v1/api-keys/{mine['id']}", body, key=test)
        assert answer.status == 404


@pytest.mark.parametrize(("method", "path", "scope"), SCOPED)
async def test_every_route_asks_for_its_scope(
    gateway: Running, method: str, path: str, scope: str | None
) -> None:
    """A route under /v1 is closed without a key, and to a key that has every scope but the route's own."""
    assert scope in SCOPES, f"{method} {path} names no scope"
    answer = await gateway.call(method, path, {}, key="")
    assert answer.status == 401, answer.body
    others = [other for other in SCOPES if other != scope]
    answer = await gateway.call(method, path, {}, key=await gateway.key(*others))
    assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden"), answer.body
    assert repr(scope) in answer.json["error"]["message"]
    answer = await gateway.call(method, path, {}, key=await gateway.key(scope))
    assert answer.status not in (401, 403) or path == "/v1/credits/refill", answer.body


async def test_admin_routes_are_closed_to_test_keys(gateway: Running) -> None:
    """No test key moves live money, whatever scopes it was given."""
    key = await gateway.key("admin", mode="test")
    answer = await gateway.call("POST", "/v1/admin/accounts/default/grants", {"micro": 1}, key=key)
    assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden")


async def test_a_capped_key_cannot_get_round_its_cap(gateway: Running) -> None:
    """A key with a cap makes no further keys and takes no cap away, its own included."""
    _, key = await gateway.other_account()
    made = await gateway.call("POST", "/v1/api-keys", {"name": "capped", "cap_micro": 1_000}, key=key)
    capped, key_id = made.json["key"], made.json["id"]
    more = await gateway.call("POST", "/v1/api-keys", {"name": "more"}, key=capped)
    freed = await gateway.call("PATCH", f"/v1/api-keys/{key_id}", {"cap_micro": None}, key=capped)
    assert (more.status, freed.status) == (403, 403)
    assert more.json["error"]["code"] == "forbidden"
    refused = await gateway.submit(DONE, key=capped)
    assert (refused.status, refused.json["error"]["code"]) == (402, "cap_reached")
