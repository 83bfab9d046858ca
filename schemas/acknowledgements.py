"""Acknowledgements: what a recipient's node says became of envelopes of one sender.

May import pydantic and `schemas`; nodes sign them, the hub logs them, senders and auditors read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from schemas.errors import PROBLEMS, Fault
from schemas.limits import ACKNOWLEDGED_ITEMS_MAX, CREATED_SKEW_SECONDS_MAX
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
    format_time,
)


class Result(StrEnum):
    """What became of an envelope at its recipient."""

    DELIVERED = "delivered"
    READ = "read"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


CANNOT_OPEN: Final = "cannot_open"
"""The reason of a rejection that settles nothing: keys are lost, and come back from a backup."""

REJECTION_REASONS: Final = frozenset(
    {CANNOT_OPEN} | {problem.word for problem in PROBLEMS.values() if problem.fault is Fault.SENDER}
)
"""Why an envelope is rejected: what its sender can be held to; a hub's fault is never acknowledged."""

WITHDRAWAL_REASONS: Final = frozenset({"unread", "read", "exported"})
"""What had become of a bulletin when its withdrawal arrived."""

_BEFORE: Final[Mapping[Result, frozenset[Result | None]]] = {
    Result.DELIVERED: frozenset({None, Result.DELIVERED, Result.READ, Result.WITHDRAWN}),
    Result.READ: frozenset({Result.DELIVERED, Result.READ}),
    Result.REJECTED: frozenset({None, Result.REJECTED}),
    Result.WITHDRAWN: frozenset({None, *Result}),
}
"""Result → what the desk may have answered before, None for nothing. A restored node answers anew what it
had answered, so that each may be repeated, and `delivered` come after `read`."""


def may_follow(before: Result | None, then: Result) -> bool:
    """Whether a desk may answer an envelope so, after its last answer that settled something.

    Args:
        before: that answer; None where there is none. Rejections with `cannot_open` do not count, and
            may themselves come at any time.
        then: the new answer.
    """
    return before in _BEFORE[then]


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

    @property
    def settles(self) -> bool:
        """Whether this says for good what became of its items: all but `cannot_open` do."""
        return self.reason != CANNOT_OPEN

    def reason_fault(self) -> str | None:
        """Say what is wrong with the reason; None if it is one that this result can have."""
        if self.result is Result.WITHDRAWN and self.reason not in WITHDRAWAL_REASONS:
            return f"`{self.reason}` does not say what became of a withdrawn bulletin"
        if self.result is Result.REJECTED and self.reason not in REJECTION_REASONS:
            return f"`{self.reason}` is no fault of the sender's"
        return None

    def time_fault(self, logged: datetime) -> str | None:
        """Say that `at` is more than 24 hours away from the moment of logging; None if it is not."""
        if abs((logged - self.at).total_seconds()) > CREATED_SKEW_SECONDS_MAX:
            return f"signed at {format_time(self.at)}, now {format_time(logged)}: over 24 hours"
        return None

    def order_fault(self, before: Result | None, *, is_withdrawn: bool) -> str | None:
        """Say what this answer contradicts; None if it follows (the protocol's Acknowledgements).

        Args:
            before: the desk's last answer that settled something; None where there is none.
            is_withdrawn: whether the sender withdrew the bulletin from this desk.
        """
        if self.settles and not may_follow(before, self.result):
            return f"`{self.result}` cannot follow {f'`{before}`' if before else 'no answer'}"
        if self.result is Result.WITHDRAWN and not is_withdrawn:
            return "the sender did not withdraw it"
        return None
