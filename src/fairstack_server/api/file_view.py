"""The public shapes of files and webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from fairstack_server.clock import timestamp
from fairstack_server.files import FileRecord
from fairstack_server.webhooks.deliveries import Attempt, Delivery
from fairstack_server.webhooks.endpoints import Endpoint, SigningSecret

_HOOK = Meta(description="A public http or https address.", examples=["https://hooks.example.com/fairstack"])


class FileView(Struct, kw_only=True):
    """An uploaded file: our own copy of it, of a picture a clean one; a sound has no width and height."""

    id: str
    content_type: str
    bytes: int
    sha256: str
    url: str
    width: int | None
    height: int | None
    created_at: str


class AttemptView(Struct, kw_only=True):
    """One try to deliver."""

    number: int
    at: str
    outcome: str
    status_code: int | None
    duration_ms: int


class DeliveryView(Struct, kw_only=True):
    """One webhook message to one address."""

    id: str
    webhook_id: str
    job_id: str | None
    url: str
    state: str
    attempts: int
    next_attempt_at: str | None
    created_at: str
    delivered_at: str | None
    log: list[AttemptView] | UnsetType = UNSET


class DeliveryList(Struct):
    """A page of deliveries, newest first."""

    items: list[DeliveryView]
    has_more: bool
    next_cursor: str | None


class SecretView(Struct, kw_only=True):
    """The secret that signs this account's webhooks (Standard Webhooks)."""

    secret: str
    created_at: str
    previous_valid_until: str | None


class EndpointView(Struct, kw_only=True):
    """Where jobs without a webhook_url of their own are told; null = nowhere."""

    url: str | None
    disabled_at: str | None
    reason: str | None


class EndpointRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The default address; null takes it away. Setting it again enables a disabled one."""

    url: Annotated[str | None, _HOOK]


class WebhookTestRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where to send a test message; left out: to the default endpoint."""

    url: Annotated[str | None, _HOOK] = None


def file_view(file: FileRecord) -> FileView:
    """A file."""
    return FileView(
        id=file.id,
        content_type=file.content_type,
        bytes=file.bytes,
        sha256=file.sha256,
        url=file.url,
        width=file.width,
        height=file.height,
        created_at=timestamp(file.created_at),
    )


def delivery_view(delivery: Delivery, attempts: tuple[Attempt, ...] | None = None) -> DeliveryView:
    """A delivery, with its attempts where they were read."""
    return DeliveryView(
        id=delivery.id,
        webhook_id=delivery.message_id,
        job_id=delivery.job_id,
        url=delivery.url,
        state=delivery.state,
        attempts=delivery.attempts,
        next_attempt_at=_moment(delivery.next_at),
        created_at=timestamp(delivery.created_at),
        delivered_at=_moment(delivery.delivered_at),
        log=UNSET if attempts is None else [_attempt(attempt) for attempt in attempts],
    )


def secret_view(secret: SigningSecret) -> SecretView:
    """A signing secret."""
    return SecretView(
        secret=secret.secret,
        created_at=timestamp(secret.created_at),
        previous_valid_until=_moment(secret.previous_until),
    )


def endpoint_view(endpoint: Endpoint | None) -> EndpointView:
    """The default address."""
    if endpoint is None:
        return EndpointView(url=None, disabled_at=None, reason=None)
    return EndpointView(url=endpoint.url, disabled_at=_moment(endpoint.disabled_at), reason=endpoint.reason)


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        at=timestamp(attempt.at),
        outcome=attempt.outcome,
        status_code=attempt.status_code,
        duration_ms=attempt.duration_ms,
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)
