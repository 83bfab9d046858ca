"""Identities and request keys: both halves count, and libsodium alone decides about Ed25519."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.signing import (
    RequestSigningKey,
    SigningIdentity,
    VerifyingIdentity,
    identity_keyid,
    request_keyid,
    verify_request_signature,
)
from schemas.directory import IdentityKey
from schemas.errors import ParseError, VerificationError

MESSAGE = b"what was said"

# Every encoding of a point of small order: the eight points, then the non-canonical ones.
SMALL_ORDER = [
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
]
FORGED = SMALL_ORDER[0] + bytes(32)
"""R = the neutral point, S = 0: valid under the neutral point for every message, says OpenSSL."""


@pytest.fixture(scope="module")
def identity() -> SigningIdentity:
    """An identity from fixed seeds."""
    return SigningIdentity.from_seeds(b"\x01" * 32, b"\x02" * 32)


def test_both_signatures_verify(identity: SigningIdentity) -> None:
    """A pair made by the identity verifies, and has 64 + 3309 bytes."""
    signature = identity.sign(MESSAGE)
    assert len(signature) == 64 + 3309
    VerifyingIdentity.from_key(identity.public).verify(MESSAGE, signature)


def test_seeds_bring_the_identity_back(identity: SigningIdentity) -> None:
    """The 64 secret bytes make the same identity again."""
    seeds = identity.seeds()
    assert SigningIdentity.from_seeds(seeds[:32], seeds[32:]).public == identity.public


def test_generated_identities_differ() -> None:
    """Two drawn identities share no half."""
    first, second = SigningIdentity.generate().public, SigningIdentity.generate().public
    assert first.ed25519 != second.ed25519
    assert first.ml_dsa_65 != second.ml_dsa_65


@pytest.mark.parametrize("size_bytes", [0, 31, 33, 64])
def test_seeds_of_another_size_are_refused(size_bytes: int) -> None:
    """Each seed has exactly 32 bytes."""
    with pytest.raises(ParseError):
        SigningIdentity.from_seeds(bytes(size_bytes), bytes(32))
    with pytest.raises(ParseError):
        SigningIdentity.from_seeds(bytes(32), bytes(size_bytes))
    with pytest.raises(ParseError):
        RequestSigningKey.from_seed(bytes(size_bytes))


def test_keyid_is_the_hash_of_exchange_and_both_halves(identity: SigningIdentity) -> None:
    """The keyid is SHA-256(o, 00, Ed25519, ML-DSA-65), and another exchange gives another."""
    key = identity.public
    expected = hashlib.sha256(b"barid-test\x00" + key.ed25519 + key.ml_dsa_65).hexdigest()
    assert identity.keyid("barid-test") == expected
    assert VerifyingIdentity.from_key(key).keyid("barid-test") == expected
    assert identity_keyid("barid-exercise", key) != expected


@pytest.mark.parametrize("position", [0, 40, 63, 64, 2000, 3372])
def test_one_good_signature_of_the_pair_is_not_enough(
    identity: SigningIdentity, position: int
) -> None:
    """A flipped bit in either signature is refused while the other is valid."""
    signature = bytearray(identity.sign(MESSAGE))
    signature[position] ^= 1
    with pytest.raises(VerificationError):
        VerifyingIdentity.from_key(identity.public).verify(MESSAGE, bytes(signature))


@pytest.mark.parametrize("half", ["ed25519", "ml_dsa_65"])
def test_a_pair_of_two_identities_is_refused(identity: SigningIdentity, half: str) -> None:
    """One half of this identity beside one of another verifies under neither."""
    other = SigningIdentity.from_seeds(b"\x03" * 32, b"\x04" * 32)
    mixed = IdentityKey(**{**dict(identity.public), half: getattr(other.public, half)})
    with pytest.raises(VerificationError):
        VerifyingIdentity.from_key(mixed).verify(MESSAGE, identity.sign(MESSAGE))


@pytest.mark.parametrize("size_bytes", [0, 64, 3309, 3372, 3374])
def test_a_truncated_or_longer_pair_is_refused(identity: SigningIdentity, size_bytes: int) -> None:
    """Only 3373 bytes are a pair."""
    signature = (identity.sign(MESSAGE) + b"\x00")[:size_bytes]
    with pytest.raises(VerificationError):
        VerifyingIdentity.from_key(identity.public).verify(MESSAGE, signature)


def test_another_message_is_refused(identity: SigningIdentity) -> None:
    """A pair is of one message."""
    with pytest.raises(VerificationError):
        VerifyingIdentity.from_key(identity.public).verify(b"else", identity.sign(MESSAGE))


def test_openssl_takes_the_small_order_forgery() -> None:
    """The forgery below is a real one: OpenSSL accepts it, for a message that nobody signed."""
    Ed25519PublicKey.from_public_bytes(SMALL_ORDER[0]).verify(FORGED, MESSAGE)


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_small_order_ed25519_signs_no_statement(identity: SigningIdentity, point: bytes) -> None:
    """An identity with a small-order half verifies nothing, though its ML-DSA half is honest."""
    weak = IdentityKey(ed25519=point, ml_dsa_65=identity.public.ml_dsa_65)
    signature = FORGED + identity.sign(MESSAGE)[64:]
    with pytest.raises(VerificationError):
        VerifyingIdentity.from_key(weak).verify(MESSAGE, signature)


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_small_order_request_keys_verify_nothing(point: bytes) -> None:
    """A small-order request key verifies nothing."""
    with pytest.raises(VerificationError):
        verify_request_signature(point, MESSAGE, FORGED)


def test_a_signature_with_s_plus_the_order_is_refused() -> None:
    """A second spelling of a good signature, S + L, is refused: signatures are not malleable."""
    order = 2**252 + 27742317777372353535851937790883648493
    key = RequestSigningKey.from_seed(b"\x05" * 32)
    signature = key.sign(MESSAGE)
    scalar = int.from_bytes(signature[32:], "little") + order
    with pytest.raises(VerificationError):
        verify_request_signature(
            key.public, MESSAGE, signature[:32] + scalar.to_bytes(32, "little")
        )


def test_request_key_signs_and_has_its_keyid() -> None:
    """A request key comes back from its seed, signs, and is named SHA-256(o, 00, raw)."""
    key = RequestSigningKey.from_seed(RequestSigningKey.generate().seed())
    verify_request_signature(key.public, MESSAGE, key.sign(MESSAGE))
    assert key.keyid("o-1") == hashlib.sha256(b"o-1\x00" + key.public).hexdigest()
    with pytest.raises(VerificationError):
        verify_request_signature(key.public, MESSAGE, key.sign(MESSAGE)[:63])
    with pytest.raises(VerificationError):
        verify_request_signature(key.public + b"\x00", MESSAGE, key.sign(MESSAGE))
    with pytest.raises(ParseError):
        request_keyid("o-1", key.public[:31])


def test_private_halves_never_show(identity: SigningIdentity) -> None:
    """The text form shows no seed."""
    assert "0101" not in repr(identity)
    assert "\\x01" not in repr(identity)
