"""Opens connections only to addresses that were judged: the one place where a guarded socket is made."""

from __future__ import annotations

import asyncio
import socket
import ssl
from ipaddress import ip_address
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from fairstack_server.egress.address import Address, judge_addresses, parse_answers
from fairstack_server.egress.errors import AddressRefused
from fairstack_server.egress.resolve import Resolver
from fairstack_server.egress.url import judge_url, read_url

if TYPE_CHECKING:
    from aiohttp.client import ClientTimeout
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class Approvals:
    """The addresses, with their ports, that one connector may open a socket to."""

    def __init__(self) -> None:
        self._approved: set[tuple[Address, int]] = set()
        self.refusal: AddressRefused | None = None

    def add(self, address: Address, port: int) -> None:
        """Allow this address on this port."""
        self._approved.add((address, port))

    def check(self, address: str, port: int) -> None:
        """Raises AddressRefused, and remembers it, unless exactly this address and port were allowed."""
        if (ip_address(address), port) not in self._approved:
            self.refusal = AddressRefused(f"{address} port {port} was never judged")
            raise self.refusal

    def open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Make the socket of one connect, the last moment before a packet leaves. Raises PermissionError."""
        family, kind, proto, _, address = info
        try:
            self.check(str(address[0]), int(address[1]))
        except AddressRefused as refusal:
            # An OSError, because that is what the connecting code of aiohttp expects of a socket.
            raise PermissionError(refusal.reason) from refusal
        return socket.socket(family=family, type=kind, proto=proto)


class JudgedResolver(AbstractResolver):
    """aiohttp's view of our resolver: one look-up with a deadline, every answer judged, all approved."""

    def __init__(
        self,
        resolver: Resolver,
        approvals: Approvals,
        trusted: frozenset[tuple[str, int]],
        deadline_seconds: float,
    ) -> None:
        self._resolver = resolver
        self._approvals = approvals
        self._trusted = trusted
        self._deadline_seconds = deadline_seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve once, approve the answers. Raises AddressRefused, or OSError for an unknown name."""
        async with asyncio.timeout(self._deadline_seconds):
            answers = await self._resolver.resolve(host)
        if not answers:
            raise OSError(f"{host} has no address")
        judge = parse_answers if (host, port) in self._trusted else judge_addresses
        addresses = judge(host, answers)
        for address in addresses:
            self._approvals.add(address, port)
        return [_resolve_result(host, port, address) for address in addresses]

    async def close(self) -> None:
        """Nothing to release; the resolver behind belongs to whoever made it."""


class GuardedConnector(aiohttp.TCPConnector):
    """A connector that judges the URL, the look-up, the socket and the peer of every connection."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        trusted: frozenset[str],
        resolve_seconds: float,
        ssl_context: ssl.SSLContext | bool,
        limit: int,
        keep_alive: bool,
    ) -> None:
        self._approvals = Approvals()
        self._trusted = trusted
        ends = frozenset((target.host, target.port) for target in map(read_url, trusted))
        super().__init__(
            resolver=JudgedResolver(resolver, self._approvals, ends, resolve_seconds),
            # Two answers for one name within one verdict would be the rebinding that we keep out.
            use_dns_cache=False,
            ssl=ssl_context,
            socket_factory=self._approvals.open_socket,
            limit=limit,
            force_close=not keep_alive,
        )

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """Judge the origin, connect to what was approved, and check who answered. Raises AddressRefused."""
        target = judge_url(f"{req.url.origin()}/", trusted=self._trusted)
        if target.address is not None:
            self._approvals.add(target.address, target.port)
        self._approvals.refusal = None
        try:
            connection = await super().connect(req, traces, timeout)
        except aiohttp.ClientConnectorError:
            if self._approvals.refusal is not None:
                raise self._approvals.refusal from None
            raise
        self._check_peer(connection)
        return connection

    def _check_peer(self, connection: Connection) -> None:
        transport = connection.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        try:
            if not peer:
                raise AddressRefused("peer of the connection is unknown")
            self._approvals.check(peer[0], peer[1])
        except AddressRefused:
            connection.close()
            raise


def guarded_connector(
    resolver: Resolver,
    trusted: frozenset[str] = frozenset(),
    *,
    resolve_seconds: float = 5.0,
    ssl_context: ssl.SSLContext | bool = True,
    limit: int = 1,
    keep_alive: bool = False,
) -> GuardedConnector:
    """A connector for one aiohttp session that calls public addresses and the `trusted` origins only.

    `trusted` holds origins as `origin_of` writes them. The request itself raises AddressRefused.
    """
    return GuardedConnector(
        resolver,
        trusted=trusted,
        resolve_seconds=resolve_seconds,
        ssl_context=ssl_context,
        limit=limit,
        keep_alive=keep_alive,
    )


def _resolve_result(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=family, proto=socket.IPPROTO_TCP, flags=numeric
    )
