"""Acknowledgements: what a recipient's node says became of envelopes of one sender.

May import pydantic and `schemas`; nodes sign them, the hub logs them, senders and auditors read them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.limits import ACKNOWLEDGED_ITEMS_MAX
from schemas.scalars import (
    Count,
    DeskId,
    ExchangeName,
    Message,
    Sha256Hex,
    UtcTime,
    Uuid7,
    Version,
    Word,
)


class Result(StrEnum):
    """What became of an envelope at its recipient."""

    DELIVERED = "delivered"
    READ = "read"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class AcknowledgedItem(Message):
    """One envelope, and the log entry by which the recipient knows it."""

    from_: Annotated[DeskId, Field(alias="from")]
    id: Uuid7
    origin: Annotated[str, Field(min_length=1, max_length=255)]
    index: Count
    leaf: Sha256Hex


class Acknowledgement(Message):
    """Payload of an acknowledgement statement; all items are of one sender."""

    v: Version
    exchange: ExchangeName
    desk: DeskId
    at: UtcTime
    result: Result
    reason: Word | None = None
    items: Annotated[
        tuple[AcknowledgedItem, ...], Field(min_length=1, max_length=ACKNOWLEDGED_ITEMS_MAX)
    ]

    @model_validator(mode="after")
    def _one_sender_and_a_reason(self) -> Self:
        if len({item.from_ for item in self.items}) != 1:
            raise ValueError("all items are of one sender")
        if len({(item.origin, item.index) for item in self.items}) != len(self.items):
            raise ValueError("no item comes twice")
        needs_reason = self.result in {Result.REJECTED, Result.WITHDRAWN}
        if needs_reason != (self.reason is not None):
            raise ValueError("rejected and withdrawn carry a reason, the others none")
        return self
