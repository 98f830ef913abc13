"""What a broken call means: `sent` is False exactly when not one byte of the request has left."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fairstack_server.providers.base import Fault, ProviderError
from fairstack_server.providers.http import Part, ProviderHttp, Sessions
from tests.providers.makers import raw_server, read_request
from tests.upstreams.faults import reset

KEY = "very-secret-key-1234567890"
WHOLE = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"id": "x"}'


def _provider_http(sessions: Sessions, url: str, **changed: float) -> ProviderHttp:
    return ProviderHttp(
        "acme",
        sessions,
        url,
        headers={"Authorization": f"Key {KEY}"},
        **changed,  # type: ignore[arg-type]
    )


async def _broken_submit(http: ProviderHttp) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await http.post_json("/make", {"prompt": "p"})
    return caught.value


# --- nothing can have left


async def test_refused_connection_is_not_sent(sessions: Sessions) -> None:
    """A refused connection means that nothing was sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert (await _broken_submit(_provider_http(sessions, url))).sent is False


class OddResolver(AbstractResolver):
    """A resolver that fails, or never answers."""

    def __init__(self, hangs: bool) -> None:
        self._hangs = hangs

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self._hangs:
            await asyncio.Event().wait()
        raise OSError(-2, "Name or service not known")

    async def close(self) -> None:
        pass


@asynccontextmanager
async def _sessions_with(resolver: AbstractResolver) -> AsyncIterator[Sessions]:
    connector = aiohttp.TCPConnector(resolver=resolver, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Sessions(session, session)


@pytest.mark.parametrize("hangs", [False, True])
async def test_unresolved_name_is_not_sent(hangs: bool) -> None:
    """A name that is not found, or not found in time, means that nothing was sent."""
    async with _sessions_with(OddResolver(hangs)) as sessions:
        http = _provider_http(sessions, "http://no.such.host", timeout_seconds=0.2)
        assert (await _broken_submit(http)).sent is False


async def test_tls_that_never_answers_is_not_sent(sessions: Sessions) -> None:
    """A peer that takes the connection and never finishes the handshake has seen no request."""
    seen = bytearray()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read(65_536))
        await reader.read()

    async with raw_server(serve) as server:
        http = _provider_http(sessions, f"https://127.0.0.1:{server.port}", timeout_seconds=1.0)
        assert (await _broken_submit(http)).sent is False
    assert KEY.encode() not in seen and seen[:1] == b"\x16"


