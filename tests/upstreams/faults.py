"""What a stand-in can do wrong on purpose, and doing it."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

Kind = Literal[
    "drop", "reset", "truncate", "http_500", "page_502", "hang", "rate_limited", "malformed", "gone"
]
#: The calls that a fault can be put on.
Operation = Literal["submit", "status", "result", "cancel", "content", "list", "keys", "key", "upload"]

PAGE_502 = (
    "<html><head><title>502 Bad Gateway</title></head>"
    "<body>Bad Gateway<hr><center>nginx</center></body></html>"
)


@dataclass
class Fault:
    """One fault: what, on which call, before or after that call's work was done, and how many times.

    `after=True`: the task exists and will be billed, only its answer goes wrong.
    """

    kind: Kind
    on: Operation = "submit"
    after: bool = True
    times: int = 1


@dataclass
class Faults:
    """The faults that are still to come."""

    planned: list[Fault] = field(default_factory=list)

    def add(self, kind: Kind, *, on: Operation = "submit", after: bool | None = None, times: int = 1) -> None:
        """Plan a fault; by default the worst one, after the work, but for 429 and 404, which come before."""
        is_late = kind not in ("rate_limited", "gone") if after is None else after
        self.planned.append(Fault(kind, on, is_late, times))

    def take(self, operation: Operation) -> Fault | None:
        """The next fault planned for this call, used up by it."""
        for fault in self.planned:
            if fault.on == operation:
                fault.times -= 1
                if fault.times <= 0:
                    self.planned.remove(fault)
                return fault
        return None


async def act_out(
    fault: Fault, request: web.Request, whole: web.Response | None, stopping: asyncio.Event
) -> web.StreamResponse:
    """Answer this request as the fault has it, or not at all."""
    transport = request.transport
    assert transport is not None
    match fault.kind:
        case "drop":
            transport.close()
        case "reset":
            reset(transport)
        case "truncate":
            body = whole.body if whole is not None and isinstance(whole.body, bytes) else b'{"half": "of'
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            transport.write(head % (2 * len(body)) + body[: len(body) // 2])
            transport.close()
        case "hang":
            await stopping.wait()
        case "http_500":
            return web.json_response({"detail": "Internal Server Error"}, status=500)
        case "page_502":
            return web.Response(status=502, text=PAGE_502, content_type="text/html")
        case "rate_limited":
            return web.json_response(
                {
                    "detail": "Too many requests",
                    "error": {"message": "Too many requests", "code": "rate_limit"},
                },
                status=429,
                headers={"Retry-After": "2"},
            )
        case "gone":
            return web.json_response({"detail": "Not Found"}, status=404)
        case "malformed":
            return web.Response(text="{not json", content_type="application/json")
    return web.Response()


def reset(transport: asyncio.Transport) -> None:
    """Close this connection with RST instead of FIN."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
