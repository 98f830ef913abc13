"""The guard, judged where it counts: by what the process tries to connect to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.egress import AddressRefused, Egress, EgressError, Purpose, TransferFailed

from .conftest import ConnectGate, ScriptedDns

CASES: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "cases.json").read_text())
REFUSED = CASES["refused"]
CALLABLE = CASES["callable"]


def _host_of_case(url: str) -> str:
    return url.split("//", 1)[-1].split("/", 1)[0].rstrip(".")


def _dns_of(case: dict[str, Any]) -> ScriptedDns:
    script = {_host_of_case(case["url"]): case["dns"]} if "dns" in case else {}
    # What a name in a refused case would answer if the guard let it through to the resolver.
    return ScriptedDns({"example.com": [["93.184.215.14"]], **script})


async def _fetch(egress: Egress, url: str) -> None:
    async with egress.get(url, purpose=Purpose.IMAGE, max_bytes=1000, timeout_seconds=5) as transfer:
        await transfer.read()


@pytest.mark.parametrize("case", REFUSED, ids=[case["id"] for case in REFUSED])
async def test_no_refused_case_reaches_a_connect(case: dict[str, Any], gate: ConnectGate) -> None:
    """A hostile URL ends in an error before any connect, as webhook and, in its https form, as image."""
    gate.shut = True
    with pytest.raises(EgressError) as caught:
        await Egress(resolver=_dns_of(case)).post(case["url"], b"{}", {})
    with pytest.raises(EgressError):
        await _fetch(Egress(resolver=_dns_of(case)), case["url"].replace("http:", "https:", 1))
    if "never" in case:
        assert not set(case["never"]) & set(gate.seen)
    else:
        assert gate.seen == []
        # No address at all is a look-up that failed; all else is the guard's own refusal.
        assert isinstance(caught.value, AddressRefused) or case.get("dns") == [[]]


@pytest.mark.parametrize("case", CALLABLE, ids=[case["id"] for case in CALLABLE])
async def test_every_callable_case_reaches_its_own_address(case: dict[str, Any], gate: ConnectGate) -> None:
    """An ordinary public URL is connected to, at an address that its name answered, after one look-up."""
    gate.shut = True
    dns = ScriptedDns(case.get("dns", {}))
    with pytest.raises(TransferFailed) as caught:
        await _fetch(Egress(resolver=dns), case["url"])
    assert caught.value.fault == "connect"
    answers = {a for lines in case.get("dns", {}).values() for a in lines[0]} or {
        _host_of_case(case["url"]).strip("[]").removesuffix("]:8443")
    }
    assert gate.seen
    assert set(gate.seen) <= answers
    assert len(dns.asked) == (1 if case.get("dns") else 0)


def test_the_list_is_as_long_as_it_claims() -> None:
    """At least 173 hostile and 19 ordinary URLs, each once."""
    assert len({case["url"] for case in REFUSED}) == len(REFUSED) >= 173
    assert len({case["url"] for case in CALLABLE}) == len(CALLABLE) >= 19


async def test_a_name_that_rebinds_is_looked_up_once(gate: ConnectGate) -> None:
    """The judged address is the connected one, although a second look-up would answer loopback."""
    gate.shut = True
    dns = ScriptedDns({"r.example.com": [["93.184.215.14"], ["127.0.0.1"]]})
    with pytest.raises(TransferFailed):
        await _fetch(Egress(resolver=dns), "https://r.example.com/")
    assert dns.asked == ["r.example.com"]
    assert set(gate.seen) == {"93.184.215.14"}


async def test_a_webhook_whose_name_is_unknown_passes_the_check_and_a_private_one_does_not() -> None:
    """At submit only a refused address refuses a webhook; an unknown name may come to life later."""
    egress = Egress(resolver=ScriptedDns({"in.example.com": [["10.1.2.3"]], "ok.example.com": [["1.1.1.1"]]}))
    await egress.check_webhook("https://later.example.com/hook")
    await egress.check_webhook("https://ok.example.com/hook")
    with pytest.raises(AddressRefused):
        await egress.check_webhook("https://in.example.com/hook")
    with pytest.raises(AddressRefused):
        await egress.check_webhook("http://169.254.169.254/hook")
