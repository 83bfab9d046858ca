"""The inbox: every envelope stored once, with its place, its evidence and the answer it is owed.

May import `broker.db`'s connections and the node's tables; `fetching` stores, `received` shows.
What stands here was verified by `receive`, each function runs within its caller's one transaction.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.dialects.sqlite import insert as insert_once

from broker.node import tables
from broker.node.alarms.book import AlarmKind, clear_alarms, raise_alarm
from broker.node.clock import to_seconds
from broker.node.dating import note_entry
from broker.node.inbox.acknowledge import Logged, note_answer
from broker.node.inbox.receive import Arrived, Opened
from broker.node.inbox.received import find_shown
from broker.node.inbox.withdrawals import (
    answer_withdrawn,
    apply_earlier,
    apply_to_original,
    names_a_withdrawal,
)
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
    WITHDRAWN = "withdrawn"
    """Its withdrawal was here before it: kept as evidence, answered so, never shown."""
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


def missed_subject(desk: str, sender: str, bulletin_id: str) -> str:
    """What the alarm is about that a bulletin expired before it was here."""
    return f"{desk} {sender} {bulletin_id}"


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
    if names_a_withdrawal(connection, arrived.desk, header):
        problem = Problem("original-withdrawal")
        return _reject(connection, arrived, problem, opened.content_key, body, now)
    shown = find_shown(connection, arrived.desk, header.from_, header.bulletin.id)
    differs = shown is not None and shown.content != header.bulletin.content
    _store_bulletin(connection, arrived, opened, now, quarantined=differs)
    reason = "bulletin-differs" if differs else None
    _store_envelope(connection, arrived, body, opened.content_key, reason, now)
    if differs:
        _answer(connection, arrived, reason, now)
        raise_alarm(
            connection,
            AlarmKind.TWO_CONTENTS,
            f"{arrived.desk} {header.from_} {header.bulletin.id}",
            f"{header.from_} gave two contents to one bulletin: both headers are kept as evidence",
            now,
        )
        return Stored.TWO_CONTENTS
    if shown is None:
        return _settle_new(connection, arrived, now)
    return _settle_again(connection, arrived, shown, now)


def _settle_new(connection: Connection, arrived: Arrived, now: datetime) -> Stored:
    """Answer a bulletin that came for the first time, and let it do what it does to others."""
    header = arrived.header
    # It may have been missed in an envelope that expired, and sent anew.
    missed = missed_subject(arrived.desk, header.from_, header.bulletin.id)
    clear_alarms(connection, AlarmKind.MISSED, [missed], now)
    if apply_earlier(connection, arrived.desk, header, _logged(arrived), now):
        return Stored.WITHDRAWN
    _answer(connection, arrived, None, now)
    apply_to_original(connection, arrived.desk, header, now)
    return Stored.NEW


def _settle_again(
    connection: Connection, arrived: Arrived, shown: Row[Any], now: datetime
) -> Stored:
    """Answer a further envelope of a bulletin that is here."""
    if shown.withdrawn is not None:
        answer_withdrawn(connection, shown, _logged(arrived), now)
        return Stored.AGAIN
    _answer(connection, arrived, None, now)
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
    if not _is_first(connection, arrived):
        return Stored.KNOWN
    return _reject(connection, arrived, problem, content_key, body, now)


def _reject(
    connection: Connection,
    arrived: Arrived,
    problem: Problem,
    content_key: bytes | None,
    body: bytes,
    now: datetime,
) -> Stored:
    header = arrived.header
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
        withdraws=arrived.header.withdraws,
        supersedes=arrived.header.supersedes,
        reply_desk=None if opened.in_reply_to is None else opened.in_reply_to.desk,
        reply_id=None if opened.in_reply_to is None else opened.in_reply_to.id,
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
    note_entry(connection, arrived.origin, arrived.index, arrived.entry.at, now)
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
