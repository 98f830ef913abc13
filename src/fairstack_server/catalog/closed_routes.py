"""Routes that were found closed while the server ran, laid over what the files say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from fairstack_server.catalog.load import Snapshot
from fairstack_server.catalog.model import Model, Route

#: Key of the model, provider, endpoint.
RouteKey = tuple[str, str, str]


def with_closed(snapshot: Snapshot, closed: Mapping[RouteKey, date]) -> Snapshot:
    """The catalog in which these routes ended on these days, or earlier where their entry says so."""
    keys = {key for key, _, _ in closed if key in snapshot.models}
    if not keys:
        return snapshot
    models = {
        key: _with_closed(model, closed) if key in keys else model for key, model in snapshot.models.items()
    }
    return replace(snapshot, models=models)


def _with_closed(model: Model, closed: Mapping[RouteKey, date]) -> Model:
    def ended(route: Route) -> Route:
        found = closed.get((model.key, route.provider, route.endpoint))
        if found is None or (route.end_of_life is not None and route.end_of_life <= found):
            return route
        return replace(route, end_of_life=found)

    return replace(model, routes=tuple(ended(route) for route in model.routes))
