"""Acknowledgements: what this node says became of envelopes, signed in batches, sent until logged.

May import `keys`, `broker.db` and the node's tables; `inbox` notes answers, `sync` has them signed and
sends them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, case, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm
from broker.node.clock import to_seconds
from broker.node.dating import note_entry
from broker.node.home import Home
from broker.tlog.receipt import VerifiedReceipt
from keys.dsse import pae_sha256, sign_statement
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.limits import (
    ACKNOWLEDGED_ITEMS_MAX,
    ACKNOWLEDGEMENT_BYTES_MAX,
    CREATED_SKEW_SECONDS_MAX,
)
from schemas.loader import dump_json, parse
from schemas.receipts import Receipt
from schemas.statements import PayloadType, Statement

_SIGNED_FOR_SECONDS: Final = CREATED_SKEW_SECONDS_MAX // 2
"""An answer that could not be sent for so long is signed anew: the hub takes none older than a day."""

_SIGNED_AT_ONCE: Final = 10 * ACKNOWLEDGED_ITEMS_MAX
"""Answers read in one pass: ten full statements."""

_TURN: Final = {Result.DELIVERED.value: 0, Result.READ.value: 1}
_LAST: Final = len(_TURN)
"""Whose turn it is among answers that are owed: the hub takes none before what must precede it."""


class AcknowledgementState(StrEnum):
    """Where a signed acknowledgement stands."""

    SIGNED = "signed"
    """Stored, and sent until the hub's receipt is here."""
    LOGGED = "logged"
    """Its receipt is verified and kept."""
    REFUSED = "refused"
    """The hub does not take it; what was right in it is signed anew."""
    STALE = "stale"
    """It could not be sent in time, or under its identity; all of it is signed anew."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An envelope as its recipient knows it: the sender, its id, and its entry in the log."""

    sender: str
    envelope_id: str
    origin: str
    index: int
    leaf: str


def note_answer(
    connection: Connection,
    desk: str,
    envelope: Logged,
    result: Result,
    reason: str | None,
    now: datetime,
) -> None:
    """Note what became of an envelope; it is signed and sent later, within another transaction."""
    connection.execute(
        insert(tables.answer).values(
            desk=desk,
            sender=envelope.sender,
            envelope_id=envelope.envelope_id,
            origin=envelope.origin,
            entry_index=envelope.index,
            leaf=envelope.leaf,
            result=result,
            reason=reason,
            made=to_seconds(now),
        )
    )


def sign_answers(home: Home, desk: str, origin: str, now: datetime) -> None:
    """Sign what a desk has to answer: a statement for each sender, result and reason, 100 items each.

    What came by a closed log is answered by nobody any more: its sender sends it again.

    The statements are stored before any of them is sent: after a crash the same bytes go out again,
    and the hub knows them by their hash. After half a day they are given up and signed anew: where the
    hub did log the first, it logs the answer twice, which means the same.
    """
    _give_up_stale(home, desk, now)
    answer = tables.answer
    unsigned = (
        (answer.c.desk == desk) & (answer.c.origin == origin) & answer.c.acknowledgement.is_(None)
    )
    with reading(home.engine) as connection:
        rows = connection.execute(
            select(answer).where(unsigned).order_by(answer.c.answer_id).limit(_SIGNED_AT_ONCE)
        ).all()
    for batch in _batches(rows):
        statement = _sign(home, desk, batch, now)
        pae = pae_sha256(statement)
        with writing(home.engine) as connection:
            _keep(connection, desk, pae, statement, now)
            chosen = answer.c.answer_id.in_([row.answer_id for row in batch])
            connection.execute(update(answer).where(chosen).values(acknowledgement=pae))


def _keep(connection: Connection, desk: str, pae: str, statement: Statement, now: datetime) -> None:
    table = tables.acknowledgement
    values = {
        "state": AcknowledgementState.SIGNED,
        "statement": dump_json(statement),
        "made": to_seconds(now),
    }
    new = upsert(table).values(pae=pae, desk=desk, **values)
    # Signed anew in the second in which the desk's identity changed, it says the very same.
    connection.execute(
        new.on_conflict_do_update(
            index_elements=[table.c.pae],
            set_=values,
            where=table.c.state == AcknowledgementState.STALE,
        )
    )


def _give_up_stale(home: Home, desk: str, now: datetime) -> None:
    sent, answer = tables.acknowledgement, tables.answer
    # In both directions, since a clock that ran ahead may have been set right.
    away_seconds = func.abs(sent.c.made - to_seconds(now))
    query = select(sent.c.pae, sent.c.statement, away_seconds.label("away")).where(
        sent.c.desk == desk, sent.c.state == AcknowledgementState.SIGNED
    )
    signer = home.desks[desk].node.keyid(home.exchange)
    with writing(home.engine) as connection:
        rows = connection.execute(query).all()
        # What an identity signed that the desk has no more is taken by nobody.
        stale = [
            row.pae
            for row in rows
            if row.away > _SIGNED_FOR_SECONDS or _signer(row.statement) != signer
        ]
        for pae in stale:
            connection.execute(
                update(answer).where(answer.c.acknowledgement == pae).values(acknowledgement=None)
            )
            connection.execute(
                update(sent).where(sent.c.pae == pae).values(state=AcknowledgementState.STALE)
            )


