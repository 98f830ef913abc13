"""What must never be connected to, told without a line of our own guard.

From Python's `ipaddress` and the lists of cloud metadata services: another opinion than the guard's table,
and where one of them errs, the campaign tells.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

#: Metadata and host agents of the clouds, some of them in public ranges.
METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
        ),
    )
)
#: What `ipaddress` of some patch releases calls global: 6to4 relays, site-local.
_OVERLOOKED = (IPv4Network("192.88.99.0/24"), IPv6Network("fec0::/10"))
#: IPv6 forms that carry an IPv4 address in their last 32 bits.
_CARRIERS = tuple(
    map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)


def is_forbidden(text: str) -> bool:
    """Whether a connect to this address would be a hole in the guard."""
    address = ip_address(text)
    if address in METADATA or not address.is_global or address.is_multicast or address.is_reserved:
        # The well-known NAT64 prefix is reserved ground, but fine where what it carries is fine.
        return not (address in _CARRIERS[3] and not is_forbidden(str(_carried(address))))
    if any(address in block for block in _OVERLOOKED if block.version == address.version):
        return True
    if isinstance(address, IPv6Address):
        return any(is_forbidden(str(inner)) for inner in _inners(address))
    return False


def _inners(address: IPv6Address) -> list[IPv4Address]:
    found = [inner for inner in (address.ipv4_mapped, address.sixtofour) if inner is not None]
    if address.teredo is not None:
        found += address.teredo
    if any(address in carrier for carrier in _CARRIERS):
        found.append(_carried(address))
    return found


def _carried(address: IPv4Address | IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
