"""Providers of the simulated vendors: each call is one request of one process, and any may break."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NoReturn, TypeVar

from fairstack_server.providers.base import (
    CallbackRequest,
    CancelOutcome,
    ClipAt,
    Failed,
    Fault,
    KeyCheck,
    Order,
    Pending,
    Provider,
    ProviderError,
    RateLimitedUpstream,
    Ref,
    Submission,
    SubmitClass,
    Succeeded,
)
from tests.simulation.faults import OrderFault
from tests.simulation.vendors import Task, Vendor
from tests.simulation.world import EPOCH, Machine, World

T = TypeVar("T")

_HANG_SECONDS = 60.0


class SimProvider:
    """What every vendor has: orders, looks, callbacks."""

    def __init__(self, vendor: Vendor, world: World, machine: Machine) -> None:
        self.name = vendor.name
        self.submit_class: SubmitClass = vendor.submit_class
        self._vendor = vendor
        self._world = world
        self._machine = machine

    async def submit(self, order: Order) -> Submission | Succeeded | Failed | RateLimitedUpstream:
        """Send the order once."""
        fault = self._world.faults.of_order()
        # A key that is honoured gets the answer of its first order, whatever would be said to a new one.
        known = self._vendor.knows(order.nonce)
        refusal = None if known and fault in ("refused", "filtered") else self._refusal(fault)
        if refusal is not None:
            return await self._ask(lambda: refusal, sent=True)

        def arrive() -> Task | None:
            if fault in ("drop_before", "error_before"):
                return None
            return self._world.take(self._vendor, order.nonce, order.prompt, self._machine)

        task = await self._ask(arrive, sent=True)
        if fault == "hang":
            await self._machine.sleep(_HANG_SECONDS)
        if task is None or fault not in (None, "refused", "filtered"):
            self._break(f"an order: {fault}", sent=True, fault=Fault.PROVIDER)
        self._world.on_answer(self._machine, order.nonce)
        if self._vendor.at_once:
            return self._seen(task) if task.fate in ("ok", "broken_file") else _failed(task)
        return Submission({"id": task.id})

    def _refusal(self, fault: OrderFault | None) -> Failed | RateLimitedUpstream | None:
        """A sure answer, or a sure failure, without a task."""
        match fault:
            case "refused":
                return Failed("refused", "The vendor does not like it.")
            case "filtered":
                return Failed("content_filtered", "The vendor does not allow it.")
            case "busy":
                return RateLimitedUpstream(self._world.dice.choice([None, 1.0, 8.0]))
            case "no_connection":
                self._break("no connection", sent=False, fault=Fault.PROVIDER)
            case "bad_key":
                self._break("a bad key", sent=False, permanent=True, fault=Fault.KEY)
            case "gone":
                self._break("no such route", sent=False, permanent=True, fault=Fault.ROUTE)
        return None

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Look at the task once."""
        task = self._vendor.tasks.get(str(ref.get("id")))

        def look() -> Pending | Succeeded | Failed:
            if task is None:
                return Failed("not_found", "There is no such task.")
            if task.stopped:
                return Failed("cancelled", "It was stopped.")
            if self._world.loop.time() < task.ends_at:
                return Pending(0.5)
            return self._seen(task) if task.fate in ("ok", "broken_file") else _failed(task)

        self._may_break("a look")
        return await self._ask(look, sent=False)

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref that a callback is about."""
        said = json.loads(request.body)
        return {"id": said["id"]} if said["id"] in self._vendor.tasks else None

    # --- calls

    async def _ask(self, act: Callable[[], T], *, sent: bool) -> T:
        try:
            return await self._world.request(self._machine, act)
        except ConnectionError as error:
            self._break(str(error), sent=sent, fault=Fault.PROVIDER)

    def _may_break(self, what: str) -> None:
        if self._world.faults.of_look():
            self._break(f"{what} broke", sent=False, fault=Fault.PROVIDER)

    def _break(self, said: str, *, sent: bool, fault: Fault, permanent: bool = False) -> NoReturn:
        self._world.note(f"{self._machine.name} {self.name}: {said}")
        raise ProviderError(said, sent=sent, fault=fault, permanent=permanent)

    def _seen(self, task: Task) -> Succeeded:
        return Succeeded(ClipAt(f"https://{self.name}/{task.id}"))


class Finds(SimProvider):
    """A vendor that can be asked for an order (classes B and C)."""

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """Tasks that may be this order's."""
        self._may_break("a search")
        begin = (since - EPOCH).total_seconds()

        def look() -> Sequence[Ref]:
            at = self._world.loop.time()
            return [{"id": t.id} for t in self._vendor.find(order.prompt, order.nonce, begin, at)]

        return await self._ask(look, sent=False)


class Resends(SimProvider):
    """A vendor that honours our nonce as a key (class A), for longer than any job lives."""

    resend_within = timedelta(hours=24)


class Cancels(SimProvider):
    """A vendor that can be asked to stop."""

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Ask once; the answer may be lost although it stopped."""
        task_id = str(ref.get("id"))

        def arrive() -> bool:
            stopped = self._vendor.stop(task_id, self._world.loop.time())
            self._world.note(f"{self.name} is asked to stop {task_id}: {stopped}")
            return stopped

        stopped = await self._ask(arrive, sent=False)
        self._may_break("a cancel")
        return CancelOutcome.STOPPED if stopped else CancelOutcome.TOO_LATE


class ChecksKey(SimProvider):
    """A vendor with a free call that tells how our key stands."""

    async def check_key(self) -> KeyCheck:
        """Always accepted; or the call breaks."""
        self._may_break("a check of the key")
        return await self._ask(lambda: KeyCheck(True, "the key works"), sent=False)


def make_provider(vendor: Vendor, world: World, machine: Machine) -> Provider:
    """A provider that can do what its vendor offers."""
    can = [
        *([Finds] if vendor.submit_class in (SubmitClass.B, SubmitClass.C) else []),
        *([Resends] if vendor.submit_class is SubmitClass.A else []),
        *([Cancels] if vendor.can_cancel else []),
        *([ChecksKey] if vendor.tells_key else []),
    ]
    made: Provider = type("Provider", (*can, SimProvider), {})(vendor, world, machine)
    return made


def _failed(task: Task) -> Failed:
    if task.fate == "filtered":
        return Failed("content_filtered", "The vendor does not show it.")
    return Failed("render_failed", "The render failed.")
