"""Timestamped cosignatures: the exact bytes signed, and that name, time, log and tree are bound."""

from __future__ import annotations

import hashlib
import struct

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from nacl.signing import SigningKey

from broker.tlog import note
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.cosignature import (
    TIMESTAMP_MAX,
    Ed25519CosignatureVerifier,
    MlDsa44CosignatureSigner,
    MlDsa44CosignatureVerifier,
    cosigned_message,
)
from schemas.errors import ConfigurationError, ParseError, VerificationError

NAME = "witness.example/tn"
ORIGIN = "hub.example/exchange"
AT = 1_795_000_000
ROOT = hashlib.sha256(b"root").digest()
TEXT = Checkpoint(ORIGIN, 7, ROOT).render_text()
SIGNER = MlDsa44CosignatureSigner(NAME, b"\x05" * 32)
VERIFIER = MlDsa44CosignatureVerifier(NAME, SIGNER.key.public)


def raw_ml_dsa(message: bytes, timestamp: int = AT) -> bytes:
    """Sign any message with the witness's key, as a timestamped_signature."""
    signature = MLDSA44PrivateKey.from_seed_bytes(b"\x05" * 32).sign(message)
    return timestamp.to_bytes(8, "big") + signature


def test_message_layout() -> None:
    """The structure is label, name, timestamp, origin, start, end and root, byte for byte."""
    assert cosigned_message(NAME, AT, ORIGIN, 0, 7, ROOT) == (
        b"subtree/v1\n\x00\x12witness.example/tn"
        + struct.pack(">Q", AT)
        + b"\x14hub.example/exchange"
        + struct.pack(">QQ", 0, 7)
        + ROOT
    )


def test_signature_line_layout() -> None:
    """A line holds the timestamp of 8 bytes and 2420 bytes of ML-DSA-44 over the message."""
    line = SIGNER.sign(TEXT, AT)
    assert (line.name, line.key_id, len(line.signature)) == (NAME, SIGNER.key.key_id, 2428)
    assert line.signature[:8] == struct.pack(">Q", AT)
    public = MLDSA44PublicKey.from_public_bytes(SIGNER.key.public)
    message = cosigned_message(NAME, AT, ORIGIN, 0, 7, ROOT)
    public.verify(line.signature[8:], message)
    with pytest.raises(InvalidSignature):
        public.verify(line.signature[8:], message + b"\x00")


def test_key_id_is_the_specified_hash() -> None:
    """The id hashes name, newline, 06 and the whole public key."""
    hashed = NAME.encode() + b"\n\x06" + SIGNER.key.public
    assert SIGNER.key.key_id == hashlib.sha256(hashed).digest()[:4]
    assert note.parse_verifier_key(SIGNER.key.render()) == SIGNER.key


def test_cosignature_verifies() -> None:
    """Verifying returns the time of signing."""
    assert VERIFIER.verify(TEXT, SIGNER.sign(TEXT, AT).signature) == AT


@pytest.mark.parametrize(
    "text",
    [
        Checkpoint(ORIGIN, 8, ROOT).render_text(),
        Checkpoint(ORIGIN + "2", 7, ROOT).render_text(),
        Checkpoint(ORIGIN, 7, hashlib.sha256(b"other").digest()).render_text(),
    ],
)
def test_other_checkpoint_is_refused(text: str) -> None:
    """A cosignature is good for its log, size and root only."""
    with pytest.raises(VerificationError):
        VERIFIER.verify(text, SIGNER.sign(TEXT, AT).signature)


def test_other_name_is_refused() -> None:
    """The same key under another name did not sign: the message holds the name."""
    renamed = MlDsa44CosignatureVerifier("witness.example/dz", SIGNER.key.public)
    with pytest.raises(VerificationError):
        renamed.verify(TEXT, SIGNER.sign(TEXT, AT).signature)


@pytest.mark.parametrize("at", [0, 7, 8, 100, 2427])
def test_altered_cosignature_is_refused(at: int) -> None:
    """A bit of the timestamp or of the signature changed, and it does not verify."""
    signature = bytearray(SIGNER.sign(TEXT, AT).signature)
    signature[at] ^= 1
    with pytest.raises(VerificationError):
        VERIFIER.verify(TEXT, bytes(signature))


def test_truncated_cosignature_is_refused() -> None:
    """Shorter or longer bytes are no cosignature, nor is one without its timestamp."""
    signature = SIGNER.sign(TEXT, AT).signature
    for altered in (b"", signature[:8], signature[8:], signature[:-1], signature + b"\x00"):
        with pytest.raises(VerificationError, match="has 2428 bytes"):
            VERIFIER.verify(TEXT, altered)


