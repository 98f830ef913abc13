"""Puts a signed statement of origin (C2PA) into a clip and reads it back. In the confined child only.

What signs is asked for outside: the key is never in a process that has seen a byte of the clip. Nothing is
fetched either: no revocation list, no time stamp, no manifest that a clip says lies elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, BinaryIO

import c2pa

MP4 = "video/mp4"
_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_UPSTREAM = "upstream"
#: Above this a clip is hashed in pieces: hashed whole, it would be held in memory once more.
_WHOLE_BYTES = 64 * 1024 * 1024
_PIECE_KIB = 1024
_GOOD = frozenset({"Valid", "Trusted"})


class NotSigned(Exception):
    """The clip cannot carry a manifest, or what was made does not verify."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def sign_clip(
    source: BinaryIO,
    out: BinaryIO,
    origin: dict[str, str],
    chain_pem: str,
    algorithm: str,
    sign: Callable[[bytes], bytes],
) -> bool:
    """Write the clip with our manifest to `out`; True where it came with one, kept as its ingredient.

    `origin`: `version` of ours, `model`, `digital_source_type`. Raises NotSigned.
    """
    with _context(source) as context:
        try:
            upstream = _has_manifest(source, context)
            builder = c2pa.Builder(_definition(origin, opened=upstream), context=context)
            if upstream:
                builder.add_ingredient(_INGREDIENT, MP4, source)
                source.seek(0)
            signer = c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg[algorithm.upper()], chain_pem)
            builder.sign(signer, MP4, source, out)
            out.seek(0)
            state = c2pa.Reader(MP4, out, context=context).get_validation_state()
        except c2pa.C2paError as error:
            raise NotSigned(f"{type(error).__name__.strip('_')}: {str(error)[:200]}") from error
        if state not in _GOOD:
            raise NotSigned(f"the signed clip reads as {state}")
        return upstream


def read_origin(source: BinaryIO) -> tuple[bool, bool]:
    """Whether a clip of our store has a sound manifest, and whether that one has an ingredient."""
    with _context(source) as context:
        try:
            reader = c2pa.Reader(MP4, source, context=context)
            manifest = reader.get_active_manifest() or {}
            return reader.get_validation_state() in _GOOD, bool(manifest.get("ingredients"))
        except c2pa.C2paError:
            return False, False


def warm_up() -> None:
    """Load the library while files can still be opened."""
    c2pa.Builder(_definition({"version": "0", "model": "none", "digital_source_type": "algorithmicMedia"}))
    c2pa.Reader.get_supported_mime_types()


_INGREDIENT = {"title": "The provider's clip", "relationship": "parentOf", "label": _UPSTREAM}


def _has_manifest(source: BinaryIO, context: c2pa.Context) -> bool:
    """Sound or not: whoever reads ours shall see what the clip came with, and what is wrong with it."""
    found = c2pa.Reader.try_create(MP4, source, context=context)
    source.seek(0)
    return found is not None and found.is_embedded()


def _definition(origin: dict[str, str], *, opened: bool = False) -> dict[str, Any]:
    """What we state: made by which model, through us, and from what; nobody's prompt, no account, no job."""
    agent = {"name": "FairStack", "version": origin["version"]}
    parameters: dict[str, Any] = {"org.fairstack.model": origin["model"]}
    if opened:
        parameters["ingredientIds"] = [_UPSTREAM]
    action = {
        # A clip with a past was created by whoever states so in there; we opened it.
        "action": "c2pa.opened" if opened else "c2pa.created",
        "digitalSourceType": _TYPES + origin["digital_source_type"],
        "softwareAgent": agent,
        "parameters": parameters,
    }
    return {
        "claim_generator_info": [agent],
        "title": "output.mp4",
        "format": MP4,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }


def _context(source: BinaryIO) -> c2pa.Context:
    size = source.seek(0, 2)
    source.seek(0)
    core: dict[str, Any] = {"backing_store_memory_threshold_in_mb": size // 2**20 * 2 + 64}
    if size > _WHOLE_BYTES:
        core["merkle_tree_chunk_size_in_kb"] = _PIECE_KIB
    settings = {
        "core": core,
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    return c2pa.Context(c2pa.Settings.from_json(json.dumps(settings)))
