"""A long proof of the books: `python -m tests.wallet.campaign --model 1000000 --database 100000`.

The pure rules against a model written in the plainest way, operation by operation; then the same kinds of
movements on PostgreSQL by several processes at once, replays included, and races for the last microdollar.
Afterwards the books must be what the acknowledged movements say, and `fairstack wallet verify` clean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from fairstack_server.db.connections import Connection, Pool
from fairstack_server.db.dsn import Dsn
from fairstack_server.db.pool import open_pool
from fairstack_server.wallet import ledger, store
from fairstack_server.wallet.ledger import (
    AlreadySettled,
    AmountRefused,
    ChargeAboveHold,
    Held,
    HoldRequest,
    Insufficient,
    NoHold,
    Transaction,
    Wallet,
)
from fairstack_server.wallet.verify import verify
from tests.campaigns import Figure, campaign_database, report
from tests.wallet.makers import Account, end_job, make_account, place

_PROCESSES = 2
_CONNECTIONS = 4
_ACCOUNTS = 12
_MOVES_AT_ONCE = 20


# --- the pure rules against a plain model


@dataclass
class PlainWallet:
    """What a wallet must have, kept by additions that a reader can check at a glance."""

    granted: int = 0
    taken_back: int = 0
    charged: int = 0
    refunded: int = 0
    holds: list[int] = field(default_factory=list)
    charges: list[list[int]] = field(default_factory=list)
    """Of each charge: how much, and how much went back."""

    @property
    def held(self) -> int:
        return sum(self.holds)

    @property
    def available(self) -> int:
        return self.granted - self.taken_back - self.charged + self.refunded - self.held


class PlainBooks:
    """One wallet moved by the pure rules and, beside it, by the plain model; every difference is an error."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.wallet = Wallet()
        self.plain = PlainWallet()
        self.books: dict[str, int] = defaultdict(int)
        self.refused = 0

    def move(self) -> None:
        """One movement of any kind, with amounts that often do not fit."""
        kinds = (self._grant, self._hold, self._hold, self._hold, self._settle, self._settle, self._settle)
        self.dice.choice((*kinds, self._refund, self._correct, self._lose))()
        assert (self.wallet.available_micros, self.wallet.held_micros) == (
            self.plain.available,
            self.plain.held,
        )

    def _write(self, transaction: Transaction) -> None:
        assert sum(entry.amount_micros for entry in transaction.entries) == 0, transaction  # I1
        self.wallet = self.wallet.after(transaction)
        for entry in transaction.entries:
            assert type(entry.amount_micros) is int  # I13
            self.books[entry.book] += entry.amount_micros

    def _micros(self) -> int:
        return self.dice.choice((0, 1, self.dice.randint(0, 3_000_000), self.wallet.available_micros))

    def _grant(self) -> None:
        micros = self.dice.randint(1, 2_000_000)
        self._write(ledger.grant(micros))
        self.plain.granted += micros

    def _correct(self) -> None:
        micros = self._micros()
        try:
            self._write(ledger.correct(self.wallet, micros))
        except AmountRefused:
            assert micros == 0 or micros > self.plain.available
            self.refused += 1
        else:
            self.plain.taken_back += micros

    def _hold(self) -> None:
        micros = self._micros() + self.dice.choice((0, 0, 1))
        answer = ledger.hold(self.wallet, [], micros)
        if isinstance(answer, Transaction):
            self._write(answer)
            self.plain.holds.append(micros)
        else:
            assert answer == Insufficient(micros, self.plain.available) and micros > self.plain.available
            self.refused += 1

    def _settle(self) -> None:
        if not self.plain.holds:
            return
        hold = self.plain.holds.pop(self.dice.randrange(len(self.plain.holds)))
        if self.dice.random() < 0.3:
            self._write(ledger.release(hold))
            return
        charge = self.dice.choice((hold, self.dice.randint(0, hold)))
        try:
            ledger.capture(hold, hold + 1, None)
            raise AssertionError("a charge above its hold went through")
        except ChargeAboveHold:
            self.refused += 1
        self._write(ledger.capture(hold, charge, self.dice.choice((None, charge // 2))))
        self.plain.charged += charge
        self.plain.charges.append([charge, 0])

    def _refund(self) -> None:
        if not self.plain.charges:
            return
        at = self.dice.randrange(len(self.plain.charges))
        charge, back = self.plain.charges[at]
        micros = self.dice.randint(0, charge + 1)
        try:
            self._write(ledger.refund(charge, back, micros))
        except AmountRefused:
            assert micros == 0 or micros > charge - back
            self.refused += 1
        else:
            self.plain.charges[at][1] += micros
            self.plain.refunded += micros
        if len(self.plain.charges) > 50:
            self.plain.charges.pop(0)

    def _lose(self) -> None:
        self._write(ledger.loss(self.dice.randint(0, 1000)))


def prove_the_rules(operations: int, seed: int) -> Figure:
    """Many wallets, so many operations in all; a difference ends the campaign with an AssertionError."""
    began = time.monotonic()
    refused = 0
    for wallet in range(max(1, operations // 2000)):
        books = PlainBooks(random.Random(f"{seed}:{wallet}"))
        for _ in range(min(operations, 2000)):
            books.move()
        assert sum(books.books.values()) == 0  # I2
        refused += books.refused
    said = f"{operations:,} operations, {refused:,} refusals, 0 differences, {time.monotonic() - began:.0f} s"
    return Figure("pure rules = plain model", said, refused > 0)


# --- the store, moved by several processes at once


@dataclass
class Acknowledged:
    """What one process was told is done, summed per account: the order of processes cannot matter."""

    available: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    operations: int = 0
    replays: int = 0
    refusals: int = 0

    def add(self, account_id: str, available: int, held: int) -> None:
        """Count one movement."""
        self.available[account_id] += available
        self.held[account_id] += held


class Mover:
    """One connection that moves money of random accounts and remembers what it was told."""

    def __init__(self, pool: Pool, accounts: list[Account], told: Acknowledged, seed: str) -> None:
        self.pool = pool
        self.accounts = accounts
        self.told = told
        self.dice = random.Random(seed)
        self.open: dict[str, list[HoldRequest]] = defaultdict(list)
        self.settled: dict[str, list[HoldRequest]] = defaultdict(list)
        self.charged: list[tuple[HoldRequest, int]] = []

    async def move(self, operations: int) -> None:
        """So many operations, some of them at once in one transaction of one account."""
        while operations > 0:
            account = self.dice.choice(self.accounts)
            count = min(operations, self.dice.randint(1, _MOVES_AT_ONCE))
            async with self.pool.acquire() as connection, connection.transaction():
                await self._hold(connection, account, count)
                for hold in self._some_open(account, count):
                    await self._settle(connection, account, hold)
                await self._replay(connection, account)
                await self._other(connection, account)
            operations -= count
            self.told.operations += count

    async def _hold(self, connection: Connection, account: Account, count: int) -> None:
        holds = [account.request(self.dice.randint(0, 400)) for _ in range(count)]
        for hold, outcome in zip(holds, await place(connection, *holds), strict=True):
            if isinstance(outcome, Held):
                self.open[account.id].append(hold)
                self.told.add(account.id, -hold.micros, hold.micros)
            else:
                self.told.refusals += 1

    def _some_open(self, account: Account, count: int) -> list[HoldRequest]:
        mine = self.open[account.id]
        self.dice.shuffle(mine)
        taken, self.open[account.id] = mine[:count], mine[count:]
        return taken

    async def _settle(self, connection: Connection, account: Account, hold: HoldRequest) -> None:
        self.told.operations += 1
        if self.dice.random() < 0.3:
            await store.release(connection, hold.job_id)
            await end_job(connection, hold.job_id, "failed")
            self.told.add(account.id, hold.micros, -hold.micros)
        else:
            charge = self.dice.choice((hold.micros, self.dice.randint(0, hold.micros)))
            await store.capture(connection, hold.job_id, charge, charge // 2)
            await end_job(connection, hold.job_id, "completed")
            self.told.add(account.id, hold.micros - charge, -hold.micros)
            self.charged.append((hold, charge))
        self.settled[account.id].append(hold)

    async def _replay(self, connection: Connection, account: Account) -> None:
        """What was done is asked for again: nothing may move. (Another account's wallet is never locked.)"""
        if self.settled[account.id]:
            hold = self.dice.choice(self.settled[account.id])
            try:
                await store.capture(connection, hold.job_id, hold.micros)
                raise AssertionError("a job was settled twice")
            except AlreadySettled:
                self.told.replays += 1
            assert await store.hold_many(connection, [hold]) == [Held()]

    async def _other(self, connection: Connection, account: Account) -> None:
        micros = self.dice.randint(1, 900)
        match self.dice.randrange(4):
            case 0:
                await store.grant(connection, account.id, "live", 20 * micros, "of the campaign")
                self.told.add(account.id, 20 * micros, 0)
            case 1:
                await self._try_to_refund(connection, account, micros)
            case 2:
                try:
                    await store.correct(connection, account.id, "live", micros, "of the campaign")
                    self.told.add(account.id, -micros, 0)
                except AmountRefused:
                    self.told.refusals += 1
            case _:
                return
        self.told.operations += 1

    async def _try_to_refund(self, connection: Connection, account: Account, micros: int) -> None:
        mine = [hold for hold, charge in self.charged[-20:] if hold.account_id == account.id]
        if not mine:
            return
        try:
            await store.refund(connection, mine[0].job_id, micros, "of the campaign")
            self.told.add(account.id, micros, 0)
        except (AmountRefused, NoHold):
            self.told.refusals += 1


async def work(dsn: Dsn, told: dict[str, Any]) -> dict[str, Any]:
    """What one process does: races first, then its share of the operations."""
    accounts = [Account(**account) for account in told["accounts"]]
    pool = await open_pool(dsn, _CONNECTIONS)
    wins: dict[str, int] = defaultdict(int)

    async def race(connection_number: int) -> None:
        for account in (Account(**account) for account in told["races"]):
            async with pool.acquire() as connection, connection.transaction():
                [outcome] = await place(connection, account.request(1))
            wins[account.id] += isinstance(outcome, Held)

    acknowledged = Acknowledged()
    share = told["operations"] // _CONNECTIONS
    movers = [Mover(pool, accounts, acknowledged, f"{told['seed']}:{i}") for i in range(_CONNECTIONS)]
    async with asyncio.TaskGroup() as group:
        for number in range(_CONNECTIONS):
            group.create_task(race(number))
    async with asyncio.TaskGroup() as group:
        for mover in movers:
            group.create_task(mover.move(share))
    await pool.close()
    return {
        "wins": wins,
        "available": acknowledged.available,
        "held": acknowledged.held,
        "operations": acknowledged.operations,
        "replays": acknowledged.replays,
        "refusals": acknowledged.refusals,
    }


async def _in_a_process(dsn: Dsn, told: dict[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.wallet.campaign", "--worker", dsn.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(json.dumps(told).encode())
    if process.returncode != 0:
        raise RuntimeError("a process of the campaign broke; its error is above")
    answer: dict[str, Any] = json.loads(out)
    return answer


async def prove_the_store(operations: int, races: int, seed: int) -> list[Figure]:
    """Processes move money at once; then the books are compared with what they were told, and verified."""
    async with campaign_database() as dsn:
        pool = await open_pool(dsn, _CONNECTIONS)
        async with pool.acquire() as connection:
            accounts = [await make_account(connection, micros=5_000) for _ in range(_ACCOUNTS)]
            racing = [await make_account(connection, micros=1) for _ in range(races)]
        shown = {
            name: [_facts(a) for a in made] for name, made in (("accounts", accounts), ("races", racing))
        }
        began = time.monotonic()
        told = await asyncio.gather(
            *(
                _in_a_process(dsn, {**shown, "operations": operations // _PROCESSES, "seed": f"{seed}:{p}"})
                for p in range(_PROCESSES)
            )
        )
        seconds = time.monotonic() - began
        figures = await _compare(pool, accounts, told, seconds)
        winners = [sum(each["wins"].get(account.id, 0) for each in told) for account in racing]
        said = f"{races:,} races of {_PROCESSES * _CONNECTIONS}, {winners.count(1):,} with exactly one winner"
        await pool.close()
        return [*figures, Figure("the last microdollar", said, winners == [1] * races)]


def _facts(account: Account) -> dict[str, str]:
    return {"id": account.id, "live_key": account.live_key, "test_key": account.test_key}


async def _compare(
    pool: Pool, accounts: list[Account], told: list[dict[str, Any]], seconds: float
) -> list[Figure]:
    drift = 0
    async with pool.acquire() as connection:
        for account in accounts:
            available = 5_000 + sum(each["available"].get(account.id, 0) for each in told)
            held = sum(each["held"].get(account.id, 0) for each in told)
            is_there = await store.balance(connection, account.id, "live")
            drift += is_there != Wallet(available, held)
        findings = await verify(connection)
        entries = await connection.fetchval("select count(*) from ledger_entries")
    done = sum(each["operations"] for each in told)
    replays, refusals = (sum(each[name] for each in told) for name in ("replays", "refusals"))
    said = f"{done:,} operations, {replays:,} replays, {refusals:,} refusals, {done / seconds:,.0f}/s"
    return [
        Figure("PostgreSQL, 8 connections", said, replays > 0 and refusals > 0),
        Figure("books = what was told", f"{len(accounts)} wallets, {drift} differ", drift == 0),
        Figure(
            "wallet verify",
            f"{entries:,} entries, {len(findings)} findings {findings[:2] or ''}",
            not findings,
        ),
    ]


def main() -> int:
    """Run the campaign, or be one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=int, default=1_000_000)
    parser.add_argument("--database", type=int, default=100_000)
    parser.add_argument("--races", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.worker:
        answer = asyncio.run(work(Dsn(told.worker), json.load(sys.stdin)))
        sys.stdout.write(json.dumps(answer))
        return 0
    began = time.monotonic()
    figures = [prove_the_rules(told.model, told.seed)]
    figures += asyncio.run(prove_the_store(told.database, told.races, told.seed))
    return report(figures, f"seed {told.seed}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
