"""Routes and their health, as the operator sees them and as jobs feel them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.bootstrap import open_gateway
from fairstack_server.catalog.load import builtin_dir
from fairstack_server.db.dsn import Dsn
from fairstack_server.jobs import worker
from fairstack_server.providers.base import Fault, ProviderError
from tests.gateway.running import Running, running_gateway
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.upstream import Script

WAN = {"model": "wan-2-1-t2v", "prompt": "A red kite over the sea"}
PRICE = 48_000
#: A render that ends when the test says so.
ENDLESS = Script(render_polls=1_000_000)
COSTS = '[routes."wan-2-1-t2v:replicate"]\ncost_usd_per_clip = "0.04"\n'


@pytest.fixture(autouse=True)
def worker_that_reports_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker sees is shown long before a pause that a vendor asked for is over."""
    monkeypatch.setattr(worker, "_REPORT_SECONDS", 0.05)
    monkeypatch.setattr(worker, "_PROBE_SECONDS", 0.1)


@dataclass
class Stage:
    """A gateway with an engine of its own as the first route of Wan 2.1, and Replicate as the second."""

    gateway: Running
    engine: FakeOpenAIVideos
    replicate: FakeReplicate

    async def provider(self, name: str = "openai_videos", query: str = "") -> Any:
        """What the operator sees of a provider."""
        answer = await self.gateway.call("GET", f"/v1/admin/providers{query}")
        return next(each for each in answer.json["items"] if each["name"] == name)

    async def seen(self, is_so: Callable[[Any], bool]) -> Any:
        """The engine as the operator sees it, as soon as it is so."""
        async with asyncio.timeout(20):
            while not is_so(shown := await self.provider()):
                await asyncio.sleep(0.05)
        return shown

    async def place(self, **more: Any) -> str:
        """The id of a job that was taken in."""
        submitted = await self.gateway.submit({**WAN, **more})
        assert submitted.status == 202, submitted.body
        return str(submitted.json["id"])

    def shut_the_engine(self) -> None:
        """So many orders could not be sent that the breaker opens."""
        for _ in range(5):
            error = ProviderError("openai_videos: no connection", sent=False, fault=Fault.PROVIDER)
            self.gateway.gateway.gates.of("openai_videos").broke(error)


@contextlib.asynccontextmanager
async def staged(
    database: Dsn, home: Path, *, second: bool = False, key: str | None = None, **more: str
) -> AsyncIterator[Stage]:
    """`second`: with Replicate. `key`: another key of the engine than the one that it accepts."""
    (home / "catalog").mkdir(exist_ok=True)
    (home / "catalog" / "overrides.toml").write_text(COSTS)
    async with FakeOpenAIVideos() as engine, FakeReplicate() as replicate:
        settings: dict[str, Any] = {
            "catalog_dir": str(home / "catalog"),
            "OPENAI_VIDEOS_URL": engine.base_url,
            "OPENAI_VIDEOS_KEY": key or engine.key,
            **more,
        }
        if second:
            settings |= {"REPLICATE_URL": replicate.base_url, "REPLICATE_API_TOKEN": replicate.key}
        async with running_gateway(database, home, **settings) as gateway:
            await gateway.grant(1_000_000)
            yield Stage(gateway, engine, replicate)


async def test_the_operator_sees_how_providers_stand(database: Dsn, home: Path) -> None:
    """Configured or the setting that is missing, limits, room, last success, and what the key is worth."""
    async with staged(database, home, provider_limits="openai_videos=7,openai_videos=5/60s") as stage:
        fal = await stage.provider("fal")
        assert (fal["configured"], fal["missing_setting"], fal["breaker"]) == (False, "FAL_KEY", None)
        engine = await stage.seen(lambda shown: shown["breaker"] is not None)
        assert (engine["configured"], engine["missing_setting"]) == (True, None)
        assert engine["limits"] == {"in_flight": 7, "orders": 5, "per_seconds": 60.0}
        assert engine["breaker"]["state"] == "closed"
        assert (engine["last_success_at"], engine["key"], engine["gone_routes"]) == (None, None, [])
        assert engine["models"] > 0
        job = await stage.gateway.wait(await stage.place())
        assert job["status"] == "completed", job
        engine = await stage.seen(lambda shown: shown["last_success_at"] is not None)
        assert (engine["in_flight"], engine["waiting"]) == (0, 0)
        assert (await stage.provider(query="?check=true"))["key"]["accepted"] is True
        assert (
            await stage.gateway.call("GET", "/v1/admin/providers", key=stage.gateway.keys.test)
        ).status == 403


