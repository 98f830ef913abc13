"""The audit log: every change of access or money by hand, who made it, and nothing that is secret."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer
from typer.testing import CliRunner

from fairstack_server.accounts.audit import ACTIONS, Actor, note, read_entries
from fairstack_server.accounts.first_start import create_default_account
from fairstack_server.cli import register
from fairstack_server.commands import run as commands
from fairstack_server.db.connections import Pool
from fairstack_server.db.dsn import Dsn
from tests.access.estate import HOOK, Estate

ADMIN = "/v1/admin/accounts"


async def newest(estate: Estate, **wanted: str) -> dict[str, Any]:
    """The newest entry, as the operator reads it."""
    query = "&".join(f"{name}={value}" for name, value in {"limit": "1", **wanted}.items())
    answer = await estate.gateway.call("GET", f"/v1/admin/audit?{query}")
    assert answer.status == 200, answer.body
    entry: dict[str, Any] = answer.json["items"][0]
    return entry


async def changes(estate: Estate) -> AsyncIterator[tuple[str, str, Any, Any]]:
    """Make each change of the API, one after the other: action, subject, who did it, the answer."""
    gateway, owner = estate.gateway, estate.owners["owner", "live"]
    account = estate.account_ids["owner"]
    key = await gateway.call("POST", "/v1/api-keys", {"name": "of audit", "cap_micro": 5}, key=owner)
    yield "key.created", key.json["id"], "owner", key
    path = f"/v1/api-keys/{key.json['id']}"
    yield (
        "key.changed",
        key.json["id"],
        "owner",
        await gateway.call("PATCH", path, {"cap_micro": 9}, key=owner),
    )
    yield "key.revoked", key.json["id"], "owner", await gateway.call("DELETE", path, key=owner)
    secret = await gateway.call("POST", "/v1/webhooks/secret", key=owner)
    yield "webhook_secret.rotated", account, "owner", secret
    put = await gateway.call("PUT", "/v1/webhooks/endpoint", {"url": f"{HOOK}s3cret-path"}, key=owner)
    yield "webhook_endpoint.changed", "hooks.example.com", "owner", put
    granted = await gateway.call("POST", f"{ADMIN}/{account}/grants", {"micro": 7})
    yield "money.granted", granted.json["id"], "operator", granted
    corrected = await gateway.call("POST", f"{ADMIN}/{account}/corrections", {"micro": 7, "memo": "typo"})
    yield "money.corrected", corrected.json["id"], "operator", corrected
    cleared = await gateway.call("DELETE", "/v1/admin/providers/openai_videos/gone_routes")
    yield "routes.cleared", "openai_videos", "operator", cleared
    yield "catalog.reloaded", "catalog", "operator", await gateway.call("POST", "/v1/admin/catalog/reload")


async def test_every_change_is_noted_with_who_and_when(estate: Estate) -> None:
    """Each change is the newest entry at once: its key, its account, its request, and no secret in it."""
    seen, owner_key = {"account.created"}, estate.owners["owner", "live"]
    async for action, subject, who, answer in changes(estate):
        assert answer.status in (200, 201), (action, answer.body)
        entry = await newest(estate)
        assert (entry["action"], entry["subject"]) == (action, subject)
        assert entry["by"]["source"] == "api"
        assert entry["by"]["account_id"] == estate.account_ids[who]
        assert entry["by"]["key_id"].startswith("key_")
        assert entry["by"]["request_id"] == answer.headers["X-Request-Id"]
        text = json.dumps(entry)
        assert answer.json.get("key", owner_key) not in text
        assert "whsec_" not in text
        assert "s3cret-path" not in text
        seen.add(action)
    assert seen == set(ACTIONS)


async def test_an_account_is_noted_with_its_keys(estate: Estate) -> None:
    """Opening an account is three entries; what the log says of a key is what the key may do."""
    made = (await estate.gateway.call("POST", ADMIN, {"name": "audited", "cap_micro": 3})).json
    page = await estate.gateway.call("GET", f"/v1/admin/audit?account={made['account']['id']}")
    entries = page.json["items"]
    assert [entry["action"] for entry in entries] == ["key.created", "key.created", "account.created"]
    assert entries[2]["details"] == {"name": "audited", "cap_micro": 3}
    assert entries[1]["details"]["prefix"] == made["live_key"][:12]
    assert entries[1]["details"]["mode"] == "live"
    assert "admin" not in entries[1]["details"]["scopes"]
    assert len({entry["by"]["request_id"] for entry in entries}) == 1


async def test_what_changes_nothing_is_not_noted(estate: Estate) -> None:
    """A refused change, and revoking a key a second time, leave no entry."""
    gateway, owner = estate.gateway, estate.owners["owner", "live"]
    key = (await gateway.call("POST", "/v1/api-keys", {}, key=owner)).json["id"]
    await gateway.call("DELETE", f"/v1/api-keys/{key}", key=owner)
    last = await newest(estate)
    assert (await gateway.call("DELETE", f"/v1/api-keys/{key}", key=owner)).status == 200
    assert (await gateway.call("PATCH", f"/v1/api-keys/{key}", {"name": "x"}, key=owner)).status == 404
    assert (await gateway.call("POST", "/v1/api-keys", {"scopes": ["admin"]}, key=owner)).status == 403
    too_much = {"micro": 10**15, "memo": "more than there is"}
    path = f"{ADMIN}/{estate.account_ids['owner']}/corrections"
    assert (await gateway.call("POST", path, too_much)).status == 400
    assert await newest(estate) == last


async def test_the_first_start_is_noted(estate: Estate) -> None:
    """The default account and its two keys are the first entries, by nobody's key."""
    account = estate.account_ids["operator"]
    items = (await estate.gateway.call("GET", f"/v1/admin/audit?account={account}&limit=100")).json["items"]
    first = items[-3:]
    assert [entry["action"] for entry in first] == ["key.created", "key.created", "account.created"]
    assert all(entry["by"]["source"] == "start" and entry["by"]["key_id"] is None for entry in first)


