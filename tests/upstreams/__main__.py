"""Run the stand-ins: `python -m tests.upstreams --fal-port 9100 --videos-port 9200`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from tests.upstreams.bfl import FakeBfl
from tests.upstreams.byteplus import FakeBytePlus
from tests.upstreams.dashscope import FakeDashScope
from tests.upstreams.fal import FakeFal
from tests.upstreams.fal_schema import unchecked_endpoints
from tests.upstreams.kling import FakeKling
from tests.upstreams.ltx import FakeLtx
from tests.upstreams.luma import FakeLuma
from tests.upstreams.minimax import FakeMiniMax
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.pixverse import FakePixVerse
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.runway import FakeRunway
from tests.upstreams.upstream import Script, Upstream
from tests.upstreams.vertex import FakeVertex
from tests.upstreams.vidu import FakeVidu
from tests.upstreams.xai import FakeXAI

#: Name of the option `--<name>-port` -> what it serves.
STAND_INS: Mapping[str, Callable[[int], Upstream]] = {
    "fal": lambda port: FakeFal(port=port),
    "videos": lambda port: FakeOpenAIVideos(port=port),
    "replicate": lambda port: FakeReplicate(port=port),
    "runway": lambda port: FakeRunway(port=port),
    "luma": lambda port: FakeLuma(port=port),
    "vertex": lambda port: FakeVertex(port=port),
    "kling": lambda port: FakeKling(port=port),
    "bfl": lambda port: FakeBfl(port=port),
    "ltx": lambda port: FakeLtx(port=port),
    "minimax": lambda port: FakeMiniMax(port=port),
    "pixverse": lambda port: FakePixVerse(port=port),
    "dashscope": lambda port: FakeDashScope(port=port),
    "byteplus": lambda port: FakeBytePlus(port=port),
    "vidu": lambda port: FakeVidu(port=port),
    "xai": lambda port: FakeXAI(port=port),
}


async def serve(ports: Mapping[str, int], script: Script) -> None:
    """Serve until interrupted."""
    async with AsyncExitStack() as stack:
        for name, port in ports.items():
            upstream = STAND_INS[name](port)
            upstream.script = script
            await stack.enter_async_context(upstream)
            if isinstance(upstream, FakeFal):
                say(f"inputs not checked: {', '.join(unchecked_endpoints())}")
            say(f"{type(upstream).__name__} {upstream.base_url} key={upstream.key}")
        await asyncio.Event().wait()


def say(line: str) -> None:
    """Print one line now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="Stand-ins for the servers that providers call.")
    for name in STAND_INS:
        parser.add_argument(f"--{name}-port", type=int, help=f"serve {name} here (0 = any free port)")
    parser.add_argument("--render-seconds", type=float, default=1.0)
    given = vars(parser.parse_args())
    asked = {name: given[f"{name}_port"] for name in STAND_INS}
    ports = {name: port for name, port in asked.items() if port is not None}
    try:
        asyncio.run(serve(ports, Script(render_seconds=given["render_seconds"])))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
