"""What the answer to a free, authenticated call says of our key."""

from __future__ import annotations

from fairstack_server.jsonvalue import JSON
from fairstack_server.providers.base import KeyCheck, ProviderError
from fairstack_server.providers.http import Answer, ProviderHttp

LONGEST_MESSAGE = 200
DOING = "a check of our key"


def working_key(credits_left: float | None = None) -> KeyCheck:
    """The vendor knows the key; with no credits left it would take no order all the same."""
    if credits_left is None:
        return KeyCheck(True, "the key works")
    if credits_left <= 0:
        return KeyCheck(False, "the key works, but its account has no credits left")
    return KeyCheck(True, f"the key works; {credits_left:,.2f} credits left".replace(".00 ", " "))


def refused_key(http: ProviderHttp, code: str, said: JSON = None) -> KeyCheck:
    """The vendor would take no order with this key; `code` is its status, `said` its own words."""
    words = http.plain(said) if isinstance(said, str) else ""
    message = f"the key is not accepted ({code}{': ' if words else ''}{words}"
    return KeyCheck(False, f"{message[: LONGEST_MESSAGE - 1]})")


def failed_check(http: ProviderHttp, answer: Answer, said: JSON = None) -> KeyCheck:
    """What an answer means that is not the success which the check looks for.

    Raises ProviderError where it says nothing of the key; a vendor that has no time now may be asked again.
    """
    if answer.status in (401, 403) and answer.is_refusal:
        return refused_key(http, f"HTTP {answer.status}", said)
    if answer.status == 402 and answer.is_refusal:
        return KeyCheck(False, "the key works, but its account has no credit")
    if answer.status == 429:
        raise ProviderError(f"{http.name}: {DOING} was answered with HTTP 429", sent=False)
    if answer.ok:
        raise http.malformed(DOING)
    raise http.broken(answer, DOING)
