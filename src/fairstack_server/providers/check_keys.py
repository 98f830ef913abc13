"""Asks every provider, by its free call, how our key stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from fairstack_server.providers.base import CanCheckKey, KeyCheck, Provider, ProviderError

CHECK_SECONDS = 10.0


async def check_key(provider: Provider, seconds: float = CHECK_SECONDS) -> KeyCheck | str | None:
    """What the free call said; why nothing could be learned; None where the vendor has no such call."""
    if not isinstance(provider, CanCheckKey):
        return None
    try:
        async with asyncio.timeout(seconds):
            return await provider.check_key()
    except ProviderError as error:
        return str(error)
    except TimeoutError:
        return f"{provider.name}: no answer within {seconds:g} s"


async def check_keys(
    providers: Mapping[str, Provider], seconds: float = CHECK_SECONDS
) -> AsyncIterator[tuple[str, KeyCheck | str | None]]:
    """Ask all at once; each provider's name and what came of it as it comes, all within these seconds."""

    async def named(name: str, provider: Provider) -> tuple[str, KeyCheck | str | None]:
        return name, await check_key(provider, seconds)

    for answered in asyncio.as_completed([named(name, each) for name, each in providers.items()]):
        yield await answered
