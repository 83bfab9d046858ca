"""Sealing keys: the statement by which a desk's node announces the key of one epoch.

May import pydantic and `schemas`; nodes make it, the directory log records it, senders seal to it.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.scalars import (
    Base64,
    DeskId,
    ExchangeName,
    Message,
    Ordinal,
    Sha256Hex,
    SortedUnique,
    UtcTime,
    Version,
)

SEALING_PUBLIC_BYTES = 1184 + 32
"""ML-KEM-768 encapsulation key (FIPS 203), then X25519 (RFC 7748)."""


class SealingKey(Message):
    """Payload of a sealing-key statement; its keyid is the SHA-256 of the statement's PAE."""

    v: Version
    exchange: ExchangeName
    desk: DeskId
    epoch: Ordinal
    public_key: Annotated[
        Base64, Field(min_length=SEALING_PUBLIC_BYTES, max_length=SEALING_PUBLIC_BYTES)
    ]
    not_before: UtcTime
    not_after: UtcTime
    revokes: (
        Annotated[tuple[Sha256Hex, ...], Field(min_length=1, max_length=256), SortedUnique] | None
    ) = None

    @model_validator(mode="after")
    def _times_ascend(self) -> Self:
        if self.not_before >= self.not_after:
            raise ValueError("not_before lies before not_after")
        return self
