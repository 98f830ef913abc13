"""Makes a vendor's words fit to be shown: plain, short, and free of secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST_MESSAGE = 300
_MARKUP = re.compile(r"<[^<>]{0,2000}>")
_ADDRESS = re.compile(r"\b(?:https?|data|file):\S+", re.IGNORECASE)
_SHORTEST_SECRET = 6


def plain(text: str, hide: Iterable[str] = ()) -> str:
    """One line of at most 300 printable characters: no markup, no address, the given secrets blanked."""
    for secret in hide:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[hidden]")
    text = _ADDRESS.sub("[address]", _MARKUP.sub(" ", text[:10_000]))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
