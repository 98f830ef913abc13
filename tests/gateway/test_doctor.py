"""`fairstack doctor` asks every configured key, for free; `fairstack routes` minds routes that are gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from typer.testing import CliRunner, Result

from fairstack.cli.main import build_app
from fairstack_server.db.connections import Pool
from fairstack_server.db.dsn import Dsn
from tests.upstreams.fal import FakeFal
from tests.upstreams.openai_videos import FakeOpenAIVideos

MARK = (
    "insert into gone_routes (model, provider, endpoint, said) "
    "values ('wan-2-1-t2v', 'fal', 'wan', 'HTTP 404')"
)


async def command(home: Path, *words: str, **environment: str) -> Result:
    """An operator's command, as in a shell that is set like this."""
    env = {"FAIRSTACK_HOME": str(home), **environment}
    app = build_app(with_operator_commands=True)
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, list(words), env=env))


async def test_doctor_says_which_keys_are_good(home: Path) -> None:
    """A good key, what it enables, and a setting that is missing; no task is made; status 0."""
    async with FakeOpenAIVideos() as engine:
        told = await command(home, "doctor", OPENAI_VIDEOS_URL=engine.base_url, OPENAI_VIDEOS_KEY=engine.key)
        assert told.exit_code == 0, told.output
        assert "asking openai_videos about their keys" in told.output
        [line] = [line for line in told.output.splitlines() if line.startswith("openai_videos")]
        assert "the key works" in line and "wan-2-1-t2v" in line
        assert "set FAL_KEY" in told.output
        assert engine.log.submits == [] and engine.log.seen != []


async def test_doctor_fails_for_a_key_that_is_refused(home: Path) -> None:
    """It names the setting, never the key; others are told all the same; offline nobody is asked."""
    async with FakeOpenAIVideos() as engine, FakeFal() as fal:
        shell = {
            "OPENAI_VIDEOS_URL": engine.base_url,
            "OPENAI_VIDEOS_KEY": engine.key,
            "FAL_QUEUE_URL": fal.base_url,
            "FAL_KEY": "a-wrong-key",
        }
        told = await command(home, "doctor", **shell)
        assert told.exit_code == 1
        [line] = [line for line in told.output.splitlines() if line.startswith("fal ")]
        assert "REFUSED" in line and "check FAL_KEY" in line
        assert "a-wrong-key" not in told.output
        assert "the key works" in told.output
        asked = len(fal.log.seen)
        offline = await command(home, "doctor", "--offline", **shell)
        assert (offline.exit_code, len(fal.log.seen)) == (0, asked)
        assert "configured, not asked" in offline.output


async def test_doctor_outlives_a_provider_that_does_not_answer(home: Path) -> None:
    """Nothing listens there: that is told, and is no refusal of the key."""
    told = await command(home, "doctor", OPENAI_VIDEOS_URL="http://127.0.0.1:1", OPENAI_VIDEOS_KEY="k")
    assert told.exit_code == 0, told.output
    assert "configured, but no answer" in told.output


async def test_routes_that_are_gone_are_told_and_reopened(home: Path, database: Dsn, pool: Pool) -> None:
    """The list names model, provider and what was answered; doctor says how to reopen; then none is left."""
    await pool.execute(MARK)
    shell = {"FAIRSTACK_DATABASE_URL": database.url}
    listed = await command(home, "routes", "gone", **shell)
    assert "wan-2-1-t2v  fal (wan)" in listed.output and "HTTP 404" in listed.output
    told = await command(home, "doctor", "--offline", **shell)
    assert "fairstack routes reopen fal --model wan-2-1-t2v" in told.output
    other = await command(home, "routes", "reopen", "fal", "--model", "veo-3", **shell)
    assert "0 marks were cleared." in other.output
    cleared = await command(home, "routes", "reopen", "fal", **shell)
    assert "1 mark was cleared." in cleared.output
    assert "No route is marked" in (await command(home, "routes", "gone", **shell)).output


async def test_doctor_names_the_line_of_a_broken_model_file(home: Path) -> None:
    """A file of the operator's own that cannot be read: doctor says where, and ends with 1."""
    folder = home / "models"
    folder.mkdir()
    (folder / "mine.toml").write_text("name = \n")
    told = await command(home, "doctor", "--offline", FAIRSTACK_CATALOG_DIR=str(folder))
    assert told.exit_code == 1, told.output
    assert "mine.toml:1" in told.output
