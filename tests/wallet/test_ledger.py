"""The pure rules of money."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from fairstack_server.money import MAX_MICROS
from fairstack_server.wallet import ledger
from fairstack_server.wallet.ledger import (
    AmountRefused,
    Cap,
    CapReached,
    ChargeAboveHold,
    HoldRequest,
    Insufficient,
    Transaction,
    Wallet,
)

MICROS = st.one_of(st.integers(0, 200), st.integers(0, MAX_MICROS), st.sampled_from([0, 1, MAX_MICROS]))


class Books(RuleBasedStateMachine):
    """One wallet, any order of movements: the invariants of money hold after each."""

    holds = Bundle("holds")
    charges = Bundle("charges")

    def __init__(self) -> None:
        super().__init__()
        self.wallet = Wallet()
        self.written: list[Transaction] = []
        self.open_holds: Counter[int] = Counter()

    def write(self, transaction: Transaction) -> None:
        self.wallet = self.wallet.after(transaction)
        self.written.append(transaction)

    @rule(micros=MICROS)
    def grant(self, micros: int) -> None:
        total = self.wallet.available_micros + self.wallet.held_micros
        if micros == 0 or total + micros > MAX_MICROS:
            with pytest.raises(AmountRefused):
                self.write(ledger.grant(micros))
        else:
            self.write(ledger.grant(micros))

    @rule(micros=MICROS)
    def correct(self, micros: int) -> None:
        before = self.wallet
        if not 0 < micros <= before.available_micros:
            with pytest.raises(AmountRefused):
                self.write(ledger.correct(before, micros))
            return
        self.write(ledger.correct(before, micros))
        assert self.wallet == Wallet(before.available_micros - micros, before.held_micros)

    @rule(target=holds, micros=MICROS)
    def hold(self, micros: int) -> Any:
        before = self.wallet
        answer = ledger.hold(self.wallet, [], micros)
        if isinstance(answer, Transaction):
            self.write(answer)
            self.open_holds[micros] += 1
            return micros
        assert answer == Insufficient(micros, before.available_micros)
        assert micros > before.available_micros
        return None

    @rule(target=charges, hold=consumes(holds), share=st.fractions(0, 1), cost=st.none() | MICROS)
    def capture(self, hold: int | None, share: Any, cost: int | None) -> Any:
        if hold is None:
            return (0, 0)
        if hold < MAX_MICROS:
            with pytest.raises(ChargeAboveHold):
                ledger.capture(hold, hold + 1, cost)
        charge = int(hold * share)
        self.write(ledger.capture(hold, charge, cost))
        self.open_holds[hold] -= 1
        return (charge, 0)

    @rule(hold=consumes(holds))
    def release(self, hold: int | None) -> None:
        if hold is not None:
            self.write(ledger.release(hold))
            self.open_holds[hold] -= 1

    @rule(target=charges, charge=consumes(charges), micros=MICROS)
    def refund(self, charge: tuple[int, int], micros: int) -> Any:
        charged, refunded = charge
        total = self.wallet.available_micros + self.wallet.held_micros
        if micros == 0 or micros > charged - refunded or total + micros > MAX_MICROS:
            with pytest.raises(AmountRefused):
                self.write(ledger.refund(charged, refunded, micros))
            return charge
        self.write(ledger.refund(charged, refunded, micros))
        return (charged, refunded + micros)

    @rule(cost=MICROS)
    def lose(self, cost: int) -> None:
        before = self.wallet
        self.write(ledger.loss(cost))
        assert self.wallet == before

    @invariant()
    def every_transaction_sums_to_zero(self) -> None:
        assert all(sum(entry.amount_micros for entry in one.entries) == 0 for one in self.written[-1:])

    @invariant()
    def balances_are_what_the_entries_say(self) -> None:
        available = sum(one.moved("wallet_available") for one in self.written)
        held = sum(one.moved("wallet_held") for one in self.written)
        assert self.wallet == Wallet(available, held)

    @invariant()
    def held_is_the_sum_of_open_holds(self) -> None:
        assert self.wallet.held_micros == sum(self.open_holds.elements())

    @invariant()
    def nothing_is_negative(self) -> None:
        assert self.wallet.available_micros >= 0
        assert self.wallet.held_micros >= 0


Books.TestCase.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestBooks = Books.TestCase


@dataclass(frozen=True)
class NotAnInt:
    """Something that is no amount."""


@pytest.mark.parametrize("micros", [-1, 2**63, 2**64, -(2**63), True, 1.0, "1", None, NotAnInt()])
def test_amounts_out_of_bounds_are_refused_everywhere(micros: Any) -> None:
    """An amount that is negative, over 2^63-1 or not an int is refused by every movement."""
    for movement in (
        lambda: HoldRequest("job_1", "acct_1", "key_1", "live", micros),
        lambda: ledger.hold(Wallet(10, 0), [], micros),
        lambda: ledger.capture(10, micros, None),
        lambda: ledger.grant(micros),
        lambda: ledger.refund(10, 0, micros),
        lambda: ledger.loss(micros),
    ):
        with pytest.raises(AmountRefused):
            movement()


@pytest.mark.parametrize("micros", [0, 1, 2**53 + 1, 2**63 - 1])
def test_amounts_at_the_bounds_are_moved_exactly(micros: int) -> None:
    """0, 1, 2^53+1 and 2^63-1 micros are held and charged to the micro."""
    wallet = Wallet(micros, 0)
    held = ledger.hold(wallet, [], micros)
    assert isinstance(held, Transaction)
    wallet = wallet.after(held)
    assert wallet == Wallet(0, micros)
    charged = ledger.capture(micros, micros, None)
    assert wallet.after(charged) == Wallet(0, 0)
    assert charged.moved("revenue") == micros


def test_a_full_wallet_refuses_one_micro_more() -> None:
    """A grant that would run over what the store can keep is refused."""
    with pytest.raises(AmountRefused, match="does not fit"):
        Wallet(MAX_MICROS - 1, 1).after(ledger.grant(1))


def test_the_provider_cost_is_the_operators_own_book() -> None:
    """What the provider bills moves no wallet, even when it is above the charge."""
    captured = ledger.capture(100, 60, 500)
    assert captured.moved("wallet_available") == 40
    assert captured.moved("wallet_held") == -100
    assert captured.moved("provider_cost") == -500
    assert captured.moved("provider_payable") == 500


def test_the_first_cap_that_is_reached_is_named() -> None:
    """A hold over a cap is refused by that cap before the wallet is asked."""
    caps = [Cap("key", None, 7), Cap("account", 100, 90)]
    assert ledger.hold(Wallet(0, 0), caps, 11) == CapReached("account", 11, 100, 90)
    assert isinstance(ledger.hold(Wallet(10, 0), caps, 10), Transaction)


def test_a_free_job_needs_no_money_and_no_room_under_a_cap() -> None:
    """A hold of 0 succeeds with an empty wallet and a cap that is spent over."""
    held = ledger.hold(Wallet(0, 0), [Cap("account", 5, 9)], 0)
    assert held == Transaction("hold", 0, ())


def test_the_402_of_an_empty_wallet_says_both_amounts() -> None:
    """`insufficient_credits` names what is required and what is available."""
    error = ledger.payment_needed(Insufficient(48_000, 10_000))
    assert (error.status, error.code) == (402, "insufficient_credits")
    assert "$0.048 is required and $0.01 is available" in error.message
    assert error.details == {"required_micro": 48_000, "available_micro": 10_000}


@pytest.mark.parametrize("scope", ["account", "key"])
def test_the_402_of_a_cap_says_which_cap(scope: Any) -> None:
    """`cap_reached` names the account or the key, its cap and what is spent."""
    error = ledger.payment_needed(CapReached(scope, 48_000, 1_000_000, 990_000))
    assert (error.status, error.code) == (402, "cap_reached")
    assert error.message.startswith(f"The {scope}'s monthly cap is reached")
    assert "$0.99 of the cap of $1.00" in error.message
