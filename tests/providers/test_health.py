"""The circuit breaker: what opens it, who may try, and what closes it. The time is a number."""

from __future__ import annotations

import pytest

from fairstack_server.providers.base import Fault
from fairstack_server.providers.health import Breaker, BreakerRules

RULES = BreakerRules()


def opened(fault: Fault = Fault.PROVIDER, at: float = 0.0) -> Breaker:
    """A breaker that is open since `at`."""
    breaker = Breaker(RULES)
    while breaker.state == "closed":
        breaker.failed(fault, "it broke", at)
    return breaker


def test_failures_in_a_row_open_it() -> None:
    """The fifth failure in a row, not the fourth; an answer in between begins anew."""
    breaker = Breaker(RULES)
    for _ in range(4):
        breaker.failed(Fault.PROVIDER, "no connection", 0.0)
    breaker.answered(0.0)
    for _ in range(4):
        breaker.failed(Fault.PROVIDER, "no connection", 0.0)
    assert breaker.opened is None
    breaker.failed(Fault.PROVIDER, "no connection", 1.0)
    assert breaker.opened is not None
    assert (breaker.opened.why, breaker.opened.since, breaker.opened.is_permanent) == (
        "no connection",
        1.0,
        False,
    )


def test_a_ratio_of_failures_opens_it() -> None:
    """Every second call of twenty within a minute; calls of an hour ago do not count."""
    breaker = Breaker(RULES)
    for call in range(10):
        breaker.answered(0.0)
        breaker.failed(Fault.PROVIDER, "502", 0.0)
        assert breaker.state == ("open" if call == 9 else "closed")
    late = Breaker(RULES)
    for call in range(10):
        late.answered(call * 400.0)
        late.failed(Fault.PROVIDER, "502", call * 400.0)
    assert late.state == "closed"


@pytest.mark.parametrize("fault", [Fault.CALL, Fault.ROUTE])
def test_faults_of_others_do_not_count(fault: Fault) -> None:
    """One call's own trouble, or a route that is gone, says nothing of the provider, however often."""
    breaker = Breaker(RULES)
    for _ in range(100):
        breaker.failed(fault, "?", 0.0)
    assert breaker.state == "closed"


@pytest.mark.parametrize("fault", [Fault.KEY, Fault.CREDIT])
def test_a_refused_key_opens_it_at_once(fault: Fault) -> None:
    """One is enough, it is permanent, and a free call may ask at once whether it is so."""
    breaker = Breaker(RULES)
    breaker.failed(fault, "401", 7.0)
    assert breaker.opened is not None and breaker.opened.is_permanent
    assert breaker.may_try(7.0)


def test_one_tries_for_all() -> None:
    """Not before the pause is over, then one; what it finds is true for all."""
    breaker = opened()
    assert not breaker.may_try(RULES.first_pause_seconds - 0.1)
    assert breaker.may_try(RULES.first_pause_seconds)
    breaker.begin_try()
    assert breaker.state == "trying"
    assert not breaker.may_try(1e6)
    breaker.abandon_try()
    assert breaker.may_try(RULES.first_pause_seconds)
    breaker.begin_try()
    breaker.answered(6.0)
    assert (breaker.state, breaker.opened) == ("closed", None)


def test_every_failed_try_doubles_the_pause() -> None:
    """Up to the longest; and `since` stays the time at which it opened first."""
    breaker, pauses, since = opened(), [], set[float]()
    for _ in range(9):
        assert breaker.opened is not None
        at = breaker.opened.next_try
        breaker.begin_try()
        breaker.failed(Fault.PROVIDER, "still down", at)
        pauses.append(breaker.opened.next_try - at)
        since.add(breaker.opened.since)
    assert pauses == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0, 300.0]
    assert since == {0.0}


def test_stragglers_do_not_prolong_it() -> None:
    """Orders that were on their way when it opened fail too: that is no news."""
    breaker = opened()
    assert breaker.opened is not None
    before = breaker.opened
    breaker.failed(Fault.PROVIDER, "me too", 4.0)
    assert breaker.opened == before


def test_a_try_may_find_that_the_key_is_refused() -> None:
    """A provider that comes back and does not know the key any more: permanent from then on."""
    breaker = opened()
    breaker.begin_try()
    breaker.failed(Fault.KEY, "the key is not accepted", 5.0)
    assert breaker.opened is not None and breaker.opened.is_permanent
