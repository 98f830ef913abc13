"""A lost answer is never answered by a second order, whatever the vendor offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairstack_server.db.dsn import Dsn
from fairstack_server.jobs.lifecycle import Lifecycle
from fairstack_server.providers.base import SubmitClass
from tests.lost_answers.campaign import lose_answers


@pytest.mark.parametrize("offers", SubmitClass, ids=lambda offers: offers.name)
async def test_each_class_bills_once(offers: SubmitClass, database: Dsn, home: Path) -> None:
    """Answers that are dropped, cut and replaced by an error: each job completes and is billed once."""
    tally = await lose_answers(offers, 1, database, home, ["drop", "truncate", "page_502"])
    assert tally.holds, tally


async def test_a_second_order_is_noticed(database: Dsn, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were class C sent again, the count at the vendor would say two renders a job."""
    monkeypatch.setattr(Lifecycle, "_find", Lifecycle._send_again)
    tally = await lose_answers(SubmitClass.C, 1, database, home, ["drop"])
    assert not tally.holds and tally.tasks == 2