async def test_pages_have_each_entry_once(estate: Estate) -> None:
    """Following the cursors gives every entry once, newest first; a foreign cursor is a 400."""
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await estate.gateway.call("GET", f"/v1/admin/audit?limit=7{cursor}")).json
        seen += [entry["id"] for entry in page["items"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    rows = await estate.gateway.gateway.pool.fetch("select id from audit_log order by seq desc")
    assert seen == [row["id"] for row in rows]
    assert len(seen) > 14
    answer = await estate.gateway.call("GET", "/v1/admin/audit?cursor=aud_nothing")
    assert (answer.status, answer.json["error"]["param"]) == (400, "cursor")
    answer = await estate.gateway.call("GET", "/v1/admin/audit?action=nothing")
    assert (answer.status, answer.json["error"]["param"]) == (400, "action")


@pytest.mark.parametrize(
    "change", ["update audit_log set action = 'x'", "delete from audit_log", "truncate audit_log"]
)
async def test_nobody_rewrites_it(pool: Pool, change: str) -> None:
    """The database itself refuses to change, delete or empty it."""
    async with pool.acquire() as connection, connection.transaction():
        await note(connection, Actor("command", name="somebody"), "catalog.reloaded", "catalog")
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await pool.execute(change)
    assert (await read_entries(pool, limit=10)).items[0].by.name == "somebody"


async def test_an_entry_stands_and_falls_with_its_change(pool: Pool) -> None:
    """A change that is rolled back was never noted."""
    with pytest.raises(ZeroDivisionError):
        async with pool.acquire() as connection, connection.transaction():
            await note(connection, Actor("command"), "catalog.reloaded", "catalog")
            raise ZeroDivisionError
    assert (await read_entries(pool, limit=10)).items == []


async def test_commands_are_noted_and_shown(
    database: Dsn, pool: Pool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an operator's commands change is noted under a name of the system; `fairstack audit` shows it."""
    monkeypatch.setenv("FAIRSTACK_DATABASE_URL", database.url)
    monkeypatch.setenv("FAIRSTACK_HOME", str(home))
    monkeypatch.setattr(getpass, "getuser", lambda: "maria")
    # It would set up this whole process for a command, and leave it writing to a stream that is closed.
    monkeypatch.setattr(commands, "configure_logging", lambda *_: None)
    program = typer.Typer()
    register(program)

    async def command(*words: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, program, words)
        assert done.exit_code == 0, done.output
        return done.output.strip()

    await create_default_account(pool)
    key = await command("keys", "create", "--name", "of a command")
    made = (await read_entries(pool, limit=1)).items[0]
    assert (made.action, made.by.source, made.by.name) == ("key.created", "command", "maria")
    await command("keys", "revoke", made.subject)
    await command("wallet", "grant", "default", "2.50")
    await command("wallet", "correct", "default", "1", "--memo", "typo")
    await command("routes", "reopen", "fal")
    shown = (await command("audit", "--limit", "5")).splitlines()
    assert [line.split()[2] for line in shown] == [
        "routes.cleared",
        "money.corrected",
        "money.granted",
        "key.revoked",
        "key.created",
    ]
    assert all("by maria" in line for line in shown)
    assert key not in "".join(shown)
    assert '"micro": 2500000' in shown[2]
    assert len((await command("audit", "--account", "default")).splitlines()) == 7