async def test_plain_text_where_tls_is_wanted_is_not_sent(sessions: Sessions) -> None:
    """A peer that speaks no TLS has seen no request."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with raw_server(serve) as server:
        http = _provider_http(sessions, f"https://127.0.0.1:{server.port}")
        assert (await _broken_submit(http)).sent is False


async def test_untrusted_certificate_is_not_sent(sessions: Sessions, tmp_path: Path) -> None:
    """A certificate that nobody vouches for ends the call before the request."""
    seen = bytearray()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read(65_536))

    async with raw_server(serve, ssl=_self_signed(tmp_path)) as server:
        http = _provider_http(sessions, f"https://127.0.0.1:{server.port}")
        assert (await _broken_submit(http)).sent is False
    assert not seen


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "self-signed.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_foreign_address_is_never_called(sessions: Sessions) -> None:
    """An absolute URL of another origin is refused before any connection."""

    async def serve(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        raise AssertionError("called")

    async with raw_server(serve) as server:
        http = _provider_http(sessions, "http://127.0.0.1:1")
        with pytest.raises(ProviderError) as caught:
            await http.get(f"{server.url}/status")
        assert server.connections == 0
    assert (caught.value.sent, caught.value.permanent) == (False, True)


# --- something may have left


async def _close_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _close_after_head(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def _close_after_request(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def _reset_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    reset(writer.transport)  # type: ignore[arg-type]


async def _hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await reader.read()


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await writer.drain()


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    "serve",
    [
        _close_at_once,
        _close_after_head,
        _close_after_request,
        _reset_after_request,
        _hang,
        _garbage,
        _endless,
    ],
)
async def test_broken_after_connecting_counts_as_sent(sessions: Sessions, serve: object) -> None:
    """Once connected, a call that breaks may have been taken, is not repeated, and is not given up on."""
    async with raw_server(serve) as server:  # type: ignore[arg-type]
        http = _provider_http(sessions, server.url, timeout_seconds=1.0, max_answer_bytes=100_000)
        error = await _broken_submit(http)
        assert server.connections == 1
    assert (error.sent, error.permanent) == (True, False)


async def test_every_cut_of_the_answer_counts_as_sent(sessions: Sessions) -> None:
    """An answer cut off after any of its bytes but the last leaves the fate unknown."""
    cut = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(WHOLE[:cut])
        await writer.drain()

    async with raw_server(serve) as server:
        http = _provider_http(sessions, server.url)
        while cut < len(WHOLE):
            assert (await _broken_submit(http)).sent is True
            cut += 1
        answer = await http.post_json("/make", {"prompt": "p"})
        assert server.connections == len(WHOLE) + 1
    assert answer.json_object() == {"id": "x"}


async def test_a_submit_never_uses_a_kept_connection(sessions: Sessions) -> None:
    """A peer that closes kept connections loses no order: every submit opens its own, reads share theirs."""
    requests: list[bytes] = []

    async def serve_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests.append(await read_request(reader))
            writer.write(WHOLE)
            await writer.drain()

    async with raw_server(serve_once) as server:
        http = _provider_http(sessions, server.url)
        for _ in range(3):
            await http.get("/look")
        assert server.connections == 1
        for _ in range(3):
            await http.post_json("/make", {})
        assert server.connections == 4
    assert len(requests) == 6


async def test_a_submit_that_breaks_arrives_once(sessions: Sessions) -> None:
    """A POST whose answer is lost reaches the peer exactly once, as JSON or as a form."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        requests.append(await read_request(reader))

    async with raw_server(serve) as server:
        http = _provider_http(sessions, server.url)
        await _broken_submit(http)
        with pytest.raises(ProviderError):
            await http.post_multipart("/make", {"prompt": "p", "f": Part(b"123", "image/png", "a.png")})
    assert [request.split()[0] for request in requests] == [b"POST", b"POST"]


async def test_a_burst_waits_instead_of_failing(sessions: Sessions) -> None:
    """More submits than may run at once wait for a place, however long; the wait is no failed connection."""
    open_now = most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        await read_request(reader)
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.1)
        open_now -= 1
        writer.write(WHOLE)
        await writer.drain()

    async with raw_server(serve) as server:
        http = _provider_http(sessions, server.url, timeout_seconds=2.0, calls_at_once=2)
        answers = await asyncio.gather(*(http.post_json("/make", {}) for _ in range(8)))
        assert server.connections == 8
    assert most == 2 and all(answer.ok for answer in answers)


# --- whole answers


def _answering(status: str, body: bytes, headers: bytes = b"") -> object:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
        writer.write(head + headers + b"\r\n" + body)
        await writer.drain()

    return serve


