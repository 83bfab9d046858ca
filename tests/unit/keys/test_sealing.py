"""Slots and sealing keys."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.content import seal_body
from keys.sealing import (
    SealingPrivateKey,
    SealingPublicKey,
    check_sealing_key,
    open_slot,
    seal_slot,
    slot_info,
)
from schemas.envelope import SealedPart
from schemas.errors import ParseError, VerificationError

BINDING: dict[str, str] = {
    "exchange": "barid-test",
    "envelope_id": "019ab8a0-0000-7000-8000-000000000001",
    "sender": "tn/main",
    "recipient": "ly/main",
    "keyid": "ab" * 32,
}
CONTENT_KEY = bytes(range(32))
PRIVATE = SealingPrivateKey.from_bytes(bytes(range(96)))
PUBLIC = SealingPublicKey.from_bytes(PRIVATE.public_bytes())


def slot() -> bytes:
    """A slot for ly/main."""
    return seal_slot(CONTENT_KEY, PUBLIC, **BINDING)


def test_a_slot_opens_to_the_content_key() -> None:
    """1168 bytes, and the same key comes out."""
    sealed = slot()
    assert len(sealed) == 1168
    assert open_slot(sealed, PRIVATE, **BINDING) == CONTENT_KEY


def open_by_hand(sealed: bytes, info: bytes, kem_id: int) -> bytes:
    """RFC 9180 mode Base, with the KEM of draft-ietf-hpke-pq, from single primitives."""
    private = PRIVATE.private_bytes()
    ml_kem = MLKEM768PrivateKey.from_seed_bytes(private[:64])
    x25519 = X25519PrivateKey.from_private_bytes(private[64:])
    ml_kem_part, x25519_part = sealed[:1088], sealed[1088:1120]
    shared = hashlib.sha3_256(
        ml_kem.decapsulate(ml_kem_part)
        + x25519.exchange(X25519PublicKey.from_public_bytes(x25519_part))
        + x25519_part
        + x25519.public_key().public_bytes_raw()
        + b"\\.//^\\"
    ).digest()
    suite = b"HPKE" + kem_id.to_bytes(2, "big") + b"\x00\x01\x00\x02"

    def extract(salt: bytes, what: bytes, secret: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + what + secret, "sha256")

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")

    def expand(what: bytes, size_bytes: int) -> bytes:
        labelled = size_bytes.to_bytes(2, "big") + b"HPKE-v1" + suite + what + context
        return hmac.digest(secret, labelled + b"\x01", "sha256")[:size_bytes]

    return AESGCM(expand(b"key", 32)).decrypt(expand(b"base_nonce", 12), sealed[1120:], b"")


def test_the_kem_is_that_of_the_protocol() -> None:
    """KEM 0x647A, ML-KEM's half first, HKDF-SHA256, AES-256-GCM, empty AAD: opened by hand."""
    assert open_by_hand(slot(), slot_info(**BINDING), 0x647A) == CONTENT_KEY
    with pytest.raises(InvalidTag):
        open_by_hand(slot(), slot_info(**BINDING), 0x647B)


def test_two_slots_of_one_key_differ() -> None:
    """Each sealing draws its own encapsulation."""
    assert slot() != slot()


def test_the_slot_info_is_that_of_the_protocol() -> None:
    """All parts in their order, separated by one 00 byte."""
    expected = (
        b"barid/v1/slot\x00barid-test\x00019ab8a0-0000-7000-8000-000000000001"
        b"\x00tn/main\x00ly/main\x00" + b"ab" * 32
    )
    assert slot_info(**BINDING) == expected


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("exchange", "barid-exercise"),
        ("envelope_id", "019ab8a0-0000-7000-8000-000000000002"),
        ("sender", "dz/main"),
        ("recipient", "ly/customs"),
        ("keyid", "cd" * 32),
    ],
)
def test_a_slot_is_bound_to_every_part_of_its_info(part: str, other: str) -> None:
    """Replayed into another exchange, envelope, sender, recipient or epoch, a slot stays shut."""
    with pytest.raises(VerificationError):
        open_slot(slot(), PRIVATE, **{**BINDING, part: other})


def test_another_private_key_does_not_open() -> None:
    """Only the addressed key opens, and the two halves are both needed."""
    private = PRIVATE.private_bytes()
    for other in (private[:64] + bytes(32), bytes(64) + private[64:]):
        with pytest.raises(VerificationError):
            open_slot(slot(), SealingPrivateKey.from_bytes(other), **BINDING)


@pytest.mark.parametrize("position", [0, 1087, 1088, 1119, 1120, 1151, 1152, 1167])
def test_a_tampered_slot_does_not_open(position: int) -> None:
    """A flipped bit in ML-KEM's part, X25519's, the ciphertext or the tag keeps it shut."""
    altered = bytearray(slot())
    altered[position] ^= 1
    with pytest.raises(VerificationError):
        open_slot(bytes(altered), PRIVATE, **BINDING)


@pytest.mark.parametrize("size_bytes", [0, 1120, 1167, 1169])
def test_a_truncated_or_longer_slot_does_not_open(size_bytes: int) -> None:
    """A slot has 1168 bytes."""
    with pytest.raises(VerificationError, match="1168"):
        open_slot((slot() + b"\x00")[:size_bytes], PRIVATE, **BINDING)


