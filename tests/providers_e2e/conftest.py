"""One gateway with every vendor of tasks behind it, shared by a module's tests."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fairstack_server.db.dsn import Dsn
from fairstack_server.inputs import example_picture
from tests.conftest import make_folder
from tests.gateway.running import Running, running_gateway
from tests.upstreams.bfl import FakeBfl
from tests.upstreams.byteplus import FakeBytePlus
from tests.upstreams.dashscope import FakeDashScope
from tests.upstreams.kling import FakeKling
from tests.upstreams.ltx import FakeLtx
from tests.upstreams.luma import FakeLuma
from tests.upstreams.minimax import FakeMiniMax
from tests.upstreams.pixverse import FakePixVerse
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.runway import FakeRunway
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.vertex import FakeVertex
from tests.upstreams.vidu import FakeVidu
from tests.upstreams.xai import FakeXAI

MODELS = Path(__file__).parent / "models"
PUBLIC = "https://gate.example"
PRICE_MICROS = 250_000
"""Of five seconds of any model here."""


@dataclass
class Stage:
    """The gateway, the stand-ins by provider, and an uploaded picture."""

    gateway: Running
    fakes: dict[str, TaskUpstream]
    picture: str

    def order(self, provider: str, prompt: str = "slow zoom") -> dict[str, object]:
        """An order for that provider's model."""
        return {"model": f"e2e-{provider}", "prompt": prompt, "image": self.picture}


@pytest.fixture(scope="module")
async def stage(module_database: Dsn) -> AsyncIterator[Stage]:
    """Everything running, with money in the wallet."""
    home = make_folder()
    async with AsyncExitStack() as stack:
        replicate = await stack.enter_async_context(FakeReplicate())
        runway = await stack.enter_async_context(FakeRunway())
        luma = await stack.enter_async_context(FakeLuma())
        vertex = await stack.enter_async_context(FakeVertex())
        kling = await stack.enter_async_context(FakeKling())
        bfl = await stack.enter_async_context(FakeBfl())
        ltx = await stack.enter_async_context(FakeLtx())
        minimax = await stack.enter_async_context(FakeMiniMax())
        pixverse = await stack.enter_async_context(FakePixVerse())
        dashscope = await stack.enter_async_context(FakeDashScope())
        byteplus = await stack.enter_async_context(FakeBytePlus())
        vidu = await stack.enter_async_context(FakeVidu())
        xai = await stack.enter_async_context(FakeXAI())
        gateway = await stack.enter_async_context(
            running_gateway(
                module_database,
                home,
                catalog_dir=str(MODELS),
                public_url=PUBLIC,
                REPLICATE_API_TOKEN=replicate.key,
                REPLICATE_URL=replicate.base_url,
                RUNWAYML_API_SECRET=runway.key,
                RUNWAYML_URL=runway.base_url,
                LUMAAI_API_KEY=luma.key,
                LUMA_URL=luma.base_url,
                GOOGLE_CLOUD_PROJECT=vertex.project,
                GOOGLE_APPLICATION_CREDENTIALS=str(vertex.write_credentials(home / "account.json")),
                GOOGLE_STORAGE_URI="gs://clips/veo",
                GOOGLE_VERTEX_URL=vertex.base_url,
                KLING_ACCESS_KEY=kling.pair[0],
                KLING_SECRET_KEY=kling.pair[1],
                KLING_URL=kling.base_url,
                BFL_API_KEY=bfl.key,
                BFL_URL=bfl.base_url,
                LTX_API_KEY=ltx.key,
                LTX_URL=ltx.base_url,
                MINIMAX_API_KEY=minimax.key,
                MINIMAX_URL=minimax.base_url,
                PIXVERSE_API_KEY=pixverse.key,
                PIXVERSE_URL=pixverse.base_url,
                DASHSCOPE_API_KEY=dashscope.key,
                DASHSCOPE_URL=dashscope.base_url,
                ARK_API_KEY=byteplus.key,
                BYTEPLUS_URL=byteplus.base_url,
                VIDU_API_KEY=vidu.key,
                VIDU_URL=vidu.base_url,
                XAI_API_KEY=xai.key,
                XAI_URL=xai.base_url,
            )
        )
        # The only one here that tries the callback's URL while it takes an order.
        minimax.callbacks_reach = gateway.base_url
        await gateway.grant(100_000_000)
        kept = await gateway.call(
            "POST", "/v1/files", example_picture(), headers={"Content-Type": "image/png"}
        )
        assert kept.status == 201, kept.body
        fakes = {
            "replicate": replicate,
            "runway": runway,
            "luma": luma,
            "google": vertex,
            "kling": kling,
            "bfl": bfl,
            "ltx": ltx,
            "minimax": minimax,
            "pixverse": pixverse,
            "dashscope": dashscope,
            "byteplus": byteplus,
            "vidu": vidu,
            "xai": xai,
        }
        yield Stage(gateway, fakes, kept.json["id"])
    shutil.rmtree(home)