@pytest.mark.parametrize(
    ("status", "body", "sent", "permanent", "fault"),
    [
        ("401 Unauthorized", b'{"detail": "no"}', False, True, Fault.KEY),
        ("402 Payment Required", b'{"detail": "no"}', False, True, Fault.CREDIT),
        ("403 Forbidden", b'{"detail": "no"}', False, True, Fault.KEY),
        ("404 Not Found", b'{"detail": "no"}', False, True, Fault.ROUTE),
        ("410 Gone", b'{"detail": "no"}', False, True, Fault.ROUTE),
        ("403 Forbidden", b"<html>blocked</html>", True, False, Fault.PROVIDER),
        ("404 Not Found", b"<html>nginx</html>", True, False, Fault.PROVIDER),
        ("308 Permanent Redirect", b"", False, True, Fault.CALL),
        ("302 Found", b"", True, False, Fault.PROVIDER),
        ("408 Request Timeout", b'{"detail": "slow"}', True, False, Fault.PROVIDER),
        ("409 Conflict", b'{"detail": "?"}', True, False, Fault.PROVIDER),
        ("500 Internal Server Error", b'{"detail": "?"}', True, False, Fault.PROVIDER),
        ("502 Bad Gateway", b"<html>", True, False, Fault.PROVIDER),
        ("503 Service Unavailable", b'{"detail": "?"}', True, False, Fault.PROVIDER),
        ("504 Gateway Timeout", b"", True, False, Fault.PROVIDER),
    ],
)
async def test_what_a_refusal_proves(
    sessions: Sessions, status: str, body: bytes, sent: bool, permanent: bool, fault: Fault
) -> None:
    """Only the vendor's own definite word proves that no task exists; the fault says whom it speaks of."""
    location = b"Location: http://127.0.0.1:1/elsewhere\r\n"
    async with raw_server(_answering(status, body, location)) as server:  # type: ignore[arg-type]
        http = _provider_http(sessions, server.url)
        answer = await http.post_json("/make", {})
        assert server.connections == 1
    error = http.broken(answer, "a submit")
    assert (error.sent, error.permanent, error.fault) == (sent, permanent, fault)
    told_of_a_task = http.broken(answer, "a status call").fault
    assert told_of_a_task == (Fault.CALL if fault is Fault.ROUTE else fault)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"2", 2.0),
        (b"0.5", 0.5),
        (b"99999999", 3600.0),
        (b"-1", None),
        (b"nan", None),
        (b"Wed, 21 Oct", None),
        (b"", None),
    ],
)
async def test_retry_after(sessions: Sessions, header: bytes, seconds: float | None) -> None:
    """`Retry-After` is a number of seconds within an hour, or unknown."""
    told = b"Retry-After: " + header + b"\r\n"
    async with raw_server(_answering("429 Too Many", b"{}", told)) as server:  # type: ignore[arg-type]
        answer = await _provider_http(sessions, server.url).post_json("/make", {})
    assert answer.retry_after_seconds() == seconds


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}'])
async def test_only_an_object_is_an_answer(sessions: Sessions, body: bytes) -> None:
    """A body that is no JSON object is none, whatever else it is."""
    async with raw_server(_answering("200 OK", body)) as server:  # type: ignore[arg-type]
        answer = await _provider_http(sessions, server.url).post_json("/make", {})
    assert answer.json_object() is None


# --- secrets


async def test_the_key_is_nowhere_but_on_the_wire(sessions: Sessions) -> None:
    """No log line, error or repr holds the key or the query of a URL."""
    with structlog.testing.capture_logs() as logs:
        async with raw_server(_answering("200 OK", b"{}")) as server:  # type: ignore[arg-type]
            http = _provider_http(sessions, server.url)
            answer = await http.post_json(
                "/make", {"prompt": "private"}, {"callback": "https://x/cb/nonce-9"}
            )
        error = await _broken_submit(http)
    told = f"{logs} {answer!r} {http!r} {error!r} {error} {error.__cause__!r}"
    assert logs
    assert KEY not in told and "private" not in told and "nonce-9" not in told


async def test_a_vendor_that_repeats_the_key_is_blanked(sessions: Sessions) -> None:
    """A vendor's message that quotes our key is shown without it, without markup, and short."""
    http = _provider_http(sessions, "http://127.0.0.1:1")
    shown = http.plain(f"<b>Bad key {KEY}</b>\x00 see https://acme/x?k={KEY} " + "x" * 1000)
    assert KEY not in shown and "<b>" not in shown and "https" not in shown and len(shown) == 300


@pytest.mark.parametrize("key", ["with\nnewline", "with\rreturn", "kéy", "nul\0"])
async def test_a_key_that_no_header_can_carry_is_refused_at_once(sessions: Sessions, key: str) -> None:
    """A mangled key is refused when the provider is built, without being shown."""
    with pytest.raises(ValueError, match="no HTTP header") as caught:
        ProviderHttp("acme", sessions, "https://acme.test", headers={"Authorization": f"Key {key}"})
    assert key not in str(caught.value)
