"""Sealing keys and slots: HPKE with MLKEM768-X25519, one library call each way.

May import `schemas` and `cryptography`; `keys.envelope` seals, the node opens at `open_slot`
alone, the hub and the directory's history check announced keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from keys.derivation import label
from schemas.envelope import SLOT_BYTES
from schemas.errors import ParseError, VerificationError
from schemas.sealing_keys import SEALING_PUBLIC_BYTES

ML_KEM_SEED_BYTES: Final = 64
ML_KEM_PUBLIC_BYTES: Final = 1184
ML_KEM_VECTOR_BYTES: Final = 1152
"""The encoded vector t of an ML-KEM-768 key; the 32 bytes behind it are the seed of the matrix."""
SEALING_PRIVATE_BYTES: Final = ML_KEM_SEED_BYTES + 32
CONTENT_KEY_BYTES: Final = 32

_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
"""KEM 0x647A (draft-ietf-hpke-pq), KDF 0x0001, AEAD 0x0002 (RFC 9180), mode Base, empty AAD."""


@dataclass(frozen=True, slots=True)
class SealingPublicKey:
    """A public key of 1216 bytes: ML-KEM-768 (1184) ‖ X25519 (32). `bytes(key)` gives them back."""

    raw: bytes
    hybrid: MLKEM768X25519PublicKey = field(repr=False, compare=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Load a key. Raises VerificationError where the size or the ML-KEM encoding is wrong."""
        if len(raw) != SEALING_PUBLIC_BYTES:
            raise VerificationError(f"a sealing key has {SEALING_PUBLIC_BYTES} bytes")
        try:
            hybrid = MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(raw[:ML_KEM_PUBLIC_BYTES]),
                X25519PublicKey.from_public_bytes(raw[ML_KEM_PUBLIC_BYTES:]),
            )
        except ValueError as error:
            raise VerificationError("the sealing key does not load") from error
        return cls(raw, hybrid)

    def __bytes__(self) -> bytes:
        return self.raw


class SealingPrivateKey:
    """A private key of 96 bytes: ML-KEM-768 seed (64) ‖ X25519 (32); they never appear in `repr`.

    Args:
        raw: 96 bytes.

    Raises:
        ParseError: another size.
    """

    __slots__ = ("_ml_kem", "_x25519", "hybrid")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != SEALING_PRIVATE_BYTES:
            raise ParseError(f"a private sealing key has {SEALING_PRIVATE_BYTES} bytes")
        self._ml_kem = MLKEM768PrivateKey.from_seed_bytes(raw[:ML_KEM_SEED_BYTES])
        self._x25519 = X25519PrivateKey.from_private_bytes(raw[ML_KEM_SEED_BYTES:])
        self.hybrid = MLKEM768X25519PrivateKey(self._ml_kem, self._x25519)

    @classmethod
    def generate(cls) -> Self:
        """Draw a new key from the library's generators."""
        return cls(
            MLKEM768PrivateKey.generate().private_bytes_raw()
            + X25519PrivateKey.generate().private_bytes_raw()
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Load a key from its 96 bytes. Raises ParseError."""
        return cls(raw)

    def private_bytes(self) -> bytes:
        """The secret to keep: 96 bytes."""
        return self._ml_kem.private_bytes_raw() + self._x25519.private_bytes_raw()

    def public_bytes(self) -> bytes:
        """The key to announce: 1216 bytes."""
        return (
            self._ml_kem.public_key().public_bytes_raw()
            + self._x25519.public_key().public_bytes_raw()
        )


def slot_info(exchange: str, envelope_id: str, sender: str, recipient: str, keyid: str) -> bytes:
    """What a slot is bound to: exchange, envelope, both desks, sealing key (Envelope, step 3)."""
    return label("barid/v1/slot", exchange, envelope_id, sender, recipient, keyid)


def seal_slot(
    content_key: bytes,
    public: SealingPublicKey,
    *,
    exchange: str,
    envelope_id: str,
    sender: str,
    recipient: str,
    keyid: str,
) -> bytes:
    """Seal the content key to one desk (Envelope, step 3).

    Args:
        content_key: 32 bytes.
        public: the desk's highest usable sealing key.
        exchange: the exchange's name.
        envelope_id: the envelope's id.
        sender: the sending desk.
        recipient: the receiving desk.
        keyid: SHA-256 of the PAE of the sealing key's statement, hex.

    Returns:
        1168 bytes: enc (ML-KEM 1088 ‖ X25519 32) ‖ ciphertext (32) ‖ tag (16).

    Raises:
        VerificationError: the content key has another size, or the key cannot be sealed to.
    """
    if len(content_key) != CONTENT_KEY_BYTES:
        raise VerificationError(f"a content key has {CONTENT_KEY_BYTES} bytes")
    return _encrypt(content_key, public, slot_info(exchange, envelope_id, sender, recipient, keyid))


def _encrypt(plaintext: bytes, public: SealingPublicKey, info: bytes) -> bytes:
    try:
        return _SUITE.encrypt(plaintext, public.hybrid, info)
    except ValueError as error:
        # OpenSSL refuses a small-order X25519 key here: its shared secret would be known to all.
        raise VerificationError("nothing can be sealed to this key") from error


def open_slot(
    slot: bytes,
    private: SealingPrivateKey,
    *,
    exchange: str,
    envelope_id: str,
    sender: str,
    recipient: str,
    keyid: str,
) -> bytes:
    """Open a slot: the one place where a content key comes out of its sealing (Receiving).

    Args:
        slot: 1168 bytes.
        private: the key whose statement has `keyid`.
        exchange: the exchange's name.
        envelope_id: the envelope's id.
        sender: the sending desk.
        recipient: the receiving desk.
        keyid: as in the header, hex.

    Returns:
        The content key: 32 bytes.

    Raises:
        VerificationError: another size, or it does not open; nobody can be blamed (`cannot_open`).
    """
    if len(slot) != SLOT_BYTES:
        raise VerificationError(f"a slot has {SLOT_BYTES} bytes")
    info = slot_info(exchange, envelope_id, sender, recipient, keyid)
    try:
        return _SUITE.decrypt(slot, private.hybrid, info)
    except (InvalidTag, ValueError) as error:
        raise VerificationError("the slot does not open with this key") from error


def check_sealing_key(public_bytes: bytes) -> None:
    """Refuse a key that is nobody's secret, or to which nothing can be sealed (Keys).

    Args:
        public_bytes: 1216 bytes, as a sealing-key statement announces them.

    Raises:
        VerificationError: another size, an all-zero half (X25519, or the first 1152 bytes of
            ML-KEM), a small-order X25519 key, or a test message that does not seal.
    """
    if not any(public_bytes[ML_KEM_PUBLIC_BYTES:]):
        raise VerificationError("the X25519 half of the sealing key is zero")
    if not any(public_bytes[:ML_KEM_VECTOR_BYTES]):
        raise VerificationError("the ML-KEM half of the sealing key is zero")
    _encrypt(bytes(CONTENT_KEY_BYTES), SealingPublicKey.from_bytes(public_bytes), b"")
