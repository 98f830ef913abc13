"""/v1/admin: accounts, money in and back. Scope `admin`."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from fairstack_server.accounts.audit import note
from fairstack_server.accounts.first_start import create_first_keys
from fairstack_server.accounts.store import USER_SCOPES, Account
from fairstack_server.accounts.store import create_account as open_account
from fairstack_server.api.answers import HttpRequest, actor_of, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.api.money_view import (
    ACCOUNT_NAME_CHARACTERS,
    AccountList,
    AccountRequest,
    AccountView,
    CorrectionRequest,
    GrantRequest,
    GrantView,
    NewAccountView,
    account_view,
)
from fairstack_server.api.parse import parse_as
from fairstack_server.api.wire import cost
from fairstack_server.bootstrap import Gateway
from fairstack_server.errors import BadRequest
from fairstack_server.money import MAX_MICROS
from fairstack_server.wallet import store

LIST_ACCOUNTS = Doc(
    summary="List accounts",
    tag="Admin",
    scope="admin",
    answers={200: Answer("All accounts.", AccountList)},
)
CREATE_ACCOUNT = Doc(
    summary="Open an account with a live and a test key",
    tag="Admin",
    scope="admin",
    body=AccountRequest,
    answers={201: Answer("The account and its keys, shown this once.", NewAccountView)},
    errors=("validation_error",),
)
GRANT = Doc(
    summary="Put live money into an account's wallet",
    tag="Admin",
    scope="admin",
    params=(Param("account_id", "path", "Id or name of the account."),),
    body=GrantRequest,
    answers={201: Answer("The booking.", GrantView)},
    errors=("validation_error", "not_found"),
)
CORRECT = Doc(
    summary="Take live money back that was granted by mistake",
    tag="Admin",
    scope="admin",
    description="Never more than is available: what unfinished jobs hold stays theirs. The memo is required.",
    params=(Param("account_id", "path", "Id or name of the account."),),
    body=CorrectionRequest,
    answers={201: Answer("The booking.", GrantView)},
    errors=("validation_error", "not_found"),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The admin routes."""

    async def view(account: Account) -> AccountView:
        async with gateway.pool.acquire() as connection:
            return account_view(account, await store.balance(connection, account.id, "live"))

    @get("/v1/admin/accounts", opt=LIST_ACCOUNTS.opt())
    async def list_accounts(request: HttpRequest) -> Response[bytes]:
        return json_answer(AccountList([await view(account) for account in await gateway.accounts.all()]))

    @post("/v1/admin/accounts", opt=CREATE_ACCOUNT.opt(), status_code=201)
    async def create_account(request: HttpRequest) -> Response[bytes]:
        wanted = parse_as(await request.body(), AccountRequest)
        if not 1 <= len(wanted.name) <= ACCOUNT_NAME_CHARACTERS:
            raise BadRequest(f"'name' must have 1 to {ACCOUNT_NAME_CHARACTERS} characters.", param="name")
        if wanted.cap_micro is not None and not 0 <= wanted.cap_micro <= MAX_MICROS:
            raise BadRequest("'cap_micro' must be 0 or more microdollars.", param="cap_micro")
        by = actor_of(request)
        async with gateway.pool.acquire() as connection, connection.transaction():
            account = await open_account(connection, wanted.name, wanted.cap_micro, by=by)
            keys = await create_first_keys(connection, account.id, USER_SCOPES, by=by)
        shown = NewAccountView(account=await view(account), live_key=keys.live, test_key=keys.test)
        return json_answer(shown, 201)

    @post("/v1/admin/accounts/{account_id:str}/grants", opt=GRANT.opt(), status_code=201)
    async def grant(request: HttpRequest, account_id: FromPath[str]) -> Response[bytes]:
        wanted = parse_as(await request.body(), GrantRequest)
        if not 0 < wanted.micro <= MAX_MICROS:
            raise BadRequest(f"'micro' must be 1 to {MAX_MICROS} microdollars.", param="micro")
        account = await gateway.accounts.find(account_id)
        async with gateway.pool.acquire() as connection, connection.transaction():
            booking = await store.grant(connection, account.id, "live", wanted.micro, wanted.memo)
            await note(
                connection,
                actor_of(request),
                "money.granted",
                booking,
                account_id=account.id,
                details={"micro": wanted.micro},
            )
            balance = await store.balance(connection, account.id, "live")
        return json_answer(GrantView(booking, cost(balance.available_micros)), 201)

    @post("/v1/admin/accounts/{account_id:str}/corrections", opt=CORRECT.opt(), status_code=201)
    async def correct(request: HttpRequest, account_id: FromPath[str]) -> Response[bytes]:
        wanted = parse_as(await request.body(), CorrectionRequest)
        if not 0 < wanted.micro <= MAX_MICROS:
            raise BadRequest(f"'micro' must be 1 to {MAX_MICROS} microdollars.", param="micro")
        account = await gateway.accounts.find(account_id)
        async with gateway.pool.acquire() as connection, connection.transaction():
            booking = await store.correct(connection, account.id, "live", wanted.micro, wanted.memo)
            await note(
                connection,
                actor_of(request),
                "money.corrected",
                booking,
                account_id=account.id,
                details={"micro": wanted.micro},
            )
            balance = await store.balance(connection, account.id, "live")
        return json_answer(GrantView(booking, cost(balance.available_micros)), 201)

    return [list_accounts, create_account, grant, correct]
