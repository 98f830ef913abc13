"""The comparison of guards would notice a hole, and has none to show in ours."""

from __future__ import annotations

import asyncio
import sys

from tests.egress.guard_trial import CASES
from tests.egress.guards import figure, judge, try_guard
from tests.egress.namespace import enter_empty_network

_TELL = "import sys; from tests.egress import test_guards; sys.exit(test_guards.main())"


def main() -> int:
    """In a process of its own: the network of this one is needed by other tests."""
    assert enter_empty_network()
    ours = asyncio.run(try_guard("fairstack", [sys.executable]))
    none = asyncio.run(try_guard("urllib, no guard", [sys.executable]))
    assert ours is not None
    assert none is not None
    assert not (ours[1].reached or ours[1].against_policy or ours[1].refused), ours
    assert len(none[1].reached) > 100, none
    assert len(none[1].against_policy) > 20, none
    assert set(none[1].refused) == {"G10"}, none  # a name that the older IDNA does not know
    return 0


async def test_ours_lets_nothing_through_and_no_guard_lets_much_through() -> None:
    """The same trial tells a guard from none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _TELL, stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()


def test_a_connect_is_sorted_by_where_it_goes() -> None:
    """Inside is reached, outside is against policy, a rebinding that stays outside is neither."""
    tried: dict[str, list[str]] = {case["id"]: [] for kind in CASES.values() for case in kind}
    tried["L02"], tried["X04"], tried["D10"] = ["127.0.0.1"], ["93.184.215.14"], ["93.184.215.14"]
    tried["F038"] = ["::ffff:8.8.8.8"]
    verdict = judge(tried)
    assert (verdict.reached, list(verdict.against_policy)) == (["L02"], ["X04", "F038"])
    assert len(verdict.refused) == len(CASES["callable"])


def test_a_guard_that_is_not_there_is_said_so_and_ours_has_to_be() -> None:
    """Nothing is left out in silence."""
    assert figure("advocate", None, cases=False).holds
    assert not figure("fairstack", None, cases=False).holds
    assert "NOT COMPARED" in figure("advocate", None, cases=False).said
