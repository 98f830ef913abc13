"""From an order over HTTP to a stored clip and one charge, for each vendor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from fairstack_server.inputs import example_picture
from tests.gateway.running import Running, running_gateway
from tests.providers_e2e.conftest import MODELS, PRICE_MICROS, PUBLIC, Stage
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Script, Task, Upstream
from tests.upstreams.vertex import FakeVertex

EVERY = (
    "replicate",
    "runway",
    "luma",
    "google",
    "kling",
    "bfl",
    "ltx",
    "dashscope",
    "byteplus",
    "vidu",
    "minimax",
    "pixverse",
    "xai",
)
FINDABLE = ("replicate", "luma", "kling", "byteplus", "vidu")
CANCELLABLE = ("replicate", "runway", "luma", "dashscope", "byteplus", "vidu", "minimax")


@pytest.fixture(autouse=True)
def fresh(stage: Stage) -> None:
    """Every test finds the stand-ins well-behaved."""
    for fake in stage.fakes.values():
        fake.script, fake.next_scripts = Script(), []
        fake.faults.planned.clear()


def _tasks(fake: TaskUpstream, prompt: str) -> list[Task]:
    return [task for task in fake.log.tasks.values() if prompt in str(task.body)]


def _submits(fake: TaskUpstream, prompt: str) -> int:
    return sum(prompt in str(call.body) for call in fake.log.submits)


async def _until_asked(stage: Stage, provider: str, prompt: str) -> None:
    """Wait until the stand-in has been asked for this order."""
    for _ in range(200):
        if _submits(stage.fakes[provider], prompt):
            return
        await stage.gateway.gateway.clock.sleep(0.02)
    raise AssertionError("the order never came")


async def _until_acted_out(fake: Upstream) -> None:
    """Wait until the stand-in has no more faults planned."""
    for _ in range(500):
        if not fake.faults.planned:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never acted out: {fake.faults.planned}")


async def _call_back(stage: Stage, provider: str, body: bytes, headers: dict[str, str]) -> int:
    url = stage.fakes[provider].last_task.callback_url
    assert url is not None and url.startswith(f"{PUBLIC}/callbacks/{provider}/")
    answer = await stage.gateway.call("POST", url.removeprefix(PUBLIC), body, headers=headers, key="")
    return answer.status


async def _check_clip(gateway: Running, job: Any) -> None:
    assert job["status"] == "completed", job
    assert job["url"].startswith(f"{PUBLIC}/media/")
    assert job["metadata"]["width"] == 1280 and job["metadata"]["height"] == 720
    stored = await gateway.http.get(gateway.base_url + job["url"].removeprefix(PUBLIC))
    assert (await stored.read())[4:8] == b"ftyp"


@pytest.mark.parametrize("provider", EVERY)
async def test_an_order_becomes_a_clip(stage: Stage, provider: str) -> None:
    """A job is submitted once, completed with our own copy of the clip, and charged what was quoted."""
    before = await stage.gateway.money()
    job = await stage.gateway.ended(stage.order(provider))
    await _check_clip(stage.gateway, job)
    assert job["cost"]["micro"] == PRICE_MICROS
    assert await stage.gateway.money() == (before[0] - PRICE_MICROS, before[1])
    assert len(_tasks(stage.fakes[provider], "slow zoom")) == 1


@pytest.mark.parametrize("provider", FINDABLE)
async def test_a_lost_answer_costs_one_clip(stage: Stage, provider: str) -> None:
    """When the answer to the submit is lost, the job finds its task, completes, and was ordered once."""
    fake, prompt = stage.fakes[provider], f"lost at {provider}"
    fake.faults.add("drop", on="submit")
    await _check_clip(stage.gateway, await stage.gateway.ended(stage.order(provider, prompt)))
    assert _submits(fake, prompt) == len(_tasks(fake, prompt)) == 1


async def test_a_lost_answer_of_class_a_is_asked_for_again(stage: Stage) -> None:
    """Where one trace is one task, the order is sent again until it is answered, and costs one clip."""
    fake, prompt = stage.fakes["pixverse"], "lost at pixverse"
    fake.faults.add("drop", on="submit", times=2)
    fake.faults.add("http_500", on="upload")
    before = await stage.gateway.money()
    await _check_clip(stage.gateway, await stage.gateway.ended(stage.order("pixverse", prompt)))
    assert _submits(fake, prompt) == 3 and len(_tasks(fake, prompt)) == 1
    assert await stage.gateway.money() == (before[0] - PRICE_MICROS, before[1])


async def test_a_file_at_the_end_becomes_a_clip(stage: Stage) -> None:
    """MiniMax's first protocol ends in a file; where it can be read is asked for, and the clip is kept."""
    job = await stage.gateway.ended(stage.order("minimax-v1", "a file"))
    await _check_clip(stage.gateway, job)
    assert job["cost"]["micro"] == 6 * PRICE_MICROS // 5
    assert len(_tasks(stage.fakes["minimax"], "a file")) == 1


