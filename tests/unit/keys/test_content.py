"""The body: its padding to the byte, its keys, and what a tampered one answers."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.content import (
    body_key,
    commitment,
    content_hash,
    decode_body,
    encode_body,
    open_body,
    seal_body,
    verify_commitment,
    verify_content,
)
from keys.padding import padme
from keys.release import sign_release
from schemas.envelope import SealedPart
from schemas.errors import BaridError, ParseError, Problem
from schemas.limits import BULLETIN_BYTES_MAX, SEALED_PART_BYTES_MAX

if TYPE_CHECKING:
    from tests.unit.keys.conftest import Traffic

CK = bytes(range(32))
EXCHANGE, ID = "barid-test", "019ab8a0-0000-7000-8000-000000000001"
BULLETIN = '{"title":{"ar":"تحذير"}}'.encode()
PART = SealedPart(salt=bytes(32), release=None, release_salts={}, attachment_keys={})
PART_JSON = json.dumps(
    {
        "salt": "A" * 43 + "=",
        "release": None,
        "release_salts": {},
        "attachment_keys": {},
    },
    separators=(",", ":"),
).encode()


def block(data: bytes, size_bytes: int) -> bytes:
    """A length, data, and zeros up to a size."""
    return (len(data).to_bytes(4, "big") + data).ljust(size_bytes, b"\x00")


def sealed(plaintext: bytes) -> bytes:
    """Any plaintext, sealed as a body is."""
    return AESGCM(body_key(CK, EXCHANGE, ID)).encrypt(bytes(12), plaintext, ID.encode())


def problem(ciphertext: bytes, *, key: bytes = CK, exchange: str = EXCHANGE, id_: str = ID) -> str:
    """The word that opening answers."""
    with pytest.raises(Problem) as caught:
        open_body(key, exchange, id_, ciphertext)
    return caught.value.word


def test_a_body_opens_to_what_was_sealed() -> None:
    """The exact bytes of the bulletin come back, and the sealed part."""
    opened = open_body(CK, EXCHANGE, ID, seal_body(CK, EXCHANGE, ID, BULLETIN, PART))
    assert opened.bulletin_json == BULLETIN
    assert opened.sealed_part == PART


def test_a_sealed_part_with_a_release_comes_back(traffic: Traffic) -> None:
    """Release, salts and attachment keys survive."""
    draft = traffic.draft()
    part = SealedPart(
        salt=bytes(32),
        release=sign_release(draft.release, traffic.people[:2]),
        release_salts=dict(draft.salts),
        attachment_keys={ID: bytes(32)},
    )
    assert (
        open_body(CK, EXCHANGE, ID, seal_body(CK, EXCHANGE, ID, BULLETIN, part)).sealed_part == part
    )


def test_the_plaintext_is_that_of_the_protocol() -> None:
    """Length, bulletin, zeros to 4096, length, sealed part with its null, zeros to Padmé."""
    expected = block(BULLETIN, 4096) + block(PART_JSON, padme(4 + len(PART_JSON)))
    assert encode_body(BULLETIN, PART) == expected


@pytest.mark.parametrize(
    ("size_bytes", "expected"), [(0, 4096), (4092, 4096), (4093, 4352), (5000, 5120)]
)
def test_the_bulletin_is_padded_apart_from_the_sealed_part(size_bytes: int, expected: int) -> None:
    """Up to 4092 bytes of bulletin take 4096, more take Padmé of 4 + n."""
    plaintext = encode_body(b"x" * size_bytes, PART)
    assert len(plaintext) == expected + padme(4 + len(PART_JSON))


def test_what_is_over_its_limit_is_not_sealed() -> None:
    """A bulletin over 256 KiB is refused before sealing, and one at the limit is not."""
    encode_body(bytes(BULLETIN_BYTES_MAX), PART)
    with pytest.raises(ParseError):
        encode_body(bytes(BULLETIN_BYTES_MAX + 1), PART)


@pytest.mark.parametrize("position", [0, 2000, 4200, -17, -16, -1])
def test_a_tampered_body_is_unreadable(position: int) -> None:
    """A flipped bit in the ciphertext or the tag is noticed."""
    altered = bytearray(seal_body(CK, EXCHANGE, ID, BULLETIN, PART))
    altered[position] ^= 1
    assert problem(bytes(altered)) == "body-unreadable"


@pytest.mark.parametrize("size_bytes", [0, 1, 15, 16, 4096])
def test_a_truncated_body_is_unreadable(size_bytes: int) -> None:
    """A shorter ciphertext is noticed, also one without a tag."""
    assert problem(seal_body(CK, EXCHANGE, ID, BULLETIN, PART)[:size_bytes]) == "body-unreadable"


def test_a_body_is_bound_to_exchange_envelope_and_key() -> None:
    """Replayed into another exchange or envelope, or with another key, it stays shut."""
    body = seal_body(CK, EXCHANGE, ID, BULLETIN, PART)
    assert problem(body, exchange="barid-exercise") == "body-unreadable"
    assert problem(body, id_=ID[:-1] + "2") == "body-unreadable"
    assert problem(body, key=bytes(32)) == "body-unreadable"


GOOD = block(BULLETIN, 4096)
PART_SIZE = padme(4 + len(PART_JSON))
WRONG_PADDING = {
    "nothing": b"",
    "half a length": b"\x00\x00",
    "bulletin block undersized": block(BULLETIN, 4095),
    "bulletin block oversized": block(BULLETIN, 4097) + block(PART_JSON, PART_SIZE),
    "one size of Padmé more": block(BULLETIN, 4352) + block(PART_JSON, PART_SIZE),
    "first zero not zero": GOOD[: 4 + len(BULLETIN)]
    + b"\x01"
    + GOOD[5 + len(BULLETIN) :]
    + block(PART_JSON, PART_SIZE),
    "last zero not zero": GOOD[:-1] + b"\x01" + block(PART_JSON, PART_SIZE),
    "no sealed part": GOOD,
    "part block undersized": GOOD + block(PART_JSON, PART_SIZE)[:-1],
    "part block oversized": GOOD + block(PART_JSON, PART_SIZE) + b"\x00",
    "zero of the part not zero": GOOD + block(PART_JSON, PART_SIZE - 1) + b"\x01",
    "length beyond the body": b"\x00\x00\x20\x00" + GOOD[4:] + block(PART_JSON, PART_SIZE),
    "length over the limit": block(bytes(BULLETIN_BYTES_MAX + 1), padme(BULLETIN_BYTES_MAX + 5))
    + block(PART_JSON, PART_SIZE),
    "length of 4 GiB": b"\xff\xff\xff\xff" + GOOD[4:] + block(PART_JSON, PART_SIZE),
    "part over its limit": GOOD
    + block(bytes(SEALED_PART_BYTES_MAX + 1), padme(SEALED_PART_BYTES_MAX + 5)),
}


def test_the_cases_of_wrong_padding_start_from_a_right_one() -> None:
    """The table differs from this, which opens, in the padding alone."""
    assert 4 + len(PART_JSON) < PART_SIZE
    assert (
        open_body(CK, EXCHANGE, ID, sealed(GOOD + block(PART_JSON, PART_SIZE))).sealed_part == PART
    )


@pytest.mark.parametrize("plaintext", WRONG_PADDING.values(), ids=WRONG_PADDING)
def test_wrong_padding_is_the_senders_fault(plaintext: bytes) -> None:
    """Sizes and zeros are exact, in both blocks."""
    assert problem(sealed(plaintext)) == "padding"


@pytest.mark.parametrize(
    "part_json",
    [
        b"",
        b"{}",
        b"null",
        PART_JSON.replace(b"null", b"{}"),
        PART_JSON.replace(b'"release":null,', b""),
        PART_JSON.replace(b'"release_salts":{}', b'"release_salts":null'),
        PART_JSON[:-1] + b',"more":1}',
        PART_JSON[:-1] + b',"release":null}',
        PART_JSON.replace(b"AAA=", b"AAB="),
        PART_JSON + b"\x00",
    ],
    ids=repr,
)
def test_a_sealed_part_that_is_not_well_formed_is_the_senders_fault(part_json: bytes) -> None:
    """Missing, double, unknown and null members, and other base64, answer `sealed-part`."""
    assert problem(sealed(GOOD + block(part_json, padme(4 + len(part_json))))) == "sealed-part"


def test_the_problem_of_a_sealed_part_shows_none_of_it() -> None:
    """Details travel in acknowledgements: sealed values stay out of them."""
    part = PART_JSON.replace(b"AAA=", b"SECRET")
    with pytest.raises(Problem) as caught:
        decode_body(GOOD + block(part, padme(4 + len(part))))
    assert "SECRET" not in str(caught.value)


@settings(deadline=None, max_examples=40)
@given(bulletin=st.binary(max_size=9000), salt=st.binary(min_size=32, max_size=32))
def test_every_bulletin_survives_and_padding_is_exact(bulletin: bytes, salt: bytes) -> None:
    """Whatever the bytes, they come back, and the sizes are those of the protocol."""
    part = SealedPart(salt=salt, release=None, release_salts={}, attachment_keys={})
    body = seal_body(CK, EXCHANGE, ID, bulletin, part)
    assert open_body(CK, EXCHANGE, ID, body).bulletin_json == bulletin
    assert len(body) == max(4096, padme(4 + len(bulletin))) + PART_SIZE + 16


@settings(deadline=None, max_examples=60)
@given(position=st.integers(min_value=0, max_value=4096 + PART_SIZE - 1), bit=st.integers(0, 7))
def test_no_other_plaintext_opens_to_the_same(position: int, bit: int) -> None:
    """There is one encoding: a flipped bit is refused, or opens to something else."""
    altered = bytearray(GOOD + block(PART_JSON, PART_SIZE))
    altered[position] ^= 1 << bit
    try:
        opened = decode_body(bytes(altered))
    except Problem as error:
        assert error.word in {"padding", "sealed-part"}  # noqa: PT017 - either answer is right
    else:
        assert (opened.bulletin_json, opened.sealed_part) != (BULLETIN, PART)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200) | st.binary(max_size=4096).map(lambda data: GOOD + data))
def test_arbitrary_plaintexts_raise_nothing_else(plaintext: bytes) -> None:
    """Whatever a sender sealed, only BaridError comes out."""
    try:
        decode_body(plaintext)
    except BaridError:
        return


def test_the_content_hash_is_that_of_the_protocol() -> None:
    """SHA-256 of label, 00, salt and bulletin; another bulletin or salt does not match."""
    salt = bytes(range(32))
    expected = hashlib.sha256(b"barid/v1/content\x00" + salt + BULLETIN).hexdigest()
    assert content_hash(salt, BULLETIN) == expected
    verify_content(salt, BULLETIN, expected)
    for other_salt, other in ((salt, BULLETIN + b" "), (bytes(32), BULLETIN)):
        with pytest.raises(Problem, match="content-mismatch"):
            verify_content(other_salt, other, expected)


def test_the_commitment_is_that_of_the_protocol() -> None:
    """HMAC-SHA-256 of CK over label, exchange and id; another of the three does not match."""
    message = b"barid/v1/commitment\x00barid-test\x00" + ID.encode()
    expected = hmac.new(CK, message, hashlib.sha256).hexdigest()
    assert commitment(CK, EXCHANGE, ID) == expected
    verify_commitment(CK, EXCHANGE, ID, expected)
    for key, exchange, id_ in (
        (bytes(32), EXCHANGE, ID),
        (CK, "x-test", ID),
        (CK, EXCHANGE, ID[:-1] + "2"),
    ):
        with pytest.raises(Problem, match="commitment"):
            verify_commitment(key, exchange, id_, expected)
