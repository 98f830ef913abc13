"""The rules of money, pure: what each movement writes into the books, and what it refuses.

A wallet has money that is available and money that is held. A job places a hold, then either captures it
(whole, or part and the rest goes back) or releases it, once. A positive amount is money put into a book, a
negative one money taken out, so the entries of every transaction sum to 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from fairstack_server.errors import BadRequest, InternalError, PaymentNeeded
from fairstack_server.ids import Mode
from fairstack_server.money import MAX_MICROS, MICROS_PER_USD, display

Book = Literal[
    "wallet_available",
    "wallet_held",
    "revenue",
    "provider_cost",
    "provider_payable",
    "operator_loss",
    "external",
]
Kind = Literal["grant", "correction", "hold", "capture", "release", "refund", "loss"]
CapScope = Literal["account", "key"]

#: What a wallet of test money holds at the start and after a refill: $100.00.
TEST_WALLET_MICROS = 100 * MICROS_PER_USD


class LedgerError(InternalError):
    """A movement of money that the rules forbid; nothing was written."""


class NoHold(LedgerError):
    """The job has no hold, so there is nothing to capture, release or refund."""


class AlreadySettled(LedgerError):
    """The job's hold was captured or released before; a second settle never happens."""


class ChargeAboveHold(LedgerError):
    """A capture asked for more than was held; a quote is an upper bound, always."""


class AmountRefused(BadRequest):
    """The amount is negative, not a whole number, nothing, more than may go back, or too large to keep."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a transaction: `amount_micros` put into (or, negative, taken out of) a book."""

    book: Book
    amount_micros: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """One movement of money: its entries sum to 0, and none is 0."""

    kind: Kind
    amount_micros: int
    entries: tuple[Entry, ...]

    def moved(self, book: Book) -> int:
        """Micros that this transaction puts into the book; negative when it takes them out."""
        return sum(entry.amount_micros for entry in self.entries if entry.book == book)


@dataclass(frozen=True, slots=True)
class Wallet:
    """Balances of one account in one mode. Never negative, and the two together fit the store."""

    available_micros: int = 0
    held_micros: int = 0

    def after(self, transaction: Transaction) -> Wallet:
        """The balances once the transaction is written. Raises AmountRefused if they could not stand."""
        available = self.available_micros + transaction.moved("wallet_available")
        held = self.held_micros + transaction.moved("wallet_held")
        if available < 0 or held < 0 or available + held > MAX_MICROS:
            raise AmountRefused(
                f"A {transaction.kind} of {display(transaction.amount_micros)} does not fit a wallet with"
                f" {display(self.available_micros)} available and {display(self.held_micros)} held."
            )
        return Wallet(available, held)


