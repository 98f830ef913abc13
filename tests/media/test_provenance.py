"""What a clip says of itself: the signed manifest, the certificate, and what happens where neither works."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fairstack_server.media import certificate as certificates
from fairstack_server.media.boxes import Walker
from fairstack_server.media.certificate import Certificate, own_certificate, read_certificate
from fairstack_server.media.fetch import check_clip
from fairstack_server.media.provenance import ClipSigner, Origin, SourceType, Stated
from fairstack_server.settings import SettingsError, read_settings
from tests.media.conftest import make_clip
from tests.upstreams.clip import clip_bytes

MODEL = "kling-2-1-std-t2v"
TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A server's own certificate."""
    return own_certificate(tmp_path_factory.mktemp("home") / "c2pa")


@pytest.fixture(scope="module")
async def signer(certificate: Certificate) -> AsyncIterator[ClipSigner]:
    """A warm signer."""
    signer = ClipSigner(certificate, max_bytes=32 * 1024 * 1024)
    await signer.start()
    yield signer
    await signer.aclose()


def written(path: Path, content: bytes) -> Path:
    """A file with that content."""
    path.write_bytes(content)
    return path


async def signed(
    signer: ClipSigner, clip: Path, kind: SourceType = "trainedAlgorithmicMedia"
) -> tuple[Path, Stated | None]:
    """The signed copy beside a clip, and what the signer says of it."""
    out = clip.with_name(f"{clip.stem}-signed.mp4")
    return out, await signer.sign(clip, out, Origin(MODEL, kind))


def reader_of(path: Path, trusted: str | None = None) -> c2pa.Reader:
    """C2PA's own reader, which trusts that certificate's issuer."""
    settings = {} if trusted is None else {"trust": {"user_anchors": trusted}}
    context = c2pa.Context(c2pa.Settings.from_json(json.dumps(settings)))
    return c2pa.Reader("video/mp4", io.BytesIO(path.read_bytes()), context=context)


def actions_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The actions that a manifest states."""
    found = [each for each in manifest["assertions"] if each["label"].startswith("c2pa.actions")]
    actions: list[dict[str, Any]] = found[0]["data"]["actions"]
    return actions


def issuer_of(certificate: Certificate) -> str:
    """The last certificate of a chain."""
    begin = "-----BEGIN CERTIFICATE-----"
    return begin + certificate.chain_pem.rpartition(begin)[2]


@pytest.mark.parametrize("kind", ["algorithmicMedia", "trainedAlgorithmicMedia"])
async def test_a_clip_says_what_it_is(
    signer: ClipSigner, certificate: Certificate, tmp_path: Path, kind: SourceType
) -> None:
    """Its signature is valid, its issuer the server's; it names kind of source, model and us, and no more."""
    clip = written(tmp_path / "clip.mp4", make_clip())
    out, stated = await signed(signer, clip, kind)
    assert stated == Stated(upstream=False)
    reader = reader_of(out, issuer_of(certificate))
    assert reader.get_validation_state() == "Trusted"
    manifest = reader.get_active_manifest()
    assert manifest is not None
    (action,) = actions_of(manifest)
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"] == TYPES + kind
    assert action["softwareAgent"]["name"] == "FairStack"
    assert action["parameters"] == {"org.fairstack.model": MODEL}
    assert {each["label"] for each in manifest["assertions"]} == {"c2pa.hash.bmff.v3", "c2pa.actions.v2"}
    assert "ingredients" not in manifest


async def test_a_signed_clip_is_the_same_clip(signer: ClipSigner, tmp_path: Path) -> None:
    """720p, 24 fps, 120 frames, 5 s, index first, every frame bit for bit; the books have the signed file."""
    clip = written(tmp_path / "clip.mp4", clip_bytes())
    out, _ = await signed(signer, clip)
    before, after = check_clip(clip), check_clip(out)
    assert after.facts == before.facts
    assert (after.facts.width, after.facts.height, after.facts.frames) == (1280, 720, 120)
    assert after.sha256 != before.sha256
    with out.open("rb") as file:
        walker = Walker(file)
        kinds = [box.kind for box in walker.boxes(0, walker.size)]
    assert kinds.index("ftyp") < kinds.index("uuid") < kinds.index("moov") < kinds.index("mdat")
    with av.open(str(clip)) as first, av.open(str(out)) as second:
        pairs = zip(first.demux(video=0), second.demux(video=0), strict=True)
        assert all(bytes(one) == bytes(other) for one, other in pairs)


