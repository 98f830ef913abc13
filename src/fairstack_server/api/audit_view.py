"""The public shape of the audit log."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from fairstack_server.accounts.audit import Entry
from fairstack_server.clock import timestamp


class ActorView(Struct, kw_only=True):
    """Who made a change: `source` is api, command or start. A command has a name of the system, no key."""

    source: str
    account_id: str | None
    key_id: str | None
    name: str | None
    request_id: str | None


class AuditEntryView(Struct, kw_only=True):
    """One change of access or money by hand. `account_id` is whom it concerns."""

    id: str
    at: str
    action: str
    by: ActorView
    account_id: str | None
    subject: str
    details: dict[str, Any]


class AuditList(Struct):
    """A page of the audit log, newest first."""

    items: list[AuditEntryView]
    has_more: bool
    next_cursor: str | None


def audit_entry_view(entry: Entry) -> AuditEntryView:
    """One entry."""
    return AuditEntryView(
        id=entry.id,
        at=timestamp(entry.at),
        action=entry.action,
        by=ActorView(
            source=entry.by.source,
            account_id=entry.by.account_id,
            key_id=entry.by.key_id,
            name=entry.by.name,
            request_id=entry.by.request_id,
        ),
        account_id=entry.account_id,
        subject=entry.subject,
        details=dict(entry.details),
    )