@pytest.mark.parametrize("size_bytes", [0, 31, 33])
def test_a_content_key_has_32_bytes(size_bytes: int) -> None:
    """Nothing else is sealed into a slot."""
    with pytest.raises(VerificationError):
        seal_slot(bytes(size_bytes), PUBLIC, **BINDING)


def test_private_bytes_bring_the_key_back() -> None:
    """96 secret bytes make the same 1216 public ones, and another size makes none."""
    drawn = SealingPrivateKey.generate()
    again = SealingPrivateKey.from_bytes(drawn.private_bytes())
    assert again.public_bytes() == drawn.public_bytes()
    assert len(drawn.public_bytes()) == 1216
    assert bytes(SealingPublicKey.from_bytes(drawn.public_bytes())) == drawn.public_bytes()
    with pytest.raises(ParseError):
        SealingPrivateKey.from_bytes(drawn.private_bytes()[:95])


def test_a_drawn_key_is_fit_to_be_announced() -> None:
    """An honest key passes."""
    check_sealing_key(SealingPrivateKey.generate().public_bytes())


ML_KEM, X25519 = PRIVATE.public_bytes()[:1184], PRIVATE.public_bytes()[1184:]
WEAK_KEYS = {
    "zero X25519": ML_KEM + bytes(32),
    "zero ML-KEM vector": bytes(1152) + ML_KEM[1152:] + X25519,
    "zero ML-KEM": bytes(1184) + X25519,
    "all zero": bytes(1216),
    "small-order X25519, 1": ML_KEM + b"\x01" + bytes(31),
    "small-order X25519, zero with the top bit": ML_KEM + bytes(31) + b"\x80",
    "small-order X25519, order 8": ML_KEM
    + bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "small-order X25519, p": ML_KEM + b"\xed" + b"\xff" * 30 + b"\x7f",
    "coefficients over q": b"\xff" * 1152 + ML_KEM[1152:] + X25519,
    "truncated": ML_KEM + X25519[:31],
    "longer": ML_KEM + X25519 + b"\x00",
    "nothing": b"",
}


@pytest.mark.parametrize("raw", WEAK_KEYS.values(), ids=WEAK_KEYS)
def test_a_key_that_is_nobodys_secret_is_refused(raw: bytes) -> None:
    """Zero halves, small orders, wrong encodings and sizes are not announced."""
    with pytest.raises(VerificationError):
        check_sealing_key(raw)


def test_the_library_seals_to_a_zero_ml_kem_key() -> None:
    """The explicit check is needed: sealing to a zero vector succeeds, and hides nothing."""
    zero = SealingPublicKey.from_bytes(WEAK_KEYS["zero ML-KEM vector"])
    assert len(seal_slot(CONTENT_KEY, zero, **BINDING)) == 1168


def test_sealing_to_a_small_order_key_fails() -> None:
    """A sender does not seal to a small-order key either."""
    weak = SealingPublicKey.from_bytes(WEAK_KEYS["small-order X25519, 1"])
    with pytest.raises(VerificationError):
        seal_slot(CONTENT_KEY, weak, **BINDING)


@settings(deadline=None, max_examples=25)
@given(content_key=st.binary(min_size=32, max_size=32), private=st.binary(min_size=96, max_size=96))
def test_every_content_key_survives_seal_and_open(content_key: bytes, private: bytes) -> None:
    """Whatever the keys, a slot opens to what was sealed."""
    key = SealingPrivateKey.from_bytes(private)
    public = SealingPublicKey.from_bytes(key.public_bytes())
    assert open_slot(seal_slot(content_key, public, **BINDING), key, **BINDING) == content_key


@settings(deadline=None, max_examples=25)
@given(st.binary(max_size=1300) | st.binary(min_size=1168, max_size=1168))
def test_arbitrary_bytes_are_no_slot(data: bytes) -> None:
    """Whatever arrives, only VerificationError comes out."""
    with pytest.raises(VerificationError):
        open_slot(data, PRIVATE, **BINDING)


@settings(deadline=None, max_examples=25)
@given(st.binary(max_size=64) | st.binary(min_size=1216, max_size=1216))
def test_arbitrary_bytes_are_checked_as_a_sealing_key(data: bytes) -> None:
    """Whatever is announced, it passes or VerificationError comes out."""
    try:
        check_sealing_key(data)
    except VerificationError:
        return
    assert len(data) == 1216


def seconds(work: Any) -> float:
    """The fastest of some runs."""
    best = float("inf")
    for _ in range(15):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def test_sealing_a_bulletin_for_three_desks_costs_little_more_than_the_bare_calls() -> None:
    """4 KiB for three desks: the body and three slots take less than twice the library's time."""
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    hybrid = MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(ML_KEM), X25519PublicKey.from_public_bytes(X25519)
    )
    bulletin = b"x" * 4096
    part = SealedPart(salt=bytes(32), release=None, release_salts={}, attachment_keys={})

    def bare() -> None:
        AESGCM(CONTENT_KEY).encrypt(bytes(12), bulletin, b"")
        for _ in range(3):
            suite.encrypt(CONTENT_KEY, hybrid, b"info")

    def ours() -> None:
        seal_body(CONTENT_KEY, BINDING["exchange"], BINDING["envelope_id"], bulletin, part)
        for _ in range(3):
            slot()

    assert seconds(ours) < 2 * seconds(bare)
