"""Compares our requests with those of the vendors' own clients: `python -m tests.upstreams.parity`.

The clients are no dependency of this project: `make parity` installs those of parity-requirements.txt for
this alone. Prints the table of docs/reference/providers.md, and fails when a difference is not explained.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    CallbackRequest,
    CanCancel,
    CanCheckKey,
    CanFind,
    InputFile,
    Order,
    Provider,
    ReadsCallbacks,
    Submission,
)
from fairstack_server.providers.http import provider_sessions
from fairstack_server.providers.registry import build_providers
from fairstack_server.settings import Settings
from tests.upstreams.bfl import FakeBfl
from tests.upstreams.byteplus import FakeBytePlus
from tests.upstreams.dashscope import SYNTHESIS, FakeDashScope
from tests.upstreams.fal import FakeFal
from tests.upstreams.luma import FakeLuma
from tests.upstreams.minimax import FakeMiniMax
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.parity_xai import compare_xai
from tests.upstreams.pixverse import FakePixVerse
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.runway import FakeRunway
from tests.upstreams.upstream import Script, Seen, Upstream
from tests.upstreams.vertex import FakeVertex

IMAGE = InputFile("image/png", "00", "/nowhere", "https://gate.example/f/cat.png")
CALLBACK = "https://gate.example/callbacks/vendor/nonce-1"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)

#: Headers in which every client may differ: who asks, what it can read, and how it keeps the connection.
#: Ours ask for no compression, and send a submit over a connection of its own, closed afterwards.
OWN_HEADERS = frozenset({"user-agent", "accept", "accept-encoding", "connection", "content-length", "host"})


@dataclass(frozen=True)
class Client:
    """A vendor's own client, and what we call the same things by."""

    provider: str
    package: str
    fake: type[Upstream]
    settings: Mapping[str, str]
    order: Order
    use: Callable[[Any, Upstream, dict[str, Any]], None]
    """Make the order with the imported package, look at the task, and what else it can."""
    explained: Mapping[str, str] = field(default_factory=dict)
    """Query fields and headers (by beginning) that differ, and why."""
    only_theirs: Mapping[str, str] = field(default_factory=dict)
    """Fields of the body, with dots, that only the client adds, and why; `null` stands for empty ones."""
    python: tuple[int, int] = (3, 11)
    """The first Python that the client runs on."""


