"""The use case: validate, quote, hold, enqueue. Nothing is stored or held unless everything fits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol, assert_never

import structlog

from fairstack_server.accounts.store import Caller
from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.model import Model
from fairstack_server.catalog.parameters import resolve
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.catalog.settled import Settled
from fairstack_server.clock import Clock
from fairstack_server.errors import (
    Conflict,
    FairStackError,
    PaymentNeeded,
    Unavailable,
    Unprocessable,
)
from fairstack_server.ids import new_id
from fairstack_server.inputs import Fetched
from fairstack_server.jobs.orders import LOCAL
from fairstack_server.jobs.placement import KeyReused, NewJob, Placed, Placement, Replayed
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.money import display
from fairstack_server.pricing import quote, usable_routes
from fairstack_server.providers.sandbox_stories import job_seconds
from fairstack_server.wallet.ledger import CapReached, Insufficient, payment_needed

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ask:
    """What the use case gets from whichever face took the request."""

    video: VideoAsk
    body: JSONObject
    webhook_url: str | None = None
    tags: dict[str, str] | None = None
    max_cost_micros: int | None = None
    cancel_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The client's key and what it stands for."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job was placed; `body` are the exact bytes to answer."""

    job_id: str | None
    body: bytes
    replayed: bool = False


class WritesSubmitted(Protocol):
    """The face's own word for an accepted job."""

    def __call__(self, job_id: str, quote_micros: int) -> bytes:
        """The bytes that the submitter is answered."""
        ...


class TakesInputs(Protocol):
    """Brings a request's files in: fetched once, checked, re-encoded, kept as our copy (`inputs.py`)."""

    def check(self, ask: VideoAsk) -> None:
        """Raise BadRequest for an address that may not be fetched; fetches nothing."""
        ...

    async def fetch(self, caller: Caller, ask: VideoAsk) -> Fetched:
        """Clean copies of its pictures. Raises BadRequest `image_refused` naming the field."""
        ...

    async def keep(self, fetched: Fetched, settled: Settled) -> JSONObject:
        """Role -> stored file."""
        ...

    async def drop(self, inputs: JSONObject) -> None:
        """Forget files that were taken for a request which was then refused."""
        ...


class JudgesWebhooks(Protocol):
    """Says whether a webhook URL may be called."""

    async def judge(self, url: str) -> None:
        """Raise BadRequest `webhook_url_refused`."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """The operator's terms."""

    margin_percent: Decimal
    allow_loss: bool


