"""What must hold after every commit and every order, judged from the world and not from our code.

The judge knows the truth (vendors' logs, what is in the media store, who is alive) and the committed rows. It
uses none of the queries, fences or rules that it judges.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from fairstack_server.providers.base import SubmitClass
from tests.simulation.database.tables import Change, Row, Transaction
from tests.simulation.vendors import Task, Vendor
from tests.simulation.world import Machine, World

_ENDED = frozenset({"completed", "failed", "cancelled"})
_NEXT = {
    "queued": {"submitting", "failed", "cancelled"},
    "submitting": {"queued", "submit_unknown", "running", "storing", "failed", "cancelled"},
    "submit_unknown": {"running", "storing", "failed", "cancelled"},
    "running": {"storing", "failed", "cancelled"},
    "storing": {"completed", "failed"},
}
_SILENCE_SECONDS = 30.0
DAY_SECONDS = 86400.0


@dataclass(slots=True)
class Judge:
    """Collects what is wrong; the first finding ends the run."""

    world: World
    findings: list[str] = field(default_factory=list)
    key_of_job: dict[str, str | None] = field(default_factory=dict)
    """Job id -> idempotency key of the request that made it."""
    answers: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """Idempotency key -> the bytes that its requests were answered."""
    commits: int = 0
    _machine_of: dict[int, Machine] = field(default_factory=dict)
    _claimer: dict[str, Machine] = field(default_factory=dict)
    intent_of: dict[str, Machine] = field(default_factory=dict)
    job_of: dict[str, str] = field(default_factory=dict)
    tasks_of_job: dict[str, list[tuple[Vendor, Task]]] = field(default_factory=lambda: defaultdict(list))
    held_answers: dict[str, Machine] = field(default_factory=dict)
    jumped_seconds: float = 0.0

    def watch(self) -> None:
        """See every commit, order and answer from now on."""
        self.world.database.on_commit = self.committed
        self.world.database.on_unknown = self.find
        self.world.on_take = self.taken
        self.world.on_answer = self.answered

    def find(self, said: str) -> None:
        """Something is wrong. What dead code says while it is cleared away is nothing."""
        if self.world.loop.is_closed():
            return
        self.world.note(f"FOUND {said}")
        self.findings.append(said)

    def clock_jumped(self, seconds: float) -> None:
        """Some machine's clock was wrong: deadlines may have come early or late."""
        self.jumped_seconds = max(self.jumped_seconds, abs(seconds))

    # --- orders

    def taken(self, vendor: Vendor, nonce: str, machine: Machine, task: Task) -> None:
        """An order reached a vendor and made a task."""
        job_id = self.job_of.get(nonce)
        if job_id is None:
            self.find(f"{nonce} was sent before its intent was committed")
            return
        if vendor.submit_class is not SubmitClass.A and self.intent_of[nonce] is not machine:
            self.find(f"{nonce} was sent by {machine.name}, which did not write its intent")
        for _, earlier in self.tasks_of_job[job_id]:
            if not earlier.stopped and earlier.fate in ("ok", "broken_file"):
                self.find(f"{job_id} was ordered twice: {earlier.id} and {task.id}")
        self.tasks_of_job[job_id].append((vendor, task))
        job = self.world.database.tables["jobs"][job_id,]
        if job["state"] == "cancelled":
            self.find(f"{job_id} was cancelled, and then ordered as {task.id}")

    def answered(self, machine: Machine, nonce: str) -> None:
        """A process of ours holds a vendor's answer to this order."""
        self.held_answers[nonce] = machine

    # --- commits

    def committed(self, tx: Transaction, changes: Sequence[Change]) -> None:
        """A transaction became true."""
        self.commits += 1
        writer = tx.owner if isinstance(tx.owner, Machine) else None
        name = tx.owner if writer is None else writer.name
        self.world.note(f"{name} commits " + ", ".join(self.world.describe(list(changes))))
        tables: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            tables[change.table].append(change)
        for change in tables["workers"]:
            if change.before is None and change.after is not None and writer is not None:
                self._machine_of[change.after["id"]] = writer
        for change in tables["attempts"]:
            self._attempt_written(change, writer)
        for change in tables["jobs"]:
            self._job_written(change, writer, tables)
        for change in (*tables["receipts"], *tables["ledger_transactions"], *tables["ledger_entries"]):
            if change.before is not None:
                self.find(f"{change.table}: a row was changed: {change.before} to {change.after}")
        if tables["ledger_transactions"] or tables["wallets"]:
            self._money_moved(tables)
        for change in tables["webhook_deliveries"]:
            self._delivery_written(change)

    def _attempt_written(self, change: Change, writer: Machine | None) -> None:
        row = change.after
        if row is None:
            self.find(f"an attempt was deleted: {change.before}")
        elif change.before is None and writer is not None:
            self.job_of[row["nonce"]] = row["job_id"]
            self.intent_of[row["nonce"]] = writer
            if self._claimer.get(row["job_id"]) is not writer:
                self.find(f"{writer.name} wrote an intent of {row['job_id']}, which is not its own")

    def _job_written(self, change: Change, writer: Machine | None, tables: dict[str, list[Change]]) -> None:
        before, after = change.before, change.after
        if after is None:
            self.find(f"a job was deleted: {before}")
        elif before is None:
            self._job_placed(after, tables)
        else:
            self._job_claimed(before, after, writer)
            if before["state"] != after["state"]:
                self._job_moved(before, after, writer, tables)
            elif before["terminal"] != after["terminal"]:
                self.find(f"{after['id']} had ended, and its answer changed")

    def _job_placed(self, job: Row, tables: dict[str, list[Change]]) -> None:
        holds = [c.after for c in tables["ledger_transactions"] if c.after and c.after["kind"] == "hold"]
        if [hold["amount_micros"] for hold in holds if hold["job_id"] == job["id"]] != [job["quote_micros"]]:
            self.find(f"{job['id']} was placed without its hold")
        key = self.key_of_job.get(job["id"])
        rows = [c.after for c in tables["idempotency_keys"] if c.after]
        if key is not None and job["id"] not in [row["job_id"] for row in rows]:
            self.find(f"{job['id']} was placed without the row of its idempotency key")

    def _job_claimed(self, before: Row, after: Row, writer: Machine | None) -> None:
        if after["fence"] < before["fence"]:
            self.find(f"{after['id']}: the fence went back")
        holder = before["worker_id"]
        taken_away = holder is not None and after["worker_id"] != holder
        from_outside = taken_away and writer is not self._machine_of.get(holder)
        if from_outside and after["terminal"] is None and self._is_live(holder):
            self.find(f"{after['id']} was taken from worker {holder}, which lives")
        if after["worker_id"] is not None and after["fence"] > before["fence"]:
            machine = self._machine_of.get(after["worker_id"])
            if machine is writer and machine is not None:
                self._claimer[after["id"]] = machine

    def _is_live(self, worker_id: int) -> bool:
        machine = self._machine_of.get(worker_id)
        row = self.world.database.tables["workers"].get((worker_id,))
        if machine is None or row is None or machine.dead or machine.frozen or row["ended_at"] is not None:
            return False
        signs = self.world.database.signs_of_life
        holds_lock = any(number == worker_id for _, number in signs)
        return holds_lock and (self.world.now() - row["seen_at"]).total_seconds() < _SILENCE_SECONDS

    def _job_moved(
        self, before: Row, after: Row, writer: Machine | None, tables: dict[str, list[Change]]
    ) -> None:
        job_id, state = after["id"], after["state"]
        if state not in _NEXT.get(before["state"], ()):
            self.find(f"{job_id} went from {before['state']} to {state}")
        cancelled_on_the_spot = before["state"] == "queued" and state == "cancelled"
        if not cancelled_on_the_spot and writer is not self._claimer.get(job_id):
            self.find(f"{job_id} was moved to {state} by {writer and writer.name}, which had lost it")
        if state in _ENDED:
            self._job_ended(before, after, writer, tables)

    def _job_ended(
        self, before: Row, after: Row, writer: Machine | None, tables: dict[str, list[Change]]
    ) -> None:
        job_id, state = after["id"], after["state"]
        money = [c.after for c in tables["ledger_transactions"] if c.after and c.after["job_id"] == job_id]
        kinds = [(row["kind"], row["amount_micros"]) for row in money]
        expected = "capture" if state == "completed" else "release"
        if kinds != [(expected, after["quote_micros"])]:
            self.find(f"{job_id} ended as {state} with {kinds} in the same transaction")
        told = [c.after for c in tables["webhook_deliveries"] if c.after and c.before is None]
        bodies = [row["body"] for row in told if row["job_id"] == job_id]
        if after["webhook_url"] is not None and bodies != [after["terminal"]]:
            self.find(f"{job_id} ended as {state} without a webhook in the same transaction")
        if json.loads(after["terminal"])["cost"]["micro"] != (after["quote_micros"] * (state == "completed")):
            self.find(f"{job_id} says another cost than what was charged")
        if state == "completed":
            self._has_clip(job_id, tables)
        else:
            self._may_be_released(after, writer)

    def _has_clip(self, job_id: str, tables: dict[str, list[Change]]) -> None:
        clips = [c.after for c in tables["clips"] if c.after and c.after["job_id"] == job_id]
        for clip in clips:
            kept = self.world.media.get(clip["media_key"])
            if kept is None:
                self.find(f"{job_id} was completed and charged, and its clip is not in the store")
                return
            task = self.world.vendors[kept[0]].tasks[kept[1]]
            if task.fate != "ok" or task.stopped or self.world.loop.time() < task.ends_at:
                self.find(f"{job_id} was completed with {task.id}, which is no finished render")
        if len(clips) != 1:
            self.find(f"{job_id} was completed with {len(clips)} clips")

    def _may_be_released(self, job: Row, writer: Machine | None) -> None:
        """Money goes back only when nothing will be billed, or the longest time is over."""
        clock = self.world if writer is None else writer
        if clock.now() >= job["deadline_at"]:
            return
        for vendor, task in self._tasks_held_by(job["id"]):
            if task.is_billed and task.fate != "broken_file":
                self.find(
                    f"{job['id']} was released as {job['state']} while {vendor.name} works on {task.id}"
                )

    def _tasks_held_by(self, job_id: str) -> list[tuple[Vendor, Task]]:
        """Those that it has receipts of; else those that were made for it.

        Equal orders whose answers were lost may get each other's tasks: to a list they are the same.
        """
        made = self.tasks_of_job[job_id]
        vendors = [vendor for vendor, _ in made]
        refs = [
            str(row["ref"]["id"])
            for row in self.world.database.tables["receipts"].values()
            if self.job_of.get(row["nonce"]) == job_id
        ]
        held = [(vendor, vendor.tasks[ref]) for vendor in vendors for ref in refs if ref in vendor.tasks]
        return held or made

    def is_anothers(self, task: Task) -> bool:
        """An attempt that it was not made for has its receipt."""
        receipts = self.world.database.tables["receipts"].values()
        return any(row["ref"]["id"] == task.id and row["nonce"] != task.nonce for row in receipts)

    # --- money and messages

    def _money_moved(self, tables: dict[str, list[Change]]) -> None:
        entries = [change.after for change in tables["ledger_entries"] if change.after]
        sums: Counter[str] = Counter()
        for entry in entries:
            sums[entry["transaction_id"]] += entry["amount_micros"]
        for transaction_id, total in sums.items():
            if total:
                self.find(f"I1: {transaction_id} sums to {total}")
        for change in tables["wallets"]:
            self._wallet_moved(change)
        for change in tables["ledger_transactions"]:
            row = change.after
            if row is not None and row["kind"] in ("capture", "release"):
                self._settled(row, tables)

    def _wallet_moved(self, change: Change) -> None:
        wallet = change.after
        if wallet is None:
            self.find("a wallet was deleted")
            return
        books = self.world.database.tables
        mine = {
            row["id"]
            for row in books["ledger_transactions"].values()
            if row["account_id"] == wallet["account_id"]
        }
        rebuilt: Counter[str] = Counter()
        for entry in books["ledger_entries"].values():
            if entry["transaction_id"] in mine:
                rebuilt[entry["book"]] += entry["amount_micros"]
        now = (wallet["available_micros"], wallet["held_micros"])
        if now != (rebuilt["wallet_available"], rebuilt["wallet_held"]):
            self.find(f"I9: wallet {now}, its entries say {dict(rebuilt)}")
        if min(now) < 0:
            self.find(f"I3: wallet {now}")

    def _settled(self, row: Row, tables: dict[str, list[Change]]) -> None:
        ended = [c.after for c in tables["jobs"] if c.after and c.after["id"] == row["job_id"]]
        if not ended or ended[0]["terminal"] is None:
            self.find(f"I5: {row['job_id']} was settled by a {row['kind']} without its end")
        rows = self.world.database.tables["ledger_transactions"].values()
        settles = [r for r in rows if r["job_id"] == row["job_id"] and r["kind"] in ("capture", "release")]
        if len(settles) != 1:
            self.find(f"I5: {row['job_id']} has {len(settles)} settles")

    def _delivery_written(self, change: Change) -> None:
        before, after = change.before, change.after
        if after is None:
            self.find(f"a delivery was deleted: {before}")
        elif before is not None and (before["message_id"], before["body"]) != (
            after["message_id"],
            after["body"],
        ):
            self.find(f"delivery {after['id']} changed what it says")

    # --- the end

    def unfinished(self) -> list[str]:
        """What the world still waits for."""
        tables = self.world.database.tables
        waits = [f"{job['id']} is {job['state']}" for job in tables["jobs"].values() if not job["terminal"]]
        waits += [
            f"{row['id']} is due" for row in tables["webhook_deliveries"].values() if self.is_awaited(row)
        ]
        waits += [f"{job_id} has a late clip" for job_id in self._late_clips_to_come()]
        return waits

    def is_awaited(self, delivery: Row) -> bool:
        """It will be sent soon: where a clock ran ahead, it may wait for the time that the clock told."""
        if delivery["state"] != "pending":
            return False
        wait_seconds = (delivery["next_at"] - self.world.now()).total_seconds()
        return wait_seconds < 2 * DAY_SECONDS or self.jumped_seconds < DAY_SECONDS

    def _late_clips_to_come(self) -> list[str]:
        tables = self.world.database.tables
        known = {row["nonce"] for row in tables["receipts"].values()}
        to_come = []
        for attempt in tables["attempts"].values():
            if attempt["outcome"] != "given_up" or (attempt["job_id"],) in tables["late_results"]:
                continue
            for vendor, task in self.tasks_of_job[attempt["job_id"]]:
                findable = vendor.submit_class is SubmitClass.B or vendor.calls_back
                exists = task.fate == "ok" and not task.stopped and task.nonce == attempt["nonce"]
                if exists and (task.nonce in known or findable) and not self.is_anothers(task):
                    to_come.append(attempt["job_id"])
        return to_come