@pytest.mark.parametrize("provider", ["runway", "google", "xai", "bfl", "ltx"])
async def test_a_lost_answer_of_class_d_is_not_sent_again(stage: Stage, provider: str) -> None:
    """Where nothing shows what became of an order, the job waits with its money held, and sends nothing."""
    fake, prompt = stage.fakes[provider], f"unknown at {provider}"
    fake.faults.add("reset", on="submit")
    submitted = await stage.gateway.submit(stage.order(provider, prompt))
    job = await stage.gateway.wait(submitted.json["id"], seconds=1)
    assert job["status"] == "processing" and _submits(fake, prompt) == 1
    assert (await stage.gateway.money())[1] >= PRICE_MICROS


async def test_a_lost_answer_is_found_by_words_and_never_by_a_picture(stage: Stage) -> None:
    """DashScope shows the words of what it finished: an order of words is found, one with a picture waits."""
    fake, words, picture = stage.fakes["dashscope"], "lost words", "lost picture"
    fake.faults.add("drop", on="submit", times=2)
    job = await stage.gateway.ended({"model": "e2e-dashscope-text", "prompt": words})
    await _check_clip(stage.gateway, job)
    submitted = await stage.gateway.submit(stage.order("dashscope", picture))
    waiting = await stage.gateway.wait(submitted.json["id"], seconds=1)
    assert waiting["status"] == "processing"
    assert _submits(fake, words) == _submits(fake, picture) == 1


@pytest.mark.parametrize("provider", CANCELLABLE)
async def test_a_running_task_is_cancelled(stage: Stage, provider: str) -> None:
    """A cancel reaches the vendor; the job is cancelled and costs nothing on either side."""
    fake, prompt = stage.fakes[provider], f"cancel at {provider}"
    # In the vendor's queue, since some stop nothing that has begun.
    fake.script = Script(queue_seconds=60)
    before = await stage.gateway.money()
    submitted = await stage.gateway.submit(stage.order(provider, prompt))
    await _until_asked(stage, provider, prompt)
    asked = await stage.gateway.call("POST", f"/v1/jobs/{submitted.json['id']}/cancel")
    assert asked.status in (200, 202), asked.body
    job = await stage.gateway.wait(submitted.json["id"])
    assert job["status"] == "cancelled" and job["cost"]["micro"] == 0, job
    assert _tasks(fake, prompt)[0].cancelled
    assert await stage.gateway.money() == before


@pytest.mark.parametrize("provider", EVERY)
async def test_a_moderated_render_costs_nothing(stage: Stage, provider: str) -> None:
    """What the vendor's moderation blocks is told as such, without a charge."""
    stage.fakes[provider].script = Script(outcome="moderated")
    before = await stage.gateway.money()
    job = await stage.gateway.ended(stage.order(provider, f"blocked at {provider}"))
    assert (job["status"], job["error"]["code"]) == ("failed", "content_filtered")
    assert await stage.gateway.money() == before


@pytest.mark.parametrize("provider", FINDABLE)
async def test_a_callback_brings_a_lost_receipt_back(stage: Stage, provider: str) -> None:
    """Where answer and list say nothing, the callback to its nonce's path makes the job whole again."""
    fake, prompt = stage.fakes[provider], f"called back at {provider}"
    fake.script = Script(list_lag_seconds=600)
    fake.faults.add("drop", on="submit")
    if provider == "kling":
        # Its look-up by our id would find the task at once.
        fake.faults.add("http_500", on="status", after=False)
    submitted = await stage.gateway.submit(stage.order(provider, prompt))
    await _until_asked(stage, provider, prompt)
    await _until_acted_out(fake)
    body = fake.callback_body(fake.last_task)
    assert await _call_back(stage, provider, body, fake.callback_headers(body)) == 200
    await _check_clip(stage.gateway, await stage.gateway.wait(submitted.json["id"]))
    assert _submits(fake, prompt) == 1


