"""/v1/admin/providers: how each provider stands, and routes that are gone. Scope `admin`."""

from __future__ import annotations

from litestar import Response, delete, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from fairstack_server.accounts.audit import note
from fairstack_server.api import query
from fairstack_server.api.answers import HttpRequest, actor_of, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.api.provider_view import (
    ClearedView,
    ProviderList,
    ProviderView,
    key_check_view,
    provider_view,
)
from fairstack_server.bootstrap import Gateway
from fairstack_server.catalog.model import Model
from fairstack_server.clock import timestamp
from fairstack_server.errors import NotFound
from fairstack_server.providers.base import KeyCheck
from fairstack_server.providers.check_keys import check_keys
from fairstack_server.providers.registry import missing_setting

PROVIDERS = Doc(
    summary="How every provider stands: settings, health, what is on its way, gone routes",
    tag="Admin",
    scope="admin",
    description="Health, room and last words are what the workers told within the last seconds, over all of "
    "them; `breaker` is null while no worker runs. Limits are those of one worker process.",
    params=(
        Param(
            "check",
            "query",
            "`true`: ask every configured provider now, by a call that costs nothing, about its key. "
            "A breaker of this process opens or closes by what it says.",
            {"type": "string", "enum": ["true", "false"]},
        ),
    ),
    answers={200: Answer("The providers.", ProviderList)},
    errors=("validation_error",),
)
CLEAR_GONE = Doc(
    summary="Use routes again that were marked as gone",
    tag="Admin",
    scope="admin",
    description="A route is marked when its provider answers an order with 404 or 410. Clear the mark when "
    "the provider has the model again, or when the answer was a mistake of a proxy.",
    params=(
        Param("provider", "path", "Name of the provider."),
        Param("model", "query", "Only the routes of this model."),
    ),
    answers={200: Answer("How many marks there were.", ClearedView)},
    errors=("not_found",),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The admin routes of providers."""

    @get("/v1/admin/providers", opt=PROVIDERS.opt())
    async def list_providers(request: HttpRequest) -> Response[bytes]:
        check = query.text(request, "check", ("true", "false"))
        items = await _views(gateway)
        if check == "true":
            await _check_keys(gateway, items)
        return json_answer(ProviderList(list(items.values())))

    @delete("/v1/admin/providers/{provider:str}/gone_routes", opt=CLEAR_GONE.opt(), status_code=200)
    async def clear_gone(request: HttpRequest, provider: FromPath[str]) -> Response[bytes]:
        if provider not in gateway.catalog.providers:
            raise NotFound(f"There is no provider {provider[:60]!r}. List: GET /v1/admin/providers")
        model = query.text(request, "model")
        cleared = await gateway.gone.clear(provider, model)
        async with gateway.pool.acquire() as connection:
            details = {"model": model, "cleared": cleared}
            await note(connection, actor_of(request), "routes.cleared", provider, details=details)
        return json_answer(ClearedView(cleared))

    return [list_providers, clear_gone]


async def _views(gateway: Gateway) -> dict[str, ProviderView]:
    await gateway.gone.refresh()
    reports, models = await gateway.reports.merged(), gateway.catalog.models()
    return {
        key: provider_view(
            facts,
            gateway.providers.get(key),
            missing_setting(key, gateway.settings.providers),
            sum(_enables(key, model) for model in models),
            gateway.gates.limits_of(key),
            reports.get(key),
            gateway.gone.marks,
        )
        for key, facts in sorted(gateway.catalog.providers.items())
    }


def _enables(provider: str, model: Model) -> bool:
    """Whether orders for this model could go to this provider: a route there has a known cost."""
    return any(route.provider == provider and route.costs for route in model.routes)


async def _check_keys(gateway: Gateway, items: dict[str, ProviderView]) -> None:
    asked = {name: provider for name, provider in gateway.providers.items() if name in items}
    async for name, told in check_keys(asked):
        if told is None:
            continue
        items[name].key = key_check_view(told, timestamp(gateway.clock.now()))
        if isinstance(told, KeyCheck):
            gateway.gates.of(name).checked(told)
