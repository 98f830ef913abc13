"""What happens on a connection that the guard allowed: redirects, headers, limits."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fairstack_server.egress import (
    AddressRefused,
    Egress,
    Pace,
    Purpose,
    SystemResolver,
    Transfer,
    TransferFailed,
    guarded_connector,
    origin_of,
)
from fairstack_server.egress.connect import Approvals
from fairstack_server.settings import SettingsError

from .conftest import ConnectGate, Peer, ScriptedDns

OTHER_HOSTS = [
    "http://127.0.0.1:22/",
    "http://169.254.169.254/",
    "http://[::1]/",
    "http://2852039166/",
    "file:///etc/passwd",
]
TINY_PACE = Pace(grace_seconds=0.05, min_bytes_per_second=1_000_000)


def _egress(peer: Peer, pace: Pace | None = None) -> Egress:
    return Egress(resolver=ScriptedDns({}), trusted_origins={"engine": [peer.origin]}, pace=pace)


async def _get(
    egress: Egress,
    url: str,
    *,
    max_bytes: int = 10_000,
    seconds: float = 5,
    headers: dict[str, str] | None = None,
) -> tuple[Transfer, bytes]:
    async with egress.get(
        url,
        purpose=Purpose.RESULT,
        max_bytes=max_bytes,
        timeout_seconds=seconds,
        headers=headers,
        trusted=egress.trusted("engine"),
    ) as transfer:
        return transfer, await transfer.read()


async def test_a_configured_origin_is_trusted_for_its_provider_alone(peer: Peer) -> None:
    """Private addresses and http are fine on the operator's own origin, and for no other provider."""
    url = peer.page("/clip", b"clip", "Content-Type: video/mp4; x=y")
    transfer, body = await _get(_egress(peer), url)
    assert (transfer.status, transfer.content_type, transfer.content_length, body) == (
        200,
        "video/mp4",
        4,
        b"clip",
    )
    assert _egress(peer).trusted("another") == frozenset()
    with pytest.raises(AddressRefused):
        async with _egress(peer).get(url, purpose=Purpose.RESULT, max_bytes=9, timeout_seconds=5):
            pass


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", OTHER_HOSTS)
async def test_a_redirect_to_a_blocked_address_is_not_followed(
    peer: Peer, gate: ConnectGate, status: int, location: str
) -> None:
    """Each hop passes the whole guard: a trusted server cannot send us into the network."""
    url = peer.redirect("/go", location, status)
    with pytest.raises(AddressRefused):
        await _get(_egress(peer), url)
    assert gate.seen == ["127.0.0.1"]
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "location",
    [
        "//user@127.0.0.1:1/",
        "http://a@{own}/",
        "\\\\127.0.0.1\\x",
        "/" + "x" * 8100,
        "http://[::1",
        "/\u00e9",
        "/a\tb",
    ],
)
async def test_a_malformed_location_is_refused(peer: Peer, location: str) -> None:
    """A `Location` with userinfo, a backslash, 8 kB or an open bracket ends the fetch."""
    url = peer.redirect("/go", location.replace("{own}", f"127.0.0.1:{peer.port}"))
    with pytest.raises(AddressRefused):
        await _get(_egress(peer), url)
    assert len(peer.requests) == 1


@pytest.mark.parametrize("location", ["", "\r\nLocation: /b"])
async def test_a_redirect_needs_exactly_one_location(peer: Peer, location: str) -> None:
    """An empty `Location` and two of them are no redirect."""
    url = peer.redirect("/go", f"/a{location}" if location else "")
    with pytest.raises(TransferFailed) as caught:
        await _get(_egress(peer), url)
    assert caught.value.fault == "redirect"


@pytest.mark.parametrize("location", ["/end?a=%20b", "end?a=%20b", "?x", "{origin}/end?a=%20b"])
async def test_relative_and_absolute_redirects_on_the_origin_are_followed(peer: Peer, location: str) -> None:
    """A redirect is followed, its path kept byte for byte, and cookies are not carried along."""
    peer.page("/end?a=%20b", b"end")
    peer.page("/go?x", b"end")
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location.replace('{origin}', peer.origin)}\r\n"
    url = peer.answer("/go", answer + "Set-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")
    _, body = await _get(_egress(peer), url)
    assert body == b"end"
    assert "cookie" not in peer.requests[1].lower()


