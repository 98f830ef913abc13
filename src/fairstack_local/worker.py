"""One renderer process: reads an order on stdin, tells its progress as JSON lines on stdout, and ends.

Run by the pool as `python -m fairstack_local.worker PARENT_PID`; see `Line` for what it says.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

from fairstack_local.orders import OrderRefused, RenderOrder, render

NICENESS = 5
PARENT_LOOK_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Render the order on stdin. Exit status 0 also means a refusal that was told on stdout."""
    parent_pid = int(sys.argv[1])
    lines = _keep_stdout_for_lines()
    os.nice(NICENESS)
    _die_with(parent_pid)
    order = RenderOrder.from_json(json.loads(sys.stdin.buffer.readline()))
    try:
        report = render(order, lambda frame, frames: _say(lines, {"frame": frame, "frames": frames}))
    except (OrderRefused, OSError) as refusal:
        _say(lines, {"failed": _without_paths(order, str(refusal))})
        return
    _say(lines, {"report": report.to_json()})


def _keep_stdout_for_lines() -> BinaryIO:
    """Take fd 1 away from everything else: a library that prints must not corrupt the lines."""
    lines = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return lines


def _say(lines: BinaryIO, line: dict[str, Any]) -> None:
    lines.write(json.dumps(line).encode() + b"\n")


def _without_paths(order: RenderOrder, message: str) -> str:
    for path in filter(None, (order.image_path, order.out_path)):
        message = message.replace(path, "the file")
    return message


def _die_with(parent_pid: int) -> None:
    """End this process when the parent does: by the kernel on Linux, and by looking everywhere else."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch_parent, args=(parent_pid,), daemon=True).start()


def _watch_parent(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(PARENT_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
