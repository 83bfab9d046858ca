"""The release: what the people of a desk sign once before a bulletin may leave.

May import pydantic and `schemas`; `keys.release` makes and verifies it.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.bulletin.vocabularies import Precedence
from schemas.limits import RECIPIENTS_MAX
from schemas.scalars import (
    DeskId,
    ExchangeName,
    Message,
    Sha256Hex,
    SortedUnique,
    UtcTime,
    Uuid7,
    Version,
)


class ReleasedBulletin(Message):
    """The bulletin released: its id and the SHA-256 of its exact JSON."""

    id: Uuid7
    sha256: Sha256Hex


class Release(Message):
    """Payload of a release statement.

    `recipients` are salted hashes, filled to a power of two with salted empty names, so that a recipient
    learns neither who else was released to nor how many.
    """

    v: Version
    exchange: ExchangeName
    bulletin: ReleasedBulletin
    from_: Annotated[DeskId, Field(alias="from")]
    recipients: Annotated[
        tuple[Sha256Hex, ...], Field(min_length=1, max_length=2 * RECIPIENTS_MAX), SortedUnique
    ]
    precedence: Precedence
    expires: UtcTime
    released: UtcTime
    supersedes: Uuid7 | None = None
    withdraws: Uuid7 | None = None

    @model_validator(mode="after")
    def _power_of_two(self) -> Self:
        if len(self.recipients).bit_count() != 1:
            raise ValueError("the number of recipient hashes is a power of two")
        return self
