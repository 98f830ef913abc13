"""What must be true when a case is over: by the vendor's own log, the books, the receiver and the disk."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fairstack_server.wallet.verify import verify
from tests.chaos.cases import Case
from tests.chaos.stage import MONEY_MICROS, Posted, Stage
from tests.upstreams.upstream import Task

PRICE_MICROS = 250_000
_TRACE = "ai-trace-id"


@dataclass(frozen=True, slots=True)
class Standing:
    """How the order of a case stands."""

    state: str | None
    has_ended: bool
    has_receipt: bool
    is_picked: bool
    """Its wake-up was taken out of the queue and is not finished, and no worker has it."""
    undelivered: int
    waiting_seconds: float | None
    """Until the next webhook is due, by the real clock."""

    @property
    def is_settled(self) -> bool:
        """Nothing more is to come."""
        return self.has_ended and not self.undelivered


_STANDING = """
select j.state, j.terminal is not null as has_ended,
       exists (select from receipts r join attempts a using (nonce) where a.job_id = j.id) as has_receipt,
       j.worker_id is null and exists (
           select from pgqueuer q where q.dedupe_key = j.id and q.status = 'picked') as is_picked,
       news.undelivered, news.waiting_seconds
  from jobs j cross join lateral (
           select count(*) as undelivered, extract(epoch from min(next_at) - now())::float8 as waiting_seconds
             from webhook_deliveries d where d.job_id = j.id and d.state = 'pending') news
 where j.ask ->> 'prompt' = $1
"""


async def standing(stage: Stage, prompt: str) -> Standing:
    """How the order with this prompt stands now."""
    row = await stage.pool.fetchrow(_STANDING, prompt)
    return Standing(None, False, False, False, 0, None) if row is None else Standing(**dict(row))


async def has_queue_row(stage: Stage, prompt: str) -> bool:
    """Whether a wake-up of this order is in the queue."""
    row = await stage.pool.fetchval(
        "select 1 from pgqueuer q join jobs j on j.id = q.dedupe_key where j.ask ->> 'prompt' = $1", prompt
    )
    return row is not None


def tasks_of(stage: Stage, case: Case, prompt: str) -> list[Task]:
    """The vendor's tasks of this order."""
    vendor = stage.vendors.by_class[case.klass]
    return [task for task in vendor.log.tasks.values() if prompt in task.body.values()]


async def faults(
    stage: Stage, case: Case, prompt: str, hook: str, answer: dict[str, Any] | None
) -> list[str]:
    """Everything that is wrong with a case that is over; empty when all is well."""
    jobs = await stage.pool.fetch("select * from jobs where ask ->> 'prompt' = $1", prompt)
    if len(jobs) != 1:
        return [f"{len(jobs)} jobs of one idempotency key"]
    job = jobs[0]
    told = [*_wrong_orders(stage, case, prompt)]
    if answer is None or answer["id"] != job["id"]:
        told.append(f"the user was told of {answer}")
    told += await _wrong_end(stage, case, job, tasks_of(stage, case, prompt))
    told += await _wrong_money(stage, job)
    told += await _wrong_news(stage, job, stage.posted[hook])
    told += await _wrong_clip(stage, job, case, prompt)
    told += await _left_over(stage, job)
    return told


def _wrong_orders(stage: Stage, case: Case, prompt: str) -> Iterator[str]:
    """The vendor's own log: one task at most, and nothing sent twice but under one idempotency key."""
    tasks = tasks_of(stage, case, prompt)
    log = stage.vendors.by_class[case.klass].log
    sent = [call for call in log.submits if prompt in (call.body or {}).values()]
    if len(tasks) > 1 or sum(log.billed.get(task.id, 0) for task in tasks) > 1:
        yield f"the vendor has {len(tasks)} tasks of one order"
    if case.klass == "A" and len({call.headers[_TRACE] for call in sent}) > 1:
        yield "the order was sent under several idempotency keys"
    if case.klass != "A" and len(sent) > 1:
        yield f"the order was sent {len(sent)} times"


