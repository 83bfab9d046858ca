"""What the hub shows: inboxes, bodies, status, openings, tiles. Nothing here writes.

May import SQLAlchemy, `broker.tlog`, `schemas` and the hub's own rooms; only the routes call it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, or_, select

from broker.hub.acknowledgements import is_withdrawn
from broker.hub.logbook import Head, Prover, tile_reader
from broker.hub.relay import entry_receipt, envelope_receipt
from broker.hub.stored import read_statement
from broker.hub.tables import (
    EXPIRED_UNANSWERED,
    PURGED,
    answer,
    body,
    entry,
    envelope,
    party,
    sealing_key,
    slot,
)
from broker.tlog.merkle import HASH_BYTES
from broker.tlog.receipt import exchange_leaf_data
from broker.tlog.tiles import TILE_WIDTH, TileId, encode_entries, tile_width
from schemas.errors import Problem
from schemas.receipts import (
    AcknowledgementProof,
    EnvelopeStatus,
    InboxItem,
    InboxPage,
    Opening,
    OpeningsPage,
    Place,
    PurgedTombstone,
    RecipientStatus,
    SealingKeyStatements,
    Tombstone,
)
from schemas.statements import Statement

PAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes of one answer before they become JSON: somebody who sends headers as large as they may be must
not fill an inbox beyond what its node reads."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a node asks of its inbox.

    Args:
        limit: items, and tombstones, at most.
        after: (rank, index) of the last item of the page before.
        since: an index: everything unexpired from there on, answered or not, for a restored node.
        tombstones: an index: what was logged as expired from there on, and never answered, or as destroyed;
            None for none.
        inline_bytes: bodies up to this size come along.
    """

    limit: int
    after: tuple[int, int] | None
    since: int | None
    tombstones: int | None
    inline_bytes: int


def inbox_page(connection: Connection, head: Head, desk: str, wanted: Wanted) -> InboxPage:
    """Waiting envelopes of a desk, by precedence, then index; fewer than asked for where they are large."""
    query = (
        select(
            slot.c.entry_index, slot.c.rank, slot.c.slot, envelope.c.sender, envelope.c.bulletin_id
        )
        .join(envelope, envelope.c.entry_index == slot.c.entry_index)
        .where(slot.c.desk == desk)
    )
    if wanted.since is None:
        query = query.where(slot.c.answered == 0)
    else:
        query = query.where(slot.c.entry_index >= wanted.since, slot.c.expired_index.is_(None))
    if wanted.after is not None:
        rank, index = wanted.after
        later = and_(slot.c.rank == rank, slot.c.entry_index > index)
        query = query.where(or_(slot.c.rank > rank, later))
    query = query.order_by(slot.c.rank, slot.c.entry_index).limit(wanted.limit + 1)
    rows = connection.execute(query).all()
    prover = Prover.of(connection, head)
    items: list[InboxItem] = []
    size_bytes = 0
    for row in rows[: wanted.limit]:
        item = _item(connection, prover, row, desk, wanted.inline_bytes)
        size_bytes += len(item.statement.payload) + len(item.receipt.entry) + len(item.body or b"")
        if items and size_bytes > PAGE_BYTES_MAX:
            break
        items.append(item)
    last = rows[len(items) - 1] if len(rows) > len(items) else None
    return InboxPage(
        items=tuple(items),
        next=None if last is None else f"{last.rank}-{last.entry_index}",
        tombstones=_tombstones(connection, prover, desk, wanted),
    )


def _item(
    connection: Connection, prover: Prover, row: Any, desk: str, inline_bytes: int
) -> InboxItem:
    ciphertext = _body(connection, row.entry_index)
    return InboxItem(
        statement=_statement(connection, row.entry_index),
        slot=row.slot,
        receipt=envelope_receipt(connection, prover, row.entry_index, desk),
        body=ciphertext if len(ciphertext) <= inline_bytes else None,
        withdrawn=is_withdrawn(connection, row.sender, row.bulletin_id, desk),
    )


