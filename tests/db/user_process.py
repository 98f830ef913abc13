"""A process that uses the database of a home: says so on its output, and stops when its input ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fairstack_server.db.embedded import EmbeddedPostgres


async def use(home: Path) -> None:
    """Start, say so, wait, stop."""
    postgres = EmbeddedPostgres(home)
    await postgres.start()
    sys.stdout.write("in use\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await postgres.stop()


if __name__ == "__main__":
    asyncio.run(use(Path(sys.argv[1])))
