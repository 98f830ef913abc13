"""Compares our orders to xAI with those of xAI's own client, which speaks gRPC, field by field.

The client's messages are received by a gRPC server of the client's own stubs, ours by the stand-in, as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import InputFile, Order, Submission
from fairstack_server.providers.http import provider_sessions
from fairstack_server.providers.registry import build_providers
from fairstack_server.providers.xai import XAI
from fairstack_server.settings import Settings
from tests.upstreams.upstream import Script, Seen
from tests.upstreams.xai import STATUSES, TAKEN, FakeXAI

PACKAGE = "xai-sdk"
MODEL = "grok-imagine-video"
REQUEST_ID = "<task>"
IMAGE = InputFile("image/png", "00", "/nowhere/cat.png", "https://gate.example/f/cat.png")
OTHER = InputFile("image/png", "01", "/nowhere/dog.png", "https://gate.example/f/dog.png")
VIDEO = InputFile("video/mp4", "02", "/nowhere/clip.mp4", "https://gate.example/f/clip.mp4")
SHAPE = {"duration": "duration", "aspect_ratio": "aspect_ratio", "resolution": "resolution"}
SHAPED = {"duration": 6, "aspect_ratio": "16:9", "resolution": "720p"}

#: What a field of their messages is called in JSON, where its name differs.
JSON_NAMES = {"image_url": "url"}
#: Fields of their messages that JSON has no word for; all of them have their default.
LEFT_OUT = {"detail": "DETAIL_AUTO"}
PREFIXES = ("VIDEO_ASPECT_RATIO_", "VIDEO_RESOLUTION_")
EXPLAINED = (
    "the client speaks gRPC, we send the same fields as JSON: `image_url` is `url` there, enums are texts, "
    "`detail` stays at its default; an edit is a `GenerateVideo` with a `video`, in JSON a path of its own"
)


@dataclass(frozen=True)
class Case:
    """One order: how the client is asked for it, and ours."""

    name: str
    use: Callable[[Any], Any]
    order: Order


@dataclass
class Recorder:
    """What arrived by gRPC: method, JSON of the message, credentials."""

    calls: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)


def _order(endpoint: str, words: Mapping[str, str], **files: Any) -> Order:
    return Order(
        nonce="n",
        model="m",
        endpoint=endpoint,
        prompt="slow zoom",
        duration_seconds=6.0,
        aspect_ratio="16:9",
        resolution="720p",
        field_map={"prompt": "prompt", **words},
        formats={"duration": "integer"},
        fixed={"model": MODEL},
        **files,
    )


CASES = (
    Case(
        "from text",
        lambda videos: videos.start("slow zoom", MODEL, **SHAPED),
        _order("/v1/videos/generations", SHAPE),
    ),
    Case(
        "from an image",
        lambda videos: videos.start("slow zoom", MODEL, image_url=IMAGE.url, **SHAPED),
        _order("/v1/videos/generations", SHAPE | {"image": "image.url"}, image=IMAGE),
    ),
    Case(
        "from references",
        lambda videos: videos.start(
            "slow zoom", MODEL, reference_image_urls=[IMAGE.url, OTHER.url], **SHAPED
        ),
        _order("/v1/videos/generations", SHAPE | {"images": "reference_images"}, images=(IMAGE, OTHER)),
    ),
    Case(
        "an edit",
        lambda videos: videos.start("slow zoom", MODEL, video_url=VIDEO.url),
        _order("/v1/videos/edits", {"video": "video.url"}, video=VIDEO),
    ),
    Case(
        "an extension",
        lambda videos: videos.extend_start("slow zoom", MODEL, video_url=VIDEO.url, duration=6),
        _order("/v1/videos/extensions", {"duration": "duration", "video": "video.url"}, video=VIDEO),
    ),
)


@contextmanager
def _recording(kept: Recorder) -> Iterator[str]:
    """Play xAI's gRPC services on loopback for as long as the block runs; gives the host and port."""
    grpc = importlib.import_module("grpc")
    proto = importlib.import_module("xai_sdk.proto")
    to_json = importlib.import_module("google.protobuf.json_format").MessageToDict
    empty = importlib.import_module("google.protobuf.empty_pb2").Empty

    def method(name: str, takes: Any, gives: Any) -> Any:
        def answer(message: Any, context: Any) -> Any:
            credentials = dict(context.invocation_metadata()).get("authorization", "")
            kept.calls.append((name, to_json(message, preserving_proto_field_name=True), credentials))
            return gives

        return grpc.unary_unary_rpc_method_handler(answer, takes.FromString, type(gives).SerializeToString)

    video, started = proto.video_pb2, proto.deferred_pb2.StartDeferredResponse(request_id=REQUEST_ID)
    pending = video.GetDeferredVideoResponse(status=proto.deferred_pb2.DeferredStatus.PENDING)
    videos = {
        "GenerateVideo": method("GenerateVideo", video.GenerateVideoRequest, started),
        "ExtendVideo": method("ExtendVideo", video.ExtendVideoRequest, started),
        "GetDeferredVideo": method("GetDeferredVideo", video.GetDeferredVideoRequest, pending),
    }
    keys = {"get_api_key_info": method("get_api_key_info", empty, proto.auth_pb2.ApiKey())}
    server = grpc.server(ThreadPoolExecutor(1))
    handlers = {"xai_api.Video": videos, "xai_api.Auth": keys}
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, methods) for service, methods in handlers.items()]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def _theirs(key: str) -> Recorder:
    """The same orders, a look at the last one and a look at the key, made by xAI's client."""
    kept = Recorder()
    with _recording(kept) as host:
        client = importlib.import_module("xai_sdk").Client(
            api_key=key, api_host=host, use_insecure_channel=True
        )
        for case in CASES:
            made = case.use(client.video)
        client.video.get(made.request_id)
        client.auth.get_api_key_info()
    return kept


