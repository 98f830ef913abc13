"""What each vendor's own client is asked to do when its requests are compared with ours (`parity.py`).

Each is given the imported package, a running stand-in, and what is kept for it: an image and its path.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import Any

from fairstack_server.providers.base import InputFile
from tests.upstreams.upstream import Upstream

IMAGE = InputFile("image/png", "00", "/nowhere", "https://gate.example/f/cat.png")
CALLBACK = "https://gate.example/callbacks/vendor/nonce-1"


def use_fal(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """An order with a callback, a look, a cancel."""
    vars(importlib.import_module("fal_client.client"))["QUEUE_URL_FORMAT"] = f"{fake.base_url}/"
    client = package.SyncClient(key=fake.key)
    inputs = {"prompt": "slow zoom", "image_url": IMAGE.url, "duration": "5"}
    endpoint = "fal-ai/kling-video/v2.1/standard/image-to-video"
    handle = client.submit(endpoint, inputs, webhook_url=CALLBACK)
    handle.status()
    handle.cancel()


def use_openai(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A video, a look, a delete, the list."""
    client = package.OpenAI(api_key=fake.key, base_url=f"{fake.base_url}/v1", max_retries=0)
    made = client.videos.create(model="sora-2", prompt="slow zoom", seconds="4", size="1280x720")
    client.videos.retrieve(made.id)
    client.videos.delete(made.id)
    client.videos.list(limit=100, order="desc")


def use_bfl(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A video, which this client of images must be told of, and a look."""
    client = package.BFLClient(fake.key, base_url=fake.base_url)
    # The client knows the models of its time, which made images only; this one takes any field.
    video = importlib.import_module("pydantic").create_model("Video", __config__={"extra": "allow"})
    client.model_input_registry = {"flux-3-video": video}
    inputs = {"mode": "i2v", "prompt": "slow zoom", "keyframes": [IMAGE.url], "duration": 5}
    made = client.generate("flux-3-video", inputs | {"resolution": "hd", "generate_audio": True})
    client.get_task_status(made.id)


def use_replicate(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A prediction with a webhook, a look, a cancel, the list, the secret, the account."""
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


def use_runway(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A task from an image, a look, a delete, the organization."""
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


def use_luma(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A generation with a callback, a look, a delete, the list, the credits."""
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


def use_google(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A clip into a bucket, a look, one model."""
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


def use_dashscope(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A task of words and a size in pixels, a look, a cancel, the list."""
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


def use_dashscope_media(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A task of a first and a last frame, a look, the list of one."""
    package.base_http_api_url = f"{fake.base_url}/api/v1"
    media = [{"type": "first_frame", "url": IMAGE.url}, {"type": "last_frame", "url": IMAGE.url}]
    made = package.VideoSynthesis.async_call(
        "wan2.7-i2v", "slow zoom", media=media, resolution="720P", duration=5, seed=7, api_key=fake.key
    )
    package.VideoSynthesis.fetch(made, api_key=fake.key)
    package.VideoSynthesis.list(page_size=1, api_key=fake.key)


def use_byteplus(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A task with two frames and a callback, a look, a delete, the list."""
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


def use_minimax(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """A task of v1 from an image, and a look."""
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


def use_pixverse(package: Any, fake: Upstream, kept: dict[str, Any]) -> None:
    """An upload, a clip of it, a look."""
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
