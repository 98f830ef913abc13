"""The use case: validate, quote, hold, enqueue. Nothing is stored or held unless everything fits."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol, assert_never

import structlog

from fairstack_server.accounts.store import Caller
from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.inputs import RecordingRole, measured_input
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
from fairstack_server.judging import RequestJudge
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

    def fetch(self, caller: Caller, ask: VideoAsk) -> AbstractAsyncContextManager[Fetched]:
        """Our copies of its files, for a block. Raises BadRequest `image_refused` naming the field."""
        ...

    async def measure(self, caller: Caller, ask: VideoAsk, role: RecordingRole) -> Decimal:
        """Seconds of the clip or sound in that role; keeps nothing. Raises BadRequest `image_refused`."""
        ...

    def check_reach(self, fetched: Fetched, providers: Collection[str]) -> None:
        """Raise Unavailable for a file that cannot be brought to any of these providers."""
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


@dataclass(frozen=True, slots=True)
class _Offer:
    """What will be made of a request, from our copies of which files, and for how much."""

    model: Model
    settled: Settled
    inputs: JSONObject
    micros: int


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
        judge: RequestJudge,
        placement: Placement,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._configured = frozenset(configured)
        self._spoken = frozenset(spoken)
        self._terms = terms
        self._inputs = inputs
        self._webhooks = webhooks
        self._judge = judge
        self._placement = placement
        self._clock = clock
        self._in_flight: set[tuple[str, str, str]] = set()

    async def estimate(self, caller: Caller, ask: Ask) -> int:
        """The exact price in micros; validates like a submit, stores and holds nothing.

        A file is fetched only where the price follows its length.
        """
        model, settled = self._settle(ask)
        await self._check_webhook(ask)
        role = _unmeasured(model, settled)
        if role is not None:
            seconds = await self._inputs.measure(caller, ask.video, role)
            model, settled = self._settle(_measured(ask, None, seconds))
        return self._price(model, settled, ask)

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
        model, settled = self._settle(ask)
        await self._check_webhook(ask)
        now = self._clock.now()
        self._check_reachable(model, caller)
        if _unmeasured(model, settled) is None:
            # What is sure to be refused is refused before anything is fetched for it.
            self._check_available(model, caller, settled, self._price(model, settled, ask), now)
        async with self._inputs.fetch(caller, ask.video) as files:
            seconds = files.seconds_of(measured_input(model))
            if files.image_size is not None or seconds is not None:
                # Some models follow the picture's own ratio, or the length of a clip or sound.
                model, settled = self._settle(_measured(ask, files.image_size, seconds))
            micros = self._price(model, settled, ask)
            providers = self._check_available(model, caller, settled, micros, now)
            self._inputs.check_reach(files, providers)
            inputs = await self._inputs.keep(files, settled)
        offer = _Offer(model, settled, inputs, micros)
        return await self._accept(_new_job(caller, ask, idempotency, offer, now, write))

    async def _accept(self, job: NewJob) -> Accepted:
        """Have the job judged and place it; its files are dropped again where it is surely not there."""
        try:
            await self._judge.judge(job)
            accepted = await self._place(job)
        except FairStackError:
            # A sure refusal. After anything else the job may be there all the same, and need them.
            await self._inputs.drop(job.inputs)
            raise
        if accepted.replayed:
            # The job of the first request has copies of its own.
            await self._inputs.drop(job.inputs)
            return accepted
        log.info("job.accepted", job=job.id, model=job.model, mode=job.mode, micros=job.quote_micros)
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

    def _settle(self, ask: Ask) -> tuple[Model, Settled]:
        model = self._catalog.get(ask.video.model)
        settled = resolve(model, replace(ask.video, model=model.key))
        self._inputs.check(ask.video)
        return model, settled

    def _price(self, model: Model, settled: Settled, ask: Ask) -> int:
        """The quote. Raises PaymentNeeded where it is more than the request allows."""
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
        return price.micros

    async def _check_webhook(self, ask: Ask) -> None:
        if ask.webhook_url is not None:
            await self._webhooks.judge(ask.webhook_url)

    def _check_reachable(self, model: Model, caller: Caller) -> None:
        """Of a model that no configured provider has, say so before anything is fetched for it."""
        if _is_played(model, caller) or any(route.provider in self._configured for route in model.routes):
            return
        raise _no_route(model, self._catalog.how_to_enable(model, self._spoken))

    def _check_available(
        self, model: Model, caller: Caller, settled: Settled, micros: int, now: datetime
    ) -> list[str]:
        """The providers that can make the clip at this price; none are needed where the sandbox plays."""
        if _is_played(model, caller):
            return []
        routes = usable_routes(
            model,
            settled,
            configured=self._configured,
            price_micros=micros,
            on=now.date(),
            allow_loss=self._terms.allow_loss,
        )
        if not routes.usable:
            left_out = (out.message for out in routes.left_out if out.reason != "not_configured")
            # What closed the model is said by each of its routes.
            raise _no_route(model, " ".join(dict.fromkeys(left_out)))
        return [usable.route.provider for usable in routes.usable]


def _new_job(
    caller: Caller,
    ask: Ask,
    idempotency: Idempotency | None,
    offer: _Offer,
    now: datetime,
    write: WritesSubmitted,
) -> NewJob:
    job_id = new_id("job")
    return NewJob(
        id=job_id,
        account_id=caller.account_id,
        key_id=caller.key_id,
        mode=caller.mode,
        model=offer.model.key,
        ask=_kept_ask(ask),
        settled=offer.settled.as_json(),
        inputs=offer.inputs,
        quote_micros=offer.micros,
        tags=ask.tags or {},
        webhook_url=ask.webhook_url,
        cancel_after_at=_after(now, ask.cancel_after_seconds),
        deadline_at=now + timedelta(seconds=_longest_seconds(offer.model, caller, ask)),
        created_at=now,
        answer=write(job_id, offer.micros),
        idempotency_key=None if idempotency is None else idempotency.key,
        fingerprint=b"" if idempotency is None else idempotency.fingerprint,
    )


def _is_played(model: Model, caller: Caller) -> bool:
    """Whether the sandbox stands in for every provider of this model."""
    return caller.mode == "test" and all(route.provider != LOCAL for route in model.routes)


def _no_route(model: Model, reasons: str) -> Unavailable:
    return Unavailable(
        f"No route to {model.key} is available on this server. {reasons}", code="model_unavailable"
    )


def _unmeasured(model: Model, settled: Settled) -> RecordingRole | None:
    """The given input whose length must be known before there is a price."""
    role = measured_input(model)
    return role if role in settled.inputs and settled.input_seconds is None else None


def _measured(ask: Ask, image_size: tuple[int, int] | None, seconds: Decimal | None) -> Ask:
    return replace(ask, video=replace(ask.video, image_size=image_size, input_seconds=seconds))


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
