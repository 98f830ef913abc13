"""The sender: takes what is due, signs it, posts it once, records what came of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import asyncpg
import structlog

from fairstack_server.clock import Clock
from fairstack_server.db.connections import OwnConnection, Pool
from fairstack_server.db.dsn import DatabaseError
from fairstack_server.egress import AddressRefused, EgressError, PostAnswer, TransferFailed
from fairstack_server.webhooks import store
from fairstack_server.webhooks.circuit import Circuits
from fairstack_server.webhooks.schedule import judge, read_retry_after
from fairstack_server.webhooks.sign import signature
from fairstack_server.webhooks.store import Attempted, Claimed, Outcome

log = structlog.get_logger()

USER_AGENT = "FairStack-Webhooks/1"
MAX_SENDING = 64
MAX_SENDING_PER_HOST = 4
#: The longest that a due delivery waits when its NOTIFY was lost.
POLL_SECONDS = 30.0
#: Beyond the attempt's own time: a sender that has not recorded by then is taken for dead.
LEASE_MARGIN_SECONDS = 45.0
DATABASE_RETRY_SECONDS = 1.0
#: From this attempt of a round on (it comes after 2.5 h), an address may turn out to be dead.
_LATE_ATTEMPT = 5
DATABASE_DOWN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DatabaseError)


class Post(Protocol):
    """One POST without redirects, its address judged anew; `Egress.post` is one."""

    async def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float
    ) -> PostAnswer:
        """The answer with at most 64 KiB of body. Raises EgressError when there is none."""
        ...


class Deliverer:
    """Sends webhooks until it is stopped; several may run on one database, on one machine or many.

    A host gets at most 4 at a time from each of them, and none while its circuit is open, so a dead receiver
    delays nobody else and spends no attempts. `connect` opens
    the connection that hears of new messages; without one they are found every 30 s. `dice` answers 0 to 1.
    """

    def __init__(
        self,
        pool: Pool,
        post: Post,
        clock: Clock,
        *,
        connect: Callable[[], Awaitable[OwnConnection]] | None = None,
        timeout_seconds: float = 15.0,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._pool = pool
        self._post = post
        self._clock = clock
        self._connect = connect
        self._timeout_seconds = timeout_seconds
        self._lease = timedelta(seconds=timeout_seconds + LEASE_MARGIN_SECONDS)
        self._dice = dice
        self._listener: OwnConnection | None = None
        self._woken = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending: Counter[str] = Counter()
        self._circuits = Circuits()

    async def run(self) -> None:
        """Send what is due, now and whenever something becomes due, until `stop` or cancelled.

        Cancelled, it drops the attempts that are under way; their leases run out and they are made again.
        """
        try:
            while not self._stopping:
                self._woken.clear()
                await self._sleep(await self._next_pass())
        finally:
            await self._let_go()

    async def stop(self) -> None:
        """Take nothing new, and wait until the attempts under way are recorded: as long as one timeout."""
        self._stopping = True
        self._woken.set()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def deliver_due(self) -> int:
        """Send everything that is due now and wait for it; answers how many attempts were made."""
        made = 0
        while True:
            # What ends while we look makes room for more: only a look with nothing under way is the last.
            under_way = bool(self._tasks)
            started = await self._start_due()
            made += started
            if not (started or under_way or self._tasks):
                return made
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def next_pause_end(self) -> datetime | None:
        """When the next host that is left alone now may be tried again; None when there is none."""
        return self._circuits.next_end(self._clock.now())

    def wake(self) -> None:
        """Look for what is due now, without waiting to hear of it."""
        self._woken.set()

    async def _next_pass(self) -> float:
        """Start what is due; answers for how many seconds there is nothing more to do."""
        try:
            await self._listen()
            await self._start_due()
            now = self._clock.now()
            async with self._pool.acquire() as conn:
                next_at = await store.next_due(conn, now)
        except DATABASE_DOWN as error:
            log.warning("webhook.database_down", error=type(error).__name__)
            return DATABASE_RETRY_SECONDS
        except Exception:
            # A sender that ended would tell nobody anything any more; a connection that is cut in the
            # middle of a statement raises what it likes.
            log.exception("webhook.pass_broke")
            return DATABASE_RETRY_SECONDS
        moments = [moment for moment in (next_at, self.next_pause_end()) if moment is not None]
        return min([POLL_SECONDS, *((moment - now).total_seconds() for moment in moments)])

    async def _start_due(self) -> int:
        room = MAX_SENDING - len(self._tasks)
        if room <= 0:
            return 0
        now = self._clock.now()
        taken = self._circuits.taken(self._sending, now, MAX_SENDING_PER_HOST)
        async with self._pool.acquire() as conn:
            due = await store.claim(
                conn, now, limit=room, per_host=MAX_SENDING_PER_HOST, taken=taken, lease=self._lease
            )
        for claimed in due:
            task = asyncio.create_task(self._send(claimed), name=f"webhook {claimed.id}")
            self._tasks.add(task)
            task.add_done_callback(self._sent)
        self._sending.update(claimed.host for claimed in due)
        return len(due)

    async def _send(self, claimed: Claimed) -> None:
        try:
            await self._record(claimed, *await self._attempt(claimed))
        finally:
            self._sending[claimed.host] -= 1
            if not self._sending[claimed.host]:
                del self._sending[claimed.host]

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._woken.set()  # there is room for the next one
        if not task.cancelled() and (error := task.exception()):
            log.error("webhook.attempt_broke", task=task.get_name(), error=type(error).__name__)

    async def _attempt(self, claimed: Claimed) -> tuple[Attempted, float | None]:
        """POST once; what was answered, and for how many seconds the receiver asked to be left alone."""
        now, began = self._clock.now(), self._clock.monotonic()
        outcome: Outcome
        status: int | None = None
        retry_after_seconds: float | None = None
        headers = webhook_headers(claimed, int(now.timestamp()))
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._post(
                    claimed.url, claimed.body, headers, timeout_seconds=self._timeout_seconds
                )
        except (EgressError, TimeoutError) as error:
            outcome = _outcome_of_failure(error)
        else:
            outcome, status = _outcome_of_status(answer.status), answer.status
            retry_after_seconds = read_retry_after(answer.headers.get("retry-after"), now)
        took_ms = round((self._clock.monotonic() - began) * 1000)
        return Attempted(now, outcome, status, took_ms), retry_after_seconds

    async def _record(
        self, claimed: Claimed, attempted: Attempted, retry_after_seconds: float | None
    ) -> None:
        paused = self._tell_circuit(claimed.host, attempted)
        # Asked seldom, and often enough: the early attempts at a host that answers cannot be five days old.
        may_be_dead = attempted.outcome != "delivered" and (paused or claimed.attempt >= _LATE_ATTEMPT)
        verdict = judge(claimed.attempt, attempted.status_code, retry_after_seconds, self._dice)
        facts = {"delivery": claimed.id, "host": claimed.host, "attempt": claimed.attempt}
        try:
            async with self._pool.acquire() as conn, conn.transaction():
                kept = await store.record(conn, claimed, attempted, verdict)
                dead = kept and may_be_dead and await store.disable_if_dead(conn, claimed, attempted)
        except DATABASE_DOWN as error:
            # The lease runs out and the attempt is made again: twice is allowed, never is not.
            log.warning("webhook.not_recorded", error=type(error).__name__, **facts)
            return
        event = "webhook.attempted" if kept else "webhook.lease_lost"
        log.info(event, outcome=attempted.outcome, status=attempted.status_code, **facts)
        if dead:
            log.warning("webhook.disabled", account=claimed.account_id, **facts)

    def _tell_circuit(self, host: str, attempted: Attempted) -> bool:
        """Whether the host is left alone from now on."""
        if attempted.outcome == "address_refused":
            return False  # nobody was called
        pause_seconds = self._circuits.told(host, attempted.status_code, self._clock.now())
        if pause_seconds is not None:
            log.warning("webhook.host_paused", host=host, seconds=pause_seconds)
        return pause_seconds is not None

    async def _listen(self) -> None:
        if self._connect is None or (self._listener is not None and not self._listener.is_closed()):
            return
        self._listener = await self._connect()
        await self._listener.add_listener(store.DUE_CHANNEL, self._heard)

    def _heard(self, *_notification: object) -> None:
        self._woken.set()

    async def _sleep(self, seconds: float) -> None:
        """Wait that long on our clock, or until something woke us."""
        waits = {
            asyncio.ensure_future(self._woken.wait()),
            asyncio.ensure_future(self._clock.sleep(max(0.0, seconds))),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _let_go(self) -> None:
        for task in self._tasks:
            if not self._stopping:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            with suppress(*DATABASE_DOWN):
                await self._listener.close()


def webhook_headers(claimed: Claimed, timestamp: int) -> dict[str, str]:
    """The headers of one attempt at `timestamp` (seconds); the id is the same in every attempt."""
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": claimed.message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(claimed.secrets, claimed.message_id, timestamp, claimed.body),
    }


def _outcome_of_status(status: int) -> Outcome:
    match status // 100:
        case 2:
            return "delivered"
        case 3:
            return "redirected"
        case _:
            return "gone" if status == 410 else "http_error"


def _outcome_of_failure(error: EgressError | TimeoutError) -> Outcome:
    match error:
        case AddressRefused():
            return "address_refused"
        case TransferFailed(fault="timeout" | "too_slow") | TimeoutError():
            return "timeout"
        case _:
            return "unreachable"
