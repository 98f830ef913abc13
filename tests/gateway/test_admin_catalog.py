"""A model more, a broken one and one less, while the server runs: by being told, and by watching."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fairstack_server.catalog.watch import CatalogWatch
from fairstack_server.db.dsn import Dsn
from tests.docs.pages import ROOT, blocks
from tests.gateway.running import Answer, Running, running_gateway
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.upstream import Script

#: The key that CONTRIBUTING.md gives its example.
KEY = "wan-2-2-5b-own"
ORDER = {"model": KEY, "prompt": "a dog on a beach"}
PRICE = 20_000
BROKEN = "durations = [[["


@dataclass(slots=True)
class Stage:
    """A running gateway, the operator's folder that it reads, and the engine behind it."""

    gateway: Running
    folder: Path
    engine: FakeOpenAIVideos

    @property
    def file(self) -> Path:
        """The one file that a new model is."""
        return self.folder / "models" / "ours" / f"{KEY}.toml"

    def write(self, text: str) -> None:
        """Put that into the one file."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text, encoding="utf-8")

    async def reload(self) -> Answer:
        """Tell the server, as `fairstack catalog reload` does."""
        return await self.gateway.call("POST", "/v1/admin/catalog/reload")

    async def model(self) -> Answer:
        """The model as anybody sees it."""
        return await self.gateway.call("GET", f"/v1/models/{KEY}", key="")

    async def price(self) -> Any:
        """What a clip would cost now."""
        answer = await self.gateway.submit({**ORDER, "confirm": False})
        return answer.json["estimated_cost"]["micro"]


@pytest.fixture
def example() -> str:
    """The model file that CONTRIBUTING.md shows."""
    (block,) = blocks(ROOT / "CONTRIBUTING.md", "toml")
    return block.text


@pytest.fixture
async def stage(database: Dsn, home: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway that was started with an empty folder for the operator's models."""
    async with (
        FakeOpenAIVideos() as engine,
        running_gateway(
            database,
            home,
            catalog_dir=str(tmp_path),
            OPENAI_VIDEOS_URL=engine.base_url,
            OPENAI_VIDEOS_KEY=engine.key,
        ) as gateway,
    ):
        await gateway.grant(1_000_000)
        yield Stage(gateway, tmp_path, engine)


async def test_one_file_is_a_model_without_a_restart(stage: Stage, example: str) -> None:
    """The example of CONTRIBUTING.md is listed, quoted and rendered once told; broken, it stays."""
    assert (await stage.model()).status == 404
    before = len((await stage.gateway.call("GET", "/v1/models", key="")).json["models"])
    stage.write(example)
    told = (await stage.reload()).json
    assert told == {"models": before + 1, "added": [KEY], "changed": [], "removed": []}
    shown = (await stage.model()).json
    assert (shown["available"], shown["price"]["micro"]) == (True, PRICE)
    assert await stage.price() == PRICE
    job = await stage.gateway.ended(ORDER)
    assert (job["status"], job["cost"]["micro"]) == ("completed", PRICE)
    assert list(stage.engine.log.billed.values()) == [1]

    stage.write(f"{example}\n{BROKEN}")
    refused = await stage.reload()
    assert (refused.status, refused.json["error"]["code"]) == (409, "catalog_broken")
    line = len(example.splitlines()) + 2
    assert refused.json["error"]["details"]["problems"][0].startswith(f"{stage.file}:{line}: ")
    assert await stage.price() == PRICE

    stage.file.unlink()
    assert (await stage.reload()).json["removed"] == [KEY]
    assert (await stage.model()).status == 404
    assert (await stage.gateway.submit(ORDER)).json["error"]["code"] == "unknown_model"
    assert (await stage.gateway.wait(job["id"])) == job


async def test_a_job_in_flight_keeps_what_it_was_quoted(stage: Stage, example: str) -> None:
    """A price that rises, and a model that vanishes, while a job renders: it is charged its quote."""
    stage.write(example)
    await stage.reload()
    stage.engine.script = Script(render_polls=3)
    dear, gone = [(await stage.gateway.submit(ORDER)).json["id"] for _ in range(2)]
    while len(stage.engine.log.submits) < 2:
        await asyncio.sleep(0.01)
    stage.write(example.replace('usd = "0.02"', 'usd = "0.05"'))
    assert (await stage.reload()).json["changed"] == [KEY]
    assert await stage.price() == 50_000
    stage.file.unlink()
    await stage.reload()
    for job_id in (dear, gone):
        job = await stage.gateway.wait(job_id)
        assert (job["status"], job["cost"]["micro"]) == ("completed", PRICE)


async def test_a_watching_server_takes_whole_files_by_itself(stage: Stage, example: str) -> None:
    """A file is taken when two looks see the same, so one in the making is left alone."""
    catalog = stage.gateway.gateway.catalog
    watch = CatalogWatch(catalog, 1.0)
    stage.write(example.partition("[[routes]]")[0])
    await watch.look()
    stage.write(example)
    await watch.look()
    assert KEY not in catalog.snapshot.models
    await watch.look()
    assert await stage.price() == PRICE
    unchanged = catalog.snapshot
    await watch.look()
    assert catalog.snapshot is unchanged
    stage.file.unlink()
    await watch.look()
    await watch.look()
    assert (await stage.model()).status == 404


async def test_a_broken_file_is_told_once_and_changes_nothing(stage: Stage, example: str) -> None:
    """The log names file and line once; the models stay; the mended file is taken."""
    watch = CatalogWatch(stage.gateway.gateway.catalog, 1.0)
    stage.write(f"{BROKEN}\n{example}")
    with capture_logs() as log:
        for _ in range(4):
            await watch.look()
    broken = [event["problem"] for event in log if event["event"] == "catalog.broken"]
    assert len(broken) == 1
    assert broken[0].startswith(f"{stage.file}:")
    assert (await stage.gateway.call("GET", "/v1/models/wan-2-1-t2v", key="")).status == 200
    stage.write(example)
    await watch.look()
    await watch.look()
    assert (await stage.model()).status == 200


async def test_the_command_reloads_a_running_server(stage: Stage, example: str) -> None:
    """`fairstack catalog reload` says what changed; broken files are told by line, with status 1."""
    stage.write(example)
    code, out, err = await command(stage, "catalog", "reload")
    assert (code, err) == (0, "")
    assert out.endswith(f" models; added: {KEY}\n")
    stage.write(f"{BROKEN}\n{example}")
    code, out, err = await command(stage, "catalog", "reload")
    assert (code, out) == (1, "")
    assert err.startswith(f"{stage.file}:")
    assert err.endswith("The server keeps the catalog that it had.\n")


async def command(stage: Stage, *words: str) -> tuple[int | None, str, str]:
    """What `fairstack …` of an operator at this server prints: status, stdout, stderr."""
    ours = {"FAIRSTACK_BASE_URL": stage.gateway.base_url, "FAIRSTACK_API_KEY": stage.gateway.keys.live}
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fairstack.cli",
        *words,
        env={**os.environ, **ours},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await running.communicate()
    return running.returncode, out.decode(), err.decode()


async def test_only_an_operator_reloads(stage: Stage) -> None:
    """A key without the scope `admin` is refused, and so is nobody."""
    user = await stage.gateway.key("generate")
    for key, status in ((user, 403), ("", 401)):
        answer = await stage.gateway.call("POST", "/v1/admin/catalog/reload", key=key)
        assert answer.status == status
