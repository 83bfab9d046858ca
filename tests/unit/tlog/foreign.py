"""Reads `tests/vectors/foreign`: what other people's logs, witnesses and tests hold, one file a source.

May import `broker.tlog`; the tests beside it call it. Where each value comes from stands in the README there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from broker.tlog.cosignature import Ed25519CosignatureVerifier, MlDsa44CosignatureVerifier
from broker.tlog.note import (
    Ed25519NoteVerifier,
    NoteVerifier,
    SignatureType,
    VerifierKey,
    parse_verifier_key,
)

FOLDER = Path(__file__).parents[2] / "vectors" / "foreign"


def load(name: str) -> dict[str, Any]:
    """One source's file."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def verifier(vkey: str | VerifierKey) -> NoteVerifier:
    """What verifies the lines of a key."""
    key = parse_verifier_key(vkey) if isinstance(vkey, str) else vkey
    if key.type is SignatureType.ED25519:
        return Ed25519NoteVerifier(key.name, key.public)
    if key.type is SignatureType.ED25519_COSIGNATURE:
        return Ed25519CosignatureVerifier(key.name, key.public)
    return MlDsa44CosignatureVerifier(key.name, key.public)
