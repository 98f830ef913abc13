"""/v1/credits, /v1/ledger, /v1/usage: the wallet of the key's own mode"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast, get_args

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from fairstack_server.api import query
from fairstack_server.api.answers import HttpRequest, caller_of, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.api.money_view import (
    CreditsView,
    LedgerView,
    UsageView,
    credits_view,
    ledger_item,
    usage_item,
)
from fairstack_server.api.wire import cost
from fairstack_server.bootstrap import Gateway
from fairstack_server.clock import timestamp
from fairstack_server.errors import BadRequest, Forbidden
from fairstack_server.wallet import history, store
from fairstack_server.wallet.history import GroupBy

_GROUPS = get_args(GroupBy)
_USAGE_DAYS = 30

CREDITS = Doc(
    summary="Balance, holds and caps",
    tag="Money",
    scope="credits:read",
    answers={200: Answer("The wallet.", CreditsView)},
)
REFILL = Doc(
    summary="Bring the sandbox wallet back up to $100.00 of test money",
    tag="Money",
    scope="generate",
    answers={200: Answer("The wallet.", CreditsView)},
    errors=("forbidden",),
)
LEDGER = Doc(
    summary="Every movement of the wallet, newest first",
    tag="Money",
    scope="credits:read",
    params=(
        Param("limit", "query", "Movements on a page.", {"type": "integer", "minimum": 1, "maximum": 100}),
        Param("cursor", "query", "`next_cursor` of the page before."),
    ),
    answers={200: Answer("A page.", LedgerView)},
    errors=("validation_error",),
)
USAGE = Doc(
    summary="What was charged, by day, model, key or tag",
    tag="Money",
    scope="credits:read",
    params=(
        Param("group_by", "query", "Default: day.", {"type": "string", "enum": list(_GROUPS)}),
        Param("from", "query", "Default: 30 days ago.", {"type": "string", "format": "date-time"}),
        Param("to", "query", "Default: now.", {"type": "string", "format": "date-time"}),
    ),
    answers={200: Answer("Charges.", UsageView)},
    errors=("validation_error",),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The money routes."""

    async def wallet(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        async with gateway.pool.acquire() as connection:
            balance = await store.balance(connection, caller.account_id, caller.mode)
            account_cap, key_cap = await store.caps(connection, caller.account_id, caller.key_id)
        return json_answer(credits_view(balance, account_cap, key_cap, caller.mode))

    @get("/v1/credits", opt=CREDITS.opt())
    async def get_credits(request: HttpRequest) -> Response[bytes]:
        return await wallet(request)

    @post("/v1/credits/refill", opt=REFILL.opt(), status_code=200)
    async def refill(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        if caller.mode != "test":
            raise Forbidden("Only the sandbox wallet refills itself: use a key that begins with fs_test_.")
        async with gateway.pool.acquire() as connection, connection.transaction():
            await store.refill_test_wallet(connection, caller.account_id)
        return await wallet(request)

    @get("/v1/ledger", opt=LEDGER.opt())
    async def get_ledger(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        async with gateway.pool.acquire() as connection:
            page = await history.entries(
                connection,
                caller.account_id,
                caller.mode,
                limit=query.page_limit(request),
                cursor=query.text(request, "cursor"),
            )
        items = [ledger_item(item) for item in page.items]
        return json_answer(LedgerView(items, page.next_cursor is not None, page.next_cursor))

    @get("/v1/usage", opt=USAGE.opt())
    async def get_usage(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        group_by = cast(GroupBy, query.text(request, "group_by", _GROUPS) or "day")
        until = query.moment(request, "to") or gateway.clock.now()
        since = query.moment(request, "from") or _days_before(until)
        if since > until:
            raise BadRequest("'from' must not be later than 'to'.", param="from")
        async with gateway.pool.acquire() as connection:
            groups = await history.usage(
                connection, caller.account_id, caller.mode, group_by=group_by, since=since, until=until
            )
        return json_answer(
            UsageView(
                group_by=group_by,
                since=timestamp(since),
                until=timestamp(until),
                items=[usage_item(group) for group in groups],
                total=cost(sum(group.charge_micros for group in groups)),
            )
        )

    return [get_credits, refill, get_ledger, get_usage]


def _days_before(until: datetime) -> datetime:
    """Where usage begins unless it is told; nothing is before the first of all days."""
    first = datetime.min.replace(tzinfo=UTC)
    return max(until, first + timedelta(days=_USAGE_DAYS)) - timedelta(days=_USAGE_DAYS)
