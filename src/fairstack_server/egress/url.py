"""Reads a URL strictly and says whether it may be called at all. Pure: no look-up, no clock.

Two readers that see two hosts in one URL are how guards are passed by, so whatever has a second reading
is refused: userinfo, backslashes, controls, percent signs in the host, every IPv4 spelling but the plain one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import idna

from fairstack_server.egress.address import Address, blocked_reason
from fairstack_server.egress.errors import AddressRefused

MAX_URL_CHARACTERS = 2048
MAX_NAME_CHARACTERS = 253
PUBLIC_PORTS = frozenset({80, 443, 8443})
_DEFAULT_PORT = {"http": 80, "https": 443}

_SHAPE = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_BRACKETED = re.compile(r"\[(?P<inner>[0-9A-Fa-f:.]+)\](?::(?P<port>[1-9][0-9]{0,4}))?")
_NAMED = re.compile(r"(?P<name>[^\[\]@:%]+)(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_OCTET = r"(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
_PLAIN_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Names that mean this machine, this network, or nothing on the public Internet.
_LOCAL_SUFFIXES = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "svc",
    "test",
    "invalid",
    "onion",
    "arpa",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was read in exactly one way: what is connected to and what is sent there."""

    scheme: str
    host: str
    """Lower-case ASCII name without a dot at the end, or the address without brackets."""
    port: int
    path: str
    """Path and query exactly as given, with a leading slash, without the fragment."""
    address: Address | None
    """The address, when the host is a literal."""
    trusted: bool = False
    """The operator configured this very origin, so private addresses and http are fine."""

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port always written: `https://example.com:443`."""
        return f"{self.scheme}://{self._bracketed_host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL that is requested, the port only where it is not the scheme's own."""
        port = "" if self.port == _DEFAULT_PORT[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self._bracketed_host}{port}{self.path}"

    @property
    def _bracketed_host(self) -> str:
        return f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host


def judge_url(
    url: str,
    *,
    trusted: frozenset[str] = frozenset(),
    https_only: bool = False,
    ports: frozenset[int] = PUBLIC_PORTS,
    max_characters: int = MAX_URL_CHARACTERS,
) -> Target:
    """Read a URL and decide whether it may be called, as far as that can be said without a look-up.

    `trusted` holds origins as `origin_of` writes them; they skip every rule but those of the syntax.
    Raises AddressRefused with a reason for the log.
    """
    target = read_url(url, max_characters)
    if target.origin in trusted:
        return Target(target.scheme, target.host, target.port, target.path, target.address, trusted=True)
    if https_only and target.scheme != "https":
        raise AddressRefused("scheme is not https")
    if target.port not in ports:
        raise AddressRefused(f"port {target.port} is not one of {sorted(ports)}")
    if target.address is None:
        _refuse_local_name(target.host)
    elif (why := blocked_reason(target.address)) is not None:
        raise AddressRefused(f"{target.address}: {why}")
    return target


def origin_of(url: str) -> str:
    """The origin of an address that the operator configured, such as `http://10.0.0.7:8000`."""
    return read_url(url).origin


def read_url(url: str, max_characters: int = MAX_URL_CHARACTERS) -> Target:
    """Split an http(s) URL strictly. Raises AddressRefused for everything that has a second reading."""
    refuse_bad_bytes(url, max_characters)
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        raise AddressRefused("not http:// or https:// with a host")
    scheme = shape["scheme"].lower()
    rest = shape["rest"].split("#", 1)[0]
    if not rest.isascii():
        raise AddressRefused("path is not ASCII; percent-encode it")
    host, port, address = _read_authority(shape["authority"])
    path = rest if rest.startswith("/") else f"/{rest}"
    return Target(scheme, host, port or _DEFAULT_PORT[scheme], path, address)


def refuse_bad_bytes(url: str, max_characters: int = MAX_URL_CHARACTERS) -> None:
    """Raises AddressRefused for a URL too long, or with a control, a space, a backslash or a surrogate."""
    if len(url) > max_characters:
        raise AddressRefused(f"URL is longer than {max_characters} characters")
    for character in url:
        if character <= " " or character in "\\\x7f" or unicodedata.category(character) in ("Cc", "Cs", "Zs"):
            raise AddressRefused(f"URL holds the character U+{ord(character):04X}")


def _read_authority(authority: str) -> tuple[str, int | None, Address | None]:
    if "@" in authority:
        raise AddressRefused("URL holds a user name")
    if bracketed := _BRACKETED.fullmatch(authority):
        try:
            literal = IPv6Address(bracketed["inner"])
        except ValueError:
            raise AddressRefused("brackets without an IPv6 address") from None
        return str(literal), _read_port(bracketed["port"]), literal
    named = _NAMED.fullmatch(authority)
    if named is None:
        raise AddressRefused("host or port is malformed")
    host = _read_name(named["name"])
    address = IPv4Address(host) if _PLAIN_IPV4.fullmatch(host) else None
    if address is not None and named["name"].endswith("."):
        raise AddressRefused("address with a dot at the end")
    return host, _read_port(named["port"]), address


def _read_port(digits: str | None) -> int | None:
    if digits is None:
        return None
    if int(digits) > 65535:
        raise AddressRefused(f"port {digits} does not exist")
    return int(digits)


def _read_name(text: str) -> str:
    labels = [_read_label(label) for label in text.removesuffix(".").split(".")]
    name = ".".join(labels)
    if len(name) > MAX_NAME_CHARACTERS:
        raise AddressRefused(f"name is longer than {MAX_NAME_CHARACTERS} characters")
    # Whatever inet_aton could take for an address must be spelt the one plain way.
    if _NUMERIC_LABEL.fullmatch(labels[-1]) and not _PLAIN_IPV4.fullmatch(name):
        raise AddressRefused(f"{name} is an unusual spelling of an IPv4 address")
    return name


def _read_label(text: str) -> str:
    label = text.lower()
    if not label.isascii():
        label = _to_a_label(label)
    if not _LABEL.fullmatch(label):
        raise AddressRefused("host name is empty in one part, too long or holds a character that no name has")
    if label.startswith("xn--"):
        _check_a_label(label)
    return label


def _to_a_label(label: str) -> str:
    composed = unicodedata.normalize("NFC", label)
    # Fullwidth digits, circled letters and the like turn into another name on the way to the resolver.
    if unicodedata.normalize("NFKC", composed) != composed or composed.isdecimal():
        raise AddressRefused("host name changes its meaning when it is normalised")
    try:
        return idna.alabel(composed).decode("ascii")
    except idna.IDNAError:
        raise AddressRefused("host name is not valid under IDNA 2008") from None


def _check_a_label(label: str) -> None:
    try:
        idna.ulabel(label)
    except idna.IDNAError:
        raise AddressRefused(f"{label} is not valid punycode") from None


def _refuse_local_name(host: str) -> None:
    labels = host.split(".")
    if len(labels) == 1:
        raise AddressRefused(f"{host} is a local name")
    if labels[-1] in _LOCAL_SUFFIXES:
        raise AddressRefused(f".{labels[-1]} is a local domain")
