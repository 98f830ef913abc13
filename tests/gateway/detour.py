"""A way out that is guarded as ever, but for one public name that leads to a server of the test's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping

from aiohttp import web

from fairstack_server.egress import Egress, Purpose, Transfer
from fairstack_server.egress.client import MAX_REDIRECTS
from fairstack_server.egress.url import origin_of

PUBLIC = "https://pictures.fairstack-test.com"


class Detour(Egress):
    """Fetches what lies under `PUBLIC` from another origin; every other address meets the whole guard."""

    def __init__(self, origin: str, trusted_origins: Mapping[str, Iterable[str]] | None = None) -> None:
        super().__init__(trusted_origins=trusted_origins)
        self._origin = origin

    @contextlib.asynccontextmanager
    async def get(
        self,
        url: str,
        *,
        purpose: Purpose,
        max_bytes: int,
        timeout_seconds: float,
        headers: Mapping[str, str] | None = None,
        max_redirects: int = MAX_REDIRECTS,
        trusted: frozenset[str] = frozenset(),
    ) -> AsyncIterator[Transfer]:
        """As `Egress.get`."""
        if url.startswith(PUBLIC):
            url, trusted = self._origin + url.removeprefix(PUBLIC), frozenset({origin_of(self._origin)})
        async with super().get(
            url,
            purpose=purpose,
            max_bytes=max_bytes,
            timeout_seconds=timeout_seconds,
            headers=headers,
            max_redirects=max_redirects,
            trusted=trusted,
        ) as transfer:
            yield transfer


@contextlib.asynccontextmanager
async def serving(pages: Mapping[str, tuple[int, str, bytes]]) -> AsyncIterator[str]:
    """Serve path -> (status, content type, body) on loopback; gives the origin."""

    async def page(request: web.Request) -> web.Response:
        status, kind, body = pages.get(request.path, (404, "text/plain", b"nothing here"))
        headers = {"Location": body.decode()} if 300 <= status < 400 else {}
        return web.Response(status=status, body=body, content_type=kind, headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
