"""/v1/admin/catalog: read the model files again. Scope `admin`."""

from __future__ import annotations

from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from fairstack_server.accounts.audit import note
from fairstack_server.api.answers import HttpRequest, actor_of, json_answer
from fairstack_server.api.doc import Answer, Doc
from fairstack_server.bootstrap import Gateway
from fairstack_server.catalog.load import CatalogError
from fairstack_server.catalog.watch import reload_catalog
from fairstack_server.errors import Conflict
from fairstack_server.jsonvalue import JSON


class CatalogReload(Struct, kw_only=True):
    """The catalog after a reload: how many models, and the keys of those that are not as before."""

    models: int
    added: list[str]
    changed: list[str]
    removed: list[str]


RELOAD = Doc(
    summary="Read the model files again, without a restart",
    tag="Admin",
    scope="admin",
    description="All models are swapped at once. Jobs keep the price they were quoted. Broken files change "
    "nothing: the answer is 409 `catalog_broken`, and `details.problems` names file and line of each.",
    answers={200: Answer("What changed.", CatalogReload)},
    errors=("catalog_broken",),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The admin routes of the catalog."""

    @post("/v1/admin/catalog/reload", opt=RELOAD.opt(), status_code=200)
    async def reload(request: HttpRequest) -> Response[bytes]:
        try:
            found = await reload_catalog(gateway.catalog)
        except CatalogError as error:
            raise Conflict(
                f"The model files are broken, so the catalog stays as it was: {error.problems[0]}",
                code="catalog_broken",
                details={"problems": list(error.problems)},
            ) from error
        details: dict[str, JSON] = {
            "added": len(found.added),
            "changed": len(found.changed),
            "removed": len(found.removed),
        }
        async with gateway.pool.acquire() as connection:
            await note(connection, actor_of(request), "catalog.reloaded", "catalog", details=details)
        return json_answer(
            CatalogReload(
                models=found.models,
                added=list(found.added),
                changed=list(found.changed),
                removed=list(found.removed),
            )
        )

    return [reload]
