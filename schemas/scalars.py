"""The small types that every message is made of: ids, addresses, hashes, binary, times, and the base model.

May import pydantic and `schemas`; every model of this package is built from these, so that each rule of the
protocol's conventions stands once.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from schemas.limits import INTEGER_MAX
from schemas.rules import broken


class Message(BaseModel):
    """Base of every model: frozen, strict, no unknown member."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        populate_by_name=True,
        serialize_by_alias=True,
    )


def decode_base64(text: object) -> bytes:
    """Read standard padded base64 (RFC 4648 section 4), refused unless re-encoding gives the same text."""
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise broken("base64")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise broken("base64") from error
    if base64.b64encode(data).decode() != text:
        raise broken("base64")
    return data


def encode_base64(data: bytes) -> str:
    """Write standard padded base64."""
    return base64.b64encode(data).decode()


Base64 = Annotated[
    bytes,
    BeforeValidator(decode_base64),
    PlainSerializer(encode_base64, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""Bytes, in JSON as standard padded canonical base64."""

_TIME: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})Z", re.ASCII)


def parse_time(text: object) -> datetime:
    """Read RFC 3339 in UTC with whole seconds and `Z`, as `2026-11-24T22:00:00Z`."""
    if isinstance(text, datetime):
        if text.tzinfo is not UTC or text.microsecond:
            raise broken("time")
        return text
    matched = _TIME.fullmatch(text) if isinstance(text, str) else None
    if matched is None:
        raise broken("time")
    year, month, day, hour, minute, second = map(int, matched.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise broken("time") from error


def format_time(moment: datetime) -> str:
    """Write RFC 3339 in UTC with whole seconds."""
    # strftime would write the year 1 with one digit.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


UtcTime = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": "^[0-9T:-]{19}Z$"}),
]
"""A moment: RFC 3339, UTC, whole seconds, `Z`."""

MEMBER_PATTERN: Final = r"[a-z][a-z0-9]{1,15}"
UNIT_PATTERN: Final = r"[a-z][a-z0-9_-]{0,31}"

Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, lower-case hex."""

Uuid7 = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    ),
]
"""UUIDv7 (RFC 9562), 36 lower-case characters."""

MemberId = Annotated[str, StringConstraints(pattern=f"^{MEMBER_PATTERN}$")]
"""ISO 3166-1 alpha-2 in lower case for a state, a registered name for an organisation."""

DeskId = Annotated[str, StringConstraints(pattern=f"^{MEMBER_PATTERN}/{UNIT_PATTERN}$")]
"""`member/unit`: the address on every bulletin."""

ExchangeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{2,62}$")]
"""The name of the exchange, `o` in the protocol's derivations; ASCII, outlives the log's origins."""

Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
"""A bare word of a vocabulary or problem table."""

Version = Annotated[int, Field(ge=1, le=1)]
"""The version of the protocol's statements: 1."""

Count = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
"""A number of things, or an index from 0."""

Ordinal = Annotated[int, Field(ge=1, le=INTEGER_MAX)]
"""A number that counts from 1: epochs, places, versions."""


def member_of(desk: str) -> str:
    """The member of a desk: `tn` of `tn/main`."""
    return desk.partition("/")[0]


def sorted_unique(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that is not strictly ascending: one order, and none twice."""
    if any(left >= right for left, right in pairwise(values)):
        raise broken("sorted")
    return values


SortedUnique = AfterValidator(sorted_unique)
"""Marks a tuple of text that is strictly ascending."""
