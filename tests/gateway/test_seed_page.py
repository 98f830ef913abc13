"""The examples of the API page, as they stand there: only host and key are replaced."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from fairstack_server.db.dsn import Dsn
from tests.conftest import make_folder
from tests.gateway.receiver import Receiver, receiving
from tests.gateway.running import VIDEO, Answer, Running, running_gateway

SUBMIT = """
curl -X POST https://api.fairstack.ai/v1/generations/video \\
  -H "Authorization: Bearer $FAIRSTACK_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "wan-2-1-t2v",
    "prompt": "A golden retriever running on a beach at sunset, slow motion"
  }'
"""
ESTIMATE = """
curl -X POST https://api.fairstack.ai/v1/generations/video \\
  -H "Authorization: Bearer $FAIRSTACK_API_KEY" \\
  -d '{
    "model": "wan-2-1-t2v",
    "prompt": "test",
    "confirm": false
  }'
"""
IMAGE = """
{
  "model": "kling-2-1-std-i2v",
  "prompt": "Camera slowly zooms in, soft wind blowing hair",
  "image": "https://example.com/photo.jpg",
  "duration": 5,
  "aspect_ratio": "16:9"
}
"""
WEBHOOK = """
{
  "model": "kling-2-1-std-i2v",
  "prompt": "Animate this portrait with gentle head movement",
  "image": "https://example.com/portrait.jpg",
  "webhook_url": "https://yourapp.com/hooks/fairstack"
}
"""
COMPLETED_KEYS = ["id", "status", "url", "model", "modality", "cost", "metadata"]


@pytest.fixture(scope="module")
async def servers(module_database: Dsn) -> AsyncIterator[tuple[Running, Receiver]]:
    """A fresh install, and the receiver of the user's own app."""
    home = make_folder()
    async with (
        receiving() as receiver,
        running_gateway(module_database, home, webhook_allow=receiver.address) as gateway,
    ):
        yield gateway, receiver
    shutil.rmtree(home)


async def curl(gateway: Running, command: str) -> Answer:
    """Send what this curl command sends: through curl where there is one, else its exact bytes."""
    typed = command.replace("https://api.fairstack.ai", gateway.base_url)
    words = shlex.split(typed.replace("\\\n", " ").replace("$FAIRSTACK_API_KEY", gateway.keys.test))
    program = shutil.which("curl")
    if program is None:
        raw = await _over_a_socket(gateway, words)
    else:
        process = await asyncio.create_subprocess_exec(
            program, "--silent", "--include", *words[1:], stdout=asyncio.subprocess.PIPE
        )
        raw = (await process.communicate())[0]
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return Answer(
        int(lines[0].split(" ")[1]), {k.title(): v for k, v in headers.items()}, body, json.loads(body)
    )


async def _over_a_socket(gateway: Running, words: list[str]) -> bytes:
    """The request that curl would write, its default Content-Type included, on a plain connection."""
    body = words[words.index("-d") + 1].encode()
    named = [words[place + 1] for place, word in enumerate(words) if word == "-H"]
    kind = (
        []
        if any(line.startswith("Content-Type") for line in named)
        else ["Content-Type: application/x-www-form-urlencoded"]
    )
    host = gateway.base_url.removeprefix("http://")
    lines = [
        f"{words[words.index('-X') + 1]} {VIDEO} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: curl/8.5.0",
        "Accept: */*",
        *named,
        f"Content-Length: {len(body)}",
        *kind,
        "Connection: close",
    ]
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    raw = await reader.read()
    writer.close()
    await writer.wait_closed()
    return raw


def as_curl(body: str) -> str:
    """The first command with another body."""
    return re.sub(r"'\{.*\}'", lambda _: f"'{body.strip()}'", SUBMIT, flags=re.DOTALL)


async def ended(gateway: Running, answer: Answer) -> Any:
    """The job of a submit answer, ended."""
    assert answer.status == 202, answer.body
    return await gateway.wait(answer.json["id"], key=gateway.keys.test, seconds=60)


async def test_the_first_curl(servers: tuple[Running, Receiver]) -> None:
    """The submit answers the page's three keys in order; the job completes with its keys and values."""
    gateway, _ = servers
    answer = await curl(gateway, SUBMIT)
    assert list(answer.json) == ["id", "status", "estimated_cost"]
    assert answer.json["id"].startswith("job_")
    assert answer.json["status"] == "queued"
    assert answer.json["estimated_cost"] == {"micro": 48000, "display": "$0.048"}
    job = await ended(gateway, answer)
    assert list(job)[:7] == COMPLETED_KEYS
    assert (job["status"], job["model"], job["modality"]) == ("completed", "wan-2-1-t2v", "video")
    assert job["cost"] == {"micro": 48000, "display": "$0.048", "currency": "USD"}
    assert list(job["cost"]) == ["micro", "display", "currency"]
    assert re.fullmatch(r"http://.+/media/video/.+/output\.mp4", job["url"])
    facts = list(job["metadata"].items())[:4]
    assert facts == [("width", 1280), ("height", 720), ("duration", 5), ("fps", 24)]


async def test_the_estimate_curl(servers: tuple[Running, Receiver]) -> None:
    """The estimate, sent as the form that curl makes of it, answers the page's bytes and makes no job."""
    gateway, _ = servers
    before = (await gateway.call("GET", "/v1/jobs", key=gateway.keys.test)).json
    answer = await curl(gateway, ESTIMATE)
    assert answer.status == 200
    assert answer.body == b'{"estimated_cost":{"micro":48000,"display":"$0.048"}}'
    assert (await gateway.call("GET", "/v1/jobs", key=gateway.keys.test)).json == before


async def test_the_image_example(servers: tuple[Running, Receiver]) -> None:
    """The image-to-video example completes with a test key, in the ratio that it asks for."""
    gateway, _ = servers
    job = await ended(gateway, await curl(gateway, as_curl(IMAGE)))
    assert list(job)[:7] == COMPLETED_KEYS
    assert (job["status"], job["model"]) == ("completed", "kling-2-1-std-i2v")
    metadata = job["metadata"]
    assert metadata["duration"] == 5
    assert abs(metadata["width"] / metadata["height"] - 16 / 9) < 0.01


async def test_the_webhook_example(servers: tuple[Running, Receiver]) -> None:
    """The webhook example is taken as it stands; what comes to the user's app is the job, and verifies."""
    gateway, receiver = servers
    assert (await curl(gateway, as_curl(WEBHOOK))).status == 202
    mine = WEBHOOK.replace("https://yourapp.com/hooks/fairstack", receiver.url("/hooks/fairstack"))
    job = await ended(gateway, await curl(gateway, as_curl(mine)))
    got = (await receiver.wait("/hooks/fairstack"))[0]
    secret = (await gateway.call("GET", "/v1/webhooks/secret", key=gateway.keys.test)).json["secret"]
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert Webhook(secret).verify(got.body, headers) == job
    same = await gateway.call("GET", f"/v1/jobs/{job['id']}", key=gateway.keys.test)
    assert got.body == same.body
