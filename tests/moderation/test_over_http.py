"""Moderation over HTTP: what a refusal costs, what is left of it, and what happens when nobody answers."""

from __future__ import annotations

import asyncio
import base64
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from fairstack_server.wallet.verify import verify
from tests.gateway.running import Running, running_gateway
from tests.moderation.hooks import ALLOW, REFUSE, SECRET, Address, address, program
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.upstream import Script

PROMPT = "a most particular gargoyle"
OWN = {"model": "own-t2v", "prompt": PROMPT}
MODELS = Path(__file__).parent / "models"
MONEY = 1_000_000
COST = 20_000
PICTURE = Path(__file__).parents[1] / "gateway" / "photo.png"


@dataclass
class Stage:
    """A gateway with an engine of its own and a hook behind a URL."""

    gateway: Running
    engine: FakeOpenAIVideos
    hook: Address
    home: Path

    def stored(self, kind: str) -> list[Path]:
        """What the store has of a kind."""
        return [path for path in (self.home / "media" / kind).glob("*/*") if path.suffix != ".facts"]

    async def losses(self) -> list[int]:
        """The losses in the books."""
        rows = await self.gateway.gateway.pool.fetch(
            "select amount_micros from ledger_transactions where kind = 'loss'"
        )
        return [row["amount_micros"] for row in rows]


@asynccontextmanager
async def staged(database: Dsn, home: Path, **settings: Any) -> AsyncIterator[Stage]:
    """Everything running, with money in the wallet."""
    async with (
        address() as hook,
        FakeOpenAIVideos() as engine,
        running_gateway(
            database,
            home,
            catalog_dir=str(MODELS),
            moderation_url=hook.url,
            moderation_secret=SECRET,
            moderation_timeout_seconds="20",
            OPENAI_VIDEOS_URL=engine.base_url,
            OPENAI_VIDEOS_KEY=engine.key,
            **settings,
        ) as gateway,
    ):
        await gateway.grant(MONEY)
        yield Stage(gateway, engine, hook, home)


@pytest.fixture
async def stage(database: Dsn, home: Path) -> AsyncIterator[Stage]:
    """A stage by the defaults."""
    async with staged(database, home) as stage:
        yield stage


def refuse(stage_name: str) -> Any:
    """A judge who refuses at one stage."""
    return lambda asked: REFUSE if asked["stage"] == stage_name else ALLOW


async def test_a_refused_request_costs_nothing(database: Dsn, home: Path, tmp_path: Path) -> None:
    """422 with the program's code and message; nothing held, nothing sent, its key and its files are free."""
    hook = program(tmp_path, request=REFUSE)
    picture = "data:image/png;base64," + base64.b64encode(PICTURE.read_bytes()).decode()
    order = {"model": "local-parallax-i2v", "prompt": PROMPT, "image": picture}
    async with running_gateway(database, home, moderation_command=hook.command) as gateway:
        await gateway.grant(MONEY)
        for _ in range(2):
            answer = await gateway.submit(order, headers={"Idempotency-Key": "one"})
            assert answer.status == 422
            error = answer.json["error"]
            assert (error["code"], error["details"]) == ("content_filtered", {"reason": "violence"})
            assert "No violence on this server." in error["message"]
        assert await gateway.money() == (MONEY, 0)
        assert (await gateway.call("GET", "/v1/jobs")).json["items"] == []
        (asked, _) = hook.asked()
        assert asked["prompt"] == PROMPT
        (file,) = asked["files"]
        assert file["path"].startswith(str(home / "media"))
        assert not Path(file["path"]).exists()


async def test_an_estimate_asks_nobody(stage: Stage) -> None:
    """`confirm: false` is a price, and tells nobody the prompt."""
    answer = await stage.gateway.submit({**OWN, "confirm": False})
    assert answer.status == 200
    assert stage.hook.came == []


async def test_an_allowed_clip_is_asked_about_before_it_is_given(stage: Stage) -> None:
    """Two questions with one job id: the words before the hold, the clip before the charge, by its URL."""
    submitted = await stage.gateway.submit(OWN)
    job = await stage.gateway.wait(submitted.json["id"])
    assert job["status"] == "completed", job
    (request,) = stage.hook.asked("request")
    (result,) = stage.hook.asked("result")
    assert request["job"] == result["job"] == job["id"]
    assert "prompt" not in result
    (file,) = result["files"]
    assert (file["url"], file["sha256"], file["bytes"]) == (
        job["url"],
        job["metadata"]["sha256"],
        job["metadata"]["bytes"],
    )


