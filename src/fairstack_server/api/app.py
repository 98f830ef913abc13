"""The ASGI application: routes, access, request ids, errors, and headers on everything."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import structlog
from litestar import HttpMethod, Litestar, Response, route
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fairstack_server.api import wire
from fairstack_server.api.access import require_rate, require_scope
from fairstack_server.api.answers import HttpRequest, error_answer
from fairstack_server.api.connections import HEADERS
from fairstack_server.api.doc import STRICT_PATHS, Doc
from fairstack_server.api.query import check_known, check_path
from fairstack_server.api.routes import (
    admin,
    admin_audit,
    admin_catalog,
    admin_providers,
    callbacks,
    files,
    generations,
    health,
    jobs,
    keys,
    media,
    models,
    money,
    webhooks,
)
from fairstack_server.bootstrap import Gateway
from fairstack_server.ids import new_id

log = structlog.get_logger()

#: Of bodies that are only fields; an order may carry pictures, and a file is one.
_FIELDS_MAX_BYTES = 64 * 1024
#: A provider's callback tells of a task; it does not bring the clip.
_CALLBACK_MAX_BYTES = 1024 * 1024
_QUIET_PATHS = frozenset({"/healthz", "/readyz"})


def all_routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """Every route there is."""
    nouns = (
        generations,
        jobs,
        models,
        money,
        keys,
        files,
        webhooks,
        admin,
        admin_audit,
        admin_catalog,
        admin_providers,
        callbacks,
        media,
        health,
    )
    handlers = [handler for noun in nouns for handler in noun.routes(gateway)]
    for handler in handlers:
        limit = _body_limit(handler)
        if limit is not None:
            handler.request_max_body_size = limit
    return handlers


def _body_limit(handler: HTTPRouteHandler) -> int | None:
    """How large a body the route takes; None = as large as the setting says."""
    doc = handler.opt.get("doc")
    if not isinstance(doc, Doc) or doc.body in (bytes, wire.VideoRequest):
        return None
    return _CALLBACK_MAX_BYTES if doc.tag == "Callbacks" else _FIELDS_MAX_BYTES


def _options(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """OPTIONS of every path. Litestar's own would name only those methods that one of the handlers takes."""
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(handler.http_methods)
    return [_allow(path, ", ".join(sorted(names))) for path, names in methods.items()]


def _allow(path: str, methods: str) -> HTTPRouteHandler:
    @route(path, http_method=HttpMethod.OPTIONS, status_code=204)
    async def options(request: HttpRequest) -> Response[None]:
        return Response(None, status_code=204, headers={"allow": methods})

    return options


def build_app(gateway: Gateway) -> Litestar:
    """The application over a gateway; the gateway's own life is the caller's."""

    async def admit(request: HttpRequest) -> None:
        """Routes that name a scope need a key that has it; every such request counts for the key's rate."""
        doc = request.route_handler.opt.get("doc")
        if not isinstance(doc, Doc):
            return
        if doc.scope is not None:
            caller = await gateway.access.caller(request.headers.get("authorization"))
            request.state.caller = caller
            rate = gateway.access.count(caller)
            request.scope["state"]["rate_headers"] = rate.headers()
            require_rate(rate)
            require_scope(caller, doc.scope)
        if request.url.path.startswith(STRICT_PATHS):
            check_known(request, doc.query_names)
        check_path(request)

    handlers = all_routes(gateway)
    app = Litestar(
        route_handlers=[*_options(handlers), *handlers],
        before_request=admit,
        exception_handlers={Exception: error_answer},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=gateway.settings.body_max_bytes,
    )
    # Around everything: a middleware would not see answers about paths and methods that there are not.
    app.asgi_handler = _dress(app.asgi_handler)
    return app


def _shown_path(path: str) -> str:
    """Paths that are secrets in themselves (a clip's token, a callback's nonce) are not logged."""
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return f"/{first}/…" if first in ("media", "callbacks") else path


def _dress(app: ASGIApp) -> ASGIApp:
    """Give every answer its request id and headers, and every request a line in the log."""

    async def dressed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        request_id = new_id("req")
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        started = time.perf_counter()

        async def send_dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                headers.append((b"x-request-id", request_id.encode()))
                present = {name.lower() for name, _ in headers}
                headers.extend(pair for pair in HEADERS if pair[0] not in present)
                headers.extend(
                    (name.encode(), value.encode()) for name, value in state.get("rate_headers", ())
                )
                message["headers"] = headers
                if scope["path"] not in _QUIET_PATHS:
                    log.info(
                        "api.request",
                        request_id=request_id,
                        method=scope["method"],
                        path=_shown_path(scope["path"]),
                        status=message["status"],
                        ms=round((time.perf_counter() - started) * 1000, 1),
                    )
            await send(message)

        await app(scope, receive, send_dressed)

    return dressed
