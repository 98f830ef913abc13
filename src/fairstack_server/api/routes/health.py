"""/healthz, /readyz, /openapi.json, /docs: public"""

from __future__ import annotations

import functools

import asyncpg
import msgspec
from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler

from fairstack_server.api.answers import HttpRequest, json_answer
from fairstack_server.api.doc import Answer, Doc
from fairstack_server.api.docs_page import docs_page
from fairstack_server.api.openapi import openapi
from fairstack_server.bootstrap import Gateway
from fairstack_server.errors import Unavailable

_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEALTH = Doc(summary="The process answers", tag="Server", answers={200: Answer("It does.", dict[str, str])})
READY = Doc(
    summary="The server takes jobs: its database answers",
    tag="Server",
    answers={200: Answer("It does.", dict[str, str])},
    errors=("provider_unavailable",),
)
SPEC = Doc(summary="This API, as OpenAPI 3.1", tag="Server", answers={200: Answer("The document.", dict)})
DOCS = Doc(summary="This API, for people", tag="Server", answers={200: Answer("A page.", None, "text/html")})


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """Health and documentation."""

    @functools.cache
    def document(app: Litestar) -> bytes:
        return msgspec.json.encode(openapi(app))

    @functools.cache
    def page(app: Litestar) -> bytes:
        return docs_page(openapi(app), gateway.settings.base_url).encode()

    @get("/healthz", opt=HEALTH.opt())
    async def healthz(request: HttpRequest) -> Response[bytes]:
        return json_answer({"status": "ok"})

    @get("/readyz", opt=READY.opt())
    async def readyz(request: HttpRequest) -> Response[bytes]:
        try:
            await gateway.pool.fetchval("select 1")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unavailable("The database does not answer.") from error
        return json_answer({"status": "ready", "home": str(gateway.home_id)})

    @get("/openapi.json", opt=SPEC.opt())
    async def spec(request: HttpRequest) -> Response[bytes]:
        return json_answer(document(request.app))

    @get("/docs", opt=DOCS.opt())
    async def docs(request: HttpRequest) -> Response[bytes]:
        return Response(
            page(request.app),
            media_type="text/html",
            headers={"content-security-policy": _PAGE_POLICY},
        )

    # Not part of the API: whoever opens the address that the server printed is shown the way.
    @get("/", status_code=302)
    async def home(request: HttpRequest) -> Response[bytes]:
        return Response(b"", status_code=302, headers={"location": "/docs"})

    return [healthz, readyz, spec, docs, home]
