"""The URL reader against two other readers, on thousands of mutated URLs."""

from __future__ import annotations

import ipaddress
import time
from urllib.parse import urlsplit

import pytest
import yarl

from fairstack_server.egress import AddressRefused, blocked_reason, judge_addresses, judge_url
from tests.egress.mutants import mutants


def test_no_other_reader_sees_another_host() -> None:
    """Of 20,000 mutated URLs, each that is taken has one host, the same for urllib, for yarl and for us."""
    taken = 0
    for url in mutants(20_000, seed=11):
        try:
            target = judge_url(url)
        except AddressRefused:
            continue
        taken += 1
        theirs = urlsplit(url)
        yarls = yarl.URL(target.url, encoded=True)
        assert theirs.username is None
        assert yarls.raw_host == target.host
        assert (yarls.port, yarls.scheme) == (target.port, target.scheme)
        # An empty query is the one thing that yarl does not keep.
        assert target.path in (yarls.raw_path_qs, yarls.raw_path_qs + "?")
        if (theirs.hostname or "").isascii():
            seen = (theirs.hostname or "").rstrip(".")
            assert target.address == ipaddress.ip_address(seen) if ":" in seen else target.host == seen
            assert (theirs.port or target.port) == target.port
        if target.address is not None:
            assert blocked_reason(target.address) is None
            assert target.address.is_global
    assert taken > 1000


def test_long_and_odd_urls_are_read_quickly() -> None:
    """No URL makes a regular expression sweat."""
    started = time.process_time()
    for url in (
        "http://" + "a." * 1000,
        "http://" + "1." * 1000,
        "http://" + "-" * 2000,
        "http://[" + ":" * 2000,
        "h" * 10**7,
    ):
        with pytest.raises(AddressRefused):
            judge_url(url)
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize(
    "block",
    [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
        "2001:db8::/32",
        "3fff::/20",
    ],
)
def test_blocks_end_exactly_where_the_registry_says(block: str) -> None:
    """The first and last address of a special block are refused."""
    network = ipaddress.ip_network(block)
    assert blocked_reason(network[0])
    assert blocked_reason(network[-1])


@pytest.mark.parametrize(
    "outside",
    [
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "168.63.129.15",
        "168.63.129.17",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "3ffe:ffff::",
        "3fff:1000::",
    ],
)
def test_neighbours_of_blocks_are_public(outside: str) -> None:
    """An address just outside of a block is not refused with it."""
    assert judge_addresses("x.example.com", [outside]) == (ipaddress.ip_address(outside),)