def _tombstones(
    connection: Connection, prover: Prover, desk: str, wanted: Wanted
) -> tuple[Tombstone | PurgedTombstone, ...]:
    """What expired before a desk answered, or was destroyed, from an index of those entries on, ascending."""
    if wanted.tombstones is None:
        return ()
    query = (
        select(slot, envelope.c.sender)
        .join(envelope, envelope.c.entry_index == slot.c.entry_index)
        .where(
            slot.c.desk == desk,
            slot.c.answered.in_((EXPIRED_UNANSWERED, PURGED)),
            slot.c.expired_index >= wanted.tombstones,
        )
        .order_by(slot.c.expired_index)
        .limit(wanted.limit)
    )
    found: list[Tombstone | PurgedTombstone] = []
    size_bytes = 0
    for row in connection.execute(query).all():
        tombstone, its_bytes = _tombstone(connection, prover, row)
        size_bytes += its_bytes
        if found and size_bytes > PAGE_BYTES_MAX:
            break
        found.append(tombstone)
    return tuple(found)


def _tombstone(
    connection: Connection, prover: Prover, row: Row[Any]
) -> tuple[Tombstone | PurgedTombstone, int]:
    """The tombstone of a slot, and its size in bytes before it is JSON."""
    ended = entry_receipt(connection, prover, row.expired_index)
    if row.answered == PURGED:
        place = Place(desk=row.desk, n=row.n, place_salt=row.place_salt)
        return PurgedTombstone(from_=row.sender, place=place, purged=ended), len(ended.entry)
    statement = _statement(connection, row.entry_index)
    receipt = envelope_receipt(connection, prover, row.entry_index, row.desk)
    tombstone = Tombstone(statement=statement, receipt=receipt, expired=ended)
    return tombstone, len(statement.payload) + len(receipt.entry)


def most_urgent(connection: Connection, desk: str) -> int | None:
    """The rank of the most urgent envelope that waits for a desk (0 is flash); None where none waits."""
    query = select(slot.c.rank).where(slot.c.desk == desk, slot.c.answered == 0)
    rank: int | None = connection.execute(query.order_by(slot.c.rank).limit(1)).scalar()
    return rank


def envelope_body(connection: Connection, sender: str, envelope_id: str, desk: str) -> bytes:
    """The ciphertext, for its sender and recipients, until it expires.

    Raises:
        Problem: `not-found`, also to strangers.
    """
    return _body(connection, _index_for(connection, sender, envelope_id, desk))


def envelope_status(
    connection: Connection, head: Head, sender: str, envelope_id: str
) -> EnvelopeStatus:
    """What became of an envelope, for its sender.

    Raises:
        Problem: `not-found`.
    """
    index = _index_for(connection, sender, envelope_id, sender)
    prover = Prover.of(connection, head)
    desks = select(slot.c.desk).where(slot.c.entry_index == index).order_by(slot.c.desk)
    recipients = tuple(
        RecipientStatus(desk=desk, acknowledgements=_answers(connection, prover, index, desk))
        for desk in connection.execute(desks).scalars().all()
    )
    mine = envelope.c.entry_index == index
    ends = select(envelope.c.expired_index, envelope.c.purged_index).where(mine)
    expired, purged = connection.execute(ends).one()
    if purged is not None:
        return EnvelopeStatus(
            recipients=recipients, purged=entry_receipt(connection, prover, purged)
        )
    return EnvelopeStatus(
        receipt=envelope_receipt(connection, prover, index),
        recipients=recipients,
        expired=None if expired is None else entry_receipt(connection, prover, expired),
    )


def _answers(
    connection: Connection, prover: Prover, index: int, desk: str
) -> tuple[AcknowledgementProof, ...]:
    """What a desk answered to an envelope, but for what was destroyed."""
    of = (answer.c.envelope_index == index) & (answer.c.desk == desk)
    same = (entry.c.log == "exchange") & (entry.c.entry_index == answer.c.entry_index)
    found = (
        select(answer.c.entry_index)
        .join(entry, same)
        .where(of, entry.c.salt.is_not(None))
        .order_by(answer.c.entry_index)
    )
    return tuple(
        AcknowledgementProof(
            statement=_statement(connection, number),
            receipt=entry_receipt(connection, prover, number),
        )
        for number in connection.execute(found).scalars().all()
    )


