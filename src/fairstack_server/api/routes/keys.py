"""/v1/api-keys: an account's own keys; a test key sees and changes test keys only"""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import UNSET

from fairstack_server.accounts.store import USER_SCOPES, Caller, check_scopes
from fairstack_server.api.answers import HttpRequest, actor_of, caller_of, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.api.money_view import (
    KEY_NAME_CHARACTERS,
    KeyChange,
    KeyList,
    KeyRequest,
    KeyView,
    key_view,
)
from fairstack_server.api.parse import parse_as
from fairstack_server.bootstrap import Gateway
from fairstack_server.errors import BadRequest, Forbidden
from fairstack_server.ids import Mode
from fairstack_server.money import MAX_MICROS

_KEY_ID = Param("key_id", "path", "The key's id, as `key_…`.")

LIST_KEYS = Doc(
    summary="List the account's API keys",
    tag="API keys",
    scope="keys:write",
    answers={200: Answer("The keys, without their secrets.", KeyList)},
)
CREATE_KEY = Doc(
    summary="Make an API key; it is shown this once",
    tag="API keys",
    scope="keys:write",
    body=KeyRequest,
    answers={201: Answer("The key.", KeyView)},
    errors=("validation_error", "forbidden"),
)
CHANGE_KEY = Doc(
    summary="Change name, scopes or cap of an API key",
    tag="API keys",
    scope="keys:write",
    params=(_KEY_ID,),
    body=KeyChange,
    answers={200: Answer("The key.", KeyView)},
    errors=("validation_error", "forbidden", "not_found"),
)
REVOKE_KEY = Doc(
    summary="Revoke an API key",
    tag="API keys",
    scope="keys:write",
    params=(_KEY_ID,),
    answers={200: Answer("The key, revoked.", KeyView)},
    errors=("not_found",),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The key routes."""

    @get("/v1/api-keys", opt=LIST_KEYS.opt())
    async def list_keys(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        keys = await gateway.accounts.keys(caller.account_id, caller.managed_modes)
        return json_answer(KeyList([key_view(key) for key in keys]))

    @post("/v1/api-keys", opt=CREATE_KEY.opt(), status_code=201)
    async def create_key(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        wanted = parse_as(await request.body(), KeyRequest)
        _check_unbounded(caller)
        scopes = wanted.scopes if wanted.scopes is not None else sorted(caller.scopes & set(USER_SCOPES))
        _check_scopes_of(caller, scopes)
        key, secret = await gateway.accounts.create_key(
            caller.account_id,
            _mode(wanted.mode, caller),
            _name(wanted.name),
            scopes,
            cap_micros=_cap(wanted.cap_micro),
            expires_at=_expiry(wanted.expires_at, gateway.clock.now()),
            by=actor_of(request),
        )
        return json_answer(key_view(key, secret), 201)

    @patch("/v1/api-keys/{key_id:str}", opt=CHANGE_KEY.opt())
    async def change_key(request: HttpRequest, key_id: FromPath[str]) -> Response[bytes]:
        caller = caller_of(request)
        wanted = parse_as(await request.body(), KeyChange)
        if wanted.cap_micro is not UNSET:
            _check_unbounded(caller)
        scopes = None if wanted.scopes is UNSET else list(wanted.scopes)
        if scopes is not None:
            _check_scopes_of(caller, scopes)
        key = await gateway.accounts.change_key(
            caller.account_id,
            key_id,
            name=None if wanted.name is UNSET else _name(wanted.name),
            scopes=scopes,
            cap_micros=None if wanted.cap_micro is UNSET else _cap(wanted.cap_micro),
            cap_given=wanted.cap_micro is not UNSET,
            modes=caller.managed_modes,
            by=actor_of(request),
        )
        gateway.access.forget()
        return json_answer(key_view(key))

    @delete("/v1/api-keys/{key_id:str}", opt=REVOKE_KEY.opt(), status_code=200)
    async def revoke_key(request: HttpRequest, key_id: FromPath[str]) -> Response[bytes]:
        caller = caller_of(request)
        key = await gateway.accounts.revoke_key(
            caller.account_id, key_id, caller.managed_modes, by=actor_of(request)
        )
        gateway.access.forget()
        return json_answer(key_view(key))

    return [list_keys, create_key, change_key, revoke_key]


def _check_unbounded(caller: Caller) -> None:
    """A key with a cap or an end makes no keys and sets no caps: it would only get round its own."""
    if caller.bounded:
        raise Forbidden(
            "A key with a cap or an end makes no keys and sets no caps. Use one that has neither."
        )


def _check_scopes_of(caller: Caller, scopes: list[str]) -> None:
    """A key cannot give more than it has."""
    check_scopes(scopes)
    beyond = next((scope for scope in scopes if scope not in caller.scopes), None)
    if beyond is not None:
        raise Forbidden(f"This key cannot give the scope {beyond[:40]!r}, which it does not have itself.")


def _mode(mode: str | None, caller: Caller) -> Mode:
    match mode or caller.mode:
        case "live":
            if caller.mode == "test":
                raise Forbidden("A test key makes only test keys.")
            return "live"
        case "test":
            return "test"
        case other:
            raise BadRequest(
                f"'mode' may be live or test, not {other[:40]!r}.", param="mode", allowed=["live", "test"]
            )


def _name(name: str) -> str:
    if not 1 <= len(name) <= KEY_NAME_CHARACTERS:
        raise BadRequest(f"'name' must have 1 to {KEY_NAME_CHARACTERS} characters.", param="name")
    return name


def _cap(cap_micro: int | None) -> int | None:
    if cap_micro is not None and not 0 <= cap_micro <= MAX_MICROS:
        raise BadRequest("'cap_micro' must be 0 or more microdollars.", param="cap_micro")
    return cap_micro


def _expiry(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            "'expires_at' must be a time such as 2027-01-31T00:00:00Z.", param="expires_at"
        ) from error
    if moment <= now:
        raise BadRequest("'expires_at' must be in the future.", param="expires_at")
    return moment
