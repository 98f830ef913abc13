"""Planning attempts: which route a job takes next, and the order as that route wants it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, cast

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.model import Route
from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import BadRequest
from fairstack_server.ids import random_base62
from fairstack_server.jobs.job import Attempt, Failure, Job
from fairstack_server.jobs.ports import PlannedAttempt
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.pricing import UsableRoute, usable_routes
from fairstack_server.providers.base import InputFile, Order

#: Renders here, with test keys too; every other provider is played by the sandbox for them.
LOCAL, SANDBOX = "local", "sandbox"
#: Providers that are sent the bytes of a file, whatever its size; the others are told where it lies.
BY_UPLOAD = frozenset({LOCAL, "openai_videos"})
_NONCE_CHARACTERS = 32
_SANDBOX_ROUTE = UsableRoute(Route(provider=SANDBOX, endpoint="card"), 0)


class FindsInputs(Protocol):
    """Hands out our own copies of an order's files."""

    async def input_file(self, stored: JSONObject) -> InputFile:
        """The file that a job's `inputs` names, readable now."""
        ...


@dataclass(frozen=True, slots=True)
class Planning:
    """How routes are chosen."""

    submit_attempts: int
    allow_loss: bool
    callback_base: str | None
    """Public base URL for callbacks; None when providers cannot reach us."""


class Planner:
    """Chooses routes in the catalog's order and writes orders. The next route only after a sure refusal."""

    def __init__(
        self, catalog: Catalog, configured: Collection[str], inputs: FindsInputs, planning: Planning
    ) -> None:
        self._catalog = catalog
        self._configured = frozenset(configured)
        self._inputs = inputs
        self._planning = planning

    async def plan(self, job: Job, earlier: list[Attempt], now: datetime) -> PlannedAttempt | Failure:
        """The next attempt of a job, or why there is none."""
        usable = self._routes(job, now)
        left = [route for route in usable if not self._used_up(route.route, earlier)]
        if not left:
            return _no_route(earlier)
        chosen = left[0]
        attempt = Attempt(
            nonce=random_base62(_NONCE_CHARACTERS),
            job_id=job.id,
            number=len(earlier) + 1,
            provider=chosen.route.provider,
            endpoint=chosen.route.endpoint,
            order=_route_json(chosen.route),
            cost_micros=chosen.cost_micros,
            created_at=now,
        )
        return PlannedAttempt(attempt, await self.order_of(job, attempt))

    async def order_of(self, job: Job, attempt: Attempt) -> Order:
        """The order of an attempt: the same after a restart, whatever became of the catalog."""
        settled = Settled.from_json(job.settled)
        callback = self._planning.callback_base
        order = Order(
            nonce=attempt.nonce,
            model=job.model,
            endpoint=attempt.endpoint,
            prompt=str(job.ask["prompt"]),
            duration_seconds=None if settled.duration is None else float(settled.duration),
            aspect_ratio=settled.aspect_ratio,
            resolution=settled.resolution,
            width=settled.width,
            height=settled.height,
            fps=settled.fps,
            seed=settled.seed,
            negative_prompt=settled.negative_prompt,
            audio=settled.audio,
            options=settled.options,
            field_map=_texts(attempt.order, "field_map"),
            formats=_texts(attempt.order, "formats"),
            values=cast(Mapping[str, Mapping[str, JSON]], attempt.order.get("values") or {}),
            fixed=cast(JSONObject, attempt.order.get("fixed") or {}),
            callback_url=None
            if callback is None
            else f"{callback}/callbacks/{attempt.provider}/{attempt.nonce}",
        )
        return replace(order, **await self._files(job))

    def _routes(self, job: Job, now: datetime) -> tuple[UsableRoute, ...]:
        try:
            model = self._catalog.get(job.model)
        except BadRequest:
            return ()
        if job.mode == "test" and all(route.provider != LOCAL for route in model.routes):
            return (_SANDBOX_ROUTE,)
        return usable_routes(
            model,
            Settled.from_json(job.settled),
            configured=self._configured,
            price_micros=job.quote_micros,
            on=now.date(),
            # A local render costs nothing; a test wallet pays for nothing else.
            allow_loss=self._planning.allow_loss,
        ).usable

    def _used_up(self, route: Route, earlier: list[Attempt]) -> bool:
        """It refused the order, takes none of ours, or could not be reached too often."""
        outcomes = Counter(
            attempt.outcome
            for attempt in earlier
            if (attempt.provider, attempt.endpoint) == (route.provider, route.endpoint)
        )
        sent_away = outcomes["refused"] + outcomes["unusable"]
        return sent_away > 0 or outcomes["not_sent"] >= self._planning.submit_attempts

    async def _files(self, job: Job) -> dict[str, Any]:
        """The order's files by the order's own words."""
        files: dict[str, Any] = {}
        for role, stored in job.inputs.items():
            if isinstance(stored, list):
                files[role] = tuple(
                    [await self._inputs.input_file(cast(JSONObject, each)) for each in stored]
                )
            else:
                word = "audio_track" if role == "audio_url" else role
                files[word] = await self._inputs.input_file(cast(JSONObject, stored))
        return files


def _route_json(route: Route) -> JSONObject:
    return {
        "field_map": dict(route.field_map),
        "formats": dict(route.formats),
        "values": {word: dict(values) for word, values in route.values.items()},
        "fixed": dict(route.fixed),
    }


def _texts(order: JSONObject, name: str) -> Mapping[str, str]:
    return cast(Mapping[str, str], order.get(name) or {})


def _no_route(earlier: list[Attempt]) -> Failure:
    """Every route refused, was out of reach, or none is configured any more."""
    refusals = [attempt for attempt in earlier if attempt.outcome == "refused"]
    if refusals:
        said = f": {refusals[-1].message.rstrip('.')}" if refusals[-1].message else ""
        return Failure("generation_failed", f"The order was refused{said}. You were charged nothing.")
    if any(attempt.outcome == "unusable" for attempt in earlier):
        return Failure(
            "provider_unavailable",
            "The provider does not take orders of this server; its operator must look at the provider's key. "
            "You were charged nothing.",
        )
    if earlier:
        return Failure(
            "provider_unavailable", "The provider could not be reached. You were charged nothing; try again."
        )
    return Failure("provider_unavailable", "No provider is configured for this model any more.")
