"""The inbox: every envelope stored once, with its place, its evidence and the answer it is owed.

May import `broker.db`'s connections and the node's tables; `fetching` stores, `received` shows.
What stands here was verified by `receive`, each function runs within its caller's one transaction.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.sqlite import insert as insert_once

from broker.node import tables
from broker.node.alarms import AlarmKind, raise_alarm
from broker.node.clock import to_seconds
from broker.node.inbox.acknowledge import Logged, note_answer
from broker.node.inbox.receive import Arrived, Opened
from broker.node.inbox.received import find_shown
from broker.node.places import note_places
from schemas.acknowledgements import Result
from schemas.errors import Problem
from schemas.loader import dump_json


class Stored(StrEnum):
    """What storing an envelope came to."""

    NEW = "new"
    """A bulletin that nobody here has seen."""
    AGAIN = "again"
    """A bulletin that came before, in another envelope: answered again, shown once."""
    TWO_CONTENTS = "two_contents"
    """Another content came under this id before: both are kept, this one is quarantined."""
    REJECTED = "rejected"
    """It did not open, or broke a rule: kept as evidence, and answered so."""
    KNOWN = "known"
    """This very envelope was stored before: nothing changed."""


def is_known(connection: Connection, desk: str, sender: str, envelope_id: str) -> bool:
    """Whether an envelope was stored before."""
    column = tables.incoming_envelope.c
    found = select(column.entry_index).where(
        column.desk == desk, column.sender == sender, column.envelope_id == envelope_id
    )
    return connection.execute(found).first() is not None


def store_opened(
    connection: Connection, arrived: Arrived, opened: Opened, body: bytes, now: datetime
) -> Stored:
    """Store an opened envelope: bulletin, evidence, place and pending answer, all or nothing.

    Args:
        connection: the caller's one transaction.
        arrived: the envelope and its proven entry.
        opened: what was inside, verified to the end.
        body: the ciphertext.
        now: UTC, whole seconds.

    Raises:
        Problem: `place`: the hub gave one place twice.
    """
    header = arrived.header
    if not _is_first(connection, arrived):
        return Stored.KNOWN
    shown = find_shown(connection, arrived.desk, header.from_, header.bulletin.id)
    differs = shown is not None and shown.content != header.bulletin.content
    _store_bulletin(connection, arrived, opened, now, quarantined=differs)
    reason = "bulletin-differs" if differs else None
    _store_envelope(connection, arrived, body, opened.content_key, reason, now)
    _answer(connection, arrived, reason, now)
    if differs:
        raise_alarm(
            connection,
            AlarmKind.TWO_CONTENTS,
            f"{arrived.desk} {header.from_} {header.bulletin.id}",
            f"{header.from_} gave two contents to one bulletin: both headers are kept as evidence",
            now,
        )
        return Stored.TWO_CONTENTS
    if shown is None:
        return Stored.NEW
    if shown.read is not None:
        # Read before its second envelope came, so that it is read in that one too.
        note_answer(connection, arrived.desk, _logged(arrived), Result.READ, None, now)
    return Stored.AGAIN


def _is_first(connection: Connection, arrived: Arrived) -> bool:
    """Whether this envelope was not stored before; its place is then noted. Raises Problem `place`."""
    sender = arrived.header.from_
    if is_known(connection, arrived.desk, sender, arrived.header.id):
        return False
    places = arrived.item.receipt.places
    note_places(connection, arrived.desk, sender, arrived.origin, arrived.index, places)
    return True


def store_rejected(
    connection: Connection,
    arrived: Arrived,
    problem: Problem,
    content_key: bytes | None,
    body: bytes,
    now: datetime,
) -> Stored:
    """Store an envelope that is answered with `rejected`, in quarantine, as evidence.

    Args:
        connection: the caller's one transaction.
        arrived: the envelope and its proven entry.
        problem: why; its word is the answer's reason.
        content_key: 32 bytes, which prove a sender's fault; None where the slot did not open.
        body: the ciphertext.
        now: UTC, whole seconds.

    Raises:
        Problem: `place`: the hub gave one place twice.
    """
    header = arrived.header
    if not _is_first(connection, arrived):
        return Stored.KNOWN
    _store_envelope(connection, arrived, body, content_key, problem.word, now)
    _answer(connection, arrived, problem.word, now)
    raise_alarm(
        connection,
        AlarmKind.QUARANTINED,
        f"{arrived.desk} {header.from_} {header.id}",
        f"an envelope of {header.from_} was rejected: {problem.word}",
        now,
    )
    return Stored.REJECTED


def _store_bulletin(
    connection: Connection, arrived: Arrived, opened: Opened, now: datetime, *, quarantined: bool
) -> None:
    new = insert_once(tables.incoming_bulletin).values(
        desk=arrived.desk,
        sender=arrived.header.from_,
        bulletin_id=arrived.header.bulletin.id,
        content=arrived.header.bulletin.content,
        document=opened.document,
        envelope_id=arrived.header.id,
        rank=arrived.header.precedence.rank,
        received=to_seconds(now),
        quarantined=int(quarantined),
        retain_until=_seconds_or_none(opened.retain_until),
        review_by=_seconds_or_none(opened.review_by),
    )
    connection.execute(new.on_conflict_do_nothing())


def _seconds_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else to_seconds(moment)


def _store_envelope(
    connection: Connection,
    arrived: Arrived,
    body: bytes,
    content_key: bytes | None,
    reason: str | None,
    now: datetime,
) -> None:
    header, item = arrived.header, arrived.item
    connection.execute(
        insert(tables.incoming_envelope).values(
            desk=arrived.desk,
            sender=header.from_,
            envelope_id=header.id,
            origin=arrived.origin,
            entry_index=arrived.index,
            leaf=arrived.leaf,
            bulletin_id=header.bulletin.id,
            content=header.bulletin.content,
            statement=dump_json(item.statement),
            slot=item.slot,
            body=body,
            receipt=dump_json(item.receipt),
            content_key=content_key,
            reason=reason,
            received=to_seconds(now),
        )
    )


def _answer(connection: Connection, arrived: Arrived, reason: str | None, now: datetime) -> None:
    result = Result.DELIVERED if reason is None else Result.REJECTED
    note_answer(connection, arrived.desk, _logged(arrived), result, reason, now)


def _logged(arrived: Arrived) -> Logged:
    return Logged(
        arrived.header.from_, arrived.header.id, arrived.origin, arrived.index, arrived.leaf
    )
