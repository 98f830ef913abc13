"""How much a provider is given at a time: the operator's limits, else those that the vendor publishes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from fairstack_server.settings import SettingsError

_SETTING = "FAIRSTACK_PROVIDER_LIMITS"
_LIMIT = re.compile(r"(?P<provider>[a-z_]+)=(?P<count>[1-9]\d{0,6})(?:/(?P<seconds>[1-9]\d{0,6})s)?")


@dataclass(frozen=True, slots=True)
class Limits:
    """None = as many as there are."""

    in_flight: int | None = None
    """Tasks at the provider at a time."""
    orders: int | None = None
    """Orders sent in any `per_seconds`."""
    per_seconds: float = 60.0


#: Published limits of new accounts; a vendor that publishes none says 429, and everybody waits then.
PUBLISHED: Mapping[str, Limits] = {
    "replicate": Limits(orders=600, per_seconds=60.0),  # replicate.com/docs/topics/predictions/rate-limits
}


def read_limits(words: Sequence[str], known: Collection[str]) -> Mapping[str, Limits]:
    """Provider -> limits, from words such as `fal=40` (in flight) and `runway=5/60s` (orders in a time).

    Both may be given for one provider. Raises SettingsError naming the word that cannot be used.
    """
    limits = dict(PUBLISHED)
    for word in words:
        match = _LIMIT.fullmatch(word)
        if match is None:
            raise SettingsError(
                f"{_SETTING}: {word!r} cannot be used; write fal=40 for 40 in flight, fal=5/60s for 5 in 60 s"
            )
        provider, count = match["provider"], int(match["count"])
        if provider not in known:
            raise SettingsError(f"{_SETTING}: there is no provider {provider!r}; one of {sorted(known)}")
        limit = limits.get(provider, Limits())
        limits[provider] = (
            replace(limit, in_flight=count)
            if match["seconds"] is None
            else replace(limit, orders=count, per_seconds=float(match["seconds"]))
        )
    return limits
