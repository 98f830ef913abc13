"""Run the stand-ins: `python -m tests.upstreams --fal-port 9100 --videos-port 9200`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack

from tests.upstreams.fal import FakeFal
from tests.upstreams.fal_schema import unchecked_endpoints
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.upstream import Script, Upstream


async def serve(fal_port: int | None, videos_port: int | None, script: Script) -> None:
    """Serve until interrupted."""
    async with AsyncExitStack() as stack:
        upstreams: list[Upstream] = []
        if fal_port is not None:
            upstreams.append(FakeFal(port=fal_port))
            say(f"inputs not checked: {', '.join(unchecked_endpoints())}")
        if videos_port is not None:
            upstreams.append(FakeOpenAIVideos(port=videos_port))
        for upstream in upstreams:
            upstream.script = script
            await stack.enter_async_context(upstream)
            say(f"{type(upstream).__name__} {upstream.base_url} key={upstream.key}")
        await asyncio.Event().wait()


def say(line: str) -> None:
    """Print one line now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="Stand-ins for the servers that providers call.")
    parser.add_argument("--fal-port", type=int, help="serve fal here (0 = any free port)")
    parser.add_argument("--videos-port", type=int, help="serve /v1/videos here (0 = any free port)")
    parser.add_argument("--render-seconds", type=float, default=1.0)
    given = parser.parse_args()
    try:
        asyncio.run(serve(given.fal_port, given.videos_port, Script(render_seconds=given.render_seconds)))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
