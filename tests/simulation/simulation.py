"""One seed: users, servers that die and come back, troubles for a minute, then peace until all is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fairstack_server.wallet import ledger
from tests.simulation.database.connection import Statements
from tests.simulation.database.money import post
from tests.simulation.faults import TROUBLE_SECONDS
from tests.simulation.judge import Judge
from tests.simulation.judge_at_the_end import LastJudgement
from tests.simulation.seeded import errors_found, seeded, slow_chores
from tests.simulation.server import Parts, Server
from tests.simulation.users import ACCOUNT, KEY, PRICE_MICROS, Outside, call, draw_wishes
from tests.simulation.vendors import Receiver
from tests.simulation.world import Machine, World

MOST_STEPS = 400_000
_DRAIN_SECONDS = 900.0
_DELIVERY_SECONDS = 40_000.0
#: What was under way when everything healed is done by then.
_SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Bug:
    """Something wrong that is planted: other parts, or a schema without some constraint."""

    name: str = ""
    parts: Parts = field(default_factory=Parts)
    without: frozenset[str] = frozenset()
    statements: Statements = field(default_factory=Statements)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed."""

    seed: int
    findings: tuple[str, ...]
    trace_hash: str
    steps: int
    commits: int
    seconds: float
    jobs: Mapping[str, int]
    lines: tuple[str, ...] = ()