async def test_a_changed_clip_is_found_out(signer: ClipSigner, tmp_path: Path) -> None:
    """One other byte among the frames, and the reader calls the clip invalid."""
    out, _ = await signed(signer, written(tmp_path / "clip.mp4", make_clip()))
    content = bytearray(out.read_bytes())
    content[-100] ^= 1
    out.write_bytes(content)
    assert reader_of(out).get_validation_state() == "Invalid"
    assert await signer.read(out) is None


async def test_the_manifest_of_another_is_kept(signer: ClipSigner, tmp_path: Path) -> None:
    """A clip that its maker signed keeps that manifest, whole, as the one that ours was opened from."""
    maker = ClipSigner(own_certificate(tmp_path / "maker"), max_bytes=2**25)
    made, _ = await signed(maker, written(tmp_path / "clip.mp4", make_clip()))
    await maker.aclose()
    theirs = reader_of(made).get_active_manifest()
    assert theirs is not None
    out, stated = await signed(signer, made)
    assert stated == Stated(upstream=True)
    assert await signer.read(out) == Stated(upstream=True)
    reader = reader_of(out)
    assert reader.get_validation_state() == "Valid"
    ours = reader.get_active_manifest()
    assert ours is not None
    (ingredient,) = ours["ingredients"]
    assert (ingredient["relationship"], ingredient["active_manifest"]) == ("parentOf", theirs["label"])
    assert reader.get_manifest(theirs["label"]) == theirs
    (action,) = actions_of(ours)
    assert (action["action"], action["digitalSourceType"]) == (
        "c2pa.opened",
        TYPES + "trainedAlgorithmicMedia",
    )


async def test_a_broken_manifest_of_another_is_kept_and_called_broken(
    signer: ClipSigner, tmp_path: Path
) -> None:
    """Somebody changed the maker's clip before it came to us: ours is valid, and shows what is wrong."""
    made, _ = await signed(signer, written(tmp_path / "clip.mp4", make_clip()))
    content = bytearray(made.read_bytes())
    content[-100] ^= 1
    made.write_bytes(content)
    out, stated = await signed(signer, made)
    assert stated == Stated(upstream=True)
    reader = reader_of(out)
    assert reader.get_validation_state() == "Valid"
    ours = reader.get_active_manifest()
    assert ours is not None
    failures = ours["ingredients"][0]["validation_results"]["activeManifest"]["failure"]
    assert "assertion.bmffHash.mismatch" in {failure["code"] for failure in failures}


async def test_a_large_clip_is_hashed_in_pieces(signer: ClipSigner, tmp_path: Path) -> None:
    """A clip over 64 MB is signed too, within the memory that its process has, and reads as valid."""
    content = make_clip(movflags="faststart")
    at = content.rindex(b"mdat") - 4
    more = bytes(1024) * 70_000
    length = (len(content) - at + len(more)).to_bytes(4, "big")
    clip = written(tmp_path / "clip.mp4", content[:at] + length + content[at + 4 :] + more)
    large = ClipSigner(signer._certificate, max_bytes=2**27)
    out, stated = await signed(large, clip)
    assert stated == Stated(upstream=False)
    assert await large.read(out) == Stated(upstream=False)
    await large.aclose()


@pytest.mark.parametrize("content", [b"", b"\0\0\0\x18ftypmp42", bytes(4096)], ids=["empty", "head", "zeros"])
async def test_what_is_no_clip_is_not_signed(signer: ClipSigner, tmp_path: Path, content: bytes) -> None:
    """Nothing is raised, nothing is left, and the next clip is signed."""
    out, stated = await signed(signer, written(tmp_path / "bad.mp4", content))
    assert stated is None
    assert not out.exists()
    assert (await signed(signer, written(tmp_path / "good.mp4", make_clip())))[1] is not None