async def test_a_signed_url_may_be_long_where_a_providers_clip_is_fetched(peer: Peer) -> None:
    """4,000 characters of signature are fine for a result, and too long for an image of a user."""
    path = "/clip?token=" + "x" * 4000
    assert (await _get(_egress(peer), peer.page(path, b"clip")))[1] == b"clip"
    with pytest.raises(AddressRefused, match="longer"):
        async with _egress(peer).get(
            "https://example.com" + path, purpose=Purpose.IMAGE, max_bytes=9, timeout_seconds=5
        ):
            pass


async def test_three_redirects_are_followed_and_a_fourth_is_not(peer: Peer) -> None:
    """A chain of three ends in the page; a loop ends in an error after four requests."""
    for number in range(3):
        peer.redirect(f"/{number}", f"/{number + 1}")
    peer.page("/3", b"there")
    assert (await _get(_egress(peer), peer.origin + "/0"))[1] == b"there"
    peer.requests.clear()
    with pytest.raises(TransferFailed) as caught:
        await _get(_egress(peer), peer.redirect("/loop", "/loop"))
    assert caught.value.fault == "redirect"
    assert len(peer.requests) == 4


async def test_a_refresh_header_or_tag_is_content(peer: Peer, gate: ConnectGate) -> None:
    """A page that asks a browser to go elsewhere is only a body to us."""
    url = peer.page(
        "/r",
        b"<meta http-equiv=refresh content='0;url=http://10.0.0.1/'>",
        "Refresh: 0; url=http://10.0.0.1/",
    )
    assert (await _get(_egress(peer), url))[0].status == 200
    assert set(gate.seen) == {"127.0.0.1"}


async def test_key_headers_go_to_the_first_origin_only(peer: Peer) -> None:
    """A key is sent to the origin of the URL, and not to another origin that it redirects to."""
    other = Peer()
    await other.start()
    try:
        other.page("/clip", b"clip")
        url = peer.redirect("/go", other.origin + "/clip")
        egress = Egress(resolver=ScriptedDns({}), trusted_origins={"engine": [peer.origin, other.origin]})
        _, body = await _get(egress, url, headers={"Authorization": "Key secret"})
    finally:
        await other.stop()
    assert body == b"clip"
    assert "Authorization: Key secret" in peer.requests[0]
    assert "secret" not in other.requests[0]


async def test_identity_is_asked_for_and_an_encoded_body_is_refused(peer: Peer) -> None:
    """A gzip bomb cannot go off in a client that never unpacks."""
    url = peer.page("/z", b"\x1f\x8b", "Content-Encoding: gzip")
    with pytest.raises(TransferFailed) as caught:
        await _get(_egress(peer), url, headers={"Accept-Encoding": "gzip"})
    assert caught.value.fault == "encoding"
    assert "Accept-Encoding: identity" in peer.requests[0]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_cap_is_refused(peer: Peer, declared: bool) -> None:
    """The cap counts, whether the length was declared or the body just keeps coming."""
    head = (
        "HTTP/1.1 200 OK\r\n" + ("Content-Length: 2000\r\n" if declared else "Connection: close\r\n") + "\r\n"
    )
    url = peer.answer("/big", head, b"x" * 2000)
    with pytest.raises(TransferFailed) as caught:
        await _get(_egress(peer), url, max_bytes=1999)
    assert caught.value.fault == "too_large"
    assert len((await _get(_egress(peer), url, max_bytes=2000))[1]) == 2000


async def test_a_body_that_ends_early_is_broken(peer: Peer) -> None:
    """Fewer bytes than Content-Length, and a chunked body without an end, are failures."""
    short = peer.answer("/short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"only")
    chunked = peer.answer("/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n")
    for url in (short, chunked):
        with pytest.raises(TransferFailed) as caught:
            await _get(_egress(peer), url)
        assert caught.value.fault == "broken"


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 150 + "\r\n",
        "HTTP/1.1 200 OK\r\nX: " + "y" * 9000 + "\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + "".join(f"X{n}: {'y' * 7000}\r\n" for n in range(6)) + "\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
    ],
    ids=["many", "long", "sum", "negative", "two", "ssh"],
)
async def test_headers_have_limits(peer: Peer, head: str) -> None:
    """Too many, too long or contradictory headers, and what is no HTTP, end the transfer."""
    with pytest.raises(TransferFailed) as caught:
        await _get(_egress(peer), peer.answer("/h", head))
    assert caught.value.fault == "headers"