class Simulation:
    """A world with its servers and users."""

    def __init__(self, seed: int, bug: Bug, *, keeps_lines: bool) -> None:
        self.world = World(seed, bug.statements, keeps_lines=keeps_lines)
        self.dice = self.world.dice
        self.judge = Judge(self.world)
        self.judge.watch()
        self.bug = bug
        self.gone: set[tuple[str, str]] = set()
        self.world.database.without |= bug.without
        self.world.on_death = self._died
        self.outside = Outside(self.world, self.judge, self._some_server)
        self._peace = False

    # --- the run

    async def run(self) -> None:
        """Everything, to the end or to the first finding."""
        self._found()
        for number in range(2):
            self._start(f"server{number}", 0)
        users = [
            self._go(self.outside.use(wish)) for wish in draw_wishes(self.dice, list(self.world.vendors))
        ]
        troubles = [self._go(trouble) for trouble in self._draw_troubles()]
        await self._until(lambda: self.world.loop.time() > TROUBLE_SECONDS, TROUBLE_SECONDS + 1.0)
        self._make_peace()
        await self._until(lambda: all(task.done() for task in (*users, *troubles)), _DRAIN_SECONDS)
        await self._until(lambda: not any(machine.frozen for machine in self.world.alive), _DRAIN_SECONDS)
        await asyncio.sleep(_SETTLE_SECONDS)
        await self._until(lambda: not self._waits_for_workers(), _DRAIN_SECONDS)
        for machine in self.world.alive:
            if isinstance(machine, Server):
                machine.run(self._retire(machine))
        await self._until(lambda: not self.judge.unfinished(), _DELIVERY_SECONDS, step_seconds=10.0)
        if not self.judge.findings:
            LastJudgement(self.judge).at_the_end()

    async def _until(self, done: Callable[[], bool], seconds: float, *, step_seconds: float = 1.0) -> None:
        end = self.world.loop.time() + seconds
        while not done() and not self.judge.findings and self.world.loop.time() < end:
            await asyncio.sleep(step_seconds)

    def _waits_for_workers(self) -> bool:
        return self.outside.is_calling or any("due" not in left for left in self.judge.unfinished())

    def _go(self, what: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(what)

    def _make_peace(self) -> None:
        """From now on nothing breaks any more, and everybody is up."""
        self.world.note("peace")
        self.world.faults.over = self._peace = True
        for machine in self.world.alive:
            machine.skew_seconds = 0.0

    async def _retire(self, server: Server) -> None:
        await server.stop_working()
        await server.notices.stop()
        server.listening.cancel()

    def _found(self) -> None:
        """An account with money for most of what will be asked."""
        tx = self.world.database.begin("founder")
        tx.insert("accounts", {"id": ACCOUNT, "cap_micros": None})
        tx.insert("api_keys", {"id": KEY, "account_id": ACCOUNT, "mode": "live", "cap_micros": None})
        wallet = {"account_id": ACCOUNT, "mode": "live", "available_micros": 0, "held_micros": 0}
        tx.insert("wallets", wallet)
        granted = ledger.grant(PRICE_MICROS * self.dice.choice([2, 4, 20]))
        row = {"id": "led_grant", "account_id": ACCOUNT, "mode": "live", "kind": "grant", "memo": ""}
        post(
            tx,
            row | {"amount_micros": granted.amount_micros, "job_id": None, "key_id": None},
            granted.entries,
        )
        tx.commit()
        for number in range(2):
            host = f"receiver{number}.test"
            self.world.receivers[host] = Receiver(host, self._draw_outages())

    def _draw_outages(self) -> list[tuple[float, float, int | None]]:
        dice, outages = self.dice, []
        for _ in range(self.world.faults.mix.receiver_outages):
            begin = dice.uniform(0, 60)
            length = dice.choice([5.0, 60.0, 400.0]) if dice.random() < 0.95 else 20_000.0
            status = dice.choice([None, None, 500, 503, 429, 302] + [410] * (dice.random() < 0.1))
            outages.append((begin, begin + length, status))
        return outages

    # --- servers

    def _start(self, name: str, life: int) -> None:
        server = Server(f"{name}.{life}", self.world, self.bug.parts, self.gone)
        self.world.machines[name] = server
        self.world.note(f"{server.name} starts")
        server.run(server.live())

    def _died(self, machine: Machine) -> None:
        name, _, life = machine.name.partition(".")
        pause = self.dice.uniform(0.5, 15.0)
        self.world.later(pause, self._start, name, int(life) + 1)

    def _some_server(self) -> Server | None:
        servers = [machine for machine in self.world.alive if isinstance(machine, Server)]
        return self.dice.choice(servers) if servers else None

    # --- troubles

    def _draw_troubles(self) -> list[Any]:
        mix, dice = self.world.faults.mix, self.dice
        kinds = (
            [self._outage] * mix.outages
            + [self._jump] * mix.clock_jumps
            + [self._lose_rows] * mix.lost_rows
            + [self._kill] * mix.kills
            + [self._freeze] * mix.freezes
            + [self._restart] * mix.stops
        )
        return [self._at(dice.uniform(0.5, TROUBLE_SECONDS - 5.0), kind) for kind in kinds]

    async def _at(self, seconds: float, what: Any) -> None:
        await asyncio.sleep(seconds)
        await what()

    async def _outage(self) -> None:
        seconds = self.dice.uniform(0.5, 20.0)
        self.world.stop_database(seconds)
        await asyncio.sleep(seconds)

    async def _jump(self) -> None:
        server = self._some_server()
        if server is not None:
            server.skew_seconds = self.dice.choice([-3600.0, -60.0, 60.0, 3600.0, 30 * 86400.0])
            self.judge.clock_jumped(server.skew_seconds)
            self.world.note(f"{server.name}: its clock jumps by {server.skew_seconds:.0f}")

    async def _lose_rows(self) -> None:
        self.world.lose_rows()

    async def _kill(self) -> None:
        server = self._some_server()
        if server is not None:
            self.world.crash(server)

    async def _freeze(self) -> None:
        server = self._some_server()
        if server is not None:
            self.world.freeze(server, self.dice.uniform(1.0, 100.0))

    async def _restart(self) -> None:
        """SIGTERM, and SIGKILL when that takes too long."""
        server = self._some_server()
        if server is None:
            return
        server.was_stopped = True
        with contextlib.suppress(Exception):
            await call(server, server.stop_working(), 30.0)
        self.world.crash(server)


# --- one seed


def simulate(seed: int, bug: Bug | None = None, *, keeps_lines: bool = False) -> Outcome:
    """Run one seed; the same seed and bug always give the same trace."""
    simulation = Simulation(seed, bug or Bug(), keeps_lines=keeps_lines)
    world, judge = simulation.world, simulation.judge
    with seeded(world.dice), slow_chores(), errors_found(judge.find):
        try:
            world.loop.run(simulation.run(), most_steps=MOST_STEPS)
        except RuntimeError as error:
            judge.findings.append(f"no end: {error}")
    judge.findings += [f"nobody caught {broken}" for broken in world.loop.broken]
    _note_tables(world)
    states = [row["state"] for row in world.database.tables["jobs"].values()]
    return Outcome(
        seed=seed,
        findings=tuple(judge.findings),
        trace_hash=world.trace.hash,
        steps=world.loop.steps,
        commits=judge.commits,
        seconds=world.loop.time(),
        jobs={state: states.count(state) for state in sorted(set(states))},
        lines=tuple(world.trace.lines or ()),
    )


def _note_tables(world: World) -> None:
    for table, rows in world.database.tables.items():
        if table not in ("provider_reports", "workers"):
            world.note(f"{table}: {sorted(map(repr, rows.values()))}")
