"""Watching the exchange log: what it shows of the own desks, answered or said by somebody else.

May import `schemas`, `keys` and the node's own rooms; `sync` feeds it the openings that concern a
desk. What it finds wakes other work or raises an alarm; nothing is believed because of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm
from broker.node.home import Home
from broker.node.inbox.acknowledge import is_own
from broker.node.outbox.answers import ask_again
from broker.node.outbox.state import OutboxState
from keys.dsse import verify_statement
from keys.envelope import parse_header
from keys.history import DirectoryHistory
from schemas.acknowledgements import Acknowledgement
from schemas.entries import AcknowledgementEntry, EnvelopeAccepted, parse_exchange_entry
from schemas.envelope import Header
from schemas.errors import ParseError, VerificationError
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.receipts import Opening
from schemas.scalars import format_time
from schemas.statements import PayloadType, Statement


def watched_size(home: Home, desk: str) -> int | None:
    """How many entries of the exchange log were looked at for a desk; None before the first time."""
    column = tables.watched.c
    with reading(home.engine) as connection:
        found = connection.execute(select(column.size).where(column.desk == desk))
        return found.scalar_one_or_none()


def watched_origin(home: Home, desk: str) -> str | None:
    """Of the exchange log that is looked at for a desk; None before the first time."""
    column = tables.watched.c
    with reading(home.engine) as connection:
        found = connection.execute(select(column.origin).where(column.desk == desk))
        return found.scalar_one_or_none()


def note_openings(
    home: Home,
    desk: str,
    openings: Sequence[Opening],
    origin: str,
    size: int,
    now: datetime,
    restored: datetime | None = None,
) -> None:
    """Look at what the log shows of a desk, in one transaction.

    1. Answers to own envelopes: their status is asked at once.
    2. An acknowledgement or an envelope of this desk that this node did not sign: an alarm. A node
       that was restored raises a single one for all that it did since its backup.

    Args:
        home: the node's home.
        desk: an own desk.
        openings: that concern it, up to `size`.
        origin: of the exchange log.
        size: of it, up to which they reach.
        now: UTC, whole seconds.
        restored: when this node was restored, while it looks at the log for the first time since.
    """
    with writing(home.engine) as connection:
        answered: set[str] = set()
        for opening in openings:
            answered |= _look_at(connection, desk, opening, now, restored)
        ask_again(connection, desk, answered, now)
        new = insert(tables.watched).values(desk=desk, origin=origin, size=size)
        connection.execute(new.on_conflict_do_update(index_elements=["desk"], set_={"size": size}))


@dataclass(frozen=True, slots=True)
class Lost:
    """An envelope that the log shows as sent by a desk whose node, restored, knows nothing of it.

    Args:
        envelope_id: its id.
        pae: SHA-256 of its PAE, hex.
        withdraws: the own bulletin that it withdraws, where the desk's own key signed that.
    """

    envelope_id: str
    pae: str
    withdraws: str | None


def lost_envelopes(
    home: Home, desk: str, openings: Sequence[Opening], history: DirectoryHistory
) -> tuple[Lost, ...]:
    """Envelopes that a desk sent and this node does not know, since it sent them after its backup.

    Args:
        home: the node's home.
        desk: an own desk.
        openings: that concern it.
        history: of the directory log: a desk's keys of then are not here any more.
    """
    lost = []
    with reading(home.engine) as connection:
        for opening in openings:
            try:
                entry = parse_exchange_entry(opening.entry)
                if not isinstance(entry, EnvelopeAccepted) or opening.statement is None:
                    continue
                header = parse_header(opening.statement)
            except ParseError:
                # Told by `note_openings`.
                continue
            if header.from_ == desk and not _is_sent_here(connection, entry):
                is_own = _is_signed(desk, entry, opening.statement, history)
                withdraws = header.withdraws if is_own else None
                lost.append(Lost(header.id, entry.pae, withdraws))
    return tuple(lost)


def _is_signed(
    desk: str, entry: EnvelopeAccepted, statement: Statement, history: DirectoryHistory
) -> bool:
    """Whether the desk's node identity in the directory of the entry signed it."""
    try:
        directory = history.at(entry.directory_size).directory
        view = None if directory is None else directory.desk(desk, entry.at)
        if view is None or view.node is None:
            return False
        known = {view.node.keyid(history.exchange): view.node}
        verify_statement(statement, PayloadType.ENVELOPE, known)
    except VerificationError:
        return False
    return True


def _look_at(
    connection: Connection, desk: str, opening: Opening, now: datetime, restored: datetime | None
) -> set[str]:
    """The ids of own envelopes that an entry answers."""
    try:
        entry = parse_exchange_entry(opening.entry)
        if isinstance(entry, AcknowledgementEntry):
            payload = parse(Acknowledgement, entry.statement, ACKNOWLEDGEMENT_BYTES_MAX)
            if payload.desk == desk and not is_own(connection, entry.pae):
                kind, what = AlarmKind.FOREIGN_ACKNOWLEDGEMENT, f"acknowledgement {entry.pae}"
                _raise_foreign(connection, desk, kind, what, now, restored)
            return {item.id for item in payload.items if item.from_ == desk}
        if isinstance(entry, EnvelopeAccepted) and opening.statement is not None:
            header = parse_header(opening.statement)
            if header.from_ == desk and not _is_sent_here(connection, entry):
                kind, what = AlarmKind.FOREIGN_ENVELOPE, f"envelope {entry.pae}"
                _raise_foreign(connection, desk, kind, what, now, restored)
            elif header.from_ == desk:
                _check_given_up(connection, desk, header, now)
    except ParseError:
        text = f"entry {opening.index} of the exchange log is not well-formed"
        raise_alarm(connection, AlarmKind.HUB_FAULT, f"entry {opening.index}", text, now)
    return set()


def _is_sent_here(connection: Connection, entry: EnvelopeAccepted) -> bool:
    column = tables.sent_header.c
    known = connection.execute(select(column.pae).where(column.pae == entry.pae)).first()
    return known is not None


def _check_given_up(connection: Connection, desk: str, header: Header, now: datetime) -> None:
    """The hub refused an envelope, or it was given up as stale, and accepted it all the same: it lied."""
    column = tables.outgoing_envelope.c
    state = connection.execute(
        select(column.state).where(column.envelope_id == header.id)
    ).scalar_one_or_none()
    if state in {OutboxState.ABANDONED, OutboxState.REFUSED}:
        text = (
            f"envelope {header.id} of {desk} was accepted, and the hub had said that it was not: bulletin"
            f" {header.bulletin.id} may be with its recipients, also if it was withdrawn since; tell them"
        )
        raise_alarm(connection, AlarmKind.HUB_FAULT, f"{desk} {header.id}", text, now)


def _raise_foreign(
    connection: Connection,
    desk: str,
    kind: AlarmKind,
    what: str,
    now: datetime,
    restored: datetime | None,
) -> None:
    if restored is not None:
        text = (
            f"restored {format_time(restored)}: the log shows answers or bulletins of {desk} that came"
            " after the backup, and are not here any more"
        )
        raise_alarm(connection, AlarmKind.RESTORED, desk, text, now)
        return
    text = (
        f"{what} of {desk} was logged, and this node did not sign it:"
        " change the desk's keys, unless this node was restored from a backup"
    )
    raise_alarm(connection, kind, desk, text, now)