async def _ours(fake: FakeXAI, folder: Path) -> list[Seen]:
    """The same calls, made by our provider."""
    values = {"XAI_API_KEY": fake.key, "XAI_URL": fake.base_url}
    async with provider_sessions() as sessions:
        settings = Settings(home=folder, providers=values)
        provider = build_providers(settings, sessions, SystemClock())["xai"]
        assert isinstance(provider, XAI)
        taken: object = None
        for case in CASES:
            taken = await provider.submit(case.order)
            assert isinstance(taken, Submission), (case.name, taken)
        assert isinstance(taken, Submission)
        await provider.poll(taken.ref)
        await provider.check_key()
    return fake.log.seen


def as_json(message: Any) -> Any:
    """A message of theirs in the words of xAI's JSON."""
    if isinstance(message, dict):
        kept = {name: value for name, value in message.items() if LEFT_OUT.get(name) != value}
        return {JSON_NAMES.get(name, name): as_json(value) for name, value in kept.items()}
    if isinstance(message, list):
        return [as_json(entry) for entry in message]
    for prefix in PREFIXES:
        if isinstance(message, str) and message.startswith(prefix):
            return message.removeprefix(prefix).replace("_", ":").lower()
    return message


def their_path(method: str, message: Mapping[str, Any]) -> str:
    """Where xAI's JSON has what this method of theirs does."""
    match method:
        case "GenerateVideo":
            return f"/v1/videos/{'edits' if 'video' in message else 'generations'}"
        case "ExtendVideo":
            return "/v1/videos/extensions"
        case "GetDeferredVideo":
            return f"/v1/videos/{message['request_id']}"
        case "get_api_key_info":
            return "/v1/api-key"
    raise AssertionError(f"no path is known for {method}")


def _vocabulary() -> Iterator[str]:
    """Where the stand-in's words are not those of the client."""
    types = importlib.import_module("xai_sdk.types.video")
    proto = importlib.import_module("xai_sdk.proto")
    states = {name.lower() for name, _ in proto.deferred_pb2.DeferredStatus.items()}
    words: dict[str, tuple[set[str], set[str]]] = {
        "aspect_ratio": (
            set(TAKEN["generations"]["aspect_ratio"].choices),
            set(types.VideoAspectRatioMap),
        ),
        "resolution": (set(TAKEN["generations"]["resolution"].choices), set(types.VideoResolutionMap)),
        "status": (set(STATUSES), states - {"invalid_deferred_status"}),
    }
    for name, (here, there) in words.items():
        if here != there:
            yield f"{name}: {sorted(here)} / {sorted(there)}"
    answer = set(proto.video_pb2.GeneratedVideo.DESCRIPTOR.fields_by_name)
    if missing := {"url", "duration", "respect_moderation"} - answer:
        yield f"their answer has no {sorted(missing)}"


async def compare_xai(folder: Path) -> tuple[str, list[str]]:
    """The row of the table, and every difference that nothing explains."""
    async with FakeXAI() as fake:
        fake.script = Script(render_seconds=60)
        ours, last = await _ours(fake, folder), fake.last_task.id
    theirs = (await asyncio.to_thread(_theirs, fake.key)).calls
    wrong = [f"xai: {len(ours)} calls of ours, {len(theirs)} of theirs"] * (len(ours) != len(theirs))
    for call, (method, message, credentials) in zip(ours, theirs, strict=False):
        path = their_path(method, message)
        body = as_json(message) if call.method == "POST" else None
        pairs = {
            "path": (call.path.replace(last, REQUEST_ID), path),
            "body": (call.body, body),
            "authorization": (call.headers["authorization"], credentials),
        }
        wrong += [f"xai: {method}: {name}: {a!r} / {b!r}" for name, (a, b) in pairs.items() if a != b]
    wrong += [f"xai: {told}" for told in _vocabulary()]
    compared = f"key, status, submit ({', '.join(case.name for case in CASES)})"
    return f"| xai | {PACKAGE} {version(PACKAGE)} | {compared} | {EXPLAINED} |", wrong
