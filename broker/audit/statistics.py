"""Figures of the exchange log for people: what was sent by day, topic and pair, what was refused or is late.

Pure; may import `schemas`. The audit feeds it each entry in order; the report shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from broker.audit.envelopes import AcceptedEnvelope
from schemas.directory import Deadlines
from schemas.entries import EnvelopeRefused
from schemas.envelope import Header
from schemas.scalars import format_time, member_of

LATE_LISTED_MAX: Final = 1000
"""Unanswered deliveries that a report lists, the longest waiting first; all are counted."""


@dataclass(slots=True)
class Statistics:
    """What was logged, counted by member: which desk wrote to which is nobody's business but theirs."""

    by_day: Counter[str] = field(default_factory=Counter)
    by_topic: Counter[str] = field(default_factory=Counter)
    by_day_and_topic: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_pair: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Sender's member, problem."""

    def accepted(self, at: datetime, header: Header) -> None:
        """Count an accepted envelope: once by day and topic, and once for each member that it goes to."""
        day = format_time(at)[:10]
        self.by_day[day] += 1
        for topic in header.topics:
            self.by_topic[topic] += 1
            self.by_day_and_topic[day, topic] += 1
        sender = member_of(header.from_)
        for member in {member_of(desk) for desk in header.desks}:
            self.by_pair[sender, member] += 1

    def was_refused(self, entry: EnvelopeRefused, header: Header) -> None:
        """Count a refused envelope."""
        self.refused[member_of(header.from_), entry.problem] += 1

    def to_plain(self) -> dict[str, Any]:
        """The figures as plain JSON values, the most first."""
        return {
            "by_day": dict(sorted(self.by_day.items())),
            "by_topic": dict(self.by_topic.most_common()),
            "by_day_and_topic": [
                {"day": day, "topic": topic, "envelopes": count}
                for (day, topic), count in sorted(self.by_day_and_topic.items())
            ],
            "by_pair": [
                {"from": sender, "to": recipient, "envelopes": count}
                for (sender, recipient), count in self.by_pair.most_common()
            ],
            "refused": [
                {"member": member, "problem": problem, "envelopes": count}
                for (member, problem), count in self.refused.most_common()
            ],
        }


@dataclass(frozen=True, slots=True)
class Late:
    """An envelope that a desk has not answered by the deadline of its precedence.

    `until` is when it expired, or will.
    """

    index: int
    sender: str
    desk: str
    precedence: str
    accepted: datetime
    until: datetime

    def to_plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "index": self.index,
            "from": self.sender,
            "to": self.desk,
            "precedence": self.precedence,
            "accepted": format_time(self.accepted),
            "until": format_time(self.until),
        }


@dataclass(frozen=True, slots=True)
class Lateness:
    """What nobody answered in time: how many deliveries by precedence, and the longest waiting of them."""

    by_precedence: Counter[str]
    listed: tuple[Late, ...]

    def to_plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "by_precedence": dict(sorted(self.by_precedence.items())),
            "listed": [each.to_plain() for each in self.listed],
        }


def lateness(
    envelopes: Iterable[tuple[int, AcceptedEnvelope]], deadlines: Deadlines, now: datetime
) -> Lateness:
    """Find what was not answered by the deadline that the council set for its precedence.

    Args:
        envelopes: accepted ones by index of their entry, ascending.
        deadlines: of the council in force.
        now: the auditor's clock.
    """
    counts: Counter[str] = Counter()
    listed: list[Late] = []
    for index, each in envelopes:
        seconds: int = getattr(deadlines, each.precedence)
        # A sum may lie behind the last day that can be written, and the hub chose the time.
        if now - each.at <= timedelta(seconds=seconds):
            continue
        for desk, answer in each.answers.items():
            if answer is None:
                counts[each.precedence] += 1
                if len(listed) < LATE_LISTED_MAX:
                    late = Late(index, each.sender, desk, each.precedence, each.at, each.expires)
                    listed.append(late)
    return Lateness(counts, tuple(listed))
