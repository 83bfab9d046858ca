"""The small types: one spelling for each value, everything else refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.scalars import (
    Count,
    DeskId,
    ExchangeName,
    Sha256Hex,
    Uuid7,
    decode_base64,
    encode_base64,
    format_time,
    member_of,
    parse_time,
    sorted_unique,
)


@pytest.mark.parametrize(
    "text",
    [
        "QR==",
        "QQ",
        "QQ=",
        "-_-_",
        "Q Q=",
        "QQ==\n",
        " QQ==",
        "QQ==QQ==",
        "====",
        "QUJ=",
        "é",
        1,
        None,
    ],
)
def test_refuses_other_base64s(text: object) -> None:
    """Loose bits, missing padding, the URL alphabet and whitespace are refused."""
    with pytest.raises(ValueError, match="base64"):
        decode_base64(text)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=64))
def test_base64_has_one_spelling(data: bytes) -> None:
    """Bytes are read back as they were written, and no other last character is taken."""
    text = encode_base64(data)
    assert decode_base64(text) == data
    if text.endswith("=="):
        with pytest.raises(ValueError, match="base64"):
            decode_base64(text[:-3] + chr(ord(text[-3]) + 1) + "==")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T22:00:00.0Z",
        "2026-11-24T22:00:00.123Z",
        "2026-11-24T22:00:00+00:00",
        "2026-11-24T22:00:00+01:00",
        "2026-11-24T22:00:00z",
        "2026-11-24t22:00:00Z",
        "2026-11-24 22:00:00Z",
        "2026-11-24T22:00Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "2026-11-24T22:00:00Z\n",
        "٢٠٢٦-11-24T22:00:00Z",
        "",
        1764021600,
        datetime(2026, 11, 24),  # noqa: DTZ001 - that it has no zone is the point
        datetime(2026, 11, 24, microsecond=1, tzinfo=UTC),
        datetime(2026, 11, 24, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_refuses_other_times(text: object) -> None:
    """Fractions, offsets, lower case, days that do not exist and other forms are refused."""
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time(text)


@settings(max_examples=100, deadline=None)
@given(st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0)))
def test_reads_the_times_it_writes(moment: datetime) -> None:
    """A whole second is read as it was written, from the year 1 on."""
    assert parse_time(format_time(moment)) == moment


@pytest.mark.parametrize(
    ("scalar", "good", "bad"),
    [
        (
            Uuid7,
            "019ab5c0-2a00-7a11-8c01-5f0e6d7a0001",
            [
                "019AB5C0-2A00-7A11-8C01-5F0E6D7A0001",
                "019ab5c0-2a00-4a11-8c01-5f0e6d7a0001",
                "019ab5c0-2a00-7a11-cc01-5f0e6d7a0001",
                "019ab5c02a007a118c015f0e6d7a0001",
                "019ab5c0-2a00-7a11-8c01-5f0e6d7a0001\n",
            ],
        ),
        (Sha256Hex, "ab" * 32, ["AB" * 32, "ab" * 31, "ab" * 33, "ab" * 32 + "\n"]),
        (
            DeskId,
            "ly/main",
            ["ly", "LY/main", "ly/", "/main", "ly/main/x", "l/main", "ly/main ", "ly/\u0661"],
        ),
        (ExchangeName, "tripoli-demo", ["Tripoli", "a", "-abc", "tripoli demo", "طرابلس"]),
        (Count, 0, [-1, True, "0", 2**53]),
    ],
)
def test_scalars(scalar: Any, good: object, bad: list[object]) -> None:
    """Each small type takes its own spelling and no other."""
    adapter = TypeAdapter(scalar)
    assert adapter.validate_python(good, strict=True) == good
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value, strict=True)


def test_order_and_members() -> None:
    """A sorted list passes, one out of order or with doubles does not; a desk names its member."""
    assert sorted_unique(("a", "b")) == ("a", "b")
    for wrong in (("b", "a"), ("a", "a")):
        with pytest.raises(ValueError, match="sorted"):
            sorted_unique(wrong)
    assert member_of("ly/main") == "ly"
