"""A network namespace of our own with nothing in it but loopback: from here no packet can reach anybody."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1


def enter_empty_network() -> bool:
    """Move this process, which must have one thread, into such a namespace; False where that is forbidden."""
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = _NEW_NET if os.geteuid() == 0 else _NEW_USER | _NEW_NET
    if not hasattr(libc, "unshare") or libc.unshare(wanted) != 0:
        return False
    _bring_loopback_up()
    return interfaces() == ["lo"]


def interfaces() -> list[str]:
    """The names of the network interfaces that this process sees."""
    return sorted(name for _, name in socket.if_nameindex())


def routes() -> list[str]:
    """The IPv4 routes that this process has, beside those of loopback."""
    lines = Path("/proc/self/net/route").read_text().splitlines()[1:]
    return [line for line in lines if not line.startswith("lo")]


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(control, _GET_FLAGS, asked))[1]
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sh", b"lo", flags | _UP))
