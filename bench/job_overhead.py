"""What the gateway adds to a job on an instant provider: one by one with its stages, and fifty at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.accounts import fund
from bench.figures import median, percentile, table
from bench.servers import Server, Upstreams, database, server, temporary_home, upstreams
from bench.upstream import Call
from fairstack_server.db.connections import Pool
from fairstack_server.db.pool import open_pool

_ONE_BY_ONE = 25
_SLOW_JOBS = 8
_SLOW_RENDER_SECONDS = 0.5
_TOGETHER_CLIENTS = 50
_TOGETHER_JOBS = 200
_TOGETHER_SECONDS = 25.0
_PROMPT = "A golden retriever running on a beach at sunset, slow motion"
#: Provider -> a model whose only configured route is its.
_MODELS = {"/v1/videos": "wan-2-1-t2v", "fal": "veo-3"}
#: Stage -> what lies between its beginning and its end, in the order of a job's life.
STAGES = {
    "placement": "submit sent .. 202 read",
    "queue wake": ".. a worker has claimed the job",
    "plan, intent, send": ".. the provider has the order",
    "receipt, polls": ".. the provider was asked for the file",
    "download, check, store": ".. the clip is in the store, flushed",
    "poster": ".. its picture is, too",
    "settle, answer": ".. `?wait=` has answered completed",
}


@dataclass(frozen=True, slots=True)
class _Rig:
    """A server with a worker, the providers behind it, and a client in front of it."""

    server: Server
    upstreams: Upstreams
    http: aiohttp.ClientSession
    pool: Pool
    media: Path


@dataclass(frozen=True, slots=True)
class _Run:
    """One job as its client saw it; Unix times."""

    id: str
    sent_at: float
    accepted_at: float
    completed_at: float

    @property
    def milliseconds(self) -> float:
        """From submit to completed."""
        return (self.completed_at - self.sent_at) * 1000


async def measure() -> str:
    """All tables. Raises RuntimeError when a job does not complete."""
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(temporary_home())
        dsn = await stack.enter_async_context(database(home))
        pool = await open_pool(dsn, 2)
        stack.push_async_callback(pool.close)
        (key,) = await fund(pool, 1)
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key}"}, connector=aiohttp.TCPConnector(limit=0)
            )
        )
        fakes = await stack.enter_async_context(upstreams(http))
        settings = {"FAIRSTACK_DATABASE_URL": dsn.url, **fakes.settings}
        running = await stack.enter_async_context(server("serve", home, settings))
        rig = _Rig(running, fakes, http, pool, home / "media")
        parts = [await _one_by_one(rig), await _slow(rig), await _together(rig)]
    return "\n\n".join(parts)


async def _one_by_one(rig: _Rig) -> str:
    rows, stages = [], {}
    for provider, model in _MODELS.items():
        await _job(rig, model)  # the first one starts the process that makes posters
        runs, taken = [], []
        for _ in range(_ONE_BY_ONE):
            await rig.upstreams.calls()
            run = await _job(rig, model)
            runs.append(run.milliseconds)
            taken.append(await _stages(rig, run, await rig.upstreams.calls()))
        rows.append([provider, f"{median(runs):.0f}", f"{percentile(runs, 0.99):.0f}", f"{min(runs):.0f}"])
        stages[provider] = taken
    title = f"A job on an instant provider, submit to completed, {_ONE_BY_ONE} one after the other"
    head = ("", "median ms", "p99 ms", "best ms")
    return f"{title}\n{table(head, rows)}\n\n{_stage_table(stages)}"


async def _slow(rig: _Rig) -> str:
    """What polling adds: an end is seen only at the next look."""
    await rig.upstreams.take(_SLOW_RENDER_SECONDS)
    runs = [(await _job(rig, _MODELS["/v1/videos"])).milliseconds for _ in range(_SLOW_JOBS)]
    await rig.upstreams.take(0.0)
    added = [run - _SLOW_RENDER_SECONDS * 1000 for run in runs]
    return (
        f"On a provider that renders for {_SLOW_RENDER_SECONDS:g} s ({_SLOW_JOBS} jobs), beyond that time: "
        f"median {median(added):.0f} ms, worst {max(added):.0f} ms"
    )


async def _together(rig: _Rig) -> str:
    """So many clients, each with one job at a time, until the jobs or the time are used up."""
    began = time.perf_counter()
    left = iter(range(_TOGETHER_JOBS))
    runs: list[_Run] = []

    async def client() -> None:
        for _ in left:
            if time.perf_counter() - began > _TOGETHER_SECONDS:
                return
            runs.append(await _job(rig, _MODELS["/v1/videos"]))

    await asyncio.gather(*(client() for _ in range(_TOGETHER_CLIENTS)))
    seconds = time.perf_counter() - began
    taken = [run.milliseconds for run in runs]
    return (
        f"{_TOGETHER_CLIENTS} at a time on /v1/videos: {len(runs) / seconds:.1f} jobs/s "
        f"({len(runs)} jobs in {seconds:.1f} s; "
        f"median {median(taken):.0f} ms, p99 {percentile(taken, 0.99):.0f} ms)"
    )


async def _job(rig: _Rig, model: str) -> _Run:
    """Submit one job and wait for its end."""
    sent_at = time.time()
    submitted = await _read(
        rig.http.post(f"{rig.server.url}/v1/generations/video", json={"model": model, "prompt": _PROMPT}), 202
    )
    accepted_at = time.time()
    job = await _read(rig.http.get(f"{rig.server.url}/v1/jobs/{submitted['id']}?wait=60"), 200)
    if job["status"] != "completed":
        raise RuntimeError(f"The job did not complete: {job}")
    return _Run(job["id"], sent_at, accepted_at, time.time())


async def _read(asking: Any, status: int) -> dict[str, Any]:
    async with asking as answer:
        told: dict[str, Any] = await answer.json()
        if answer.status != status:
            raise RuntimeError(f"{answer.status} instead of {status}: {told}")
        return told


async def _stages(rig: _Rig, run: _Run, calls: Sequence[Call]) -> Mapping[str, float]:
    """Milliseconds of each stage, from the clocks of client, database, provider and file system."""
    row = await rig.pool.fetchrow(
        "select started_at, media_key from jobs join clips on clips.job_id = jobs.id where jobs.id = $1",
        run.id,
    )
    assert row is not None
    clip = rig.media / row["media_key"]
    ends = [
        run.accepted_at,
        row["started_at"].timestamp(),
        next(call.at for call in calls if call.operation == "submit"),
        next(call.at for call in calls if call.operation == "content"),
        # The change of the inode: its name is the last thing that a stored file gets.
        clip.stat().st_ctime,
        clip.with_name("poster.jpg").stat().st_ctime,
        run.completed_at,
    ]
    stages, at = {}, run.sent_at
    for stage, end in zip(STAGES, ends, strict=True):
        # A worker may claim a job before its submitter has read the answer: that wake took no time.
        stages[stage] = max(0.0, end - at) * 1000
        at = max(at, end)
    return stages


def _stage_table(stages: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    head = ["where it goes (median ms, share of all)", *stages, "from .. to"]
    rows = []
    for stage, meaning in STAGES.items():
        row = [stage]
        for taken in stages.values():
            whole = sum(sum(job.values()) for job in taken)
            share = sum(job[stage] for job in taken) / whole
            row.append(f"{median([job[stage] for job in taken]):.1f} ({100 * share:.0f} %)")
        rows.append([*row, meaning])
    return table(head, rows)