def _signer(statement: bytes) -> str:
    return parse(Statement, statement, ACKNOWLEDGEMENT_BYTES_MAX).signatures[0].keyid


def _batches(rows: Iterable[Row[Any]]) -> list[list[Row[Any]]]:
    """Split answers, in their order, into what one statement may hold."""
    groups: dict[tuple[Any, ...], list[list[Row[Any]]]] = {}
    for row in rows:
        batches = groups.setdefault((row.sender, row.result, row.reason), [[]])
        # A bulletin asked for twice may be answered twice, but no statement has an item twice.
        known = {(other.origin, other.entry_index) for other in batches[-1]}
        if len(batches[-1]) == ACKNOWLEDGED_ITEMS_MAX or (row.origin, row.entry_index) in known:
            batches.append([])
        batches[-1].append(row)
    flat = [batch for batches in groups.values() for batch in batches]
    # Delivered, then read, then withdrawn, also where an earlier answer opened the group.
    return sorted(flat, key=lambda b: (_TURN.get(b[0].result, _LAST), b[0].answer_id))


def _sign(home: Home, desk: str, batch: list[Row[Any]], now: datetime) -> Statement:
    payload = Acknowledgement(
        v=1,
        exchange=home.exchange,
        desk=desk,
        at=now,
        result=Result(batch[0].result),
        reason=batch[0].reason,
        items=tuple(
            AcknowledgedItem(
                from_=row.sender,
                id=row.envelope_id,
                origin=row.origin,
                index=row.entry_index,
                leaf=row.leaf,
            )
            for row in batch
        ),
    )
    return sign_statement(
        PayloadType.ACKNOWLEDGEMENT, dump_json(payload), home.exchange, [home.desks[desk].node]
    )


def statements_to_send(home: Home, desk: str) -> tuple[Statement, ...]:
    """The desk's signed acknowledgements that the hub has not confirmed: delivered, read, the others."""
    sent, answer = tables.acknowledgement, tables.answer
    mine = answer.c.acknowledgement == sent.c.pae
    turn = case(_TURN, value=answer.c.result, else_=_LAST)
    kind = select(func.min(turn)).where(mine).scalar_subquery()
    first = select(func.min(answer.c.answer_id)).where(mine).scalar_subquery()
    with reading(home.engine) as connection:
        rows = connection.execute(
            select(sent.c.statement)
            .where(sent.c.desk == desk, sent.c.state == AcknowledgementState.SIGNED)
            .order_by(kind, first)
        ).all()
    return tuple(parse(Statement, row.statement, ACKNOWLEDGEMENT_BYTES_MAX) for row in rows)


def items_of(statement: Statement) -> set[tuple[str, str]]:
    """The envelopes that an own statement answers: (sender, envelope id)."""
    payload = parse(Acknowledgement, statement.payload, ACKNOWLEDGEMENT_BYTES_MAX)
    return {(item.from_, item.id) for item in payload.items}


def mark_logged(
    home: Home, statement: Statement, receipt: Receipt, verified: VerifiedReceipt, now: datetime
) -> None:
    """Note that an acknowledgement stands in the log, as its receipt says, which the caller verified."""
    sent = tables.acknowledgement
    with writing(home.engine) as connection:
        origin = verified.checkpoint.origin
        note_entry(connection, origin, verified.index, verified.entry.at, now)
        connection.execute(
            update(sent)
            .where(sent.c.pae == pae_sha256(statement))
            .values(state=AcknowledgementState.LOGGED, receipt=dump_json(receipt))
        )


def mark_refused(
    home: Home, statement: Statement, wrong: Collection[tuple[str, str]], now: datetime
) -> None:
    """Note that the hub refuses some items; the others are signed anew, and an alarm tells of these.

    Args:
        home: the node's home.
        statement: as it was sent.
        wrong: (sender, envelope id) of the items refused; when none is one of the statement's, the
            whole statement is given up, since signing it anew would go on for ever.
        now: UTC, whole seconds.
    """
    pae = pae_sha256(statement)
    sent, answer = tables.acknowledgement, tables.answer
    with writing(home.engine) as connection:
        rows = connection.execute(select(answer).where(answer.c.acknowledgement == pae)).all()
        refused = [row for row in rows if (row.sender, row.envelope_id) in wrong] or list(rows)
        kept = {row.answer_id for row in rows} - {row.answer_id for row in refused}
        connection.execute(
            update(answer).where(answer.c.answer_id.in_(kept)).values(acknowledgement=None)
        )
        connection.execute(
            update(sent).where(sent.c.pae == pae).values(state=AcknowledgementState.REFUSED)
        )
        for row in refused:
            raise_alarm(
                connection,
                AlarmKind.ACKNOWLEDGEMENT_REFUSED,
                f"{row.desk} {row.sender} {row.envelope_id}",
                f"the hub refuses {row.desk}'s answer `{row.result}` to this envelope",
                now,
            )


def is_own(connection: Connection, pae: str) -> bool:
    """Whether this node signed an acknowledgement (SHA-256 of its PAE, hex)."""
    found = select(tables.acknowledgement.c.pae).where(tables.acknowledgement.c.pae == pae)
    return connection.execute(found).first() is not None
