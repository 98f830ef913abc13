"""What vendors' answers come to, in the words that users see, and how their fields are read with care."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import Failed, ProviderError, Ref
from fairstack_server.providers.http import ProviderHttp

MODERATED = Failed("content_filtered", "The provider's moderation refused the prompt, the image or the clip.")
FORGOTTEN = Failed("not_found", "The provider no longer knows this task.")
CANCELLED = Failed("cancelled", "The provider stopped the render, as asked.")
EXPIRED = Failed("expired", "The provider did not finish the render in the time that it gives a task.")


def refused(http: ProviderHttp, said: JSON) -> Failed:
    """The vendor looked at the order and said no."""
    return Failed("refused", f"The provider refused the order: {_words(http, said)}")


def render_failed(http: ProviderHttp, said: JSON) -> Failed:
    """The vendor took the order and could not render it."""
    return Failed("render_failed", f"The provider's render failed: {_words(http, said)}")


def unknown_status(http: ProviderHttp, status: JSON) -> ProviderError:
    """A status that the vendor's documents do not name: somebody must look; it is never an end."""
    return ProviderError(f"{http.name}: unknown status {http.plain(str(status))!r}", sent=True)


def clip_url(http: ProviderHttp, url: JSON, doing: str) -> str:
    """This URL of a clip, if it is https or on the provider's own origin. Raises ProviderError."""
    if isinstance(url, str) and (url.startswith("https://") or http.is_ours(url)):
        return url
    raise http.malformed(doing)


def text_of(ref: Ref, name: str, provider: str) -> str:
    """A text that a receipt of this provider must have. Raises ProviderError (permanent)."""
    value = ref.get(name)
    if not isinstance(value, str) or not value:
        raise ProviderError(f"{provider}: the receipt has no {name}", sent=False, permanent=True)
    return value


def mentions(said: JSON, words: Iterable[str]) -> bool:
    """Whether a vendor's words hold one of these, in any case."""
    text = said.lower() if isinstance(said, str) else ""
    return any(word in text for word in words)


def holds(theirs: JSON, ours: JSON) -> bool:
    """Whether what a vendor repeats of an order agrees with it; it may have more fields, no other values."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return all(name in theirs and holds(theirs[name], value) for name, value in ours.items())
    return theirs == ours and isinstance(theirs, bool) is isinstance(ours, bool)


def is_since(moment: JSON, since: datetime) -> bool:
    """Whether this ISO time is `since` or later; anything that cannot be read is not."""
    try:
        return isinstance(moment, str) and datetime.fromisoformat(moment) >= since
    except (ValueError, TypeError):
        return False


def object_in(told: Mapping[str, JSON], name: str) -> JSONObject:
    """The object at this field; an empty one when there is none."""
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def number_in(told: Mapping[str, JSON], name: str) -> float | None:
    """The number at this field, also where it is written as text; None when there is none."""
    value = told.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def detail_of(told: Mapping[str, JSON]) -> str:
    """What a FastAPI server says in `detail`: its text, or field and message of each complaint; else nothing.

    The input that such a complaint repeats is never among it.
    """
    detail = told.get("detail")
    if isinstance(detail, str):
        return detail
    found = []
    for entry in detail if isinstance(detail, list) else []:
        if isinstance(entry, dict) and isinstance(message := entry.get("msg"), str):
            place = entry.get("loc")
            names = [str(part) for part in place if part != "body"] if isinstance(place, list) else []
            found.append(f"{'.'.join(names)}: {message}" if names else message)
    return "; ".join(found)


def _words(http: ProviderHttp, said: JSON) -> str:
    return (http.plain(said) if isinstance(said, str) else "") or "no reason was given"
