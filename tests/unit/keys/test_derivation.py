"""Labels, hashes and Padmé."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.derivation import label, sha256, sha256_hex
from keys.padding import padme
from schemas.errors import ParseError


def test_label_joins_with_one_zero_byte() -> None:
    """Parts are separated by one 00 byte, and raw bytes stay as they are."""
    assert label("barid/v1/slot", "o", b"\x00\xff") == b"barid/v1/slot\x00o\x00\x00\xff"


@pytest.mark.parametrize("text", ["é", "a\x00b", "ـ"])
def test_label_refuses_what_could_pass_for_two_names(text: str) -> None:
    """A text with 00 or outside ASCII is refused."""
    with pytest.raises(ParseError):
        label("o", text)


def test_sha256_is_over_the_chunks_in_order() -> None:
    """Chunks are hashed one after the other."""
    expected = hashlib.sha256(b"abc").digest()
    assert sha256(b"a", b"bc") == expected
    assert sha256_hex(b"ab", b"c") == expected.hex()


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (7, 7),
        (8, 8),
        (9, 10),
        (17, 18),
        (100, 104),
        (4096, 4096),
        (4097, 4352),
        (262148, 270336),
        (2**20 + 1, 2**20 + 2**15),
    ],
)
def test_padme_of_known_sizes(size_bytes: int, expected: int) -> None:
    """Padmé gives the sizes that its definition gives by hand."""
    assert padme(size_bytes) == expected


@settings(deadline=None)
@given(st.integers(min_value=2, max_value=2**40))
def test_padme_never_shrinks_and_costs_at_most_12_percent(size_bytes: int) -> None:
    """A padded size is at least the size, at most 12 % more, and padding it again adds nothing."""
    padded = padme(size_bytes)
    assert size_bytes <= padded <= size_bytes * 1.12
    assert padme(padded) == padded
