"""Releases: what people of a desk are to sign, who has, and what happens once enough of them did.

May import `keys` and the node's own rooms; `queueing` draws a draft up, the routes show it and hand in what
people signed. No release key is ever here: people sign on machines of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field
from sqlalchemy import Connection, Row, case, select, update

from broker.db import reading, writing
from broker.node import tables
from broker.node.clock import to_seconds
from broker.node.files import pieces_of
from broker.node.home import Home
from broker.node.outbox.addressing import load_outgoing
from broker.node.outbox.attachments import file_of
from broker.node.outbox.checking import check_released, directory_of
from broker.node.outbox.deliveries import DeliveryKey, Step, advance, states_of
from broker.node.outbox.originals import find_original, withdraw
from broker.node.outbox.state import DeliveryState
from keys.dsse import join_statements, verify_statement
from keys.envelope import Outgoing
from keys.history import DirectoryState
from keys.release import draft_release
from keys.signing import VerifyingIdentity
from keys.streams import attachment_label, open_range
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem, VerificationError
from schemas.limits import SIGNATURES_MAX, STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.scalars import Base64, DeskId, Message, encode_base64
from schemas.statements import PayloadType, Signature, Statement

_DRAFT_BYTES_MAX: Final = 4 * STATEMENT_BYTES_MAX
"""A payload for 500 desks, a salt for each of 512 names, 16 signatures: about 250 KB."""


class Draft(Message):
    """The column `outgoing_bulletin.draft`: the exact bytes that people sign, all salts, and who signed."""

    payload: Base64
    salts: dict[DeskId, Base64]
    empty_salts: tuple[Base64, ...]
    signatures: Annotated[tuple[Signature, ...], Field(max_length=SIGNATURES_MAX)] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A bulletin that people have yet to release.

    Args:
        row: of `outgoing_bulletin`.
        draft: what they sign.
        signers: keyids of those who have, and whose keys count now.
        needed: how many must, m.
    """

    row: Row[Any] = field(repr=False)
    draft: Draft = field(repr=False)
    signers: tuple[str, ...]
    needed: int


@dataclass(frozen=True, slots=True)
class Signed:
    """Where a bulletin stands after somebody signed: released once `signers` are `needed`."""

    signers: tuple[str, ...]
    needed: int
    deliveries: Mapping[str, DeliveryState]


def draw_up(outgoing: Outgoing, recipients: Sequence[str], exchange: str, now: datetime) -> bytes:
    """Write the draft that people are to sign, with fresh salts, as the database keeps it.

    Args:
        outgoing: the bulletin and its sender's choices.
        recipients: the desks that it is for, at least one.
        exchange: the exchange's name.
        now: UTC, whole seconds; no envelope of it may be older.
    """
    made = draft_release(outgoing, exchange, recipients, now)
    return dump_json(
        Draft(
            payload=dump_json(made.release),
            salts=dict(made.salts),
            empty_salts=made.empty_salts,
        )
    )


def list_waiting(
    connection: Connection, desk: str, state: DirectoryState, now: datetime, limit: int
) -> tuple[Waiting, ...]:
    """What waits for people of a desk, the most urgent first, then the oldest."""
    bulletin, delivery = tables.outgoing_bulletin, tables.delivery
    waits = select(delivery.c.bulletin_id).where(
        delivery.c.desk == desk, delivery.c.state == DeliveryState.UNRELEASED
    )
    rank = case({word.value: word.rank for word in Precedence}, value=bulletin.c.precedence)
    query = (
        select(bulletin)
        .where(
            bulletin.c.desk == desk,
            bulletin.c.draft.is_not(None),
            bulletin.c.expires > to_seconds(now),
            bulletin.c.bulletin_id.in_(waits),
        )
        .order_by(rank, bulletin.c.number)
        .limit(limit)
    )
    people = _people(desk, state, now)
    return tuple(_waiting(row, people) for row in connection.execute(query))


def find_waiting(
    connection: Connection, desk: str, bulletin_id: str, state: DirectoryState, now: datetime
) -> Waiting:
    """One bulletin that waits for people.

    Raises:
        Problem: `not-found`, `withdrawn`, or `lifetime` where it came too late; `busy` while the node has
            not read a directory yet.
    """
    row = _row(connection, desk, bulletin_id)
    _check_waits(row, now)
    return _waiting(row, _people(desk, state, now))


def plaintext_of(
    home: Home, row: Row[Any], attachment_id: str, start: int, end: int
) -> Iterator[bytes]:
    """Open an attachment of a bulletin that waits, for people to look at: start ≤ index < end, in bytes.

    Args:
        home: the node's home.
        row: of `outgoing_bulletin`.
        attachment_id: as the bulletin names it.
        start: bytes of the plaintext.
        end: bytes of the plaintext, at most its size.

    Raises:
        Problem: `not-found`: it is being uploaded anew, or its file is gone.
        VerificationError: the file was altered on this disk.
    """
    column = tables.outgoing_attachment.c
    mine = (column.desk == row.desk) & (column.bulletin_id == row.bulletin_id)
    query = select(tables.outgoing_attachment).where(mine, column.attachment_id == attachment_id)
    with reading(home.engine) as connection:
        found = connection.execute(query).one_or_none()
    path = file_of(home, row.desk, row.bulletin_id, attachment_id)
    if found is None or found.sealed_sha256 is None or not path.is_file():
        raise Problem("not-found", "the attachment is not whole at this node: upload it again")
    label = attachment_label(home.exchange, row.bulletin_id, attachment_id)
    return open_range(pieces_of(path), found.key, label, found.size, found.sha256, start, end)


