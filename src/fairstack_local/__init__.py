"""The embedded engine: makes short clips from a prompt or a photograph on the CPU, with no network.

It is a procedural renderer, not a neural model. Importing this package is cheap: the compiled kernels and the
image libraries are loaded by `render`, which the pool runs in processes of its own.
"""

from __future__ import annotations

from fairstack_local.orders import OrderRefused, RenderOrder, RenderReport, render
from fairstack_local.pool import Look, Queued, Rendered, RenderFailed, Rendering, RenderPool

__all__ = [
    "Look",
    "OrderRefused",
    "Queued",
    "RenderFailed",
    "RenderOrder",
    "RenderPool",
    "RenderReport",
    "Rendered",
    "Rendering",
    "render",
]
