"""/v1/webhooks: deliveries, secret, default endpoint, test message"""

from __future__ import annotations

from typing import cast, get_args

import msgspec
from litestar import Response, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from fairstack_server.accounts.audit import note
from fairstack_server.api import query
from fairstack_server.api.answers import HttpRequest, actor_of, caller_of, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.api.file_view import (
    DeliveryList,
    DeliveryView,
    EndpointRequest,
    EndpointView,
    SecretView,
    WebhookTestRequest,
    delivery_view,
    endpoint_view,
    secret_view,
)
from fairstack_server.api.parse import parse_as
from fairstack_server.bootstrap import Gateway
from fairstack_server.clock import timestamp
from fairstack_server.errors import BadRequest, Forbidden
from fairstack_server.webhooks import deliveries, endpoints, store
from fairstack_server.webhooks.store import DeliveryState

_STATES = get_args(DeliveryState)
_DELIVERY_ID = Param("delivery_id", "path", "The delivery's id, as `whd_…`.")

LIST = Doc(
    summary="List webhook deliveries, newest first",
    tag="Webhooks",
    scope="jobs:read",
    params=(
        Param("job", "query", "Only of this job."),
        Param("state", "query", "Only in this state.", {"type": "string", "enum": list(_STATES)}),
        Param("limit", "query", "Deliveries on a page.", {"type": "integer", "minimum": 1, "maximum": 100}),
        Param("cursor", "query", "`next_cursor` of the page before."),
    ),
    answers={200: Answer("A page.", DeliveryList)},
    errors=("validation_error",),
)
READ = Doc(
    summary="Get a delivery with the log of its attempts",
    tag="Webhooks",
    scope="jobs:read",
    params=(_DELIVERY_ID,),
    answers={200: Answer("The delivery.", DeliveryView)},
    errors=("not_found",),
)
REDELIVER = Doc(
    summary="Send a delivery again: same id, same bytes",
    tag="Webhooks",
    scope="generate",
    params=(_DELIVERY_ID,),
    answers={202: Answer("It is due now.", DeliveryView)},
    errors=("not_found",),
)
TEST = Doc(
    summary="Send a signed test message",
    tag="Webhooks",
    scope="generate",
    body=WebhookTestRequest,
    body_required=False,
    answers={202: Answer("It is due now.", DeliveryView)},
    errors=("validation_error", "webhook_url_refused"),
)
READ_SECRET = Doc(
    summary="Get the secret that signs this account's webhooks",
    tag="Webhooks",
    scope="keys:write",
    answers={200: Answer("The secret.", SecretView)},
)
ROTATE_SECRET = Doc(
    summary="Make a new secret; for 24 hours both sign",
    tag="Webhooks",
    scope="keys:write",
    answers={200: Answer("The new secret.", SecretView)},
)
READ_ENDPOINT = Doc(
    summary="Get the default endpoint",
    tag="Webhooks",
    scope="keys:write",
    answers={200: Answer("The endpoint.", EndpointView)},
)
PUT_ENDPOINT = Doc(
    summary="Set the default endpoint, or enable it again",
    tag="Webhooks",
    scope="keys:write",
    body=EndpointRequest,
    answers={200: Answer("The endpoint.", EndpointView)},
    errors=("validation_error", "webhook_url_refused"),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The webhook routes."""

    @get("/v1/webhooks/deliveries", opt=LIST.opt())
    async def list_deliveries(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        async with gateway.pool.acquire() as connection:
            page = await deliveries.list_deliveries(
                connection,
                caller.account_id,
                caller.mode,
                limit=query.page_limit(request),
                job_id=query.text(request, "job"),
                state=cast(DeliveryState | None, query.text(request, "state", _STATES)),
                cursor=query.text(request, "cursor"),
            )
        items = [delivery_view(delivery) for delivery in page.items]
        return json_answer(DeliveryList(items, page.next_cursor is not None, page.next_cursor))

    @get("/v1/webhooks/deliveries/{delivery_id:str}", opt=READ.opt())
    async def read_delivery(request: HttpRequest, delivery_id: FromPath[str]) -> Response[bytes]:
        caller = caller_of(request)
        async with gateway.pool.acquire() as connection:
            found = await deliveries.read_delivery(connection, caller.account_id, caller.mode, delivery_id)
        return json_answer(delivery_view(*found))

    @post("/v1/webhooks/deliveries/{delivery_id:str}/redeliver", opt=REDELIVER.opt(), status_code=202)
    async def redeliver(request: HttpRequest, delivery_id: FromPath[str]) -> Response[bytes]:
        caller = caller_of(request)
        async with gateway.pool.acquire() as connection, connection.transaction():
            found = await deliveries.redeliver(connection, caller.account_id, caller.mode, delivery_id)
        return json_answer(delivery_view(found), 202)

    @post("/v1/webhooks/test", opt=TEST.opt(), status_code=202)
    async def test_webhook(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        raw = await request.body()
        wanted = parse_as(raw, WebhookTestRequest) if raw.strip() else WebhookTestRequest()
        if wanted.url is not None:
            await gateway.webhook_gate.judge(wanted.url)
        body = msgspec.json.encode({"type": "test", "created_at": timestamp(gateway.clock.now())})
        async with gateway.pool.acquire() as connection, connection.transaction():
            delivery_id = await store.enqueue(
                connection, caller.account_id, caller.mode, body, url=wanted.url
            )
            if delivery_id is None:
                raise BadRequest("There is no default endpoint: name a url, or set one first.", param="url")
            found = await deliveries.read_delivery(connection, caller.account_id, caller.mode, delivery_id)
        return json_answer(delivery_view(found[0]), 202)

    return [list_deliveries, read_delivery, redeliver, test_webhook, *_account_routes(gateway)]


def _account_routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """Secret and default endpoint."""

    @get("/v1/webhooks/secret", opt=READ_SECRET.opt())
    async def read_secret(request: HttpRequest) -> Response[bytes]:
        async with gateway.pool.acquire() as connection, connection.transaction():
            return json_answer(
                secret_view(await endpoints.read_secret(connection, caller_of(request).account_id))
            )

    @post("/v1/webhooks/secret", opt=ROTATE_SECRET.opt(), status_code=200)
    async def rotate_secret(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        if caller.mode == "test":
            raise Forbidden("The secret signs live webhooks too: rotate it with a live key.")
        async with gateway.pool.acquire() as connection, connection.transaction():
            rotated = await endpoints.rotate_secret(connection, caller.account_id)
            await note(
                connection,
                actor_of(request),
                "webhook_secret.rotated",
                caller.account_id,
                account_id=caller.account_id,
            )
        return json_answer(secret_view(rotated))

    @get("/v1/webhooks/endpoint", opt=READ_ENDPOINT.opt())
    async def read_endpoint(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        async with gateway.pool.acquire() as connection:
            found = await endpoints.get_endpoint(connection, caller.account_id, caller.mode)
        return json_answer(endpoint_view(found))

    @put("/v1/webhooks/endpoint", opt=PUT_ENDPOINT.opt())
    async def put_endpoint(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        wanted = parse_as(await request.body(), EndpointRequest)
        if wanted.url is not None:
            await gateway.webhook_gate.judge(wanted.url)
        async with gateway.pool.acquire() as connection, connection.transaction():
            found = await endpoints.put_endpoint(connection, caller.account_id, caller.mode, wanted.url)
            # The host alone: paths of receivers may be secrets in themselves.
            await note(
                connection,
                actor_of(request),
                "webhook_endpoint.changed",
                "nowhere" if wanted.url is None else store.host_of(wanted.url),
                account_id=caller.account_id,
                details={"mode": caller.mode},
            )
        return json_answer(endpoint_view(found))

    return [read_secret, rotate_secret, read_endpoint, put_endpoint]
