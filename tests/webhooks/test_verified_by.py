"""The verification by others, here by the one library that every developer has, notices what it should."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest

from fairstack_server.webhooks.sign import signature
from tests.webhooks.verified_by import CHANGES, genuine, judge

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
STAMP = 1_700_000_000
_COMMAND = (sys.executable, "-m", "tests.webhooks.verify_by_library", "standardwebhooks")


def _sample(number: int, signed_at: int = STAMP) -> dict[str, Any]:
    body = f'{{"id":"job_{number}","status":"completed"}}'
    headers = {
        "webhook-id": f"msg_{number}",
        "webhook-timestamp": str(STAMP),
        "webhook-signature": signature([SECRET], f"msg_{number}", signed_at, body.encode()),
    }
    return {"secret": SECRET, "body": body, "headers": headers}


def test_what_was_signed_is_taken_at_its_own_time() -> None:
    """Deliveries of long ago hold, because the library's clock is set to their moment."""
    figure = judge("standardwebhooks", _COMMAND, [_sample(number) for number in range(20)], seed=1)
    assert figure.holds, figure.said
    assert figure.said == "20 of 20 taken, 140 of 140 changed ones refused"


def test_a_wrong_signature_of_ours_is_noticed() -> None:
    """A delivery signed for another second is not taken, and the line says so."""
    figure = judge("standardwebhooks", _COMMAND, [_sample(1), _sample(2, signed_at=STAMP + 1)], seed=1)
    assert not figure.holds
    assert figure.said.startswith("1 of 2 taken")


def test_a_library_that_cannot_run_is_no_success() -> None:
    """What is not installed is said so and holds nothing."""
    figure = judge("absent", [*_COMMAND[:-1], "absent"], [_sample(1)], seed=1)
    assert not figure.holds
    assert "DID NOT RUN" in figure.said


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change.__name__))
def test_a_change_changes_something(change: Any) -> None:
    """Each of the seven differs from the genuine delivery, whatever the dice say."""
    trial = genuine(_sample(1))
    assert all(change(trial, random.Random(seed)) != trial for seed in range(50))
