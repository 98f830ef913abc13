"""One submit by a vendor's own client: `python -m tests.lost_answers.official_clients fal http://127.0.0.1:PORT`.

Run in the venv of `make parity`. However the call ends, it ends here: its server counts what was sent.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any


def _fal(url: str) -> None:
    os.environ["FAL_KEY"] = "key-id:key-secret"
    vars(importlib.import_module("fal_client.client"))["QUEUE_URL_FORMAT"] = f"{url}/"
    importlib.import_module("fal_client").SyncClient().submit("fal-ai/wan/v2.1", {"prompt": "a red kite"})


def _openai(url: str) -> None:
    client: Any = importlib.import_module("openai").OpenAI(api_key="key", base_url=f"{url}/v1")
    client.videos.create(model="sora-2", prompt="a red kite")


def _runwayml(url: str) -> None:
    client: Any = importlib.import_module("runwayml").RunwayML(api_key="key", base_url=url)
    client.text_to_video.create(model="gen4.5", prompt_text="a red kite", ratio="1280:720", duration=5)


def _lumaai(url: str) -> None:
    client: Any = importlib.import_module("lumaai").LumaAI(auth_token="key", base_url=url)
    client.generations.create(prompt="a red kite", model="ray-2")


def _replicate(url: str) -> None:
    client: Any = importlib.import_module("replicate").Client(api_token="key", base_url=url)
    client.predictions.create(model="wan-video/wan-2.1", input={"prompt": "a red kite"})


#: The package -> one submit with it, all its settings at their defaults.
CLIENTS: Mapping[str, Callable[[str], None]] = {
    "fal-client": _fal,
    "openai": _openai,
    "runwayml": _runwayml,
    "lumaai": _lumaai,
    "replicate": _replicate,
}


if __name__ == "__main__":
    with contextlib.suppress(Exception):
        CLIENTS[sys.argv[1]](sys.argv[2])