async def _wrong_end(stage: Stage, case: Case, job: Any, tasks: Sequence[Task]) -> list[str]:
    """Completed whenever the vendor took it and can tell; failed when never ordered, or D in the dark."""
    state = job["state"]
    if state not in ("completed", "failed"):
        return [f"the job ends as {state}"]
    if any(blow.kind == "clock" and blow.amount > 0 for blow in case.blows):
        return []  # its longest time may have passed: either end is right
    seen = {call.task_id for call in stage.vendors.by_class[case.klass].log.of("status")}
    receipts = await stage.pool.fetchval(
        "select count(*) from receipts r join attempts a using (nonce) where a.job_id = $1", job["id"]
    )
    if case.klass == "A":
        must = True
    elif case.klass == "D":
        must = bool(receipts) or any(task.id in seen for task in tasks)
    else:
        must = bool(tasks)
    if must != (state == "completed"):
        return [f"the job {state}; tasks at the vendor: {len(tasks)}, receipts: {receipts}"]
    terminal = json.loads(job["terminal"])
    if state == "failed" and terminal["error"]["code"] != "provider_unavailable":
        return [f"the job failed as {terminal['error']}"]
    return []


async def _wrong_money(stage: Stage, job: Any) -> list[str]:
    if job["state"] == "completed":
        stage.charged_micros += PRICE_MICROS
    async with stage.pool.acquire() as connection:
        told = [f"wallet: {finding}" for finding in await verify(connection)]
        wallet = await connection.fetchrow(
            "select available_micros, held_micros from wallets where mode = 'live'"
        )
    right = (MONEY_MICROS - stage.charged_micros, 0)
    return told if tuple(wallet) == right else [*told, f"the wallet holds {tuple(wallet)}, not {right}"]


async def _wrong_news(stage: Stage, job: Any, posted: Sequence[Posted]) -> list[str]:
    """Told at least once: always the same id and the job's own bytes, signed."""
    if not posted:
        return ["no webhook arrived"]
    told = []
    if {post.body for post in posted} != {job["terminal"]}:
        told.append("a webhook has other bytes than the job")
    if len({post.headers["webhook-id"] for post in posted}) != 1:
        told.append("webhooks of one event have several ids")
    secret = await stage.pool.fetchval("select secret from webhook_secrets")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    for post in posted:
        signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
        right = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        if post.headers["webhook-signature"] != right:
            told.append("a webhook's signature is wrong")
    return told


async def _wrong_clip(stage: Stage, job: Any, case: Case, prompt: str) -> list[str]:
    """A completed job's file is there, whole, and is the vendor's; nobody else has one."""
    clips = await stage.pool.fetch("select * from clips where job_id = $1 and not late", job["id"])
    if job["state"] != "completed":
        return [f"a {job['state']} job has a clip"] if clips else []
    [clip] = clips
    content = (stage.home / "media" / clip["media_key"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != clip["sha256"] or len(content) != clip["bytes"]:
        return ["the stored clip is not what the books say"]
    # What was written around the pictures and sound may be ours (where they came from); they are not.
    if _frames(content) != _frames(await _rendered(stage, case, prompt)):
        return ["the stored clip is not the vendor's"]
    facts = json.loads((stage.home / "media" / f"{clip['media_key']}.facts").read_bytes())
    return [] if facts["sha256"] == clip["sha256"] else ["the facts beside the clip are of another one"]


def _frames(mp4: bytes) -> list[bytes]:
    """The `mdat` boxes at the top of a file."""
    found, at = [], 0
    while at + 8 <= len(mp4):
        size, kind = int.from_bytes(mp4[at : at + 4], "big"), mp4[at + 4 : at + 8]
        if kind == b"mdat":
            found.append(mp4[at : at + size])
        at += size if size >= 8 else len(mp4)
    return found


async def _rendered(stage: Stage, case: Case, prompt: str) -> bytes:
    vendors = stage.vendors
    task = tasks_of(stage, case, prompt)[0]
    at = f"{vendors.videos.base_url}/v1/videos/{task.id}/content"
    headers = {"Authorization": f"Bearer {vendors.videos.key}"}
    if case.klass != "C":
        at, headers = f"{vendors.by_class[case.klass].base_url}/files/{task.id}.mp4", {}
    async with stage.http.get(at, headers=headers) as answer:
        return await answer.read()


_LEFT_OVER = """
select 'a queue row' where exists (select from pgqueuer where dedupe_key = $1)
union all select 'a worker at an ended job' from jobs where id = $1 and worker_id is not null
union all select count(*) || ' events of its end' from job_events
           where job_id = $1 and status in ('completed', 'failed') having count(*) <> 1
union all select 'an attempt without outcome' where exists (
              select from attempts where job_id = $1 and outcome is null)
union all select 'receipts of several tasks' from receipts r join attempts a using (nonce) where a.job_id = $1
          having count(distinct r.ref ->> 'id') > 1
"""


async def _left_over(stage: Stage, job: Any) -> list[str]:
    rows = await stage.pool.fetch(_LEFT_OVER, job["id"])
    return [f"left over: {row[0]}" for row in rows]
