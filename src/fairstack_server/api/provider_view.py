"""The public shape of a provider, for the operator."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from fairstack_server.catalog.model import ProviderFacts
from fairstack_server.clock import timestamp
from fairstack_server.jobs.gone import GoneRoute
from fairstack_server.jobs.reports import ProviderReport
from fairstack_server.providers.base import KeyCheck, Provider
from fairstack_server.providers.limits import Limits


class BreakerView(Struct, kw_only=True):
    """Whether orders go out: `closed` they do, `open` none does, `trying` one call is asking for all."""

    state: str
    permanent: bool
    why: str | None
    since: str | None
    next_probe_at: str | None


class LimitsView(Struct, kw_only=True):
    """Limits of one worker process; null = none of ours."""

    in_flight: int | None
    orders: int | None
    per_seconds: float | None


class SaidView(Struct, kw_only=True):
    """What a call to the provider came to."""

    message: str
    at: str


class KeyCheckView(Struct, kw_only=True):
    """What the last free call said of the key; `accepted` is null when no answer came."""

    accepted: bool | None
    message: str
    checked_at: str


class GoneRouteView(Struct, kw_only=True):
    """A route that the provider no longer has; it is not used until its mark is cleared."""

    model: str
    endpoint: str
    said: str
    marked_at: str


class ProviderView(Struct, kw_only=True):
    """One provider as the operator sees it, over all workers."""

    name: str
    configured: bool
    settings: list[str]
    missing_setting: str | None
    models: int
    submit_class: str | None
    breaker: BreakerView | None
    in_flight: int
    waiting: int
    paused_until: str | None
    limits: LimitsView
    last_success_at: str | None
    last_error: SaidView | None
    key: KeyCheckView | None
    gone_routes: list[GoneRouteView]


class ProviderList(Struct):
    """All providers that the catalog names."""

    items: list[ProviderView]


class ClearedView(Struct):
    """How many marks of gone routes were cleared."""

    cleared: int


def provider_view(
    facts: ProviderFacts,
    provider: Provider | None,
    missing: str | None,
    models: int,
    limits: Limits,
    report: ProviderReport | None,
    gone: Sequence[GoneRoute],
) -> ProviderView:
    """A provider as settings, catalog and workers have it; `report` is None while no worker runs."""
    return ProviderView(
        name=facts.key,
        configured=provider is not None,
        settings=list(facts.settings),
        missing_setting=missing,
        models=models,
        submit_class=None if provider is None else provider.submit_class.name,
        breaker=None if report is None else _breaker(report),
        in_flight=0 if report is None else report.in_flight,
        waiting=0 if report is None else report.waiting,
        paused_until=None if report is None else report.paused_until,
        limits=LimitsView(
            in_flight=limits.in_flight,
            orders=limits.orders,
            per_seconds=None if limits.orders is None else limits.per_seconds,
        ),
        last_success_at=None if report is None else report.last_success_at,
        last_error=None
        if report is None or report.last_error is None
        else SaidView(message=report.last_error.message, at=report.last_error.at),
        key=None
        if report is None or report.key is None
        else KeyCheckView(
            accepted=report.key.accepted, message=report.key.message, checked_at=report.key.checked_at
        ),
        gone_routes=[
            GoneRouteView(
                model=each.model,
                endpoint=each.endpoint,
                said=each.said,
                marked_at=timestamp(each.marked_at),
            )
            for each in gone
            if each.provider == facts.key
        ],
    )


def key_check_view(told: KeyCheck | str, checked_at: str) -> KeyCheckView:
    """What a free call said just now, or why it said nothing."""
    if isinstance(told, str):
        return KeyCheckView(accepted=None, message=told, checked_at=checked_at)
    return KeyCheckView(accepted=told.accepted, message=told.message, checked_at=checked_at)


def _breaker(report: ProviderReport) -> BreakerView:
    return BreakerView(
        state=report.state,
        permanent=report.permanent,
        why=report.why,
        since=report.since,
        next_probe_at=report.next_probe_at,
    )
