"""Gives the memory of large files back to the system as soon as they are gone."""

from __future__ import annotations

import contextlib
import ctypes

_M_MMAP_THRESHOLD = -3  # of <malloc.h>
#: What glibc begins with.
_BLOCK_BYTES = 128 * 1024


def return_large_blocks() -> None:
    """From now on a block of 128 KiB or more is returned to the system when it is freed.

    glibc raises that bound to the size of the largest block it has seen: after one picture of 20 MB it keeps
    up to 40 MB of free memory for ever. Other systems do as they do; nothing happens there.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES)