async def test_a_refused_clip_costs_its_user_nothing(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job fails, the hold is free, the clip is gone, its cost is the operator's; no prompt in any log."""
    stage.hook.answer = refuse("result")
    job = await stage.gateway.ended(OWN)
    assert (job["status"], job["error"]["code"]) == ("failed", "content_filtered")
    assert "No violence on this server. You were charged nothing." in job["error"]["message"]
    assert await stage.gateway.money() == (MONEY, 0)
    assert await stage.losses() == [COST]
    assert list(stage.engine.log.billed.values()) == [1]
    (asked,) = stage.hook.asked("result")
    path = asked["files"][0]["url"].removeprefix(stage.gateway.base_url)
    assert (await stage.gateway.call("GET", path)).status == 404
    assert stage.stored("video") == []
    assert list((stage.home / "work" / "incoming").iterdir()) == []
    assert not (stage.home / "refused").exists()
    report = await verify(stage.gateway.gateway.pool)
    assert not report, report
    assert "gargoyle" not in capsys.readouterr().out


async def test_a_refused_clip_may_be_kept_for_the_operator(database: Dsn, home: Path) -> None:
    """With the setting it lies in a folder that only the operator opens, and is still given to nobody."""
    async with staged(database, home, moderation_keep_refused="yes") as stage:
        stage.hook.answer = refuse("result")
        job = await stage.gateway.ended(OWN)
        assert job["error"]["code"] == "content_filtered"
        assert stage.stored("video") == []
        (kept,) = (home / "refused").iterdir()
        assert kept.name == f"{job['id']}.mp4"
        assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
        assert kept.stat().st_size == stage.hook.asked("result")[0]["files"][0]["bytes"]


async def test_a_clip_waits_for_its_verdict(stage: Stage) -> None:
    """A hook that is down holds the clip back, not for good: one order, one file, one charge."""
    broken = asyncio.Event()

    def judge(asked: Any) -> Any:
        if asked["stage"] == "request" or broken.is_set():
            return ALLOW
        broken.set()
        return {"verdict": "perhaps"}

    stage.hook.answer = judge
    submitted = await stage.gateway.submit(OWN)
    await asyncio.wait_for(broken.wait(), 30)
    assert (await stage.gateway.money())[1] > 0
    job = await stage.gateway.wait(submitted.json["id"])
    assert job["status"] == "completed", job
    first, second = stage.hook.asked("result")
    assert first == second
    assert len([path for path in stage.stored("video") if path.suffix == ".mp4"]) == 1
    assert list(stage.engine.log.billed.values()) == [1]
    assert await stage.gateway.money() == (MONEY - job["cost"]["micro"], 0)
    assert job["metadata"]["provenance"]["c2pa"] is True


async def test_without_a_verdict_nothing_is_held(stage: Stage) -> None:
    """503, when to come back, and nothing sent."""
    stage.hook.status = 500
    answer = await stage.gateway.submit(OWN)
    assert (answer.status, answer.json["error"]["code"]) == (503, "provider_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert await stage.gateway.money() == (MONEY, 0)
    assert stage.engine.log.billed == {}


async def test_an_operator_may_let_all_pass_instead(database: Dsn, home: Path) -> None:
    """With the setting a broken hook stops nobody."""
    async with staged(database, home, moderation_fail_open="yes") as stage:
        stage.hook.status = 500
        job = await stage.gateway.ended(OWN)
        assert job["status"] == "completed", job


async def test_a_late_clip_is_judged_too(database: Dsn, home: Path) -> None:
    """A clip that comes after its job was given up and is refused is given to nobody, and asked of once."""
    async with staged(database, home, late_seconds="0.5") as stage:
        stage.hook.answer = refuse("result")
        test = stage.gateway.keys.test
        job = await stage.gateway.ended({"model": "wan-2-1-t2v", "prompt": "test:late"}, key=test)
        assert job["error"]["code"] == "provider_unavailable"
        async with asyncio.timeout(60):
            while not await stage.gateway.gateway.pool.fetchval(
                "select 1 from attempts where job_id = $1 and message like 'moderation refused%'", job["id"]
            ):
                await asyncio.sleep(0.1)
        late = await stage.gateway.call("GET", f"/v1/jobs/{job['id']}/late_result", key=test)
        assert late.status == 404
        assert len(stage.hook.asked("result")) == 1
        assert stage.stored("video") == []


async def test_a_providers_own_refusal_costs_nothing(stage: Stage) -> None:
    """The vendor blocks what our hook allowed: the same code, the hold free, no loss of anybody."""
    stage.engine.script = Script(outcome="moderated")
    job = await stage.gateway.ended(OWN)
    assert (job["status"], job["error"]["code"]) == ("failed", "content_filtered")
    assert await stage.gateway.money() == (MONEY, 0)
    assert await stage.losses() == []
    assert stage.hook.asked("result") == []
