"""Users and vendors' callbacks: who calls the servers from outside, again when no answer came."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from fairstack_server.catalog.settled import Settled
from fairstack_server.db.outage import DATABASE_DOWN
from fairstack_server.errors import Conflict, FairStackError
from fairstack_server.jobs.placement import KeyReused, NewJob, Placed, Replayed
from tests.simulation.judge import Judge
from tests.simulation.server import Server, callback_body
from tests.simulation.vendors import Task, Vendor
from tests.simulation.world import World

ACCOUNT, KEY = "acct_1", "key_1"
PRICE_MICROS = 48_000
_DEADLINE_SECONDS = 200.0
_ANSWER_SECONDS = 15.0
_CALLBACK_TRIES = 8
_SETTLED = Settled(duration=Decimal(5), resolution="480p").as_json()


@dataclass(frozen=True, slots=True)
class Wish:
    """One request of a user, which may be sent more than once."""

    at: float
    model: str
    prompt: str
    key: str | None
    copies: int
    webhook_url: str | None
    cancel_at: float | None
    cancel_after: float | None


def draw_wishes(dice: random.Random, vendors: Sequence[str]) -> list[Wish]:
    """What the users of one seed will ask for."""
    names = sorted(vendors)
    twins = dice.random() < 0.15
    wishes = []
    for number in range(dice.randint(1, 6)):
        routes = ["vendor_c"] if twins else dice.sample(names, 2 if dice.random() < 0.25 else 1)
        wishes.append(
            Wish(
                at=dice.uniform(0.0, 40.0) if dice.random() < 0.7 else 1.0,
                model="+".join(routes),
                prompt="the same kite" if twins or dice.random() < 0.2 else f"kite {number}",
                key=f"order-{number}" if dice.random() < 0.8 else None,
                copies=dice.randint(2, 4) if dice.random() < 0.3 else 1,
                webhook_url=f"https://receiver{dice.randint(0, 1)}.test/told"
                if dice.random() < 0.9
                else None,
                cancel_at=dice.uniform(0.0, 30.0) if dice.random() < 0.25 else None,
                cancel_after=dice.uniform(0.5, 60.0) if dice.random() < 0.1 else None,
            )
        )
    return wishes


class Outside:
    """Everybody who calls."""

    def __init__(self, world: World, judge: Judge, some_server: Callable[[], Server | None]) -> None:
        self.world = world
        self.dice = world.dice
        self.judge = judge
        self._some_server = some_server
        self._calls: list[asyncio.Task[Any]] = []
        world.on_callback = self._will_call_back

    @property
    def is_calling(self) -> bool:
        """Whether a vendor's callback is on its way."""
        return not all(call.done() for call in self._calls)

    async def use(self, wish: Wish) -> None:
        """Ask for a clip, perhaps several times at once, and perhaps want it no more."""
        await asyncio.sleep(wish.at)
        copies = wish.copies if wish.key is not None else 1
        answers = await asyncio.gather(*(self._ask(wish) for _ in range(copies)))
        job_ids = sorted({answer.decode() for answer in answers if answer is not None})
        if wish.cancel_at is not None and job_ids:
            await asyncio.sleep(wish.cancel_at)
            await self._cancel(job_ids[0])

    async def _ask(self, wish: Wish) -> bytes | None:
        """Send a request until it is answered; without a key it is never sent twice."""
        for _ in range(30):
            server = self._some_server()
            if server is not None:
                try:
                    outcome = await call(server, server.place(self._new_job(wish)))
                except (*DATABASE_DOWN, asyncpg.PostgresError, FairStackError) as error:
                    self.world.note(f"a user got {type(error).__name__}")
                else:
                    return self._read(wish, outcome)
                if wish.key is None:
                    return None
            await asyncio.sleep(self.dice.uniform(0.5, 5.0))
        return None

    def _read(self, wish: Wish, outcome: Any) -> bytes | None:
        if isinstance(outcome, KeyReused):
            self.judge.find(f"I11: the key {wish.key} was refused for its own body")
        if not isinstance(outcome, Placed | Replayed):
            return None
        if wish.key is not None:
            self.judge.answers[wish.key].add(outcome.answer)
        return outcome.answer

    def _new_job(self, wish: Wish) -> NewJob:
        now, job_id = self.world.now(), self.world.serial("job_")
        self.judge.key_of_job[job_id] = wish.key
        after = None if wish.cancel_after is None else now + timedelta(seconds=wish.cancel_after)
        return NewJob(
            id=job_id,
            account_id=ACCOUNT,
            key_id=KEY,
            mode="live",
            model=wish.model,
            ask={"prompt": wish.prompt},
            settled=_SETTLED,
            inputs={},
            quote_micros=PRICE_MICROS,
            tags={},
            webhook_url=wish.webhook_url,
            cancel_after_at=after,
            deadline_at=now + timedelta(seconds=_DEADLINE_SECONDS),
            created_at=now,
            answer=job_id.encode(),
            idempotency_key=wish.key,
            fingerprint=wish.prompt.encode(),
        )

    async def _cancel(self, job_id: str) -> None:
        server = self._some_server()
        if server is None:
            return
        try:
            came_of_it = await call(server, server.cancel(ACCOUNT, job_id))
        except (*DATABASE_DOWN, asyncpg.PostgresError, Conflict) as error:
            came_of_it = type(error).__name__
        self.world.note(f"cancel {job_id}: {came_of_it}")

    # --- callbacks

    def _will_call_back(self, vendor: Vendor, task: Task) -> None:
        """Callbacks: of the start, of the end, late ones and doubled ones, in any order."""
        dice = self.dice
        moments = [task.ends_at - self.world.loop.time() + dice.uniform(0.0, 3.0)]
        if dice.random() < 0.3:
            moments.append(dice.uniform(0.0, 2.0))
        if dice.random() < 0.3:
            moments.append(moments[0] + dice.uniform(0.0, 60.0))
        for seconds in moments:
            self.world.later(seconds, self._call_back, vendor, task, 0)

    def _call_back(self, vendor: Vendor, task: Task, tries: int) -> None:
        self._calls = [call for call in self._calls if not call.done()]
        self._calls.append(asyncio.create_task(self._post_callback(vendor, task, tries)))

    async def _post_callback(self, vendor: Vendor, task: Task, tries: int) -> None:
        server = self._some_server()
        if server is not None:
            says = "done" if self.world.loop.time() >= task.ends_at else "started"
            try:
                await call(
                    server, server.callbacks.hear(vendor.name, task.nonce, callback_body(task.id, says))
                )
            except (*DATABASE_DOWN, asyncpg.PostgresError, FairStackError) as error:
                self.world.note(f"callback of {task.id}: {type(error).__name__}")
            else:
                self.world.note(f"callback of {task.id}: heard")
                return
        if tries < _CALLBACK_TRIES:
            self.world.later(5.0 * 2 ** min(tries, 3), self._call_back, vendor, task, tries + 1)


async def call(server: Server, what: Coroutine[Any, Any, Any], seconds: float = _ANSWER_SECONDS) -> Any:
    """Ask a server for something. Raises TimeoutError when no answer comes, or what the server raises."""
    task = server.run(what)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        raise TimeoutError
    return task.result()