async def test_a_refused_key_takes_in_no_jobs_until_it_is_accepted(database: Dsn, home: Path) -> None:
    """One refusal of our key opens the breaker; new jobs are refused and hold nothing, until a free call."""
    async with staged(database, home, key="not-yet-known") as stage:
        job = await stage.gateway.wait(await stage.place())
        assert (job["status"], job["error"]["code"]) == ("failed", "provider_unavailable")
        shown = await stage.seen(lambda shown: shown["key"] is not None)
        assert (shown["breaker"]["state"], shown["breaker"]["permanent"]) == ("open", True)
        assert shown["key"]["accepted"] is False
        assert shown["breaker"]["why"] and shown["breaker"]["next_probe_at"] > shown["breaker"]["since"]
        assert "not-yet-known" not in str(shown)
        await stage.gateway.gateway.reports.refresh()
        refused = await stage.gateway.submit(WAN)
        assert (refused.status, refused.json["error"]["code"]) == (503, "provider_unavailable")
        assert refused.headers["Retry-After"] == "60"
        assert await stage.gateway.money() == (1_000_000, 0)
        assert len(stage.engine.log.submits) == 1
        stage.engine.key = "not-yet-known"
        await stage.provider(query="?check=true")
        await stage.seen(lambda shown: shown["breaker"]["state"] == "closed")
        await stage.gateway.gateway.reports.refresh()
        assert (await stage.gateway.wait(await stage.place()))["status"] == "completed"


async def test_a_route_that_is_gone_is_left_for_the_next(database: Dsn, home: Path) -> None:
    """404 on a submit: the job takes the next route; the mark outlives a restart; an operator clears it."""
    async with staged(database, home, second=True) as stage:
        stage.engine.faults.add("gone")
        job = await stage.gateway.wait(await stage.place())
        assert job["status"] == "completed", job
        assert (len(stage.engine.log.submits), len(stage.replicate.log.submits)) == (1, 1)
        [gone] = (await stage.provider())["gone_routes"]
        assert (gone["model"], "404" in gone["said"]) == ("wan-2-1-t2v", True)
        await stage.gateway.wait(await stage.place())
        assert (len(stage.engine.log.submits), len(stage.replicate.log.submits)) == (1, 2)
        shown = await stage.seen(lambda shown: shown["breaker"] is not None)
        assert shown["breaker"]["state"] == "closed"
        settings, dsn = stage.gateway.gateway.settings, stage.gateway.dsn
        async with open_gateway(settings, dsn, works=False) as after_a_restart:
            routes = after_a_restart.catalog.get("wan-2-1-t2v").routes
            assert [route.end_of_life is not None for route in routes][:2] == [True, False]
        path = "/v1/admin/providers/openai_videos/gone_routes"
        assert (await stage.gateway.call("DELETE", f"{path}?model=other")).json == {"cleared": 0}
        assert (await stage.gateway.call("DELETE", path)).json == {"cleared": 1}
        assert (await stage.gateway.call("DELETE", "/v1/admin/providers/nobody/gone_routes")).status == 404
        await stage.gateway.wait(await stage.place())
        assert (len(stage.engine.log.submits), len(stage.replicate.log.submits)) == (2, 2)
        assert await stage.gateway.money() == (1_000_000 - 3 * PRICE, 0)


async def test_a_model_whose_last_route_is_gone_says_so(database: Dsn, home: Path) -> None:
    """The job fails and costs nothing; the model is not available any more, and new jobs are refused."""
    async with staged(database, home) as stage:
        stage.engine.faults.add("gone")
        job = await stage.gateway.wait(await stage.place())
        assert (job["status"], job["error"]["code"]) == ("failed", "provider_unavailable")
        assert "no longer has this model" in job["error"]["message"]
        model = (await stage.gateway.call("GET", "/v1/models/wan-2-1-t2v", key="")).json
        assert model["available"] is False
        refused = await stage.gateway.submit(WAN)
        assert (refused.status, refused.json["error"]["code"]) == (503, "model_unavailable")
        assert "was closed on" in refused.json["error"]["message"]
        assert await stage.gateway.money() == (1_000_000, 0)


async def test_a_model_past_its_end_says_what_replaced_it(database: Dsn, home: Path) -> None:
    """Its page says when it ended and what to take; a job is refused with both, once for all its routes."""
    old = home / "catalog" / "models" / "wan"
    old.mkdir(parents=True)
    entry = (builtin_dir() / "models" / "alibaba" / "wan-2-1-t2v.toml").read_text()
    ends = 'end_of_life = 2026-01-31\nreplaced_by = "wan-2-1-t2v"\nstatus = "deprecated"\n'
    (old / "wan-1-t2v.toml").write_text(entry.replace("twin =", f"{ends}twin ="))
    async with staged(database, home, second=True) as stage:
        page = (await stage.gateway.call("GET", "/v1/models/wan-1-t2v", key="")).json
        told = (page["available"], page["end_of_life"], page["replaced_by"])
        assert told == (False, "2026-01-31", "wan-2-1-t2v")
        refused = await stage.gateway.submit({**WAN, "model": "wan-1-t2v"})
        assert (refused.status, refused.json["error"]["code"]) == (503, "model_unavailable")
        message = refused.json["error"]["message"]
        assert message.count("wan-1-t2v was closed on 2026-01-31. Take wan-2-1-t2v instead.") == 1
        assert stage.engine.log.submits == []


