"""Which IP addresses may be called: our own table of everything that is not plain public unicast. Pure.

Python's `ipaddress.is_global` differs between patch releases and calls multicast, NAT64 of private
addresses and 6to4 of loopback global, so it is not used.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from fairstack_server.egress.errors import AddressRefused

Address = IPv4Address | IPv6Address
MAX_ANSWERS = 16

# IANA IPv4 Special-Purpose Address Registry, IPv4 multicast, and one cloud address in a public range.
_BLOCKED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(block), why)
    for block, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared address space"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud host agent"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT relay"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

# IANA IPv6 Special-Purpose Address Registry. Forms that carry an IPv4 address and never need to appear in
# an answer are refused whole; NAT64's well-known prefix is what DNS64 answers with, so it is unwrapped.
_BLOCKED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(block), why)
    for block, why in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "IPv4-compatible"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discard only"),
        ("100:0:0:1::/64", "dummy prefix"),
        ("2001::/32", "Teredo"),
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# ISATAP puts an IPv4 address behind one of these in the interface id, under any prefix (RFC 5214).
_ISATAP_MARKS = (0x00005EFE, 0x02005EFE)


def blocked_reason(address: Address) -> str | None:
    """Why this address may not be called, in two words; None for plain public unicast."""
    if isinstance(address, IPv4Address):
        return next((why for block, why in _BLOCKED_V4 if address in block), None)
    return _blocked_v6_reason(address)


def _blocked_v6_reason(address: IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "zone id"
    if address in _NAT64:
        return _inner_reason(address, "NAT64")
    listed = next((why for block, why in _BLOCKED_V6 if address in block), None)
    if listed is not None:
        return listed
    if address not in _GLOBAL_UNICAST:
        return "not global unicast"
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP_MARKS:
        return _inner_reason(address, "ISATAP")
    return None


def _inner_reason(address: IPv6Address, form: str) -> str | None:
    inner = blocked_reason(IPv4Address(int(address) & 0xFFFFFFFF))
    return f"{form} of {inner}" if inner else None


def judge_addresses(host: str, answers: Iterable[str]) -> tuple[Address, ...]:
    """All addresses that `host` resolved to, each of them callable.

    Raises AddressRefused when one answer is blocked, is no address, or there are none or too many: a name
    that answers with one private address among public ones is an attack or a mistake, never a service.
    """
    addresses = parse_answers(host, answers)
    for address in addresses:
        why = blocked_reason(address)
        if why is not None:
            raise AddressRefused(f"{host} answers {address}: {why}")
    return addresses


def parse_answers(host: str, answers: Iterable[str]) -> tuple[Address, ...]:
    """The distinct addresses among a resolver's answers. Raises AddressRefused for none, too many, junk."""
    found: dict[Address, None] = {}
    for answer in answers:
        try:
            found[ip_address(answer)] = None
        except ValueError:
            raise AddressRefused(f"{host} answers {answer!r}, which is no address") from None
        if len(found) > MAX_ANSWERS:
            raise AddressRefused(f"{host} has more than {MAX_ANSWERS} addresses")
    if not found:
        raise AddressRefused(f"{host} has no address")
    return tuple(found)
