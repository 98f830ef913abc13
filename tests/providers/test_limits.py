"""The operator's limits of providers, as words of a setting."""

from __future__ import annotations

import pytest

from fairstack_server.providers.limits import PUBLISHED, Limits, read_limits
from fairstack_server.settings import SettingsError

KNOWN = ("fal", "replicate", "runway")


def test_limits_are_read_from_words() -> None:
    """In flight, orders in a time, or both; what a vendor publishes stands until the operator says more."""
    limits = read_limits(("fal=40", "runway=5/60s", "runway=3"), KNOWN)
    assert limits["fal"] == Limits(in_flight=40)
    assert limits["runway"] == Limits(in_flight=3, orders=5, per_seconds=60.0)
    assert limits["replicate"] == PUBLISHED["replicate"] == Limits(orders=600, per_seconds=60.0)
    own = read_limits(("replicate=6/60s",), KNOWN)["replicate"]
    assert own == Limits(orders=6, per_seconds=60.0)


@pytest.mark.parametrize("word", ["fal", "fal=0", "fal=-1", "nobody=3", "fal=5/60", "fal=5/0s", "fal=1e3"])
def test_a_limit_that_cannot_be_used_is_named(word: str) -> None:
    """The message names the setting and the word, and says what would be right."""
    with pytest.raises(SettingsError, match=r"FAIRSTACK_PROVIDER_LIMITS: .*(fal|nobody)"):
        read_limits((word,), KNOWN)