async def test_an_open_breaker_sends_jobs_to_the_next_route(database: Dsn, home: Path) -> None:
    """While the first provider is shut nothing is tried there; the second one renders, charged once."""
    async with staged(database, home, second=True) as stage:
        stage.shut_the_engine()
        job = await stage.gateway.wait(await stage.place())
        assert job["status"] == "completed", job
        assert (stage.engine.log.submits, len(stage.replicate.log.submits)) == ([], 1)
        assert await stage.gateway.money() == (1_000_000 - PRICE, 0)


async def test_a_provider_out_of_reach_is_left_for_the_next_route(database: Dsn, home: Path) -> None:
    """Certainly not sent: the next route takes the order, once."""
    async with staged(database, home, second=True, submit_attempts="1") as stage:
        await stage.engine.refuse()
        job = await stage.gateway.wait(await stage.place())
        assert job["status"] == "completed", job
        outcomes = await stage.gateway.gateway.pool.fetch("select outcome from attempts order by number")
        assert [row["outcome"] for row in outcomes] == ["not_sent", "submitted"]
        assert list(stage.replicate.log.billed.values()) == [1]


async def test_a_lost_answer_never_goes_to_the_next_route(database: Dsn, home: Path) -> None:
    """The first provider may have the order: it is looked for there, and nobody else is asked."""
    async with staged(database, home, second=True) as stage:
        stage.engine.faults.add("drop")
        job = await stage.gateway.wait(await stage.place())
        assert job["status"] == "completed", job
        assert (len(stage.engine.log.submits), stage.replicate.log.submits) == (1, [])
        assert list(stage.engine.log.billed.values()) == [1]


async def test_jobs_wait_for_their_only_provider(database: Dsn, home: Path) -> None:
    """Its breaker is open: what runs there is followed to its end, what is new waits queued, untried."""
    async with staged(database, home) as stage:
        stage.engine.next_scripts.append(ENDLESS)
        running = await stage.place()
        await stage.seen(lambda shown: shown["in_flight"] == 1)
        stage.engine.faults.add("http_500", on="list", after=False, times=100)
        stage.shut_the_engine()
        waiting = await stage.place()
        await stage.seen(lambda shown: (shown["breaker"]["state"], shown["waiting"]) == ("open", 1))
        stage.engine.last_task.script = Script()
        assert (await stage.gateway.wait(running))["status"] == "completed"
        assert (await stage.gateway.wait(waiting, seconds=1))["status"] == "queued"
        cancelled = await stage.place()
        assert (await stage.gateway.call("DELETE", f"/v1/jobs/{cancelled}")).json["status"] == "cancelled"
        assert len(stage.engine.log.submits) == 1
        stage.engine.faults.planned.clear()
        await stage.provider(query="?check=true")
        assert (await stage.gateway.wait(waiting))["status"] == "completed"
        assert (
            await stage.gateway.gateway.pool.fetchval(
                "select max(number) from attempts where job_id = $1", waiting
            )
            == 1
        )


async def test_no_more_than_the_limit_is_in_flight(database: Dsn, home: Path) -> None:
    """One at a time: the second waits queued, is shown as waiting, and goes when the first has ended."""
    async with staged(database, home, provider_limits="openai_videos=1") as stage:
        stage.engine.next_scripts.append(ENDLESS)
        first, second = await stage.place(), await stage.place(prompt="Another kite")
        shown = await stage.seen(lambda shown: shown["waiting"] == 1)
        assert shown["in_flight"] == 1
        assert len(stage.engine.log.submits) == 1
        stage.engine.last_task.script = Script()
        done = [await stage.gateway.wait(job_id) for job_id in (first, second)]
        assert [job["status"] for job in done] == ["completed", "completed"]
        phases = [call.operation for call in stage.engine.log.seen if call.operation in ("submit", "content")]
        assert phases == ["submit", "content", "submit", "content"]


async def test_a_429_holds_everybody_back(database: Dsn, home: Path) -> None:
    """The vendor asks for patience: other jobs do not ask it either, and spend no attempt on it."""
    async with staged(database, home) as stage:
        stage.engine.faults.add("rate_limited")
        first = await stage.place()
        shown = await stage.seen(lambda shown: shown["paused_until"] is not None)
        assert "429" in shown["last_error"]["message"]
        second = await stage.place(prompt="Another kite")
        await stage.seen(lambda shown: shown["waiting"] == 2)
        assert len(stage.engine.log.submits) == 1
        done = [await stage.gateway.wait(job_id) for job_id in (first, second)]
        assert [job["status"] for job in done] == ["completed", "completed"]
        attempts = "select count(*) from attempts where job_id = $1"
        pool = stage.gateway.gateway.pool
        assert [await pool.fetchval(attempts, job_id) for job_id in (first, second)] == [2, 1]