@dataclass(frozen=True, slots=True)
class Cap:
    """A monthly limit and what was spent of it so far; `cap_micros` None is no limit."""

    scope: CapScope
    cap_micros: int | None
    spent_micros: int


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Money to set aside for one job, on behalf of one key. Raises AmountRefused for an impossible amount."""

    job_id: str
    account_id: str
    key_id: str
    mode: Mode
    micros: int

    def __post_init__(self) -> None:
        check_amount(self.micros, "hold")


@dataclass(frozen=True, slots=True)
class Held:
    """The money is set aside."""


@dataclass(frozen=True, slots=True)
class Insufficient:
    """The wallet has less available than the job costs; nothing was held."""

    required_micros: int
    available_micros: int


@dataclass(frozen=True, slots=True)
class CapReached:
    """The job would go over a monthly cap; nothing was held."""

    scope: CapScope
    required_micros: int
    cap_micros: int
    spent_micros: int


HoldOutcome = Held | Insufficient | CapReached


def hold(wallet: Wallet, caps: Sequence[Cap], micros: int) -> Transaction | Insufficient | CapReached:
    """Set money aside. Caps are asked first, in order, since more money would not help there.

    A hold of 0 micros always succeeds and has no entries. The SQL function `hold_many` is this rule for a
    whole flush; a test compares the two.
    """
    check_amount(micros, "hold")
    for cap in caps:
        if micros > 0 and cap.cap_micros is not None and micros > cap.cap_micros - cap.spent_micros:
            return CapReached(cap.scope, micros, cap.cap_micros, cap.spent_micros)
    if micros > wallet.available_micros:
        return Insufficient(micros, wallet.available_micros)
    return _transaction("hold", micros, {"wallet_available": -micros, "wallet_held": micros})


def capture(hold_micros: int, charge_micros: int, provider_cost_micros: int | None) -> Transaction:
    """Charge a hold, whole or in part; the rest goes back. Raises ChargeAboveHold for more than was held.

    The provider's cost is the operator's own book and never touches the wallet; None writes nothing.
    """
    check_amount(charge_micros, "charge")
    cost_micros = check_amount(provider_cost_micros or 0, "provider cost")
    if charge_micros > hold_micros:
        raise ChargeAboveHold(
            f"A charge of {display(charge_micros)} is above the hold of {display(hold_micros)}."
        )
    return _transaction(
        "capture",
        charge_micros,
        {
            "wallet_held": -hold_micros,
            "wallet_available": hold_micros - charge_micros,
            "revenue": charge_micros,
            "provider_cost": -cost_micros,
            "provider_payable": cost_micros,
        },
    )


def release(hold_micros: int) -> Transaction:
    """Give a whole hold back: the job costs nothing."""
    return _transaction(
        "release", hold_micros, {"wallet_held": -hold_micros, "wallet_available": hold_micros}
    )


def grant(micros: int) -> Transaction:
    """Put money in from outside. Raises AmountRefused for nothing or less."""
    if check_amount(micros, "grant") == 0:
        raise AmountRefused("A grant of $0.00 moves nothing; grant more than that.")
    return _transaction("grant", micros, {"external": -micros, "wallet_available": micros})


def correct(wallet: Wallet, micros: int) -> Transaction:
    """Take back out what was put in by mistake, as far as it is still available; holds stay covered.

    Raises AmountRefused for nothing, and for more than is available.
    """
    if check_amount(micros, "correction") == 0:
        raise AmountRefused("A correction of $0.00 moves nothing; take back more than that.")
    if micros > wallet.available_micros:
        held = f" Unfinished jobs hold {display(wallet.held_micros)}; wait for them." * (
            wallet.held_micros > 0
        )
        raise AmountRefused(
            f"A correction of {display(micros)} is above what is available:"
            f" {display(wallet.available_micros)}.{held}"
        )
    return _transaction("correction", micros, {"wallet_available": -micros, "external": micros})


def refund(charge_micros: int, refunded_micros: int, micros: int) -> Transaction:
    """Give back some of a charge, less what went back before. Raises AmountRefused above the rest."""
    if check_amount(micros, "refund") == 0:
        raise AmountRefused("A refund of $0.00 moves nothing; refund more than that.")
    if micros > charge_micros - refunded_micros:
        raise AmountRefused(
            f"A refund of {display(micros)} is above what is left of the charge:"
            f" {display(charge_micros - refunded_micros)}."
        )
    return _transaction("refund", micros, {"revenue": -micros, "wallet_available": micros})


def loss(provider_cost_micros: int) -> Transaction:
    """Book what a provider bills for a clip that nobody is charged for: the operator bears it."""
    check_amount(provider_cost_micros, "provider cost")
    return _transaction(
        "loss",
        provider_cost_micros,
        {"operator_loss": -provider_cost_micros, "provider_payable": provider_cost_micros},
    )


def check_amount(micros: int, name: str) -> int:
    """The amount, if it is a whole number of micros that the store can keep; else raises AmountRefused."""
    if type(micros) is not int or not 0 <= micros <= MAX_MICROS:
        raise AmountRefused(
            f"A {name} of {micros!r} micros is refused: it must be an int from 0 to {MAX_MICROS}."
        )
    return micros


def payment_needed(outcome: Insufficient | CapReached) -> PaymentNeeded:
    """The 402 that tells a caller what was required, what there is, and what to do."""
    match outcome:
        case Insufficient(required_micros=required, available_micros=available):
            return PaymentNeeded(
                f"Insufficient credits: {display(required)} is required and {display(available)} is"
                " available. Nothing was held. Add credits to the wallet, then send the request again.",
                details={"required_micro": required, "available_micro": available},
            )
        case CapReached(scope=scope, required_micros=required, cap_micros=cap, spent_micros=spent):
            return PaymentNeeded(
                f"The {scope}'s monthly cap is reached: {display(required)} is required, and"
                f" {display(spent)} of the cap of {display(cap)} is spent. Nothing was held."
                f" Raise the cap of the {scope}, or wait for the next month (UTC).",
                code="cap_reached",
                details={"cap": scope, "required_micro": required, "cap_micro": cap, "spent_micro": spent},
            )
        case _:
            assert_never(outcome)


def _transaction(kind: Kind, amount_micros: int, moved: Mapping[Book, int]) -> Transaction:
    return Transaction(
        kind, amount_micros, tuple(Entry(book, micros) for book, micros in moved.items() if micros)
    )
