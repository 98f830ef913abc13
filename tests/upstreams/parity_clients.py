"""The vendors' own clients, each with our order for the same thing, and what may differ (`parity.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fairstack_server.providers.base import Order
from tests.upstreams.bfl import FakeBfl
from tests.upstreams.byteplus import FakeBytePlus
from tests.upstreams.dashscope import SYNTHESIS, FakeDashScope
from tests.upstreams.fal import FakeFal
from tests.upstreams.luma import FakeLuma
from tests.upstreams.minimax import FakeMiniMax
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.parity_calls import (
    CALLBACK,
    IMAGE,
    use_bfl,
    use_byteplus,
    use_dashscope,
    use_dashscope_media,
    use_fal,
    use_google,
    use_luma,
    use_minimax,
    use_openai,
    use_pixverse,
    use_replicate,
    use_runway,
)
from tests.upstreams.pixverse import FakePixVerse
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.runway import FakeRunway
from tests.upstreams.upstream import Upstream
from tests.upstreams.vertex import FakeVertex


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
        use_bfl,
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
        use_byteplus,
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
        use_dashscope,
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
        use_dashscope_media,
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
        use_fal,
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
        use_google,
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
        use_luma,
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
            callback_url=None,
            formats={"duration": "integer", "resolution": "upper"},
            fixed={"model": "MiniMax-Hailuo-2.3"},
        ),
        use_minimax,
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
        use_openai,
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
        use_pixverse,
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
        use_replicate,
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
        use_runway,
        STAINLESS | NO_BODY,
    ),
)