async def test_a_trickle_is_too_slow_and_silence_is_a_timeout(peer: Peer) -> None:
    """Below the minimum rate the transfer ends early; without headers it ends at the total deadline."""
    slow = peer.answer("/slow", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b"x", stall=True)
    with pytest.raises(TransferFailed) as caught:
        await _get(_egress(peer, TINY_PACE), slow, seconds=20)
    assert caught.value.fault == "too_slow"
    with pytest.raises(TransferFailed) as caught:
        await _get(_egress(peer), slow, seconds=0.05)
    assert caught.value.fault == "timeout"
    with pytest.raises(TransferFailed) as caught:
        await _get(_egress(peer), peer.answer("/silent", stall=True), seconds=0.05)
    assert caught.value.fault == "timeout"


async def test_a_resolver_that_does_not_answer_meets_its_deadline() -> None:
    """A name whose look-up hangs fails like any other peer that does not answer."""

    class Silent:
        async def resolve(self, host: str) -> list[str]:
            await asyncio.Event().wait()
            return []

    egress = Egress(resolver=Silent(), pace=Pace(resolve_seconds=0.02))
    with pytest.raises(TransferFailed):
        await _get(egress, "https://example.com/")
    await egress.check_webhook("https://example.com/hook")


async def test_the_machines_own_resolver_answers_addresses() -> None:
    """The default resolver turns a name of this machine into addresses, and can be let go."""
    egress = Egress()
    resolver = SystemResolver()
    assert set(await resolver.resolve("localhost")) <= {"127.0.0.1", "::1"}
    resolver.close()
    with pytest.raises(AddressRefused):
        await egress.check_webhook("https://127.0.0.1/hook")
    await egress.aclose()


async def test_a_webhook_is_posted_once_and_redirects_are_its_answer(peer: Peer) -> None:
    """The exact bytes arrive, a 3xx comes back as it is, and the answer is read to 64 KiB at most."""
    egress = Egress(webhook_allow=[f"127.0.0.1:{peer.port}"])
    answer = await egress.post(
        peer.redirect("/hook", "/other", 307), b'{"id":"job_x"}', {"webhook-id": "msg_1"}
    )
    assert answer.status == 307
    assert len(peer.requests) == 1
    assert peer.requests[0].startswith("POST /hook ")
    assert "webhook-id: msg_1" in peer.requests[0]
    long = await egress.post(peer.page("/long", b"x" * 100_000), b"{}", {})
    assert (long.status, len(long.body)) == (200, 64 * 1024)
    zipped = await egress.post(peer.page("/zip", b"\x1f\x8b", "Content-Encoding: gzip"), b"{}", {})
    assert zipped.status == 200
    cut = await egress.post(peer.answer("/cut", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), b"{}", {})
    assert cut.status == 200


async def test_a_development_receiver_is_allowed_on_its_own_port_only(peer: Peer) -> None:
    """`FAIRSTACK_WEBHOOK_ALLOW` names host and port; the same host on another port stays refused."""
    egress = Egress(
        webhook_allow=[f"localhost:{peer.port}"], resolver=ScriptedDns({"localhost": [["127.0.0.1"]]})
    )
    peer.page("/hook", b"ok")
    assert (await egress.post(f"http://localhost:{peer.port}/hook", b"{}", {})).status == 200
    with pytest.raises(AddressRefused):
        await egress.post(f"http://localhost:{peer.port + 1}/hook", b"{}", {})
    with pytest.raises(AddressRefused):
        await egress.post(peer.origin + "/hook", b"{}", {})


@pytest.mark.parametrize("entry", ["localhost", "localhost:", "a b:1", "http://x:1"])
def test_a_malformed_setting_is_named(entry: str) -> None:
    """A webhook_allow entry that cannot be read stops the start with the setting's name."""
    with pytest.raises(SettingsError, match="FAIRSTACK_WEBHOOK_ALLOW"):
        Egress(webhook_allow=[entry])


def test_origins_are_written_one_way() -> None:
    """Case and default ports do not make two origins of one."""
    assert origin_of("HTTP://Engine.Internal/v1?x#y") == "http://engine.internal:80"
    assert origin_of("https://[2606:4700:0::1]") == "https://[2606:4700::1]:443"


