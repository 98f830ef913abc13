"""Planning attempts: which route a job takes next, and the order as that route wants it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Protocol, cast

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.model import Route
from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import BadRequest
from fairstack_server.ids import random_base62
from fairstack_server.jobs.failures import no_route_left
from fairstack_server.jobs.job import Attempt, AttemptOutcome, Failure, Job
from fairstack_server.jobs.placement import NewJob
from fairstack_server.jobs.ports import PlannedAttempt
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.pricing import UsableRoute, usable_routes
from fairstack_server.providers.base import InputFile, Order

#: Renders here, with test keys too; every other provider is played by the sandbox for them.
LOCAL, SANDBOX = "local", "sandbox"
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


def routes_of(
    catalog: Catalog, configured: Collection[str], job: Job | NewJob, on: date, *, allow_loss: bool
) -> tuple[UsableRoute, ...]:
    """The routes that may make a job's clip on that day, in the order of the entry."""
    try:
        model = catalog.get(job.model)
    except BadRequest:
        return ()
    # A local render costs nothing; a test wallet pays for nothing else.
    if job.mode == "test" and all(route.provider != LOCAL for route in model.routes):
        return (_SANDBOX_ROUTE,)
    return usable_routes(
        model,
        Settled.from_json(job.settled),
        configured=configured,
        price_micros=job.quote_micros,
        on=on,
        allow_loss=allow_loss,
    ).usable


class Planner:
    """Chooses routes in the catalog's order and writes orders. The next route only after a sure refusal."""

    def __init__(
        self, catalog: Catalog, configured: Collection[str], inputs: FindsInputs, planning: Planning
    ) -> None:
        self._catalog = catalog
        self._configured = frozenset(configured)
        self._inputs = inputs
        self._planning = planning

    def choose(
        self, job: Job, earlier: list[Attempt], now: datetime, shut: Collection[str]
    ) -> UsableRoute | Failure:
        """The first route of the entry that did not refuse this order, or why there is none.

        Those whose provider is shut, or could not be reached too often, come after the others.
        """
        left = [each for each in self._routes(job, now) if not _said_no(each.route, earlier)]
        if not left:
            return no_route_left(earlier)
        return min(left, key=lambda each: (each.route.provider in shut, self._is_tired(each.route, earlier)))

    async def plan(
        self, job: Job, route: UsableRoute, earlier: list[Attempt], now: datetime
    ) -> PlannedAttempt:
        """The next attempt of a job, on this route."""
        attempt = Attempt(
            nonce=random_base62(_NONCE_CHARACTERS),
            job_id=job.id,
            number=len(earlier) + 1,
            provider=route.route.provider,
            endpoint=route.route.endpoint,
            order=_route_json(route.route),
            cost_micros=route.cost_micros,
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
        return routes_of(
            self._catalog, self._configured, job, now.date(), allow_loss=self._planning.allow_loss
        )

    def _is_tired(self, route: Route, earlier: list[Attempt]) -> bool:
        """It could not be reached so often that another one is better."""
        return _outcomes(route, earlier)["not_sent"] >= self._planning.submit_attempts

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


def _outcomes(route: Route, earlier: list[Attempt]) -> Counter[AttemptOutcome | None]:
    return Counter(
        attempt.outcome
        for attempt in earlier
        if (attempt.provider, attempt.endpoint) == (route.provider, route.endpoint)
    )


def _said_no(route: Route, earlier: list[Attempt]) -> bool:
    """It refused the order, takes none of ours, or is no longer there."""
    outcomes = _outcomes(route, earlier)
    return outcomes["refused"] + outcomes["unusable"] + outcomes["gone"] > 0
