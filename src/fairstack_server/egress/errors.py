"""What can go wrong on the way out: the address may not be called, or the transfer did not come about."""

from __future__ import annotations

from typing import Literal

TransferFault = Literal[
    "dns",
    "connect",
    "tls",
    "timeout",
    "too_slow",
    "too_large",
    "headers",
    "encoding",
    "redirect",
    "broken",
]


class EgressError(Exception):
    """A call to the outside came to nothing. `reason` is for our logs only, never for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AddressRefused(EgressError):
    """The guard does not allow this URL, name or address; no packet was sent to it."""


class TransferFailed(EgressError):
    """The address was allowed, but the peer could not be reached or broke a limit; `fault` says which."""

    def __init__(self, fault: TransferFault, reason: str) -> None:
        super().__init__(reason)
        self.fault: TransferFault = fault
