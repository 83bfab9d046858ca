"""Timestamped signatures of checkpoints (C2SP tlog-cosignature): ML-DSA-44 0x06, Ed25519 0x04.

May import `schemas`, `cryptography`, `broker.tlog.note` and `checkpoint`. Logs and witnesses sign
with 0x06; 0x04 is verified for witnesses outside Barid.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from broker.tlog.checkpoint import Checkpoint, parse_checkpoint_text
from broker.tlog.merkle import HASH_BYTES
from broker.tlog.note import (
    ED25519_SIGNATURE_BYTES,
    KEY_NAME_BYTES_MAX,
    SEED_BYTES,
    NoteSignature,
    SignatureType,
    VerifierKey,
    encode_text,
    verify_ed25519,
)
from schemas.errors import ConfigurationError, ParseError, VerificationError

TIMESTAMP_MAX: Final = 253_402_300_799
"""Latest timestamp, in seconds since 1970: the end of the year 9999. C2SP tlog-cosignature goes to 2^63 - 1,
which no calendar writes: whoever signed a tree with it broke every reader of the time."""

_LABEL: Final = b"subtree/v1\n\x00"
_TIMESTAMP_BYTES: Final = 8
_COUNT_MAX: Final = 2**64 - 1
_ML_DSA_44_SIGNATURE_BYTES: Final = 2420


def cosigned_message(
    name: str, timestamp: int, origin: str, start: int, end: int, root: bytes
) -> bytes:
    """Lay out what an ML-DSA-44 cosignature signs: the structure `cosigned_message`.

    Args:
        name: of the cosigner, 1 to 255 bytes of UTF-8.
        timestamp: of signing, in seconds since 1970; 0 if `start` is not 0.
        origin: of the log, 1 to 255 bytes of UTF-8.
        start: index of the first leaf of the subtree; 0 for a checkpoint.
        end: index of its last leaf plus 1; a checkpoint's size.
        root: of the subtree, 32 bytes.

    Raises:
        ParseError: a value that the structure cannot hold.
    """
    if not 0 <= timestamp <= TIMESTAMP_MAX or (start and timestamp):
        raise ParseError("a timestamp ends with the year 9999, and only a tree from leaf 0 has one")
    if not 0 <= start <= end <= _COUNT_MAX or (start and start == end):
        raise ParseError("a subtree ends behind its start")
    if len(root) != HASH_BYTES:
        raise ParseError(f"a root has {HASH_BYTES} bytes")
    return b"".join(
        (
            _LABEL,
            _length_prefixed(name),
            timestamp.to_bytes(8, "big"),
            _length_prefixed(origin),
            start.to_bytes(8, "big"),
            end.to_bytes(8, "big"),
            root,
        )
    )


def _length_prefixed(text: str) -> bytes:
    data = encode_text(text)
    if not 1 <= len(data) <= KEY_NAME_BYTES_MAX:
        raise ParseError(f"a name or origin has 1 to {KEY_NAME_BYTES_MAX} bytes")
    return bytes([len(data)]) + data


def _checkpoint_message(name: str, timestamp: int, checkpoint: Checkpoint) -> bytes:
    return cosigned_message(name, timestamp, checkpoint.origin, 0, checkpoint.size, checkpoint.root)


def _split_timestamp(signature: bytes, signature_bytes: int) -> tuple[int, bytes]:
    """Take `timestamped_signature` apart; here its timestamp is the time of signing, never 0."""
    if len(signature) != _TIMESTAMP_BYTES + signature_bytes:
        raise VerificationError(f"a cosignature has {_TIMESTAMP_BYTES + signature_bytes} bytes")
    timestamp = int.from_bytes(signature[:_TIMESTAMP_BYTES], "big")
    if not 1 <= timestamp <= TIMESTAMP_MAX:
        raise VerificationError("a cosignature's timestamp lies between 1970 and the year 9999")
    return timestamp, signature[_TIMESTAMP_BYTES:]


class MlDsa44CosignatureSigner:
    """Signs checkpoints with ML-DSA-44 (type 0x06; pure FIPS 204, empty context).

    The library draws the randomness of each signature (hedged signing), so that no two are equal.

    Args:
        name: the log's origin, or the witness's name.
        seed: 32 bytes, secret.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ConfigurationError(f"the seed of an ML-DSA-44 key has {SEED_BYTES} bytes")
        self._private_key = MLDSA44PrivateKey.from_seed_bytes(seed)
        public = self._private_key.public_key().public_bytes_raw()
        self.key = VerifierKey(name, SignatureType.ML_DSA_44_COSIGNATURE, public)

    def sign(self, text: str, at: int) -> NoteSignature:
        """Sign the checkpoint that the text is, as a `timestamped_signature`.

        Args:
            text: of a checkpoint.
            at: now, in seconds since 1970, from 1.

        Raises:
            ParseError: the text is no checkpoint, or `at` no time of signing.
        """
        if at < 1:
            raise ParseError("a checkpoint's timestamp is the time of signing")
        message = _checkpoint_message(self.key.name, at, parse_checkpoint_text(text))
        signature = at.to_bytes(_TIMESTAMP_BYTES, "big") + self._private_key.sign(message)
        return NoteSignature(self.key.name, self.key.key_id, signature)


class MlDsa44CosignatureVerifier:
    """Verifies type 0x06 on checkpoints.

    Keep it: loading the key costs a quarter of a verification.

    Args:
        name: the log's origin, or the witness's name.
        public: 1312 bytes.
    """

    def __init__(self, name: str, public: bytes) -> None:
        self.key = VerifierKey(name, SignatureType.ML_DSA_44_COSIGNATURE, public)
        self._public_key = MLDSA44PublicKey.from_public_bytes(public)

    def verify(self, text: str, signature: bytes) -> int:
        """Check a `timestamped_signature` of 8 + 2420 bytes; return its timestamp.

        Raises:
            ParseError: the text is no checkpoint.
            VerificationError: the signature is not this key's over this checkpoint and timestamp.
        """
        timestamp, raw = _split_timestamp(signature, _ML_DSA_44_SIGNATURE_BYTES)
        message = _checkpoint_message(self.key.name, timestamp, parse_checkpoint_text(text))
        try:
            self._public_key.verify(raw, message)
        except InvalidSignature as error:
            raise VerificationError("the ML-DSA-44 cosignature does not verify") from error
        return timestamp


class Ed25519CosignatureVerifier:
    """Verifies type 0x04 on checkpoints, accepted exactly where libsodium accepts it.

    Args:
        name: the witness's name.
        public: 32 bytes.
    """

    def __init__(self, name: str, public: bytes) -> None:
        self.key = VerifierKey(name, SignatureType.ED25519_COSIGNATURE, public)

    def verify(self, text: str, signature: bytes) -> int:
        """Check a `timestamped_signature` of 8 + 64 bytes; return its timestamp.

        Raises:
            ParseError: the text is no checkpoint.
            VerificationError: the signature is not this key's over this checkpoint and timestamp.
        """
        timestamp, raw = _split_timestamp(signature, ED25519_SIGNATURE_BYTES)
        parse_checkpoint_text(text)
        message = f"cosignature/v1\ntime {timestamp}\n{text}"
        verify_ed25519(self.key.public, encode_text(message), raw)
        return timestamp
