"""The public shapes of wallets, ledgers, usage, keys and accounts."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from fairstack_server.accounts.store import Account, ApiKey
from fairstack_server.api.wire import Cost, cost
from fairstack_server.clock import timestamp
from fairstack_server.money import MAX_MICROS
from fairstack_server.wallet.history import LedgerItem, UsageGroup
from fairstack_server.wallet.ledger import Cap, Wallet

KEY_NAME_CHARACTERS, ACCOUNT_NAME_CHARACTERS = 200, 100

# Only said here: the routes check them, with words of their own.
_Amount = Annotated[int, Meta(extra_json_schema={"minimum": 1, "maximum": MAX_MICROS})]
_CapMicro = Annotated[int, Meta(extra_json_schema={"minimum": 0, "maximum": MAX_MICROS})]
_Memo = Annotated[str, Meta(extra_json_schema={"pattern": "[^ ]"})]
_KeyName = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": KEY_NAME_CHARACTERS})]
_AccountName = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": ACCOUNT_NAME_CHARACTERS})]
_Mode = Annotated[str, Meta(extra_json_schema={"enum": ["live", "test"]})]
_Expiry = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class CapView(Struct):
    """A monthly cap (UTC), and what is spent of it."""

    limit: Cost
    spent: Cost
    period: str = "month"


class CapsView(Struct):
    """Caps that bind this key; null = none. There are no projects."""

    account: CapView | None
    project: None
    key: CapView | None


class CreditsView(Struct):
    """The wallet of this key's mode."""

    balance: Cost
    held: Cost
    caps: CapsView
    mode: str


class LedgerItemView(Struct, kw_only=True):
    """One movement of the wallet."""

    id: str
    kind: str
    amount: Cost
    available_change_micro: int
    held_change_micro: int
    job_id: str | None
    memo: str
    created_at: str


class LedgerView(Struct):
    """A page of movements, newest first."""

    items: list[LedgerItemView]
    has_more: bool
    next_cursor: str | None


class UsageItemView(Struct):
    """What was charged under one name."""

    name: str
    jobs: int
    cost: Cost


class UsageView(Struct, kw_only=True):
    """Charges by group."""

    group_by: str
    since: str
    until: str
    items: list[UsageItemView]
    total: Cost


class KeyView(Struct, kw_only=True):
    """An API key; `key` is there once, in the answer that made it."""

    id: str
    name: str
    mode: str
    prefix: str
    key: str | UnsetType = UNSET
    scopes: list[str]
    cap: Cost | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class KeyList(Struct):
    """An account's keys."""

    items: list[KeyView]


class KeyRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to make. What is left out is taken from the key that asks."""

    name: _KeyName = "API key"
    mode: _Mode | None = None
    scopes: list[str] | None = None
    cap_micro: _CapMicro | None = None
    expires_at: _Expiry | None = None


class KeyChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change of a key; null takes a cap away."""

    name: _KeyName | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET
    cap_micro: _CapMicro | UnsetType | None = UNSET


class AccountView(Struct, kw_only=True):
    """An account with its wallets."""

    id: str
    name: str
    cap: Cost | None
    balance: Cost
    held: Cost
    created_at: str


class AccountList(Struct):
    """All accounts."""

    items: list[AccountView]


class AccountRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account to open."""

    name: _AccountName
    cap_micro: _CapMicro | None = None


class NewAccountView(Struct, kw_only=True):
    """An account that was opened, with its first keys, shown this once."""

    account: AccountView
    live_key: str
    test_key: str


class GrantRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Money to put into a wallet."""

    micro: _Amount
    memo: str = ""


class CorrectionRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Money to take back out of a wallet, and why."""

    micro: _Amount
    memo: _Memo


class GrantView(Struct):
    """The booking of a grant or a correction, and the balance after it."""

    id: str
    balance: Cost


def credits_view(wallet: Wallet, account_cap: Cap, key_cap: Cap, mode: str) -> CreditsView:
    """Balance, holds and caps."""
    caps = CapsView(_cap(account_cap), None, _cap(key_cap))
    return CreditsView(cost(wallet.available_micros), cost(wallet.held_micros), caps, mode)


def ledger_item(item: LedgerItem) -> LedgerItemView:
    """One movement."""
    return LedgerItemView(
        id=item.id,
        kind=item.kind,
        amount=cost(item.amount_micros),
        available_change_micro=item.available_change_micros,
        held_change_micro=item.held_change_micros,
        job_id=item.job_id,
        memo=item.memo,
        created_at=timestamp(item.created_at),
    )


def usage_item(group: UsageGroup) -> UsageItemView:
    """One group."""
    return UsageItemView(group.name, group.jobs, cost(group.charge_micros))


def key_view(key: ApiKey, secret: str | None = None) -> KeyView:
    """A key, with itself only when it was just made."""
    times: dict[str, Any] = {
        name: None if (moment := getattr(key, name)) is None else timestamp(moment)
        for name in ("expires_at", "revoked_at", "last_used_at")
    }
    return KeyView(
        id=key.id,
        name=key.name,
        mode=key.mode,
        prefix=key.prefix,
        key=UNSET if secret is None else secret,
        scopes=list(key.scopes),
        cap=None if key.cap_micros is None else cost(key.cap_micros),
        created_at=timestamp(key.created_at),
        **times,
    )


def account_view(account: Account, wallet: Wallet) -> AccountView:
    """An account with its live wallet."""
    return AccountView(
        id=account.id,
        name=account.name,
        cap=None if account.cap_micros is None else cost(account.cap_micros),
        balance=cost(wallet.available_micros),
        held=cost(wallet.held_micros),
        created_at=timestamp(account.created_at),
    )


def _cap(cap: Cap) -> CapView | None:
    return None if cap.cap_micros is None else CapView(cost(cap.cap_micros), cost(cap.spent_micros))