async def test_a_clip_over_the_limit_is_not_signed(
    signer: ClipSigner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator reads why, and which setting it is."""
    clip = written(tmp_path / "clip.mp4", make_clip())
    small = ClipSigner(signer._certificate, max_bytes=1000)
    assert (await signed(small, clip))[1] is None
    said = capsys.readouterr().out
    assert "clip.unsigned" in said
    assert "FAIRSTACK_C2PA_MAX_BYTES" in said


async def test_a_key_that_signs_nothing_leaves_no_file(certificate: Certificate, tmp_path: Path) -> None:
    """A signature that is none makes the clip unsigned, not lost."""
    broken = ClipSigner(replace(certificate, sign=lambda _: bytes(64)), max_bytes=2**25)
    out, stated = await signed(broken, written(tmp_path / "clip.mp4", make_clip()))
    await broken.aclose()
    assert stated is None
    assert not out.exists()


async def test_clips_are_signed_side_by_side(certificate: Certificate, tmp_path: Path) -> None:
    """Several at once, on two children: every one is signed, and none with the other's manifest."""
    signer = ClipSigner(certificate, max_bytes=2**25, children=2)
    clips = [written(tmp_path / f"{number}.mp4", make_clip(frames=3 + number)) for number in range(6)]
    done = await asyncio.gather(*(signed(signer, clip) for clip in clips))
    await signer.aclose()
    assert [reader_of(out).get_validation_state() for out, _ in done] == ["Valid"] * 6
    assert [check_clip(out).facts.frames for out, _ in done] == [3, 4, 5, 6, 7, 8]


# --- certificates


def test_an_own_certificate_is_made_once(tmp_path: Path) -> None:
    """The same one at every start, in one file that nobody else can read."""
    folder = tmp_path / "c2pa"
    first, second = own_certificate(folder), own_certificate(folder)
    assert first.chain_pem == second.chain_pem
    assert [path.name for path in folder.iterdir()] == ["signing.pem"]
    assert stat.S_IMODE((folder / "signing.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "PRIVATE" not in repr(first)


def test_an_own_certificate_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends within a month is replaced at the start."""
    with monkeypatch.context() as short:
        short.setattr(certificates, "_VALID_FOR", timedelta(days=20))
        old = own_certificate(tmp_path)
    new = own_certificate(tmp_path)
    assert new.chain_pem != old.chain_pem
    assert new.expires_at > datetime.now(UTC) + timedelta(days=3000)


def operator_files(folder: Path, key: Any, days: int = 30) -> dict[str, str]:
    """Settings that name a certificate for this key, from an authority of its own."""
    authority = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    names = [
        x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Studio"),
            ]
        )
        for name in ("clips", "authority")
    ]
    usage = dict.fromkeys(
        [
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ],
        False,
    )
    leaf = (
        x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
        )
        .sign(authority, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    chain = written(folder / "chain.pem", leaf.public_bytes(serialization.Encoding.PEM))
    return {
        "FAIRSTACK_HOME": str(folder),
        "FAIRSTACK_C2PA_CERTIFICATE": str(chain),
        "FAIRSTACK_C2PA_KEY": str(written(folder / "key.pem", private)),
    }


KEYS: dict[str, Callable[[], Any]] = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("algorithm", KEYS)
async def test_an_operators_certificate_signs(tmp_path: Path, algorithm: str) -> None:
    """Every kind of key that C2PA knows makes a valid clip, in the operator's name."""
    certificate = read_certificate(read_settings(operator_files(tmp_path, KEYS[algorithm]())))
    assert certificate.algorithm == algorithm
    signer = ClipSigner(certificate, max_bytes=2**25)
    out, stated = await signed(signer, written(tmp_path / "clip.mp4", make_clip()))
    await signer.aclose()
    assert stated is not None
    manifest = reader_of(out).get_active_manifest()
    assert manifest is not None
    assert manifest["signature_info"]["issuer"] == "Studio"


def test_certificates_that_cannot_be_meant_stop_the_start(tmp_path: Path) -> None:
    """A foreign key, an expired certificate, half of a pair, a missing file, a kind of key nobody takes."""
    settings = operator_files(tmp_path, KEYS["es256"]())
    other = tmp_path / "other"
    other.mkdir()
    wrong = [
        {**settings, "FAIRSTACK_C2PA_KEY": operator_files(other, KEYS["es256"]())["FAIRSTACK_C2PA_KEY"]},
        operator_files(other, KEYS["es256"](), days=-1),
        {name: value for name, value in settings.items() if not name.endswith("KEY")},
        {**settings, "FAIRSTACK_C2PA_CERTIFICATE": str(tmp_path / "nowhere.pem")},
        {**settings, "FAIRSTACK_C2PA_CERTIFICATE": settings["FAIRSTACK_C2PA_KEY"]},
    ]
    for environment in wrong:
        with pytest.raises(SettingsError):
            read_certificate(read_settings(environment))
    weak = tmp_path / "weak"
    weak.mkdir()
    with pytest.raises(SettingsError, match="2048"):
        read_certificate(read_settings(operator_files(weak, ec.generate_private_key(ec.SECP256K1()))))
    shutil.rmtree(weak)
