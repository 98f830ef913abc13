"""/v1/models: what there is, what it takes, what it costs. Public."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import cast, get_args

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from fairstack_server.api import model_view, query
from fairstack_server.api.answers import HttpRequest, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.bootstrap import Gateway
from fairstack_server.catalog.catalog import ModelFilter
from fairstack_server.catalog.load import Snapshot
from fairstack_server.catalog.model import Model, ModelType, Status, Tier
from fairstack_server.errors import BadRequest, NotFound
from fairstack_server.pricing import Unpriced, price_of_default_clip

_TYPES, _TIERS, _STATUSES = get_args(ModelType), get_args(Tier), get_args(Status)

LIST_MODELS = Doc(
    summary="List models",
    tag="Models",
    params=(
        Param("modality", "query", "Only `video` is served.", {"type": "string", "enum": ["video"]}),
        Param("type", "query", "What goes in and comes out.", {"type": "string", "enum": list(_TYPES)}),
        Param("tier", "query", "Price class.", {"type": "string", "enum": list(_TIERS)}),
        Param("provider", "query", "Maker of the model, or who renders it."),
        Param("status", "query", "State of the model.", {"type": "string", "enum": list(_STATUSES)}),
        Param("q", "query", "Words to find."),
    ),
    answers={200: Answer("The models.", model_view.ModelList)},
    errors=("validation_error",),
)
GET_MODEL = Doc(
    summary="Get a model by key or alias",
    tag="Models",
    params=(Param("key", "path", "Model key or alias."),),
    answers={200: Answer("The model.", model_view.ModelView)},
    errors=("not_found",),
)


class _Views:
    """The public shapes of all models, made once for a day and a state of the catalog."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._made_of: tuple[Snapshot, date] | None = None
        self._views: dict[str, model_view.ModelView] = {}

    def of(self, model: Model) -> model_view.ModelView:
        """A model as users see it today."""
        today = self._gateway.clock.now().date()
        made_of = (self._gateway.catalog.snapshot, today)
        if self._made_of is None or self._made_of[0] is not made_of[0] or self._made_of[1] != today:
            self._made_of, self._views = made_of, {}
        if model.key not in self._views:
            price = _default_price(self._gateway, model, today)
            self._views[model.key] = model_view.model_view(model, price, today, self._gateway.configured)
        return self._views[model.key]


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The model routes."""
    views = _Views(gateway)

    @get("/v1/models", opt=LIST_MODELS.opt())
    async def list_models(request: HttpRequest) -> Response[bytes]:
        query.text(request, "modality", ("video",))
        wanted = ModelFilter(
            type=cast(ModelType | None, query.text(request, "type", _TYPES)),
            tier=cast(Tier | None, query.text(request, "tier", _TIERS)),
            status=cast(Status | None, query.text(request, "status", _STATUSES)),
            provider=query.text(request, "provider"),
            q=query.text(request, "q"),
        )
        models = [views.of(model) for model in gateway.catalog.models(wanted)]
        return json_answer(model_view.ModelList(models, len(models)))

    @get("/v1/models/{key:str}", opt=GET_MODEL.opt())
    async def get_model(request: HttpRequest, key: FromPath[str]) -> Response[bytes]:
        try:
            model = gateway.catalog.get(key)
        except BadRequest as error:
            raise NotFound(error.message) from error
        return json_answer(views.of(model))

    return [list_models, get_model]


def _default_price(gateway: Gateway, model: Model, on: date) -> int | None:
    margin: Decimal = gateway.settings.margin_percent
    try:
        return price_of_default_clip(
            model, on=on, margin_percent=margin, configured=gateway.configured
        ).micros
    except Unpriced:
        return None