@pytest.mark.parametrize(
    "message",
    [
        TEXT.encode(),
        f"cosignature/v1\ntime {AT}\n{TEXT}".encode(),
        cosigned_message(NAME, AT, ORIGIN, 0, 7, ROOT).replace(b"subtree/v1", b"subtree/v2"),
        cosigned_message(NAME, AT + 1, ORIGIN, 0, 7, ROOT),
        cosigned_message(NAME, 0, ORIGIN, 3, 7, ROOT),
    ],
)
def test_only_the_structure_is_signed(message: bytes) -> None:
    """A signature over the note's text, another label, time or subtree is not a cosignature."""
    with pytest.raises(VerificationError):
        VERIFIER.verify(TEXT, raw_ml_dsa(message))


@pytest.mark.parametrize("timestamp", [0, TIMESTAMP_MAX + 1, 2**63 - 1, 2**63])
def test_cosignature_without_time_of_signing_is_refused(timestamp: int) -> None:
    """Timestamp 0 claims no time, and none lies behind the year 9999, though the key signed it so."""
    message = bytearray(cosigned_message(NAME, AT, ORIGIN, 0, 7, ROOT))
    start = message.index(struct.pack(">Q", AT))
    message[start : start + 8] = struct.pack(">Q", timestamp)
    with pytest.raises(VerificationError, match="timestamp"):
        VERIFIER.verify(TEXT, raw_ml_dsa(bytes(message), timestamp))


@pytest.mark.parametrize("at", [0, -1, TIMESTAMP_MAX + 1])
def test_nothing_is_signed_without_a_time(at: int) -> None:
    """A signer takes only a time of signing."""
    with pytest.raises(ParseError):
        SIGNER.sign(TEXT, at)


def test_only_checkpoints_are_cosigned() -> None:
    """A text that is no checkpoint is neither signed nor verified."""
    with pytest.raises(ParseError):
        SIGNER.sign("text\n", AT)
    with pytest.raises(ParseError):
        VERIFIER.verify(TEXT + "extension\n", SIGNER.sign(TEXT, AT).signature)


@pytest.mark.parametrize(
    ("name", "timestamp", "origin", "start", "end", "root"),
    [
        ("", 1, "o", 0, 1, ROOT),
        ("n" * 256, 1, "o", 0, 1, ROOT),
        ("n", 1, "", 0, 1, ROOT),
        ("n", 1, "o" * 256, 0, 1, ROOT),
        ("n", 1, "é" * 128, 0, 1, ROOT),
        ("n", -1, "o", 0, 1, ROOT),
        ("n", TIMESTAMP_MAX + 1, "o", 0, 1, ROOT),
        ("n", 1, "o", 1, 2, ROOT),
        ("n", 0, "o", 2, 1, ROOT),
        ("n", 0, "o", 2, 2, ROOT),
        ("n", 0, "o", -1, 2, ROOT),
        ("n", 0, "o", 0, 2**64, ROOT),
        ("n", 1, "o", 0, 1, ROOT[:-1]),
    ],
)
def test_impossible_message_is_refused(
    name: str, timestamp: int, origin: str, start: int, end: int, root: bytes
) -> None:
    """A value that the structure cannot hold, or C2SP forbids, is refused."""
    with pytest.raises(ParseError):
        cosigned_message(name, timestamp, origin, start, end, root)


def test_longest_names_fit() -> None:
    """Names of 255 bytes are the longest."""
    message = cosigned_message("n" * 255, 1, "o" * 255, 0, 1, ROOT)
    assert len(message) == 12 + 256 + 8 + 256 + 8 + 8 + 32


def test_seed_of_another_length_is_refused() -> None:
    """A seed has 32 bytes."""
    with pytest.raises(ConfigurationError):
        MlDsa44CosignatureSigner(NAME, bytes(31))


def test_public_key_of_another_length_is_refused() -> None:
    """A public key has 1312 bytes."""
    with pytest.raises(ParseError):
        MlDsa44CosignatureVerifier(NAME, bytes(1311))


def test_ed25519_cosignature_verifies() -> None:
    """Type 0x04 signs two lines and the note's text, as C2SP shows."""
    key = SigningKey(b"\x06" * 32)
    verifier = Ed25519CosignatureVerifier(NAME, bytes(key.verify_key))
    message = f"cosignature/v1\ntime {AT}\n{ORIGIN}\n7\n".encode() + TEXT.split("\n")[2].encode()
    signature = struct.pack(">Q", AT) + key.sign(message + b"\n").signature
    assert verifier.verify(TEXT, signature) == AT
    for altered in (signature[:-1], struct.pack(">Q", AT + 1) + signature[8:], signature[8:]):
        with pytest.raises(VerificationError):
            verifier.verify(TEXT, altered)
    with pytest.raises(VerificationError):
        verifier.verify(Checkpoint(ORIGIN, 8, ROOT).render_text(), signature)
    plain = struct.pack(">Q", AT) + key.sign(TEXT.encode()).signature
    with pytest.raises(VerificationError):
        verifier.verify(TEXT, plain)
    other = (
        struct.pack(">Q", AT) + key.sign(f"cosignature/v1\ntime {AT}\ntext\n".encode()).signature
    )
    with pytest.raises(ParseError):
        verifier.verify("text\n", other)