class Generations:
    """Takes orders for clips."""

    def __init__(
        self,
        catalog: Catalog,
        configured: Collection[str],
        spoken: Collection[str],
        terms: Terms,
        inputs: TakesInputs,
        webhooks: JudgesWebhooks,
        placement: Placement,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._configured = frozenset(configured)
        self._spoken = frozenset(spoken)
        self._terms = terms
        self._inputs = inputs
        self._webhooks = webhooks
        self._placement = placement
        self._clock = clock
        self._in_flight: set[tuple[str, str, str]] = set()

    async def estimate(self, ask: Ask) -> int:
        """The exact price in micros; validates like a submit, fetches, stores and holds nothing."""
        _, _, micros = self._checked(ask)
        await self._check_webhook(ask)
        return micros

    async def submit(
        self, caller: Caller, ask: Ask, idempotency: Idempotency | None, write: WritesSubmitted
    ) -> Accepted:
        """Hold the price and enqueue the job, once per idempotency key."""
        if idempotency is None:
            return await self._submit(caller, ask, None, write)
        earlier = await self.replayed(caller, idempotency)
        if earlier is not None:
            return earlier
        scope = (caller.account_id, caller.mode, idempotency.key)
        if scope in self._in_flight:
            raise Conflict(
                "A request with this Idempotency-Key is being worked on. Send it again in a second.",
                code="idempotency_in_flight",
                retry_after_seconds=1,
            )
        self._in_flight.add(scope)
        try:
            return await self._submit(caller, ask, idempotency, write)
        finally:
            self._in_flight.discard(scope)

    async def replayed(self, caller: Caller, idempotency: Idempotency) -> Accepted | None:
        """The answer that was given under this key before; None for a new key. Raises Unprocessable."""
        earlier = await self._placement.replay(
            caller.account_id, caller.mode, idempotency.key, idempotency.fingerprint
        )
        match earlier:
            case None:
                return None
            case Replayed(answer):
                return Accepted(None, answer, replayed=True)
            case KeyReused():
                raise _key_reused()

    async def _submit(
        self, caller: Caller, ask: Ask, idempotency: Idempotency | None, write: WritesSubmitted
    ) -> Accepted:
        model, settled, micros = self._checked(ask)
        await self._check_webhook(ask)
        now = self._clock.now()
        self._check_available(model, caller, settled, micros, now)
        pictures = await self._inputs.fetch(caller, ask.video)
        if pictures.image_size is not None:
            # Some models follow the picture's own ratio where the request names none.
            sized = replace(ask, video=replace(ask.video, image_size=pictures.image_size))
            model, settled, micros = self._checked(sized)
        inputs = await self._inputs.keep(pictures, settled)
        job_id = new_id("job")
        job = NewJob(
            id=job_id,
            account_id=caller.account_id,
            key_id=caller.key_id,
            mode=caller.mode,
            model=model.key,
            ask=_kept_ask(ask),
            settled=settled.as_json(),
            inputs=inputs,
            quote_micros=micros,
            tags=ask.tags or {},
            webhook_url=ask.webhook_url,
            cancel_after_at=_after(now, ask.cancel_after_seconds),
            deadline_at=now + timedelta(seconds=_longest_seconds(model, caller, ask)),
            created_at=now,
            answer=write(job_id, micros),
            idempotency_key=None if idempotency is None else idempotency.key,
            fingerprint=b"" if idempotency is None else idempotency.fingerprint,
        )
        try:
            accepted = await self._place(job)
        except FairStackError:
            # A sure refusal. After anything else the job may be there all the same, and need them.
            await self._inputs.drop(inputs)
            raise
        if accepted.replayed:
            # The job of the first request has copies of its own.
            await self._inputs.drop(inputs)
            return accepted
        log.info("job.accepted", job=job_id, model=model.key, mode=caller.mode, micros=micros)
        return accepted

    async def _place(self, job: NewJob) -> Accepted:
        outcome = await self._placement.place(job)
        match outcome:
            case Placed(answer):
                return Accepted(job.id, answer)
            case Replayed(answer):
                return Accepted(None, answer, replayed=True)
            case KeyReused():
                raise _key_reused()
            case Insufficient() | CapReached():
                raise payment_needed(outcome)
            case _:
                assert_never(outcome)

    def _checked(self, ask: Ask) -> tuple[Model, Settled, int]:
        model = self._catalog.get(ask.video.model)
        _refuse_foreign_inputs(model, ask.video)
        settled = resolve(model, replace(ask.video, model=model.key))
        self._inputs.check(ask.video)
        price = quote(
            model,
            settled,
            on=self._clock.now().date(),
            margin_percent=self._terms.margin_percent,
            configured=self._configured,
        )
        if ask.max_cost_micros is not None and price.micros > ask.max_cost_micros:
            raise PaymentNeeded(
                f"This clip costs {display(price.micros)}, more than max_cost_micro allows "
                f"({display(ask.max_cost_micros)}).",
                code="cap_reached",
                param="max_cost_micro",
                details={"required_micro": price.micros, "max_cost_micro": ask.max_cost_micros},
            )
        return model, settled, price.micros

    async def _check_webhook(self, ask: Ask) -> None:
        if ask.webhook_url is not None:
            await self._webhooks.judge(ask.webhook_url)

    def _check_available(
        self, model: Model, caller: Caller, settled: Settled, micros: int, now: datetime
    ) -> None:
        """A live key needs a route that is configured; the sandbox has every model."""
        if caller.mode == "test" and all(route.provider != LOCAL for route in model.routes):
            return
        routes = usable_routes(
            model,
            settled,
            configured=self._configured,
            price_micros=micros,
            on=now.date(),
            allow_loss=self._terms.allow_loss,
        )
        if routes.usable:
            return
        if any(route.provider in self._configured for route in model.routes):
            reasons = " ".join(out.message for out in routes.left_out if out.reason != "not_configured")
        else:
            reasons = self._catalog.how_to_enable(model, self._spoken)
        raise Unavailable(
            f"No route to {model.key} is available on this server. {reasons}", code="model_unavailable"
        )


def _refuse_foreign_inputs(model: Model, ask: VideoAsk) -> None:
    """Clips and sound as inputs are in the catalog, and not fetched by this version: said, not dropped."""
    for role in ("video", "audio_url"):
        if getattr(ask, role) is not None and getattr(model.capabilities, role) != "none":
            raise Unavailable(
                f"{model.key} takes {role!r}, which this version does not fetch: only pictures are taken.",
                code="model_unavailable",
                param=role,
            )


def _kept_ask(ask: Ask) -> JSONObject:
    """The request as it is kept: without the bytes of a data: URL, which live in the store."""
    kept: JSONObject = {}
    for name, value in ask.body.items():
        kept[name] = _without_data(value)
    return kept


def _without_data(value: JSON) -> JSON:
    if isinstance(value, str) and value[:5].lower() == "data:":
        return "data:…"
    if isinstance(value, list):
        return [_without_data(each) for each in value]
    return value


def _longest_seconds(model: Model, caller: Caller, ask: Ask) -> float:
    """How long the job may take; some stories of the sandbox are about running out of time."""
    if caller.mode == "test":
        return job_seconds(str(ask.video.prompt), model.longest_seconds)
    return model.longest_seconds


def _after(now: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


def _key_reused() -> Unprocessable:
    return Unprocessable(
        "This Idempotency-Key was used for another request. Use a new key for a new request.",
        code="idempotency_key_reused",
    )