@pytest.mark.parametrize("model", ["minimax", "minimax-v1"])
async def test_a_callback_after_its_challenge_brings_a_lost_answer_back(stage: Stage, model: str) -> None:
    """MiniMax has no list to look in: its callback alone makes the job whole, and nothing is sent again."""
    fake, prompt = stage.fakes["minimax"], f"lost at {model}"
    fake.faults.add("drop", on="submit")
    before = await stage.gateway.money()
    job = await stage.gateway.ended(stage.order(model, prompt))
    await _check_clip(stage.gateway, job)
    assert _submits(fake, prompt) == len(_tasks(fake, prompt)) == 1
    assert await stage.gateway.money() == (before[0] - job["cost"]["micro"], before[1])


async def test_a_challenge_comes_back_at_the_path_of_an_attempt_only(stage: Stage) -> None:
    """Whoever does not know an attempt's nonce, or calls a vendor that tries nothing, gets no word back."""
    await stage.gateway.ended(stage.order("minimax", "challenged"))
    url, word = stage.fakes["minimax"].last_task.callback_url, b'{"challenge":"w"}'
    assert url is not None
    path = url.removeprefix(PUBLIC)
    answer = await stage.gateway.call("POST", path, word, key="")
    assert (answer.status, answer.json) == (200, {"challenge": "w"})
    assert (await stage.gateway.call("POST", f"{path}x", word, key="")).status == 404
    await stage.gateway.ended(stage.order("luma", "not challenged"))
    assert await _call_back(stage, "luma", word, {}) == 404


async def test_a_forged_callback_is_nothing(stage: Stage) -> None:
    """A callback that Replicate did not sign is refused, whatever it says."""
    fake = stage.fakes["replicate"]
    assert isinstance(fake, FakeReplicate)
    await stage.gateway.ended(stage.order("replicate", "forged"))
    body = fake.callback_body(fake.last_task)
    genuine = fake.callback_headers(body)
    assert await _call_back(stage, "replicate", body + b" ", genuine) == 404
    assert await _call_back(stage, "replicate", body, fake.callback_headers(body, at=1.0)) == 404
    assert await _call_back(stage, "replicate", body, genuine) == 200


async def test_an_unsigned_callback_about_nothing_of_ours_is_nothing(stage: Stage) -> None:
    """Where nothing is signed, a task that the vendor does not know is no reason for anything."""
    named = dict.fromkeys(("luma", "vidu", "byteplus"), b'{"id": "stranger"}')
    for provider, forged in (named | {"kling": b'{"task_id": "stranger"}'}).items():
        await stage.gateway.ended(stage.order(provider, f"stranger at {provider}"))
        assert await _call_back(stage, provider, forged, {}) == 404


async def test_google_keys_go_to_google_only(stage: Stage) -> None:
    """The clip is read from the bucket with the service account's token, which nobody else is shown."""
    vertex = stage.fakes["google"]
    assert isinstance(vertex, FakeVertex)
    await stage.gateway.ended(stage.order("google", "token"))
    assert vertex.log.of("content")[-1].headers["authorization"] == f"Bearer {vertex.tokens[-1]}"
    others = [
        call.headers for name, fake in stage.fakes.items() if name != "google" for call in fake.log.seen
    ]
    assert others and not any("ya29." in str(headers) for headers in others)


async def test_a_clip_that_is_the_answer(stage: Stage) -> None:
    """Where the vendor answers the order with the clip itself, it is kept, charged once and left nowhere."""
    fake, prompt = stage.fakes["ltx"], "answered with the clip"
    before = await stage.gateway.money()
    job = await stage.gateway.ended(stage.order("ltx-answer", prompt))
    await _check_clip(stage.gateway, job)
    assert await stage.gateway.money() == (before[0] - PRICE_MICROS, before[1])
    assert _submits(fake, prompt) == len(_tasks(fake, prompt)) == 1
    assert not list((stage.gateway.gateway.settings.home / "work" / "ltx").glob("*"))


async def test_a_clip_inside_the_answer(database: Dsn, home: Path) -> None:
    """Without a bucket, Veo's clip comes inside the answer and is kept all the same; nothing is left over."""
    async with (
        FakeVertex() as vertex,
        running_gateway(
            database,
            home,
            catalog_dir=str(MODELS),
            GOOGLE_CLOUD_PROJECT=vertex.project,
            GOOGLE_ACCESS_TOKEN=vertex.key,
            GOOGLE_VERTEX_URL=vertex.base_url,
        ) as gateway,
    ):
        await gateway.grant(1_000_000)
        picture = await gateway.call(
            "POST", "/v1/files", example_picture(), headers={"Content-Type": "image/png"}
        )
        job = await gateway.ended({"model": "e2e-google", "prompt": "inline", "image": picture.json["id"]})
        assert job["status"] == "completed" and job["cost"]["micro"] == PRICE_MICROS
        assert list((home / "work" / "google").iterdir()) == []
        assert list(vertex.log.billed.values()) == [1]
