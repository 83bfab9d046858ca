"""Withdrawals and corrections: what they make of the bulletin that they name, in either order of arrival.

May import `broker.db`'s connections and the node's tables; `storing` calls it within its transaction, for
bulletins that were verified to the end with their release. The hub's own mark on an item counts for nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from broker.node import tables
from broker.node.clock import to_seconds
from broker.node.inbox.acknowledge import Logged, note_answer
from broker.node.inbox.received import envelopes_of, find_shown
from schemas.acknowledgements import Result
from schemas.envelope import Header

_BULLETIN = tables.incoming_bulletin


def names_a_withdrawal(connection: Connection, desk: str, header: Header) -> bool:
    """Whether a bulletin would withdraw or supersede what is itself a withdrawal, as far as it is here."""
    original = header.withdraws or header.supersedes
    if original is None:
        return False
    row = find_shown(connection, desk, header.from_, original)
    return row is not None and row.withdraws is not None


def apply_to_original(connection: Connection, desk: str, header: Header, now: datetime) -> None:
    """Mark the bulletin that a new one withdraws or supersedes, if it is here; it is no withdrawal.

    A withdrawn one is owed the answer `withdrawn` for each of its accepted envelopes, once.

    Args:
        connection: the transaction that stores the new bulletin.
        desk: the own desk that received it.
        header: of the new bulletin.
        now: UTC, whole seconds.
    """
    original = header.withdraws or header.supersedes
    row = None if original is None else find_shown(connection, desk, header.from_, original)
    if row is None:
        return
    if header.withdraws is None:
        _mark(connection, row, superseded_by=header.bulletin.id)
    elif row.withdrawn is None:
        _mark(connection, row, withdrawn=to_seconds(now), withdrawn_by=header.bulletin.id)
        for envelope in envelopes_of(connection, row):
            answer_withdrawn(connection, row, envelope, now)


def apply_earlier(
    connection: Connection, desk: str, header: Header, envelope: Logged, now: datetime
) -> bool:
    """Mark a new bulletin by what arrived before it: its withdrawal, or what supersedes it.

    Args:
        connection: the transaction that has stored the new bulletin.
        desk: the own desk that received it.
        header: of the new bulletin.
        envelope: that brought it.
        now: UTC, whole seconds.

    Returns:
        Whether it is withdrawn: nothing of it is ever shown, and `withdrawn` is the answer it is owed.
    """
    if header.withdraws is not None:
        # A withdrawal cannot be withdrawn or superseded.
        return False
    row = find_shown(connection, desk, header.from_, header.bulletin.id)
    if row is None:
        return False
    correction = _newest_that(connection, row, _BULLETIN.c.supersedes)
    if correction is not None:
        _mark(connection, row, superseded_by=correction)
    withdrawal = _newest_that(connection, row, _BULLETIN.c.withdraws)
    if withdrawal is None:
        return False
    _mark(connection, row, withdrawn=to_seconds(now), withdrawn_by=withdrawal)
    answer_withdrawn(connection, row, envelope, now)
    return True


def answer_withdrawn(
    connection: Connection, row: Row[Any], envelope: Logged, now: datetime
) -> None:
    """Owe the answer `withdrawn` for an envelope of a bulletin, with what had become of it.

    Args:
        connection: a writing transaction.
        row: of the withdrawn bulletin.
        envelope: that carried it.
        now: UTC, whole seconds.
    """
    reason = "unread"
    if row.exported is not None:
        reason = "exported"
    elif row.read is not None:
        reason = "read"
    note_answer(connection, row.desk, envelope, Result.WITHDRAWN, reason, now)


def _newest_that(connection: Connection, row: Row[Any], names: Any) -> str | None:
    """The newest bulletin of the same sender, not quarantined, whose column `names` this one."""
    query = (
        select(_BULLETIN.c.bulletin_id)
        .where(
            _BULLETIN.c.desk == row.desk,
            _BULLETIN.c.sender == row.sender,
            _BULLETIN.c.quarantined == 0,
            _BULLETIN.c.number != row.number,
            names == row.bulletin_id,
        )
        .order_by(_BULLETIN.c.number.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def _mark(connection: Connection, row: Row[Any], **values: object) -> None:
    mine = _BULLETIN.c.number == row.number
    connection.execute(update(_BULLETIN).where(mine).values(**values))
