"""Alarms: what a person at the node should look at, each kind and subject once, with a count.

May import `broker.db` and the node's tables; every module of this room raises its alarms here, and
`/v1/status` shows them. Texts carry ids, hashes and words, never content or keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from broker.node import tables
from broker.node.clock import from_seconds, to_seconds
from schemas.errors import Problem

ALARMS_SHOWN_MAX: Final = 200
"""Alarms of one answer, newest first: more than a person reads."""

_TEXT_CHARACTERS_MAX: Final = 16 * 1024
"""Characters of an alarm's text: two checkpoints with all their signatures fit in."""


class AlarmKind(StrEnum):
    """The causes that raise an alarm."""

    HUB_FAULT = "hub-fault"
    """The hub served what does not verify; it was neither stored nor acknowledged."""
    INCONSISTENT_LOG = "inconsistent-log"
    """Two checkpoints of the hub do not belong to one log."""
    FINDING = "finding"
    """An entry of the directory log breaks a rule."""
    GAP = "gap"
    """An envelope between two desks is missing, or a place was given twice."""
    FOREIGN_SEALING_KEY = "foreign-sealing-key"
    """A sealing key of an own desk was logged that this node did not make."""
    FOREIGN_ACKNOWLEDGEMENT = "foreign-acknowledgement"
    """An acknowledgement of an own desk was logged that this node did not sign."""
    FOREIGN_ENVELOPE = "foreign-envelope"
    """An envelope of an own desk was logged that this node did not sign."""
    ACKNOWLEDGEMENT_REFUSED = "acknowledgement-refused"
    """The hub refuses to take an acknowledgement."""
    REFUSED = "refused"
    """The hub refused an envelope for good."""
    REJECTED_BY_RECIPIENT = "rejected"
    """A recipient's node rejected an envelope."""
    QUARANTINED = "quarantined"
    """A sender's envelope broke a rule that only its recipient sees."""
    TWO_CONTENTS = "two-contents"
    """One sender gave one bulletin id to two contents; both headers are kept."""
    UNREACHABLE = "hub-unreachable"
    """The hub does not answer."""
    REFUSES_US = "hub-refuses-requests"
    """The hub answers with a problem that this node cannot mend by itself."""
    INTERNAL = "internal"
    """A part of this node failed and will try again."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm: its kind, what it is about, a text, when it was first and last seen, how often."""

    kind: str
    subject: str
    text: str
    first_seen: datetime
    last_seen: datetime
    times: int


def raise_alarm(
    connection: Connection,
    kind: AlarmKind,
    subject: str,
    text: str,
    now: datetime,
    *,
    once: bool = False,
) -> None:
    """Note an alarm; one of the same kind and subject is counted, its text replaced.

    Args:
        connection: a writing transaction.
        kind: the cause.
        subject: what it is about: an envelope, a desk, a log.
        text: a sentence for people; never content or keys.
        now: UTC, whole seconds.
        once: for what stays as it is: leave an alarm that is there alone.
    """
    at = to_seconds(now)
    new = insert(tables.alarm).values(
        kind=kind,
        subject=subject,
        text=text[:_TEXT_CHARACTERS_MAX],
        first_seen=at,
        last_seen=at,
        times=1,
    )
    if once:
        connection.execute(new.on_conflict_do_nothing())
        return
    connection.execute(
        new.on_conflict_do_update(
            index_elements=["kind", "subject"],
            set_={
                "text": new.excluded.text,
                "last_seen": new.excluded.last_seen,
                "times": tables.alarm.c.times + 1,
            },
        )
    )


def raise_fault(connection: Connection, subject: str, problem: Problem, now: datetime) -> None:
    """Note a fault of the hub, with its checkpoints as evidence where they contradict each other.

    Args:
        connection: a writing transaction.
        subject: what it is about: an envelope, a log.
        problem: as verification raised it.
        now: UTC, whole seconds.
    """
    kind = AlarmKind.HUB_FAULT
    text = f"{problem.word}: {problem.detail}"
    if problem.word == "inconsistent-log":
        kind = AlarmKind.INCONSISTENT_LOG
        checkpoints = problem.extensions.get("checkpoints")
        if isinstance(checkpoints, list):
            text += "".join(f"\n\n{each}" for each in checkpoints)
    raise_alarm(connection, kind, subject, text, now)


def list_alarms(connection: Connection, limit: int = ALARMS_SHOWN_MAX) -> tuple[Alarm, ...]:
    """The newest alarms, last seen first."""
    rows = connection.execute(
        select(tables.alarm)
        .order_by(tables.alarm.c.last_seen.desc(), tables.alarm.c.kind, tables.alarm.c.subject)
        .limit(limit)
    )
    return tuple(
        Alarm(
            row.kind,
            row.subject,
            row.text,
            from_seconds(row.first_seen),
            from_seconds(row.last_seen),
            row.times,
        )
        for row in rows
    )
