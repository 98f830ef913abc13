"""A gateway with two neighbours in it: accounts that own one of everything, and keys of every kind."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairstack_server.accounts.store import SCOPES, USER_SCOPES
from fairstack_server.db.dsn import Dsn
from fairstack_server.egress import Egress
from fairstack_server.ids import Mode, new_api_key
from tests.gateway.pictures import PHOTO
from tests.gateway.running import Running, running_gateway
from tests.upstreams.openai_videos import FakeOpenAIVideos

HOOK = "https://hooks.example.com/"


@dataclass(frozen=True, slots=True)
class Role:
    """Somebody who asks: with which key, and what that key is."""

    name: str
    key: str = field(repr=False)
    account: str = ""
    mode: Mode | None = None
    scopes: frozenset[str] = frozenset()
    opens: bool = True
    """Whether the key opens anything at all."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A text that belongs to one account, in one of its modes or in both, and should be seen by it alone."""

    text: str
    account: str
    mode: Mode | None
    noun: str


@dataclass(slots=True)
class Estate:
    """The running gateway, who may ask, and what must not be seen by others."""

    gateway: Running
    roles: Sequence[Role]
    owners: Mapping[tuple[str, Mode], str]
    """Account name and mode -> a key of it that has every scope of a user."""
    account_ids: Mapping[str, str]
    marks: list[Mark] = field(default_factory=list)

    def mark(self, text: str, account: str, mode: Mode | None, noun: str) -> str:
        """Remember that this text is somebody's own."""
        self.marks.append(Mark(text, account, mode, noun))
        return text

    async def made(self, account: str, mode: Mode, path: str, body: Any, **kwargs: Any) -> dict[str, Any]:
        """What an owner's POST made."""
        answer = await self.gateway.call("POST", path, body, key=self.owners[account, mode], **kwargs)
        assert answer.status in (201, 202), (path, answer.body)
        made: dict[str, Any] = answer.json
        return made


class Nowhere:
    """A resolver that knows no name, so that nothing foreign is connected to."""

    async def resolve(self, host: str) -> Sequence[str]:
        """Never an answer."""
        raise OSError(f"{host} is not known here")


@contextlib.asynccontextmanager
async def open_estate(dsn: Dsn, home: Path) -> AsyncIterator[Estate]:
    """A gateway whose jobs stay queued, with two accounts, money in both, and every role's key."""
    async with FakeOpenAIVideos() as engine:
        egress = Egress(resolver=Nowhere(), trusted_origins={"openai_videos": [engine.base_url]})
        options = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": engine.key}
        options["rate_limit_per_minute"] = "1000000"
        async with running_gateway(dsn, home, works=False, egress=egress, **options) as gateway:
            yield await _furnish(gateway)


async def _furnish(gateway: Running) -> Estate:
    owners: dict[tuple[str, Mode], str] = {}
    ids: dict[str, str] = {}
    for name in ("owner", "neighbour"):
        made = (await gateway.call("POST", "/v1/admin/accounts", {"name": f"{name}-of-things"})).json
        owners[name, "live"], owners[name, "test"] = made["live_key"], made["test_key"]
        ids[name] = made["account"]["id"]
        granted = {"micro": 1_000_000_000, "memo": f"first money of {name}"}
        assert (await gateway.call("POST", f"/v1/admin/accounts/{ids[name]}/grants", granted)).status == 201
    ids["operator"] = (await gateway.gateway.accounts.find("default")).id
    await gateway.grant(1_000_000_000)
    estate = Estate(gateway, [], owners, ids)
    estate.roles = [role async for role in _roles(gateway, owners)]
    for name in ("owner", "neighbour"):
        await _mark_account(estate, name)
    return estate


async def _mark_account(estate: Estate, name: str) -> None:
    estate.mark(estate.account_ids[name], name, None, "account")
    estate.mark(f"{name}-of-things", name, None, "account")
    estate.mark(f"first money of {name}", name, "live", "money")
    secret = await estate.gateway.call("GET", "/v1/webhooks/secret", key=estate.owners[name, "live"])
    estate.mark(secret.json["secret"], name, None, "secret")
    for mode in ("live", "test"):
        url = estate.mark(f"{HOOK}{name}/{mode}", name, mode, "endpoint")
        put = {"url": url}
        owned = await estate.gateway.call("PUT", "/v1/webhooks/endpoint", put, key=estate.owners[name, mode])
        assert owned.status == 200


