"""Signing identities (Ed25519 and ML-DSA-65, always both) and request keys (Ed25519).

May import `schemas`, PyNaCl and `cryptography`; `keys.dsse`, `keys.requests` and whoever holds
keys call it. Ed25519 is verified by libsodium alone, since OpenSSL takes small-order keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from keys.derivation import label, sha256_hex
from schemas.directory import IdentityKey
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.statements import SIGNATURE_BYTES

SEED_BYTES: Final = 32
"""Seed of Ed25519 (RFC 8032), of ML-DSA-65 (FIPS 204), and the raw Ed25519 public key."""

ED25519_SIGNATURE_BYTES: Final = 64


def identity_keyid(exchange: str, key: IdentityKey) -> str:
    """SHA-256(o ‖ 00 ‖ Ed25519 raw ‖ ML-DSA-65 raw) in hex (the protocol's Keys)."""
    return sha256_hex(label(exchange, key.ed25519 + key.ml_dsa_65))


def request_keyid(exchange: str, public: bytes) -> str:
    """SHA-256(o ‖ 00 ‖ raw) in hex, for a request key of 32 bytes (the protocol's Keys)."""
    _check_size("a request key", public, SEED_BYTES)
    return sha256_hex(label(exchange, public))


def _check_size(what: str, data: bytes, size_bytes: int) -> None:
    if len(data) != size_bytes:
        raise ParseError(f"{what} has {size_bytes} bytes, not {len(data)}")


def check_ed25519(what: str, public: bytes) -> None:
    """Refuse a key under which anybody could sign, or which is no key: libraries load both.

    Args:
        what: whose key, for the message.
        public: the raw key, 32 bytes.

    Raises:
        ConfigurationError: not a point of the main subgroup in its one encoding; says what to do.
    """
    if len(public) != SEED_BYTES or not crypto_core_ed25519_is_valid_point(public):
        raise ConfigurationError(f"{what} is a weak Ed25519 key or none at all: make a new one")


class SigningIdentity:
    """The private halves of an identity; they never appear in `repr`.

    Args:
        ed25519_seed: 32 bytes.
        ml_dsa_seed: 32 bytes.

    Raises:
        ParseError: a seed of another size.
    """

    __slots__ = ("_ed25519", "_ml_dsa_65", "public")

    def __init__(self, ed25519_seed: bytes, ml_dsa_seed: bytes) -> None:
        _check_size("an Ed25519 seed", ed25519_seed, SEED_BYTES)
        _check_size("an ML-DSA-65 seed", ml_dsa_seed, SEED_BYTES)
        self._ed25519 = SigningKey(ed25519_seed)
        self._ml_dsa_65 = MLDSA65PrivateKey.from_seed_bytes(ml_dsa_seed)
        self.public = IdentityKey(
            ed25519=bytes(self._ed25519.verify_key),
            ml_dsa_65=self._ml_dsa_65.public_key().public_bytes_raw(),
        )

    @classmethod
    def generate(cls) -> Self:
        """Draw a new identity from the libraries' generators."""
        return cls(bytes(SigningKey.generate()), MLDSA65PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_seeds(cls, ed25519_seed: bytes, ml_dsa_seed: bytes) -> Self:
        """Load an identity from its two seeds of 32 bytes. Raises ParseError."""
        return cls(ed25519_seed, ml_dsa_seed)

    def seeds(self) -> bytes:
        """The secret to keep: Ed25519 seed (32) ‖ ML-DSA-65 seed (32)."""
        return bytes(self._ed25519) + self._ml_dsa_65.private_bytes_raw()

    def keyid(self, exchange: str) -> str:
        """This identity's name in that exchange."""
        return identity_keyid(exchange, self.public)

    def sign(self, message: bytes) -> bytes:
        """Sign with both keys: Ed25519 (64) ‖ ML-DSA-65 (3309), pure, with an empty context."""
        return self._ed25519.sign(message).signature + self._ml_dsa_65.sign(message)


@dataclass(frozen=True, slots=True)
class VerifyingIdentity:
    """The public halves of an identity, loaded once: loading ML-DSA-65 costs more than a hash."""

    key: IdentityKey
    _ed25519: VerifyKey = field(repr=False, compare=False)
    _ml_dsa_65: MLDSA65PublicKey = field(repr=False, compare=False)

    @classmethod
    def from_key(cls, key: IdentityKey) -> Self:
        """Load a pair of public keys; a weak Ed25519 key loads, and then verifies nothing."""
        return cls(key, VerifyKey(key.ed25519), MLDSA65PublicKey.from_public_bytes(key.ml_dsa_65))

    def keyid(self, exchange: str) -> str:
        """This identity's name in that exchange."""
        return identity_keyid(exchange, self.key)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Verify both signatures over `message`.

        Args:
            message: the exact bytes that were signed.
            signature: 3373 bytes, Ed25519 (64) ‖ ML-DSA-65 (3309).

        Raises:
            VerificationError: another size, or either signature does not verify.
        """
        if len(signature) != SIGNATURE_BYTES:
            raise VerificationError(f"a signature pair has {SIGNATURE_BYTES} bytes")
        try:
            self._ed25519.verify(message, signature[:ED25519_SIGNATURE_BYTES])
        except BadSignatureError as error:
            raise VerificationError("the Ed25519 signature does not verify") from error
        try:
            self._ml_dsa_65.verify(signature[ED25519_SIGNATURE_BYTES:], message)
        except InvalidSignature as error:
            raise VerificationError("the ML-DSA-65 signature does not verify") from error


class RequestSigningKey:
    """A desk's key for requests to the hub; the private half never appears in `repr`.

    Args:
        seed: 32 bytes.

    Raises:
        ParseError: a seed of another size.
    """

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        _check_size("an Ed25519 seed", seed, SEED_BYTES)
        self._key = SigningKey(seed)
        self.public = bytes(self._key.verify_key)

    @classmethod
    def generate(cls) -> Self:
        """Draw a new key from the library's generator."""
        return cls(bytes(SigningKey.generate()))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Load a key from its seed of 32 bytes. Raises ParseError."""
        return cls(seed)

    def seed(self) -> bytes:
        """The secret to keep: 32 bytes."""
        return bytes(self._key)

    def keyid(self, exchange: str) -> str:
        """This key's name in that exchange."""
        return request_keyid(exchange, self.public)

    def sign(self, message: bytes) -> bytes:
        """Sign: 64 bytes (RFC 8032)."""
        return self._key.sign(message).signature


def verify_request_signature(public: bytes, message: bytes, signature: bytes) -> None:
    """Verify one Ed25519 signature of a request key, as libsodium does.

    Args:
        public: the raw key, 32 bytes.
        message: the exact bytes that were signed.
        signature: 64 bytes.

    Raises:
        VerificationError: another size, a small-order key, or the signature does not verify.
    """
    if len(public) != SEED_BYTES or len(signature) != ED25519_SIGNATURE_BYTES:
        raise VerificationError("an Ed25519 key has 32 bytes, and a signature 64")
    try:
        VerifyKey(public).verify(message, signature)
    except BadSignatureError as error:
        raise VerificationError("the Ed25519 signature does not verify") from error