def _index_for(connection: Connection, sender: str, envelope_id: str, desk: str) -> int:
    query = (
        select(envelope.c.entry_index)
        .join(party, party.c.entry_index == envelope.c.entry_index)
        .where(
            envelope.c.sender == sender,
            envelope.c.id == envelope_id,
            envelope.c.problem.is_(None),
            party.c.desk == desk,
        )
    )
    index: int | None = connection.execute(query).scalar()
    if index is None:
        raise Problem("not-found", "no such envelope of yours was accepted")
    return index


def _body(connection: Connection, index: int) -> bytes:
    query = select(body.c.ciphertext).where(body.c.entry_index == index)
    ciphertext: bytes | None = connection.execute(query).scalar()
    if ciphertext is None:
        raise Problem("not-found", "this envelope has ended; its ciphertext was deleted")
    return ciphertext


def _statement(connection: Connection, index: int) -> Statement:
    of = (entry.c.log == "exchange") & (entry.c.entry_index == index)
    return read_statement(connection.execute(select(entry.c.statement).where(of)).scalar_one())


def openings(
    connection: Connection, log: str, start: int, end: int, desk: str | None
) -> OpeningsPage:
    """What stands behind the leaves start ≤ index < end; the first of them where they are large.

    What was destroyed under an order is passed over.

    Args:
        desk: whom it must concern; None for an auditor desk, and for the directory log.
    """
    query = select(entry).where(
        entry.c.log == log, entry.c.entry_index >= start, entry.c.entry_index < end
    )
    if log == "exchange":
        query = query.where(entry.c.salt.is_not(None))
    if desk is not None:
        mine = select(party.c.entry_index).where(
            party.c.desk == desk, party.c.entry_index >= start, party.c.entry_index < end
        )
        query = query.where(entry.c.entry_index.in_(mine))
    found: list[Opening] = []
    size_bytes = 0
    for row in connection.execute(query.order_by(entry.c.entry_index)):
        size_bytes += len(row.entry) + len(row.statement or b"")
        if found and size_bytes > PAGE_BYTES_MAX:
            return OpeningsPage(openings=tuple(found), next=row.entry_index)
        statement = None if row.statement is None else read_statement(row.statement)
        opening = Opening(
            index=row.entry_index, salt=row.salt, entry=row.entry, statement=statement
        )
        found.append(opening)
    return OpeningsPage(openings=tuple(found))


def tile_bytes(connection: Connection, head: Head, wanted: TileId) -> bytes:
    """A tile or entry bundle (C2SP tlog-tiles), full or of the width asked for.

    Raises:
        Problem: `not-found`, beyond the tree that is signed.
    """
    if wanted.width > tile_width(wanted.level, wanted.index, head.size):
        raise Problem("not-found", "the tree does not reach there")
    if wanted.level == "entries":
        return _bundle(connection, head, wanted)
    hashes = tile_reader(connection, head.log)(wanted.level, wanted.index)
    return hashes[: wanted.width * HASH_BYTES]


def _bundle(connection: Connection, head: Head, wanted: TileId) -> bytes:
    start = wanted.index * TILE_WIDTH
    query = (
        select(entry.c.entry, entry.c.salt)
        .where(
            entry.c.log == head.log,
            entry.c.entry_index >= start,
            entry.c.entry_index < start + wanted.width,
        )
        .order_by(entry.c.entry_index)
    )
    rows = connection.execute(query)
    leaves = [r.entry if r.salt is None else exchange_leaf_data(r.salt, r.entry) for r in rows]
    return encode_entries(leaves)


def sealing_key_statements(connection: Connection, desk: str) -> SealingKeyStatements:
    """Every sealing-key statement of a desk that was logged, ascending by epoch."""
    query = (
        select(entry.c.statement)
        .join(sealing_key, sealing_key.c.entry_index == entry.c.entry_index)
        .where(entry.c.log == "directory", sealing_key.c.desk == desk)
        .order_by(sealing_key.c.epoch, sealing_key.c.entry_index)
    )
    statements = connection.execute(query).scalars()
    return SealingKeyStatements(statements=tuple(read_statement(data) for data in statements))