async def _roles(gateway: Running, owners: Mapping[tuple[str, Mode], str]) -> AsyncIterator[Role]:
    """The owner, each scope alone, the neighbour, the operator, and keys that open nothing."""
    users = frozenset(USER_SCOPES)
    for (account, mode), key in owners.items():
        yield Role(f"{account}, {mode} key", key, account, mode, users)
    for mode in ("live", "test"):
        for scope in USER_SCOPES:
            key = await gateway.key(scope, mode=mode, key=owners["owner", mode])
            yield Role(f"owner, {mode} key for {scope} alone", key, "owner", mode, frozenset({scope}))
    yield Role("operator, live key", gateway.keys.live, "operator", "live", frozenset(SCOPES))
    admin = await gateway.key("admin")
    yield Role("operator, live key for admin alone", admin, "operator", "live", frozenset({"admin"}))
    sandbox = await gateway.key(*SCOPES, mode="test")
    yield Role("operator, test key that says admin", sandbox, "operator", "test", users)
    yield Role("nobody", "", opens=False)
    yield Role("a key that was never made", new_api_key("live"), opens=False)
    right = owners["owner", "live"]
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    yield Role("the owner's key, its last character mistyped", wrong, opens=False)
    yield Role("a revoked key of the owner", await _ended_key(gateway, right, "revoked"), opens=False)
    yield Role("an expired key of the owner", await _ended_key(gateway, right, "expired"), opens=False)


async def _ended_key(gateway: Running, owner: str, how: str) -> str:
    made = (await gateway.call("POST", "/v1/api-keys", {"name": how}, key=owner)).json
    assert (await gateway.call("GET", "/v1/jobs", key=made["key"])).status == 200
    if how == "revoked":
        await gateway.call("DELETE", f"/v1/api-keys/{made['id']}", key=owner)
    else:
        past = "update api_keys set expires_at = now() - interval '1 second' where id = $1"
        await gateway.gateway.pool.execute(past, made["id"])
        gateway.gateway.access.forget()
    return str(made["key"])


async def new_job(estate: Estate, account: str, mode: Mode) -> str:
    """A job that is queued."""
    prompt = estate.mark(f"test:slow 600 {secrets.token_hex(8)}", account, mode, "job")
    tags = {"kept": estate.mark(secrets.token_hex(8), account, mode, "job")}
    body = {"model": "wan-2-1-t2v", "prompt": prompt, "tags": tags}
    made = await estate.made(account, mode, "/v1/generations/video", body)
    return estate.mark(str(made["id"]), account, mode, "job")


async def cancelled_job(estate: Estate, account: str, mode: Mode) -> str:
    """A job that has ended, and whose clip came late."""
    job_id = await new_job(estate, account, mode)
    key = estate.owners[account, mode]
    assert (await estate.gateway.call("DELETE", f"/v1/jobs/{job_id}", key=key)).status == 200
    ended = (await estate.gateway.call("GET", f"/v1/jobs/{job_id}", key=key)).body
    late = "insert into late_results (job_id, body) values ($1, $2)"
    await estate.gateway.gateway.pool.execute(late, job_id, ended)
    return job_id


async def new_file(estate: Estate, account: str, mode: Mode) -> str:
    """An uploaded picture."""
    png = {"Content-Type": "image/png"}
    made = await estate.made(account, mode, "/v1/files", PHOTO, headers=png)
    estate.mark(made["url"].rpartition("/media/")[2], account, mode, "file")
    return estate.mark(str(made["id"]), account, mode, "file")


async def media_path(estate: Estate, account: str, mode: Mode) -> str:
    """Where a picture's own address leads."""
    file_id = await new_file(estate, account, mode)
    url = await estate.gateway.gateway.pool.fetchval("select url from files where id = $1", file_id)
    return str(url).rpartition("/media/")[2]


async def new_delivery(estate: Estate, account: str, mode: Mode) -> str:
    """A delivery of a test message."""
    url = estate.mark(f"{HOOK}{secrets.token_hex(8)}", account, mode, "delivery")
    made = await estate.made(account, mode, "/v1/webhooks/test", {"url": url})
    return estate.mark(str(made["id"]), account, mode, "delivery")


async def new_key(estate: Estate, account: str, mode: Mode) -> str:
    """A further API key."""
    name = estate.mark(f"key {secrets.token_hex(8)}", account, mode, "key")
    made = await estate.made(account, mode, "/v1/api-keys", {"name": name})
    return estate.mark(str(made["id"]), account, mode, "key")


async def the_account(estate: Estate, account: str, mode: Mode) -> str:
    """The account itself."""
    return estate.account_ids[account]


async def a_provider(estate: Estate, account: str, mode: Mode) -> str:
    """Providers are nobody's own."""
    return "openai_videos"


async def a_model(estate: Estate, account: str, mode: Mode) -> str:
    """Models are nobody's own."""
    return "wan-2-1-t2v"


async def an_attempt(estate: Estate, account: str, mode: Mode) -> str:
    """The nonce of an attempt to submit; with the provider's name before it."""
    job_id, nonce = await new_job(estate, account, mode), f"att_{secrets.token_hex(12)}"
    pool = estate.gateway.gateway.pool
    worker = await pool.fetchval("insert into workers (name) values ('of a test') returning id")
    await pool.execute(
        "insert into attempts (nonce, job_id, number, provider, endpoint, order_json, worker_id, fence) "
        "values ($1, $2, 1, 'openai_videos', 'x', $3, $4, 0)",
        nonce,
        job_id,
        {},
        worker,
    )
    return f"openai_videos/{nonce}"
