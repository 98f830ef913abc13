"""Statements of `webhooks/store.py`: the outbox, its claims and its records."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from fairstack_server.webhooks import store as sql
from tests.simulation.database.statements import Meanings, find_all, value
from tests.simulation.database.tables import Conflict, Row, Transaction

WEBHOOKS = Meanings()

Rows = Sequence[Row]


@WEBHOOKS.of(sql._ENQUEUE)
def enqueue(
    tx: Transaction,
    delivery_id: str,
    message_id: str,
    account_id: str,
    mode: str,
    job_id: str | None,
    url: str | None,
    host: str | None,
    body: bytes,
    secret: str,
) -> Rows:
    """A message for the job's own address, else the account's default one."""
    if url is None:
        default = [
            row
            for row in find_all(tx, "webhook_endpoints", account_id=account_id, mode=mode)
            if row["is_default"]
        ]
        if not default:
            return []
        url, host = default[0]["url"], default[0]["host"]
    if not any(row["valid_until"] is None for row in find_all(tx, "webhook_secrets", account_id=account_id)):
        row = {"account_id": account_id, "secret": secret, "created_at": tx.now, "valid_until": None}
        with suppress(Conflict):
            tx.insert("webhook_secrets", row)
    closed = tx.get("webhook_endpoints", account_id, mode, url)
    is_closed = closed is not None and closed["disabled_at"] is not None
    tx.insert(
        "webhook_deliveries",
        {
            "id": delivery_id,
            "message_id": message_id,
            "account_id": account_id,
            "mode": mode,
            "job_id": job_id,
            "url": url,
            "host": host,
            "body": body,
            "state": "disabled" if is_closed else "pending",
            "attempts": 0,
            "attempts_before": 0,
            "lease": 0,
            "next_at": None if is_closed else tx.now,
            "created_at": tx.now,
            "delivered_at": None,
        },
    )
    tx.notify(sql.DUE_CHANNEL, "")
    return [{"id": delivery_id, "pg_notify": None}]


@WEBHOOKS.of(sql._CLAIM)
def claim(
    tx: Transaction,
    now: datetime,
    leased_until: datetime,
    limit: int,
    per_host: int,
    busy_hosts: Sequence[str],
    busy: Sequence[int],
    secrets: int,
) -> Rows:
    """Due deliveries, the longest due of each host first, no more of a host than there is room for."""
    taken = dict(zip(busy_hosts, busy, strict=True))
    pending = find_all(tx, "webhook_deliveries", state="pending")
    chosen: list[Row] = []
    for host in sorted({row["host"] for row in pending}):
        room = max(0, per_host - taken.get(host, 0))
        due = sorted(
            (row for row in pending if row["host"] == host and row["next_at"] <= now),
            key=lambda row: row["next_at"],
        )
        for row in due:
            if not room or len(chosen) >= limit:
                break
            if tx.try_lock("webhook_deliveries", row["id"]):
                chosen.append(row)
                room -= 1
    return [_claimed(tx, row, now, leased_until, secrets) for row in chosen]


def _claimed(tx: Transaction, row: Row, now: datetime, leased_until: datetime, secrets: int) -> Row:
    claimed = tx.update("webhook_deliveries", row, next_at=leased_until, lease=row["lease"] + 1)
    signing = [
        each
        for each in find_all(tx, "webhook_secrets", account_id=row["account_id"])
        if each["valid_until"] is None or each["valid_until"] > now
    ]
    newest = sorted((s for s in signing if s["valid_until"]), key=lambda s: s["valid_until"], reverse=True)
    current = [each for each in signing if each["valid_until"] is None]
    columns = ["id", "message_id", "account_id", "mode", "url", "host", "body", "lease"]
    return {
        **{column: claimed[column] for column in columns},
        "attempt": claimed["attempts"] - claimed["attempts_before"] + 1,
        "secrets": [each["secret"] for each in (*current, *newest)][:secrets],
    }


@WEBHOOKS.of(sql._NEXT_DUE)
def next_due(tx: Transaction, now: datetime) -> Rows:
    """When something becomes due."""
    moments = [row["next_at"] for row in find_all(tx, "webhook_deliveries", state="pending")]
    return value(min((moment for moment in moments if moment > now), default=None))


@WEBHOOKS.of(sql._RECORD)
def record(
    tx: Transaction,
    delivery_id: str,
    lease: int,
    state: str,
    next_at: datetime | None,
    at: datetime,
    outcome: str,
    status_code: int | None,
    duration_ms: int,
) -> Rows:
    """What came of an attempt, told by the holder of the newest lease."""
    row = tx.get("webhook_deliveries", delivery_id)
    if row is None:
        return []
    tx.lock("webhook_deliveries", delivery_id)
    if row["lease"] != lease:
        return []
    disabled = row["state"] == "disabled"
    moved = tx.update(
        "webhook_deliveries",
        row,
        attempts=row["attempts"] + 1,
        state="disabled" if disabled and state == "pending" else state,
        next_at=None if disabled else next_at,
        delivered_at=at if state == "delivered" else None,
    )
    _open_again(tx, moved)
    number = moved["attempts"]
    tx.insert(
        "webhook_attempts",
        {
            "delivery_id": delivery_id,
            "number": number,
            "at": at,
            "outcome": outcome,
            "status_code": status_code,
            "duration_ms": duration_ms,
        },
    )
    return value(number, "number")


def _open_again(tx: Transaction, moved: Row) -> None:
    if moved["state"] != "delivered":
        return
    endpoint = tx.get("webhook_endpoints", moved["account_id"], moved["mode"], moved["url"])
    if endpoint is not None and endpoint["disabled_at"] is not None:
        tx.update("webhook_endpoints", endpoint, disabled_at=None, reason=None)


@WEBHOOKS.of(sql._DISABLE)
def disable(
    tx: Transaction, account_id: str, mode: str, url: str, host: str, at: datetime, reason: str
) -> Rows:
    """Close an address and stop what waits for it."""
    endpoint = tx.get("webhook_endpoints", account_id, mode, url)
    if endpoint is None:
        row: dict[str, Any] = {"account_id": account_id, "mode": mode, "url": url, "host": host}
        row |= {"is_default": False, "disabled_at": at, "reason": reason, "created_at": tx.now}
        tx.insert("webhook_endpoints", row)
    else:
        tx.update("webhook_endpoints", endpoint, disabled_at=at, reason=reason)
    for row in find_all(tx, "webhook_deliveries", account_id=account_id, mode=mode, url=url, host=host):
        if row["state"] == "pending":
            tx.update("webhook_deliveries", row, state="disabled", next_at=None)
    return []


@WEBHOOKS.of(sql._FAILING)
def failing(tx: Transaction, account_id: str, mode: str, url: str) -> Rows:
    """Since when nothing arrived at an address, and how often it was tried since."""
    deliveries = find_all(tx, "webhook_deliveries", account_id=account_id, mode=mode, url=url)
    arrived = [row["delivered_at"] for row in deliveries if row["delivered_at"] is not None]
    last = max(arrived, default=None)
    ours = {row["id"] for row in deliveries}
    failed = [
        row["at"]
        for row in tx.all("webhook_attempts")
        if row["delivery_id"] in ours and row["outcome"] != "delivered" and (last is None or row["at"] > last)
    ]
    return [{"since": min(failed, default=None), "attempts": len(failed)}]
