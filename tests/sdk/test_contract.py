"""What the contract promises, on the fake server or on a real one (FAIRSTACK_TEST_BASE_URL)."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from fairstack import GenerationCancelled, GenerationFailed, NotFound, UnknownModel
from tests.sdk.conftest import ServerUnderTest
from tests.sdk.faces import done, first, listed

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src"
MODEL = "wan-2-1-t2v"


def test_seed_example_runs_unchanged(server: ServerUnderTest) -> None:
    """The page's own program, but for its key, prints the clip's URL and $0.048."""
    program = (HERE / "seed_example.py.txt").read_text().replace("fs_live_YOUR_KEY", server.api_key)
    environment = os.environ | {"FAIRSTACK_BASE_URL": server.base_url, "PYTHONPATH": str(SOURCES)}
    run = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", program],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.stderr == ""
    url, cost = run.stdout.splitlines()
    assert url.startswith("http")
    assert url.endswith(".mp4")
    assert cost == "$0.048"


async def test_a_clip_from_prompt_to_file(any_client: Any, tmp_path: Path) -> None:
    """A job is submitted for a known price, waited for, and its clip saved whole."""
    job = await done(any_client.generate.video(model=MODEL, prompt="A dog", duration=5))
    assert job.id.startswith("job_")
    assert (job.status, job.model) == ("queued", MODEL)
    assert job.estimated_cost.micro == 48_000
    result = await done(job.wait(timeout=120))
    assert (str(result.cost), result.cost.micro, result.cost.currency) == ("$0.048", 48_000, "USD")
    facts = result.metadata
    assert (facts.width, facts.height, facts.duration, facts.fps) == (1280, 720, 5, 24)
    saved = await done(result.save(tmp_path))
    assert saved.path == tmp_path / f"{job.id}.mp4"
    assert saved.path.stat().st_size == saved.bytes == facts.bytes
    assert job.status == "completed"


async def test_a_clip_of_a_local_picture(any_client: Any, tmp_path: Path) -> None:
    """A picture on this machine is uploaded and becomes a clip, with the ratio that was asked for."""
    picture = tmp_path / "portrait.png"
    picture.write_bytes(png(width=96, height=64))
    request = {"model": "kling-2-1-std-i2v", "prompt": "Zoom in", "duration": 5, "aspect_ratio": "16:9"}
    job = await done(any_client.generate.video(**request, image=picture))
    result = await done(job.wait(timeout=120))
    assert result.cost == job.estimated_cost
    assert result.model == "kling-2-1-std-i2v"


def png(width: int, height: int) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress((b"\0" + b"\x30\x60\x90" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def test_events_to_the_end(any_client: Any) -> None:
    """A job's events come until it has completed, and then no more."""
    job = await done(any_client.generate.video(model=MODEL, prompt="A dog"))
    events = await listed(job.events())
    assert [event.status for event in events if event.status][-1] == "completed"
    assert (await done(job.refresh())).status == "completed"


async def test_cancel(any_client: Any) -> None:
    """A job that has not ended can be cancelled, and the answer says what came of it."""
    job = await done(any_client.generate.video(model=MODEL, prompt="test:slow 60"))
    await done(job.cancel())
    assert job.cancellation in ("stopped", "requested")
    if job.cancellation == "stopped":
        with pytest.raises(GenerationCancelled):
            await done(job.wait(timeout=10))


async def test_estimate_costs_nothing(any_client: Any) -> None:
    """An estimate is the exact price, by either name, and leaves the balance as it was."""
    before = await done(any_client.credits.get())
    short = await done(any_client.estimate(model=MODEL, prompt="test"))
    long = await done(any_client.generate.estimate(model=MODEL, prompt="test"))
    assert (short.micro, str(long)) == (48_000, "$0.048")
    assert (await done(any_client.credits.get())).balance == before.balance


async def test_a_failed_job_raises_with_the_job(any_client: Any) -> None:
    """A failed job raises GenerationFailed, which holds the job, its id and the reason."""
    job: Any = await done(any_client.generate.video(model=MODEL, prompt="test:fail"))
    with pytest.raises(GenerationFailed) as caught:
        await done(job.wait(timeout=120))
    assert (caught.value.job_id, caught.value.job.status) == (job.id, "failed")
    assert caught.value.code == job.error.code
    assert job.id in str(caught.value)
    assert caught.value.job is job


async def test_one_idempotency_key_is_one_job(any_client: Any) -> None:
    """The caller's own idempotency key makes a repeated call the same job."""
    key = f"order-{os.urandom(8).hex()}"
    request = {"model": MODEL, "prompt": "A dog", "idempotency_key": key}
    first_job = await done(any_client.generate.video(**request))
    second_job = await done(any_client.generate.video(**request))
    assert first_job.id == second_job.id


async def test_jobs_are_found_again(any_client: Any) -> None:
    """A job is found by its id and in the list, newest first."""
    job = await done(any_client.generate.video(model=MODEL, prompt="A dog"))
    assert (await done(any_client.jobs.get(job.id))).id == job.id
    assert [found.id for found in await first(any_client.jobs.list(page_size=5), 1)] == [job.id]


async def test_catalog(any_client: Any) -> None:
    """Models are listed and found by key, each with its price."""
    models = await done(any_client.models.list(type="t2v"))
    assert MODEL in {model.key for model in models}
    assert {model.type for model in models} == {"t2v"}
    model = await done(any_client.models.get(MODEL))
    assert (model.price.micro, str(model.price)) == (48_000, "$0.048")


async def test_what_is_not_there(any_client: Any) -> None:
    """Unknown jobs and models are refused with classes of their own and a request id."""
    with pytest.raises(NotFound) as missing:
        await done(any_client.jobs.get("job_000000000000000000000000"))
    assert missing.value.request_id
    with pytest.raises(UnknownModel, match="wan-2-1-t2v"):
        await done(any_client.generate.video(model="wan-2-1-t2w", prompt="A dog"))


async def test_money_and_keys(any_client: Any) -> None:
    """The wallet, the ledger and usage can be read."""
    credits = await done(any_client.credits.get())
    assert credits.balance.micro >= 0
    assert credits.balance.currency == "USD"
    assert (await listed(any_client.ledger.list()))[0].id.startswith("led_")
    usage = await done(any_client.usage(group_by="model"))
    assert usage.group_by == "model"
    assert usage.total.micro == sum(row.cost.micro for row in usage.items)
