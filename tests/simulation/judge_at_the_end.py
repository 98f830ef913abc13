"""What must be true when all is over: every job ended and settled once, everything told, everything given."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC
from typing import Any

from fairstack_server.providers.base import SubmitClass
from tests.simulation.database.tables import Row
from tests.simulation.judge import DAY_SECONDS, Judge
from tests.simulation.vendors import Task, Vendor

#: A clip that a vendor had finished so long before the deadline must have been given in time.
_TIME_ENOUGH_SECONDS = 100.0


class LastJudgement:
    """Looks at everything once, when nothing moves any more."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._world = judge.world

    def at_the_end(self) -> None:
        """Everything that must be true when all is over."""
        for left in self._judge.unfinished():
            self._judge.find(f"no end: {left}")
        tables = self._world.database.tables
        for job in tables["jobs"].values():
            self._judge_job(job)
        for key, answers in self._judge.answers.items():
            if len(answers) != 1:
                self._judge.find(f"I11: key {key} was answered {sorted(answers)}")
        self._judge_books()
        self._judge_messages()
        self._judge_receipts()
        self._judge_tasks()

    def _judge_job(self, job: Row) -> None:
        rows = self._world.database.tables["ledger_transactions"].values()
        kinds = Counter(row["kind"] for row in rows if row["job_id"] == job["id"])
        if kinds["hold"] != 1 or kinds["capture"] + kinds["release"] != 1:
            self._judge.find(f"I5: {job['id']} is {job['state']} with {dict(kinds)}")
        if (kinds["capture"] == 1) != (job["state"] == "completed"):
            self._judge.find(f"I6: {job['id']} is {job['state']} with {dict(kinds)}")
        billed = [task.id for _, task in self._judge.tasks_of_job[job["id"]] if task.is_billed]
        if len(billed) > 1:
            self._judge.find(f"{job['id']} was billed {len(billed)} times: {billed}")
        for vendor, task in self._judge.tasks_of_job[job["id"]]:
            self._was_given(job, vendor, task)

    def _was_given(self, job: Row, vendor: Vendor, task: Task) -> None:
        """Ruling 18: a clip that was there in time, and could be found, completes its job."""
        if self._judge.jumped_seconds or task.fate != "ok" or task.stopped or vendor.at_once:
            return
        known = any(row["nonce"] == task.nonce for row in self._world.database.tables["receipts"].values())
        there = max(task.ends_at, task.seen_at)
        left = (job["deadline_at"] - self._world.now()).total_seconds() + self._world.loop.time() - there
        if left < _TIME_ENOUGH_SECONDS or self._came_too_late(task) or job["state"] == "completed":
            return
        if self._judge.is_anothers(task):
            return
        if known or self._can_be_found(vendor, task):
            said = f"{vendor.name} had {task.id} {left:.0f} s before the end"
            self._judge.find(f"{job['id']} is {job['state']}; {said}")

    def _can_be_found(self, vendor: Vendor, task: Task) -> bool:
        """By its key (A), by its client id (B), or in a list where nothing else looks like it (C)."""
        match vendor.submit_class:
            case SubmitClass.A | SubmitClass.B:
                return True
            case SubmitClass.C:
                jobs = self._world.database.tables["jobs"].values()
                return [job["ask"]["prompt"] for job in jobs].count(task.wish) == 1
            case SubmitClass.D:
                return False

    def _came_too_late(self, task: Task) -> bool:
        """Its receipt was written only when the job had nearly come to its end."""
        rows = [r for r in self._world.database.tables["receipts"].values() if r["nonce"] == task.nonce]
        job = self._world.database.tables["jobs"][self._judge.job_of[task.nonce],]
        if not rows:
            return False
        first = min(row["received_at"] for row in rows)
        return bool((job["deadline_at"] - first).total_seconds() < _TIME_ENOUGH_SECONDS)

    def _judge_books(self) -> None:
        tables = self._world.database.tables
        if total := sum(entry["amount_micros"] for entry in tables["ledger_entries"].values()):
            self._judge.find(f"I2: all books sum to {total}")
        open_holds: Counter[str] = Counter()
        spent: Counter[tuple[str, Any]] = Counter()
        for row in tables["ledger_transactions"].values():
            if row["kind"] == "hold":
                open_holds[row["account_id"]] += row["amount_micros"]
                month = row["created_at"].astimezone(UTC).date().replace(day=1)
                spent[row["account_id"], month] += row["amount_micros"]
                spent[row["key_id"], month] += row["amount_micros"]
            if row["kind"] in ("capture", "release"):
                open_holds[row["account_id"]] -= row["amount_micros"]
            if row["kind"] == "release":
                self._give_back(row, spent)
        for wallet in tables["wallets"].values():
            if wallet["mode"] == "live" and wallet["held_micros"] != open_holds[wallet["account_id"]]:
                self._judge.find(f"I4: {wallet} holds, open holds are {dict(open_holds)}")
        for row in tables["spending"].values():
            if row["micros"] != spent[row["scope_id"], row["month"]]:
                self._judge.find(f"I9: spending {row}, holds and charges say {dict(spent)}")

    def _give_back(self, row: Row, spent: Counter[tuple[str, Any]]) -> None:
        for hold in self._world.database.tables["ledger_transactions"].values():
            if hold["kind"] == "hold" and hold["job_id"] == row["job_id"]:
                month = hold["created_at"].astimezone(UTC).date().replace(day=1)
                spent[hold["account_id"], month] -= hold["amount_micros"]
                spent[hold["key_id"], month] -= hold["amount_micros"]

    def _judge_messages(self) -> None:
        tables = self._world.database.tables
        late = {row["job_id"] for row in tables["late_results"].values()}
        for job in tables["jobs"].values():
            mine = [row for row in tables["webhook_deliveries"].values() if row["job_id"] == job["id"]]
            expected = 0 if job["webhook_url"] is None else 1 + (job["id"] in late)
            if len(mine) != expected:
                self._judge.find(f"{job['id']} has {len(mine)} deliveries, not {expected}")
            for row in mine:
                self._judge_delivery(row)

    def _judge_delivery(self, row: Row) -> None:
        receiver = self._world.receivers[row["host"]]
        got = receiver.got.get(row["message_id"], [])
        if {body for _, body in got} - {row["body"]}:
            self._judge.find(f"{row['id']} was told with other bytes")
        if row["state"] == "delivered" and row["message_id"] not in receiver.taken:
            self._judge.find(f"{row['id']} counts as delivered, and its receiver never took it")
        if row["state"] == "failed" or self._judge.is_awaited(row):
            self._judge.find(
                f"{row['id']} was not delivered: {row['state']} after {row['attempts']} attempts"
            )
        gone = 410 in [status for _, _, status in receiver.down]
        # To a clock that runs a month ahead, an address has been dead for a month.
        if row["state"] == "disabled" and not gone and self._judge.jumped_seconds < DAY_SECONDS:
            self._judge.find(f"{row['id']} was disabled, and its receiver never said 410")

    def _judge_receipts(self) -> None:
        """An answer that reached a process which lived on is kept."""
        kept = {row["nonce"] for row in self._world.database.tables["receipts"].values()}
        for nonce, machine in self._judge.held_answers.items():
            vendor, task = next((v, t) for v, t in self._all_tasks() if t.nonce == nonce)
            lived = not (machine.dead or machine.was_stopped or machine.was_frozen)
            if lived and nonce not in kept and not vendor.at_once:
                self._judge.find(
                    f"{machine.name} had the answer of {vendor.name} for {nonce} ({task.id}) and kept nothing"
                )

    def _judge_tasks(self) -> None:
        """No render pays for two jobs."""
        users: dict[tuple[str, str], set[str]] = defaultdict(set)
        for clip in self._world.database.tables["clips"].values():
            users[self._world.media[clip["media_key"]]].add(clip["job_id"])
        for task, jobs in users.items():
            if len(jobs) > 1:
                self._judge.find(f"{task} was given to {sorted(jobs)}")

    def _all_tasks(self) -> list[tuple[Vendor, Task]]:
        return [pair for pairs in self._judge.tasks_of_job.values() for pair in pairs]