def _fal(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    vars(importlib.import_module("fal_client.client"))["QUEUE_URL_FORMAT"] = f"{fake.base_url}/"
    client = package.SyncClient(key=fake.key)
    inputs = {"prompt": "slow zoom", "image_url": IMAGE.url, "duration": "5"}
    endpoint = "fal-ai/kling-video/v2.1/standard/image-to-video"
    handle = client.submit(endpoint, inputs, webhook_url=CALLBACK)
    handle.status()
    handle.cancel()


def _openai(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    client = package.OpenAI(api_key=fake.key, base_url=f"{fake.base_url}/v1", max_retries=0)
    made = client.videos.create(model="sora-2", prompt="slow zoom", seconds="4", size="1280x720")
    client.videos.retrieve(made.id)
    client.videos.delete(made.id)
    client.videos.list(limit=100, order="desc")


def _bfl(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    client = package.BFLClient(fake.key, base_url=fake.base_url)
    # The client knows the models of its time, which made images only; this one takes any field.
    video = importlib.import_module("pydantic").create_model("Video", __config__={"extra": "allow"})
    client.model_input_registry = {"flux-3-video": video}
    inputs = {"mode": "i2v", "prompt": "slow zoom", "keyframes": [IMAGE.url], "duration": 5}
    made = client.generate("flux-3-video", inputs | {"resolution": "hd", "generate_audio": True})
    client.get_task_status(made.id)


def _replicate(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    client = package.Client(api_token=fake.key, base_url=fake.base_url)
    inputs = {"prompt": "slow zoom", "start_image": IMAGE.url, "duration": 5, "mode": "standard"}
    made = client.predictions.create(
        model="kwaivgi/kling-v2.1", input=inputs, webhook=CALLBACK, webhook_events_filter=["completed"]
    )
    client.predictions.get(made.id)
    client.predictions.cancel(made.id)
    client.predictions.list()
    client.webhooks.default.secret()
    client.accounts.current()


def _runway(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    client = package.RunwayML(api_key=fake.key, base_url=fake.base_url, max_retries=0)
    made = client.image_to_video.create(
        model="gen4_turbo",
        prompt_image=IMAGE.url,
        prompt_text="slow zoom",
        ratio="1280:720",
        duration=5,
        seed=7,
    )
    client.tasks.retrieve(made.id)
    client.tasks.delete(made.id)
    client.organization.retrieve()


def _luma(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    base = f"{fake.base_url}/dream-machine/v1"
    client = package.LumaAI(auth_token=fake.key, base_url=base, max_retries=0)
    made = client.generations.create(
        model="ray-2",
        prompt="slow zoom",
        duration="5s",
        aspect_ratio="16:9",
        resolution="720p",
        keyframes={"frame0": {"type": "image", "url": IMAGE.url}},
        callback_url=CALLBACK,
    )
    client.generations.get(id=made.id)
    client.generations.delete(id=made.id)
    client.generations.list(limit=100, offset=0)
    client.credits.get()


def _google(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    credentials = importlib.import_module("google.oauth2.credentials").Credentials(fake.key)
    types = importlib.import_module("google.genai.types")
    client = package.Client(
        vertexai=True,
        project="demo",
        location="us-central1",
        credentials=credentials,
        http_options=types.HttpOptions(base_url=fake.base_url, api_version="v1"),
    )
    made = client.models.generate_videos(
        model="veo-3.0-generate-001",
        prompt="slow zoom",
        image=types.Image(image_bytes=kept["image"], mime_type="image/png"),
        config=types.GenerateVideosConfig(
            duration_seconds=8,
            aspect_ratio="16:9",
            resolution="720p",
            generate_audio=True,
            seed=7,
            number_of_videos=1,
            output_gcs_uri="gs://clips/veo",
        ),
    )
    client.operations.get(made)
    client.models.list(config=types.ListModelsConfig(query_base=False, page_size=1))


def _dashscope(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    package.base_http_api_url = f"{fake.base_url}/api/v1"
    videos = package.VideoSynthesis
    made = videos.async_call(
        "wan2.6-t2v",
        "slow zoom",
        negative_prompt="rain",
        size="1280*720",
        duration=5,
        seed=7,
        watermark=False,
        api_key=fake.key,
    )
    videos.fetch(made, api_key=fake.key)
    videos.cancel(made, api_key=fake.key)
    videos.list(model_name="wan2.6-t2v", status="SUCCEEDED", page_size=50, api_key=fake.key)


def _dashscope_media(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    package.base_http_api_url = f"{fake.base_url}/api/v1"
    media = [{"type": "first_frame", "url": IMAGE.url}, {"type": "last_frame", "url": IMAGE.url}]
    made = package.VideoSynthesis.async_call(
        "wan2.7-i2v", "slow zoom", media=media, resolution="720P", duration=5, seed=7, api_key=fake.key
    )
    package.VideoSynthesis.fetch(made, api_key=fake.key)
    package.VideoSynthesis.list(page_size=1, api_key=fake.key)


def _byteplus(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    base = f"{fake.base_url}/api/v3"
    tasks = package.Ark(api_key=fake.key, base_url=base, max_retries=0).content_generation.tasks
    frame = {"type": "image_url", "image_url": {"url": IMAGE.url}, "role": "first_frame"}
    made = tasks.create(
        model="seedance-1-5-pro-251215",
        content=[{"type": "text", "text": "slow zoom"}, frame, {**frame, "role": "last_frame"}],
        safety_identifier="n",
        callback_url=CALLBACK,
        generate_audio=True,
        watermark=False,
        seed=7,
        resolution="720p",
        ratio="16:9",
        duration=5,
    )
    tasks.get(task_id=made.id)
    tasks.delete(made.id)
    tasks.list(page_num=1, page_size=500, model="seedance-1-5-pro-251215")


def _minimax(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    # The module reads its settings when it is imported.
    os.environ |= {"MINIMAX_API_KEY": fake.key, "MINIMAX_API_HOST": fake.base_url}
    server = importlib.import_module("minimax_mcp.server")
    vars(server)["api_client"] = package.MinimaxAPIClient(fake.key, fake.base_url)
    server.generate_video(
        model="MiniMax-Hailuo-2.3",
        prompt="slow zoom",
        first_frame_image=IMAGE.url,
        duration=6,
        resolution="768P",
        async_mode=True,
    )
    server.query_video_generation(next(iter(fake.log.tasks)))


def _pixverse(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    requests = importlib.import_module("pixverse_mcp.models.requests")

    async def use() -> None:
        client = package.PixverseClient(fake.key, base_url=fake.base_url)
        picture = await client.upload_image(file_path=str(kept["path"]))
        request = requests.ImageToVideoRequest(
            prompt="slow zoom",
            model="v4.5",
            duration=5,
            quality="720p",
            img_id=picture.img_id,
            seed=7,
            motion_mode=None,
        )
        made = await client.image_to_video(request)
        await client.get_video_result(made.video_id)

    asyncio.run(use())


def _order(endpoint: str, field_map: Mapping[str, str], **more: Any) -> Order:
    told: dict[str, Any] = {"nonce": "n", "model": "m", "prompt": "slow zoom", "duration_seconds": 5.0}
    shape = {"aspect_ratio": "16:9", "resolution": "720p", "width": 1280, "height": 720, "seed": 7}
    return Order(endpoint=endpoint, field_map=field_map, **(told | shape | {"callback_url": CALLBACK} | more))


STAINLESS = {"x-stainless-": "the client tells its versions"}
NO_BODY = {"content-type": "the client names a type of the body that its DELETE does not have"}
DASHSCOPE_OWN = {
    "x-dashscope-sdk-": "the client tells its version and its session",
    "content-type": "the client names the charset that all JSON has",
}
OLD_WORDS = {
    "input.extend_prompt": "an old name of parameters.prompt_extend, deprecated by the client itself",
    "input.function": "the client names there what the path names",
}
PIXVERSE_OFF = dict.fromkeys(
    ("water_mark", "play_bgm", "sound_effect_switch"),
    "the client says that it wants none, which is the default",
)
#: Package -> the module that it brings, where that has another name.
MODULES = {
    "google-genai": "google.genai",
    "byteplus-python-sdk-v2": "byteplussdkarkruntime",
    "minimax-mcp": "minimax_mcp.client",
    "pixverse-mcp": "pixverse_mcp.client",
}
CLIENTS = (
    Client(
        "bfl",
        "blackforest",
        FakeBfl,
        {"BFL_API_KEY": "$key", "BFL_URL": "$base"},
        _order(
            "/v1/flux-3-video",
            {
                "prompt": "prompt",
                "image": "keyframes[0]",
                "duration": "duration",
                "resolution": "resolution",
            },
            image=IMAGE,
            formats={"duration": "integer"},
            values={"resolution": {"720p": "hd"}},
            fixed={"mode": "i2v", "generate_audio": True},
        ),
        _bfl,
        {"content-type": "the client names a type of the body that its GET does not have"},
    ),
    Client(
        "byteplus",
        "byteplus-python-sdk-v2",
        FakeBytePlus,
        {"ARK_API_KEY": "$key", "BYTEPLUS_URL": "$base"},
        _order(
            "/api/v3/contents/generations/tasks",
            {
                "prompt": "content.text",
                "image": "content.first_frame",
                "end_image": "content.last_frame",
                "duration": "duration",
                "aspect_ratio": "ratio",
                "resolution": "resolution",
                "audio": "generate_audio",
                "seed": "seed",
            },
            image=IMAGE,
            end_image=IMAGE,
            audio=True,
            formats={"duration": "integer"},
            fixed={"model": "seedance-1-5-pro-251215", "watermark": False},
        ),
        _byteplus,
        {"x-client-request-id": "the client numbers its calls, for its vendor's log"} | NO_BODY,
        only_theirs={"null": "the client sends every parameter that it knows, most of them empty"},
    ),
    Client(
        "dashscope",
        "dashscope",
        FakeDashScope,
        {"DASHSCOPE_API_KEY": "$key", "DASHSCOPE_URL": "$base"},
        _order(
            SYNTHESIS,
            {
                "prompt": "input.prompt",
                "negative_prompt": "input.negative_prompt",
                "duration": "parameters.duration",
                "size": "parameters.size",
                "seed": "parameters.seed",
            },
            negative_prompt="rain",
            formats={"duration": "integer", "size": "pixels_star"},
            fixed={"model": "wan2.6-t2v", "parameters.watermark": False},
        ),
        _dashscope,
        DASHSCOPE_OWN,
        only_theirs=OLD_WORDS,
    ),
    Client(
        "dashscope",
        "dashscope",
        FakeDashScope,
        {"DASHSCOPE_API_KEY": "$key", "DASHSCOPE_URL": "$base"},
        _order(
            SYNTHESIS,
            {
                "prompt": "input.prompt",
                "image": "input.media.first_frame",
                "end_image": "input.media.last_frame",
                "duration": "parameters.duration",
                "resolution": "parameters.resolution",
                "seed": "parameters.seed",
            },
            image=IMAGE,
            end_image=IMAGE,
            formats={"duration": "integer", "resolution": "upper"},
            fixed={"model": "wan2.7-i2v"},
        ),
        _dashscope_media,
        DASHSCOPE_OWN,
        only_theirs=OLD_WORDS,
    ),
    Client(
        "fal",
        "fal-client",
        FakeFal,
        {"FAL_KEY": "$key", "FAL_QUEUE_URL": "$base"},
        _order(
            "fal-ai/kling-video/v2.1/standard/image-to-video",
            {"prompt": "prompt", "image": "image_url", "duration": "duration"},
            image=IMAGE,
            formats={"duration": "string"},
        ),
        _fal,
        {"logs": "the client says that it wants no logs, which is the default"},
    ),
    Client(
        "google",
        "google-genai",
        FakeVertex,
        {
            "GOOGLE_CLOUD_PROJECT": "demo",
            "GOOGLE_ACCESS_TOKEN": "$key",
            "GOOGLE_VERTEX_URL": "$base",
            "GOOGLE_STORAGE_URI": "gs://clips/veo",
        },
        _order(
            "veo-3.0-generate-001",
            {
                "prompt": "instances[0].prompt",
                "image": "instances[0].image",
                "duration": "parameters.durationSeconds",
                "aspect_ratio": "parameters.aspectRatio",
                "resolution": "parameters.resolution",
                "audio": "parameters.generateAudio",
                "seed": "parameters.seed",
            },
            duration_seconds=8.0,
            audio=True,
            fixed={"parameters.sampleCount": 1},
        ),
        _google,
        {
            "x-goog-api-client": "the client tells its versions",
            "x-goog-user-project": "the billed project",
            "filter": "the client lists tuned models only; we ask for any one",
            "content-type": "the client names a type of the body that its GET does not have",
        },
    ),
    Client(
        "luma",
        "lumaai",
        FakeLuma,
        {"LUMAAI_API_KEY": "$key", "LUMA_URL": "$base"},
        _order(
            "/dream-machine/v1/generations/video",
            {
                "prompt": "prompt",
                "image": "keyframes.frame0.url",
                "duration": "duration",
                "aspect_ratio": "aspect_ratio",
                "resolution": "resolution",
            },
            image=IMAGE,
            formats={"duration": "seconds_suffix"},
            fixed={"model": "ray-2"},
        ),
        _luma,
        STAINLESS | NO_BODY,
    ),
    Client(
        "minimax",
        "minimax-mcp",
        FakeMiniMax,
        {"MINIMAX_API_KEY": "$key", "MINIMAX_URL": "$base"},
        _order(
            "/v1/video_generation",
            {
                "prompt": "prompt",
                "image": "first_frame_image",
                "duration": "duration",
                "resolution": "resolution",
            },
            image=IMAGE,
            duration_seconds=6.0,
            resolution="768p",
            formats={"duration": "integer", "resolution": "upper"},
            fixed={"model": "MiniMax-Hailuo-2.3"},
        ),
        _minimax,
        {
            "mm-api-source": "the client tells its name",
            "content-type": "the client names a type of the body that its GET does not have",
        },
    ),
    Client(
        "openai_videos",
        "openai",
        FakeOpenAIVideos,
        {"OPENAI_VIDEOS_URL": "$base", "OPENAI_VIDEOS_KEY": "$key"},
        _order(
            "sora-2",
            {"prompt": "prompt", "duration": "seconds", "size": "size"},
            duration_seconds=4.0,
            formats={"duration": "string", "size": "pixels"},
        ),
        _openai,
        STAINLESS | {"content-type": "the boundary of a form is each client's own"},
    ),
    Client(
        "pixverse",
        "pixverse-mcp",
        FakePixVerse,
        {"PIXVERSE_API_KEY": "$key", "PIXVERSE_URL": "$base"},
        _order(
            "/openapi/v2/video/img/generate",
            {
                "prompt": "prompt",
                "image": "img_id",
                "duration": "duration",
                "resolution": "quality",
                "seed": "seed",
            },
            image=IMAGE,
            fixed={"model": "v4.5"},
        ),
        _pixverse,
        {
            "ai-trace-id": "every call has its own; an order's is made of our nonce",
            "content-type": "the boundary of a form is each client's own",
        },
        only_theirs=PIXVERSE_OFF,
        python=(3, 12),
    ),
    Client(
        "replicate",
        "replicate",
        FakeReplicate,
        {"REPLICATE_API_TOKEN": "$key", "REPLICATE_URL": "$base"},
        _order(
            "kwaivgi/kling-v2.1",
            {"prompt": "prompt", "image": "start_image", "duration": "duration"},
            image=IMAGE,
            formats={"duration": "integer"},
            fixed={"mode": "standard"},
        ),
        _replicate,
        {"created_after": "we ask for recent predictions only; the client cannot"},
    ),
    Client(
        "runway",
        "runwayml",
        FakeRunway,
        {"RUNWAYML_API_SECRET": "$key", "RUNWAYML_URL": "$base"},
        _order(
            "/v1/image_to_video",
            {
                "prompt": "promptText",
                "image": "promptImage",
                "duration": "duration",
                "aspect_ratio": "ratio",
                "seed": "seed",
            },
            image=IMAGE,
            formats={"duration": "integer", "aspect_ratio": "pixels_colon"},
            fixed={"model": "gen4_turbo"},
        ),
        _runway,
        STAINLESS | NO_BODY,
    ),
)


async def _ours(client: Client, fake: Upstream, folder: Path) -> None:
    """The same calls, made by our provider."""
    values = {
        name: value.replace("$key", fake.key).replace("$base", fake.base_url)
        for name, value in client.settings.items()
    }
    async with provider_sessions() as sessions:
        settings = Settings(home=folder, providers=values)
        provider: Provider = build_providers(settings, sessions, SystemClock())[client.provider]
        taken = await provider.submit(_with_file(client.order, folder))
        assert isinstance(taken, Submission), taken
        await provider.poll(taken.ref)
        if isinstance(provider, CanCancel):
            await provider.cancel(taken.ref)
        if isinstance(provider, CanFind):
            await provider.find(client.order, SINCE)
        if isinstance(provider, ReadsCallbacks):
            stamp = str(int(time.time()))
            headers = {"webhook-timestamp": stamp, "webhook-signature": "v1,AAAA"}
            callback = CallbackRequest(headers, b"", client.order.nonce)
            await provider.read_callback(client.order.endpoint, callback)
        if isinstance(provider, CanCheckKey):
            await provider.check_key()


def _with_file(order: Order, folder: Path) -> Order:
    """The order with an image that can be read, for the vendor that wants it inline."""
    if not {"instances[0].image", "img_id"} & set(order.field_map.values()):
        return order
    return replace(order, image=InputFile("image/png", "00", str(folder / "image.png")))


def _named(call: Seen, task_id: str) -> Seen:
    """The call with `<task>` for the id, which is never the same."""
    body = json.loads(json.dumps(call.body).replace(task_id, "<task>"))
    query = {name: value.replace(task_id, "<task>") for name, value in call.query.items()}
    return replace(call, path=call.path.replace(task_id, "<task>"), body=body, query=query)


def _without(call: Seen, fields: Iterable[str]) -> tuple[Seen, list[str]]:
    """The call without these fields of its body, and those that it had."""
    body = json.loads(json.dumps(call.body))
    added = []
    if "null" in fields and isinstance(body, dict) and None in body.values():
        body = {name: value for name, value in body.items() if value is not None}
        added.append("null")
    for place in fields:
        *parents, name = place.split(".")
        holder = body
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and name in holder:
            del holder[name]
            added.append(place)
    return replace(call, body=body), added


def differences(ours: Seen, theirs: Seen) -> Iterator[tuple[str, str]]:
    """What differs between two requests of the same kind: name, and both values."""
    for name in ("method", "path", "body"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        if mine != other:
            yield name, f"{mine!r} / {other!r}"
    for place in ("query", "headers"):
        mine, other = getattr(ours, place), getattr(theirs, place)
        for name in sorted(set(mine) | set(other)):
            if mine.get(name) != other.get(name) and not (place == "headers" and name in OWN_HEADERS):
                yield name, f"{mine.get(name)!r} / {other.get(name)!r}"


async def compare(client: Client, folder: Path) -> tuple[str, list[str]]:
    """The row of the table, and every difference that nothing explains."""
    seen: list[dict[str, Seen]] = []
    (folder / "image.png").write_bytes(b"\x89PNG not really")
    package = importlib.import_module(MODULES.get(client.package, client.package.replace("-", "_")))
    kept = {"image": (folder / "image.png").read_bytes(), "path": folder / "image.png"}
    for who in ("ours", "theirs"):
        async with client.fake() as fake:
            # In the queue, since some vendors stop nothing that has begun.
            fake.script = Script(queue_seconds=60)
            if who == "ours":
                await _ours(client, fake, folder)
            else:
                await asyncio.to_thread(client.use, package, fake, kept)
            seen.append({call.operation: _named(call, fake.last_task.id) for call in reversed(fake.log.seen)})
    both = [name for name in seen[0] if name in seen[1]]
    reasons: dict[str, str] = {}
    wrong = [
        f"{client.provider}: only one of us makes the call {name}" for name in set(seen[1]) - set(seen[0])
    ]
    for operation in both:
        theirs, added = _without(seen[1][operation], client.only_theirs)
        reasons |= {name: client.only_theirs[name] for name in added}
        for name, values in differences(seen[0][operation], theirs):
            known = [beginning for beginning in client.explained if name.startswith(beginning)]
            if known:
                reasons[known[0]] = client.explained[known[0]]
            else:
                wrong.append(f"{client.provider}: {operation}: {name}: {values}")
    told = "; ".join(f"`{name}`: {why}" for name, why in sorted(reasons.items())) or "none"
    release = f"{client.package} {version(client.package)}"
    return f"| {client.provider} | {release} | {', '.join(sorted(both))} | {told} |", wrong


async def main() -> int:
    """Compare every client that this Python can run; 1 when something is not explained."""
    # Nothing but the table on stdout.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    failures: list[str] = []
    sys.stdout.write("| provider | client | requests compared | differences |\n|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder:
        for client in CLIENTS:
            if sys.version_info < client.python:
                wanted = ".".join(map(str, client.python))
                sys.stderr.write(f"{client.package} is not compared: it wants Python {wanted}\n")
                continue
            row, wrong = await compare(client, Path(folder))
            sys.stdout.write(f"{row}\n")
            failures += wrong
        row, wrong = await compare_xai(Path(folder))
        sys.stdout.write(f"{row}\n")
        failures += wrong
    sys.stderr.write("".join(f"{line}\n" for line in failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
