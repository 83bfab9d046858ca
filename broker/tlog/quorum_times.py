"""When entries can have been logged: between the last quorum without them and the first with them.

Pure; may import `schemas`. Nodes and auditors keep the sizes and times of the quorums that they saw, few of
them, and hold the time that each entry claims against these.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

from schemas.limits import CLOCK_TOLERANCE_SECONDS, WITNESS_ROUND_SECONDS
from schemas.scalars import format_time

CLOCKS: Final = timedelta(seconds=CLOCK_TOLERANCE_SECONDS)
"""How far the hub's clock and the median of the witnesses' may differ."""

SHOWN: Final = timedelta(seconds=WITNESS_ROUND_SECONDS)
"""How long witnesses may be cosigning one tree while an honest log grows beyond it."""

APART: Final = timedelta(minutes=5)
"""Quorums that came within this time of each other need not all be kept: clocks are no better."""


@dataclass(frozen=True, slots=True)
class QuorumTime:
    """That quorums cosigned a log at a size: when the first did, and when the last, UTC."""

    size: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Between:
    """What quorums say of an entry, UTC; None where none says anything.

    Args:
        without: when a quorum last cosigned the log without it.
        with_: when a quorum first cosigned the log with it.
    """

    without: datetime | None
    with_: datetime | None


def recorded(newest: Sequence[QuorumTime], size: int, at: datetime) -> tuple[QuorumTime, ...]:
    """Record another quorum.

    Args:
        newest: the two newest records at most, ascending by size.
        size: of the tree that the quorum cosigned.
        at: its time, UTC.

    Returns:
        What takes the place of `newest`; a quorum over less than the newest changes nothing.
    """
    if newest and size < newest[-1].size:
        return tuple(newest)
    if newest and size == newest[-1].size:
        known = newest[-1]
        same = QuorumTime(size, min(known.first, at), max(known.last, at))
        return (*newest[:-1], same)
    kept = newest[:1] if len(newest) > 1 and at - newest[-2].last < APART else newest
    return (*kept, QuorumTime(size, at, at))


class QuorumTimes:
    """The quorums on one log that were recorded.

    Args:
        times: in any order.
    """

    def __init__(self, times: Iterable[QuorumTime]) -> None:
        self.times = tuple(sorted(times, key=lambda each: each.size))
        self._sizes = [each.size for each in self.times]
        self._without = list(accumulate((each.last for each in self.times), max))
        self._with = list(accumulate((each.first for each in reversed(self.times)), min))[::-1]

    def with_quorum(self, size: int, at: datetime) -> QuorumTimes:
        """These and another one."""
        return QuorumTimes((*self.times[:-2], *recorded(self.times[-2:], size, at)))

    def between(self, index: int) -> Between:
        """What they say of the entry at an index."""
        covering = bisect_right(self._sizes, index)
        return Between(
            self._without[covering - 1] if covering else None,
            self._with[covering] if covering < len(self._with) else None,
        )


def misdated(at: datetime, between: Between) -> str | None:
    """Say what is wrong with the time that an entry claims; None if nothing is (the protocol, "Two logs").

    A tree is shown to witnesses for ten minutes at the most, while the log goes on growing: so much earlier
    than a quorum without it an honest entry may be, besides what clocks differ.
    """
    if between.without is not None and between.without - at > CLOCKS + SHOWN:
        without = format_time(between.without)
        return (
            f"it claims {format_time(at)}, and witnesses cosigned the log without it at {without}"
        )
    if between.with_ is not None and at - between.with_ > CLOCKS:
        with_ = format_time(between.with_)
        return f"it claims {format_time(at)}, and witnesses cosigned the log with it at {with_}"
    return None