def sign(
    home: Home,
    desk: str,
    bulletin_id: str,
    statement: Statement,
    state: DirectoryState,
    now: datetime,
) -> Signed:
    """Take what a person signed; with the m-th signature the bulletin is released, and may leave.

    1. The bulletin waits. One that is released already is answered as it stands.
    2. The statement is over exactly the bytes of the draft, and each signature of it is of a release
       identity of this desk in the directory in force.
    3. It is joined to the others: a person counts once, and who was revoked meanwhile does not count.
    4. With m of them, the release covers the bulletin as it would leave now, and what it is about is not
       withdrawn. The deliveries are queued, and what it withdraws is withdrawn: all in one transaction.
       The access rules are asked again where it is sealed.

    Args:
        home: the node's home.
        desk: an own desk.
        bulletin_id: of the bulletin.
        statement: one person's, or several people's.
        state: the newest verified state of the directory log.
        now: UTC, whole seconds.

    Raises:
        Problem: `not-found`, `withdrawn` or `lifetime` (1), `not-released` or `release-differs` (2),
            as `check_released`, `original-unknown` or `withdrawn` (4).
    """
    identities, needed = _people(desk, state, now)
    with writing(home.engine) as connection:
        row = _row(connection, desk, bulletin_id)
        if row.draft is None:
            joined = _released(row, statement)
        else:
            _check_waits(row, now)
            draft = parse(Draft, row.draft, _DRAFT_BYTES_MAX)
            joined = _join(draft, statement, identities)
            if len(joined.signatures) >= needed:
                _release(connection, row, draft, joined, state, now)
            else:
                kept = draft.model_copy(update={"signatures": joined.signatures})
                _update(connection, row, draft=dump_json(kept))
        states = states_of(connection, desk, [bulletin_id])[bulletin_id]
    return Signed(_keyids(joined.signatures), needed, states)


def _join(
    draft: Draft, statement: Statement, identities: Mapping[str, VerifyingIdentity]
) -> Statement:
    if statement.payload != draft.payload:
        raise Problem("release-differs", "something else was signed than what waits here")
    try:
        verify_statement(statement, PayloadType.RELEASE, identities)
        counting = tuple(each for each in draft.signatures if each.keyid in identities)
        if not counting:
            return statement
        return join_statements([statement.model_copy(update={"signatures": counting}), statement])
    except VerificationError as error:
        raise Problem("not-released", f"this is not released with it: {error}") from error


def _release(
    connection: Connection,
    row: Row[Any],
    draft: Draft,
    joined: Statement,
    state: DirectoryState,
    now: datetime,
) -> None:
    states = states_of(connection, row.desk, [row.bulletin_id])[row.bulletin_id]
    recipients = tuple(desk for desk, each in states.items() if each is DeliveryState.UNRELEASED)
    if not recipients:
        # It was noted as expired, and the clock went back since.
        raise Problem("lifetime", "nothing of it waits any more")
    original = row.withdraws or row.supersedes
    if original is not None:
        find_original(connection, row.desk, original)
    outgoing = replace(load_outgoing(row), release=joined, release_salts=draft.salts)
    check_released(outgoing, recipients, directory_of(state), now)
    salts = {desk: encode_base64(salt) for desk, salt in draft.salts.items()}
    _update(
        connection,
        row,
        release=dump_json(joined),
        release_salts=dump_json(salts),
        draft=None,
    )
    for recipient in recipients:
        key = DeliveryKey(row.desk, row.bulletin_id, recipient)
        advance(connection, key, Step(DeliveryState.QUEUED, now))
    if row.withdraws is not None:
        withdraw(connection, row.desk, row.withdraws, now)


def _released(row: Row[Any], statement: Statement) -> Statement:
    """The release that stands: who signs once more, or too late, changes nothing."""
    if row.release is None:
        raise Problem("not-found", "nothing of this bulletin waits for a release")
    released = parse(Statement, row.release, 2 * STATEMENT_BYTES_MAX)
    if released.payload != statement.payload:
        raise Problem("release-differs", "something else was signed than what was released")
    return released


def _check_waits(row: Row[Any], now: datetime) -> None:
    if row.draft is None:
        raise Problem("not-found", "nothing of this bulletin waits for a release")
    if row.withdrawn is not None:
        raise Problem("withdrawn", f"this desk has withdrawn {row.bulletin_id}")
    if row.expires <= to_seconds(now):
        raise Problem("lifetime", "it expired before enough people had released it")


def _people(
    desk: str, state: DirectoryState, now: datetime
) -> tuple[Mapping[str, VerifyingIdentity], int]:
    """Release identities by keyid, and how many must sign: at least one, since somebody is asked."""
    directory = directory_of(state)
    view = directory.desk(desk, now)
    if view is None:
        return {}, 1
    exchange = directory.council.exchange
    return {each.keyid(exchange): each for each in view.release}, max(1, view.release_threshold)


def _waiting(row: Row[Any], people: tuple[Mapping[str, VerifyingIdentity], int]) -> Waiting:
    identities, needed = people
    draft = parse(Draft, row.draft, _DRAFT_BYTES_MAX)
    signers = tuple(keyid for keyid in _keyids(draft.signatures) if keyid in identities)
    return Waiting(row, draft, signers, needed)


def _keyids(signatures: Sequence[Signature]) -> tuple[str, ...]:
    return tuple(each.keyid for each in signatures)


def _row(connection: Connection, desk: str, bulletin_id: str) -> Row[Any]:
    table = tables.outgoing_bulletin
    mine = (table.c.desk == desk) & (table.c.bulletin_id == bulletin_id)
    row = connection.execute(select(table).where(mine)).one_or_none()
    if row is None:
        raise Problem("not-found", "this desk has no such bulletin")
    return row


def _update(connection: Connection, row: Row[Any], **values: object) -> None:
    table = tables.outgoing_bulletin
    connection.execute(update(table).where(table.c.number == row.number).values(values))