async def test_proxies_of_the_environment_are_not_used(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect in our place, unguarded; it is ignored."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert (await _get(_egress(peer), peer.page("/p", b"direct")))[1] == b"direct"


async def test_tls_is_made_with_the_name_at_the_judged_address(peer: Peer, tmp_path: Path) -> None:
    """SNI, certificate check and Host say the name while the socket goes to the one address it answered."""
    context, authority = _certificate("clips.example.net", tmp_path)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    secure = Peer()
    await secure.start(context)
    try:
        secure.page("/clip", b"clip")
        secure.redirect("/down", peer.page("/plain", b"plain"))
        origin = f"https://clips.example.net:{secure.port}"
        wrong = f"https://wrong.example.net:{secure.port}"
        dns = ScriptedDns({name: [["127.0.0.1"]] for name in ("clips.example.net", "wrong.example.net")})
        client = ssl.create_default_context(cadata=authority)
        trusted = {"engine": [origin, wrong, peer.origin]}
        egress = Egress(resolver=dns, trusted_origins=trusted, ssl_context=client)
        assert (await _get(egress, origin + "/clip"))[1] == b"clip"
        with pytest.raises(TransferFailed) as caught:
            await _get(egress, wrong + "/clip")
        # From https to http is a step down even where both ends are trusted.
        with pytest.raises(AddressRefused, match="https to http"):
            await _get(egress, origin + "/down")
    finally:
        await secure.stop()
    assert caught.value.fault == "tls"
    assert names == ["clips.example.net", "wrong.example.net", "clips.example.net"]
    assert f"Host: clips.example.net:{secure.port}" in secure.requests[0]
    assert peer.requests == []


async def test_a_session_on_the_guarded_connector_reaches_trusted_and_public_addresses_only(
    peer: Peer, gate: ConnectGate
) -> None:
    """Whoever brings a session of their own gets the same guard, pooled connections included."""
    peer.page("/a", b"a")
    dns = ScriptedDns({"inner.example.com": [["127.0.0.1"]]})
    connector = guarded_connector(dns, frozenset({peer.origin}), limit=4, keep_alive=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        for _ in range(2):
            async with session.get(peer.origin + "/a") as response:
                assert await response.read() == b"a"
        for url in (
            "http://127.0.0.1:80/",
            "http://inner.example.com/",
            "http://localhost/",
        ):
            with pytest.raises(AddressRefused):
                await session.get(url)
    assert set(gate.seen) == {"127.0.0.1"}
    assert len(gate.seen) == len(peer.requests) == 2


async def test_a_name_is_looked_up_for_every_connection(gate: ConnectGate) -> None:
    """A connector keeps no answer: the second connection is judged by the second look-up."""
    gate.shut = True
    dns = ScriptedDns({"r.example.com": [["93.184.215.14"], ["127.0.0.1"]]})
    async with aiohttp.ClientSession(connector=guarded_connector(dns)) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get("http://r.example.com/")
        with pytest.raises(AddressRefused):
            await session.get("http://r.example.com/")
    assert set(gate.seen) == {"93.184.215.14"}


async def test_whoever_answers_must_be_who_was_judged(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that ended up elsewhere, below us, is closed before a byte is sent."""
    approve = Approvals.add
    monkeypatch.setattr(Approvals, "add", lambda self, _, port: approve(self, ip_address("1.1.1.1"), port))
    monkeypatch.setattr(Approvals, "open_socket", lambda _self, _info: socket.socket())
    with pytest.raises(AddressRefused, match="never judged"):
        await _get(_egress(peer), peer.page("/a", b"a"))
    assert peer.requests == []


def test_no_socket_is_made_for_an_address_that_was_not_judged() -> None:
    """The last gate asks nobody: an address that no verdict approved gets no socket, another port neither."""
    approvals = Approvals()
    approvals.add(ip_address("93.184.215.14"), 443)
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    for address in (("93.184.215.14", 80), ("127.0.0.1", 443)):
        with pytest.raises(PermissionError):
            approvals.open_socket((*info, address))
    approvals.open_socket((*info, ("93.184.215.14", 443))).close()


def _certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both = folder / "server.pem"
    both.write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, pem.decode()
