"""One guard on trial: `python -m tests.egress.guard_trial ssrfguard` prints what it tried to connect to.

Runs in whichever environment has that guard, so it needs nothing but Python; `guards.py` starts it and
judges. An audit hook raises before a packet leaves, inside a network namespace that has nothing but loopback.
Names are answered by a script in place of the system's resolver; all else of the guard is as it comes.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CASES: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "cases.json").read_text())

PUBLIC, PRIVATE, LOOPBACK, METADATA = "93.184.215.14", "10.0.0.5", "127.0.0.1", "169.254.169.254"
_PRIVATE_SUFFIXES = ("local", "internal", "lan", "svc", "corp", "arpa")
_NO_SUCH_SUFFIXES = ("invalid", "onion")
_SECONDS = 5
#: The system's own look-up, kept because a script stands in its place during the trial.
_real_look_up = socket.getaddrinfo

Rows = list[Any]


class ScriptedNames:
    """In place of `socket.getaddrinfo`: a script for the case's names, a small world for others."""

    def __init__(self, script: Mapping[str, list[list[str]]]) -> None:
        self._script = {_plain(name): list(lines) for name, lines in script.items()}

    def __call__(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Rows:
        """Rows of the real `getaddrinfo` for the addresses that the name has; raises gaierror for none."""
        name = host.decode("ascii") if isinstance(host, bytes) else str(host)
        # As the real one does, by the older IDNA: fullwidth digits become an address here.
        name = name.encode("idna").decode("ascii") if not name.isascii() else name
        wanted = (port, family, type, proto)
        try:
            return _numeric(name, wanted)
        except socket.gaierror:
            rows = [row for answer in self._answers(name) for row in _rows_of(answer, wanted)]
        if not rows:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return rows

    def _answers(self, name: str) -> list[str]:
        lines = self._script.get(_plain(name))
        if lines is None:
            return _answers_of_the_world(_plain(name))
        return lines.pop(0) if len(lines) > 1 else lines[0]


def _plain(name: str) -> str:
    return (name.encode("idna").decode("ascii") if name and not name.isascii() else name).lower().rstrip(".")


def _answers_of_the_world(name: str) -> list[str]:
    """As in a data centre: local names lead inside, the cloud's to its metadata, all others to a host."""
    labels = name.split(".")
    if labels[-1] in ("localhost", "localdomain") or name == "ip6-localhost":
        return [LOOPBACK]
    if labels[0] == "metadata":
        return [METADATA]
    if labels[-1] in _NO_SUCH_SUFFIXES or labels[-1][:1].isdigit():
        return []
    return [PRIVATE] if len(labels) == 1 or labels[-1] in _PRIVATE_SUFFIXES else [PUBLIC]


def _numeric(name: str, wanted: tuple[Any, int, int, int]) -> Rows:
    return _real_look_up(name, *wanted, socket.AI_NUMERICHOST)


def _rows_of(answer: str, wanted: tuple[Any, int, int, int]) -> Rows:
    try:
        return _numeric(LOOPBACK if answer == "localhost" else answer, wanted)
    except socket.gaierror:
        return []  # an address of the other family than the one that is asked for


class Gate:
    """Stops every connect of this process before a packet leaves, and notes where it would have gone."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        """The audit hook."""
        if event == "socket.connect":
            address = arguments[1]
            self.tried.append(str(address[0] if isinstance(address, tuple) else address))
            raise ConnectionRefusedError("judged, not connected")


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _fairstack(url: str) -> None:
    async def post() -> None:
        egress = _module("fairstack_server.egress").Egress()
        try:
            await egress.post(url, b"{}", {})
        finally:
            await egress.aclose()

    asyncio.run(post())


def _httpx(url: str) -> None:
    _module("httpx").get(url, timeout=_SECONDS, trust_env=False)


def _requests(url: str) -> None:
    _module("requests").get(url, timeout=_SECONDS)


def _urllib(url: str) -> None:
    _module("urllib.request").urlopen(url, timeout=_SECONDS)


def _literal_check(url: str) -> None:
    """What is written first: look whether the host is a private address."""
    ipaddress = _module("ipaddress")
    host = urlsplit(url).hostname or ""
    try:
        private = ipaddress.ip_address(host).is_private
    except ValueError:
        private = host == "localhost"
    if not private:
        _requests(url)


def _resolving_check(url: str) -> None:
    """What is written next: resolve, all answers must be global, then call by name."""
    ipaddress = _module("ipaddress")
    rows = socket.getaddrinfo(urlsplit(url).hostname, None)
    if all(ipaddress.ip_address(row[4][0]).is_global for row in rows):
        _requests(url)


def _advocate(url: str) -> None:
    _module("advocate").get(url, timeout=_SECONDS)


def _drawbridge(url: str) -> None:
    _module("drawbridge.sync").get(url)


def _httpx_secure(url: str) -> None:
    async def get() -> None:
        async with _module("httpx").AsyncClient(trust_env=False, timeout=_SECONDS) as client:
            _module("httpx_secure").httpx_ssrf_protection(client)
            await client.get(url)

    asyncio.run(get())


def _antissrf(url: str) -> None:
    library = _module("AntiSSRF")
    policy = library.AntiSSRFPolicy(library.PolicyConfigOptions.EXTERNAL_ONLY_LATEST)
    policy.allow_plain_text_http = True  # most cases are http, which all other guards take by default
    policy.get_antissrf_session().get(url, timeout=_SECONDS)


def _requests_hardened(url: str) -> None:
    library = _module("requests_hardened")
    config = library.Config(
        ip_filter_enable=True,
        ip_filter_allow_loopback_ips=False,
        never_redirect=False,
        default_timeout=(_SECONDS, _SECONDS),
    )
    library.Manager(config).send_request("GET", url)


def _ssrfguard(url: str) -> None:
    with _module("ssrfguard.httpx").Client(policy=_module("ssrfguard").Policy()) as client:
        client.get(url)


def _url_guard(url: str) -> None:
    _module("url_guard").assert_public_url_resolved(url)
    _requests(url)


#: What is on trial -> (its package, if it has one besides, and one request by it, as its manual shows).
GUARDS: Mapping[str, tuple[str, Callable[[str], None]]] = {
    "fairstack": ("", _fairstack),
    "urllib, no guard": ("", _urllib),
    "httpx, no guard": ("httpx", _httpx),
    "requests, no guard": ("requests", _requests),
    "is_private of the literal": ("requests", _literal_check),
    "resolve, is_global, call": ("requests", _resolving_check),
    "advocate": ("advocate", _advocate),
    "drawbridge": ("drawbridge", _drawbridge),
    "httpx-secure": ("httpx-secure", _httpx_secure),
    "microsoft-antissrf": ("microsoft-antissrf", _antissrf),
    "requests-hardened": ("requests-hardened", _requests_hardened),
    "ssrfguard": ("ssrfguard", _ssrfguard),
    "url-guard, then requests": ("url-guard", _url_guard),
}


def try_case(gate: Gate, call: Callable[[str], None], case: Mapping[str, Any]) -> list[str]:
    """The addresses that one request to this URL tries to connect to, in order."""
    dns = case.get("dns", {})
    script = dns if isinstance(dns, dict) else {urlsplit(case["url"]).hostname: dns}
    vars(socket)["getaddrinfo"] = ScriptedNames(script)
    gate.tried = []
    try:
        call(case["url"])
    except Exception as error:  # whatever a guard or its client raises, it is judged by what it tried
        if isinstance(error, ImportError):
            raise
    return gate.tried


def main() -> int:
    """Try every case, print one JSON object."""
    package, call = GUARDS[sys.argv[1]]
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        sys.stderr.write("there is more than loopback here; start this by tests.egress.guards\n")
        return 2
    gate = Gate()
    sys.addaudithook(gate.on_event)
    tried = {case["id"]: try_case(gate, call, case) for kind in CASES for case in CASES[kind]}
    json.dump({"version": version(package) if package else "", "tried": tried}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
