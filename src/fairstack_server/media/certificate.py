"""The certificate that clips are signed with: the operator's, or one that this server makes for itself.

A self-made one proves that a clip was not changed since this server signed it, and that two clips come from
the same server; who runs that server is proven only by a certificate that others trust.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from fairstack_server.ids import random_base62
from fairstack_server.leftovers import HOUR, Leftovers
from fairstack_server.settings import Settings, SettingsError

Algorithm = Literal["es256", "es384", "es512", "ps256", "ed25519"]

#: The purpose "signs C2PA claims"; e-mail protection beside it, for validators that know only older lists.
_CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
_VALID_FOR = timedelta(days=10 * 365)
_OWN_NAME = "signing.pem"
_RENEWED_BEFORE = timedelta(days=30)
_CLOCKS_DIFFER = timedelta(days=1)
_LEAST_RSA_BITS = 2048
_CURVES: dict[str, tuple[Algorithm, hashes.HashAlgorithm, int]] = {
    "secp256r1": ("es256", hashes.SHA256(), 32),
    "secp384r1": ("es384", hashes.SHA384(), 48),
    "secp521r1": ("es512", hashes.SHA512(), 66),
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A chain, the leaf first, and the power to sign for it; the key itself is never handed out."""

    chain_pem: str
    algorithm: Algorithm
    expires_at: datetime
    sign: Callable[[bytes], bytes] = field(repr=False)
    """The signature of some bytes as COSE wants it; for elliptic curves both numbers side by side."""


def read_certificate(settings: Settings) -> Certificate:
    """The certificate that the settings name, else this server's own. Raises SettingsError."""
    chain, key = settings.c2pa_certificate, settings.c2pa_key
    if chain is not None and key is not None:
        return operator_certificate(chain, key)
    if chain is not None or key is not None:
        raise SettingsError("FAIRSTACK_C2PA_CERTIFICATE and FAIRSTACK_C2PA_KEY belong together: set both.")
    return own_certificate(_own_folder(settings.home))


def operator_certificate(chain: Path, key: Path) -> Certificate:
    """The certificate in these two PEM files. Raises SettingsError naming the file that cannot be used."""
    try:
        chain_pem, key_pem = chain.read_bytes(), key.read_bytes()
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be read: {error.strerror}.") from error
    try:
        certificate = _certificate(chain_pem, key_pem)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{chain} and {key} are no certificate and key to sign with: {error}") from error
    if certificate.expires_at <= datetime.now(UTC):
        raise SettingsError(f"The certificate in {chain} expired on {certificate.expires_at:%Y-%m-%d}.")
    return certificate


def certificate_leftovers(home: Path) -> Leftovers:
    """What a killed server leaves: a certificate, and its key, that was on its way to its place."""
    return Leftovers(_own_folder(home), f".{_OWN_NAME}-*", HOUR)


def _own_folder(home: Path) -> Path:
    return home / "c2pa"


def own_certificate(folder: Path) -> Certificate:
    """This server's own certificate, made at the first start and again a month before it expires.

    Key and chain lie in one file of mode 0600. Of several processes that start at once, one makes it.
    """
    path = folder / _OWN_NAME
    with suppress(FileNotFoundError):
        pem = path.read_bytes()
        certificate = _certificate(pem, pem)
        if certificate.expires_at > datetime.now(UTC) + _RENEWED_BEFORE:
            return certificate
        path.unlink(missing_ok=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        _write_once(path, _self_made())
    pem = path.read_bytes()
    return _certificate(pem, pem)


def _certificate(chain_pem: bytes, key_pem: bytes) -> Certificate:
    chain = x509.load_pem_x509_certificates(chain_pem)
    key = serialization.load_pem_private_key(key_pem, password=None)
    leaf = chain[0]
    if _public_bytes(key.public_key()) != _public_bytes(leaf.public_key()):
        raise ValueError("the key is not the first certificate's")
    algorithm, sign = _signing(key)
    return Certificate(
        b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain).decode(),
        algorithm,
        leaf.not_valid_after_utc,
        sign,
    )


def _signing(key: object) -> tuple[Algorithm, Callable[[bytes], bytes]]:
    """How this kind of key signs. Raises ValueError for a kind that C2PA does not know."""
    match key:
        case ed25519.Ed25519PrivateKey():
            return "ed25519", key.sign
        case ec.EllipticCurvePrivateKey() if key.curve.name in _CURVES:
            algorithm, digest, length = _CURVES[key.curve.name]
            return algorithm, lambda data: _side_by_side(key.sign(data, ec.ECDSA(digest)), length)
        case rsa.RSAPrivateKey() if key.key_size >= _LEAST_RSA_BITS:
            salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            return "ps256", lambda data: key.sign(data, salted, hashes.SHA256())
        case _:
            raise ValueError("a key must be P-256, P-384, P-521, Ed25519, or RSA of 2048 bits or more")


def _side_by_side(signature: bytes, length: int) -> bytes:
    r, s = decode_dss_signature(signature)
    return r.to_bytes(length, "big") + s.to_bytes(length, "big")


def _public_bytes(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public: bytes = getattr(key, "public_bytes")(serialization.Encoding.DER, form)  # noqa: B009 - many types
    return public


def _self_made() -> bytes:
    """Key, leaf and issuer in PEM. The issuer's key is forgotten: it never signs anything else."""
    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    number = random_base62(8)
    issuer, subject = _name(f"FairStack {number} issuer"), _name(f"FairStack {number} clips")
    root = _begun(issuer, issuer, issuer_key, issuer_key, is_issuer=True).sign(issuer_key, hashes.SHA256())
    purposes = x509.ExtendedKeyUsage([_CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION])
    leaf = (
        _begun(subject, issuer, key, issuer_key, is_issuer=False)
        .add_extension(purposes, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (leaf, root))


def _name(common: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Self-signed FairStack server")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_issuer: bool,
) -> x509.CertificateBuilder:
    now, public = datetime.now(UTC), key.public_key()
    usage = x509.KeyUsage(
        digital_signature=not is_issuer,
        key_cert_sign=is_issuer,
        crl_sign=is_issuer,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    constraints = x509.BasicConstraints(ca=is_issuer, path_length=0 if is_issuer else None)
    return (
        x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _VALID_FOR)
        .add_extension(constraints, critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )


def _write_once(path: Path, content: bytes) -> None:
    """Let the file appear whole, readable by us alone. Raises FileExistsError where another made it first."""
    incoming = path.with_name(f".{path.name}-{random_base62(8)}")
    try:
        with os.fdopen(os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.link(incoming, path)
    finally:
        incoming.unlink(missing_ok=True)
