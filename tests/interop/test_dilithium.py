"""ML-DSA-44 cosignatures, both ways, with dilithium-py: FIPS 204 in plain Python, over C2SP's structure."""

from __future__ import annotations

import secrets

import pytest
from dilithium_py.ml_dsa import ML_DSA_44  # type: ignore[import-untyped]  # it ships no types

from broker.tlog.checkpoint import Checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureSigner, MlDsa44CosignatureVerifier
from broker.tlog.merkle import leaf_hash
from schemas.errors import VerificationError

ORIGIN = "example.org/log"
AT = 1_795_000_000


def _checkpoint() -> Checkpoint:
    return Checkpoint(ORIGIN, 1, leaf_hash(b"entry"))


def test_dilithium_verifies_what_barid_cosigned() -> None:
    """Over the structure that tlog-cosignature lays down, written here once more from its text."""
    signer = MlDsa44CosignatureSigner("witness.example/tn", secrets.token_bytes(32))
    checkpoint = _checkpoint()
    line = signer.sign(checkpoint.render_text(), AT)
    stamp, signature = line.signature[:8], line.signature[8:]
    message = b"".join(
        (
            b"subtree/v1\n\x00",
            b"\x12witness.example/tn",
            AT.to_bytes(8, "big"),
            b"\x0fexample.org/log",
            (0).to_bytes(8, "big"),
            (1).to_bytes(8, "big"),
            checkpoint.root,
        )
    )
    assert stamp == AT.to_bytes(8, "big")
    assert ML_DSA_44.verify(signer.key.public, message, signature)
    later = message.replace(stamp, (AT + 1).to_bytes(8, "big"))
    assert not ML_DSA_44.verify(signer.key.public, later, signature)


def test_barid_verifies_what_dilithium_cosigned() -> None:
    """A note with its line opens, and says when; with another time it does not."""
    public, secret = ML_DSA_44.keygen()
    checkpoint = _checkpoint()
    counts = (0).to_bytes(8, "big") + (1).to_bytes(8, "big")
    message = b"subtree/v1\n\x00\x01w" + AT.to_bytes(8, "big") + b"\x0f" + ORIGIN.encode() + counts
    signature = ML_DSA_44.sign(secret, message + checkpoint.root)
    check = MlDsa44CosignatureVerifier("w", public)
    assert check.verify(checkpoint.render_text(), AT.to_bytes(8, "big") + signature) == AT
    with pytest.raises(VerificationError):
        check.verify(checkpoint.render_text(), (AT + 1).to_bytes(8, "big") + signature)
