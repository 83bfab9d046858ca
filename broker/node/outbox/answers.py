"""What recipients answered, and what the log shows of the own desks: proofs checked, deliveries moved.

May import `broker.tlog`, `keys`, `schemas` and the node's own rooms; `sync` calls it with what the hub
gave. An answer counts when it is signed by its desk and stands in the log.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm
from broker.node.clock import from_seconds, to_seconds
from broker.node.dating import note_entry
from broker.node.home import Home
from broker.node.outbox.deliveries import (
    DeliveryKey,
    Step,
    advance,
    carrier_of,
    history_of,
    state_of,
    was_noted,
)
from broker.node.outbox.originals import is_withdrawn
from broker.node.outbox.settle import is_due, pause
from broker.node.outbox.state import (
    ANSWERED,
    DELIVERY_TRANSITIONS,
    DeliveryState,
    OutboxState,
    move_outbox,
)
from broker.node.purged import Purged
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.receipt import LogVerifier, verify_receipt
from keys.directory import Directory
from keys.dsse import pae_sha256, signatures_sha256, verify_statement
from keys.history import DirectoryHistory
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.entries import AcknowledgementEntry
from schemas.errors import ParseError, Problem, VerificationError
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX
from schemas.loader import dump_json, load_json, parse
from schemas.receipts import AcknowledgementProof, EnvelopeStatus
from schemas.scalars import format_time
from schemas.statements import PayloadType

_LIST_BYTES_MAX: Final = 1024 * 1024

_STATES: Final = {
    Result.DELIVERED: DeliveryState.DELIVERED,
    Result.READ: DeliveryState.READ,
    Result.WITHDRAWN: DeliveryState.WITHDRAWN,
    Result.REJECTED: DeliveryState.REJECTED,
}

_POSITIVE: Final = frozenset({DeliveryState.DELIVERED, DeliveryState.READ, DeliveryState.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Asked:
    """An own envelope whose status is due: its id, and where it stands in the log."""

    envelope_id: str
    desk: str
    origin: str
    index: int
    leaf: str


@dataclass(frozen=True, slots=True)
class ProvedAnswer:
    """One recipient's answer to one own envelope, verified up to the log that it names."""

    recipient: str
    payload: Acknowledgement
    at: datetime
    index: int
    proof: AcknowledgementProof
    checkpoint: Checkpoint


def status_due(home: Home, desk: str, origin: str, now: datetime, limit: int) -> tuple[Asked, ...]:
    """Own envelopes whose recipients may have answered, the longest due first."""
    column = tables.outgoing_envelope.c
    query = (
        select(column.envelope_id, column.desk, column.entry_index, column.leaf)
        .where(
            column.desk == desk,
            column.state.in_([OutboxState.ACCEPTED, OutboxState.ANSWERED]),
            is_due(now),
        )
        .order_by(column.next_try, column.envelope_id)
        .limit(limit)
    )
    with reading(home.engine) as connection:
        rows = connection.execute(query).all()
    return tuple(
        Asked(row.envelope_id, row.desk, origin, row.entry_index, row.leaf) for row in rows
    )


def prove_answers(
    asked: Asked, status: EnvelopeStatus, log: LogVerifier, history: DirectoryHistory
) -> tuple[ProvedAnswer, ...]:
    """Verify what the hub says that recipients answered, in the order of the log.

    1. Each answer's entry is in the log, and is of that statement.
    2. The desk that answers signed it, with its node identity in the directory of the entry.
    3. It names this envelope, at the index and leaf that the own receipt has.

    Args:
        asked: the own envelope.
        status: as the hub gave it.
        log: the exchange log's keys.
        history: of the directory log, up to each entry's `directory_size`.

    Raises:
        Problem: the hub's fault; `place` with a detail where another index or leaf is named.
    """
    found = [
        _prove(asked, recipient.desk, proof, log, history)
        for recipient in status.recipients
        for proof in recipient.acknowledgements
    ]
    return tuple(sorted(found, key=lambda answer: answer.index))


def _prove(
    asked: Asked,
    recipient: str,
    proof: AcknowledgementProof,
    log: LogVerifier,
    history: DirectoryHistory,
) -> ProvedAnswer:
    verified = verify_receipt(proof.receipt, log)
    entry, statement = verified.entry, proof.statement
    if not isinstance(entry, AcknowledgementEntry) or not (
        entry.pae == pae_sha256(statement)
        and entry.signatures == signatures_sha256(statement)
        and entry.statement == statement.payload
    ):
        raise Problem("entry-invalid", "the entry is not of this acknowledgement")
    try:
        payload = parse(Acknowledgement, statement.payload, ACKNOWLEDGEMENT_BYTES_MAX)
        directory = history.judging(entry.directory_size, verified.index).directory
        if payload.desk != recipient or payload.exchange != history.exchange:
            raise VerificationError(f"the acknowledgement is not of {recipient}")
        _verify_signature(proof, recipient, directory, entry.at, history.exchange)
    except (ParseError, VerificationError) as error:
        raise Problem("statement-signature", str(error)) from error
    _check_item(asked, payload.items)
    return ProvedAnswer(recipient, payload, entry.at, verified.index, proof, verified.checkpoint)


def _verify_signature(
    proof: AcknowledgementProof,
    recipient: str,
    directory: Directory | None,
    at: datetime,
    exchange: str,
) -> None:
    view = None if directory is None else directory.desk(recipient, at)
    if view is None or view.node is None:
        raise VerificationError(f"{recipient} has no node identity in that directory")
    known = {view.node.keyid(exchange): view.node}
    verify_statement(proof.statement, PayloadType.ACKNOWLEDGEMENT, known)


def _check_item(asked: Asked, items: Sequence[AcknowledgedItem]) -> None:
    for item in items:
        if (item.from_, item.id) == (asked.desk, asked.envelope_id):
            named = (item.origin, item.index, item.leaf)
            if named != (asked.origin, asked.index, asked.leaf):
                own = f"{asked.origin} {asked.index} {asked.leaf}"
                detail = (
                    f"own receipt {own}; the recipient's {' '.join(str(each) for each in named)}"
                )
                raise Problem("place", detail, shown_elsewhere=True)
            return
    raise Problem("entry-invalid", "the acknowledgement does not name this envelope")


def note_answers(home: Home, asked: Asked, answers: Sequence[ProvedAnswer], now: datetime) -> None:
    """Move the deliveries of an own envelope, in one transaction.

    Args:
        home: the node's home.
        asked: the own envelope.
        answers: all that is known of it, verified, their log proved to be the one that is followed.
        now: UTC, whole seconds.
    """
    table = tables.outgoing_envelope
    mine = table.c.envelope_id == asked.envelope_id
    with writing(home.engine) as connection:
        row = connection.execute(select(table).where(mine)).one()
        for answer in answers:
            _note_answer(connection, row, answer, now)
        spoken = {answer.recipient for answer in answers}
        if spoken >= set(load_json(row.desks, _LIST_BYTES_MAX)):
            # Everybody answered: the bytes need not be sent again, so that they go.
            answered = move_outbox(OutboxState(row.state), OutboxState.ANSWERED)
            values: dict[str, object] = {"state": answered, "sealed": None, "next_try": None}
        else:
            values = {"next_try": to_seconds(now + pause(row.tries)), "tries": row.tries + 1}
        connection.execute(update(table).where(mine).values(values))


def note_purged(home: Home, asked: Asked, purged: Purged, now: datetime) -> None:
    """End what nobody can answer any more: the opening of the envelope was destroyed under an order.

    Args:
        home: the node's home.
        asked: the own envelope.
        purged: its log proved to be the one that is followed.
        now: UTC, whole seconds.

    Raises:
        Problem: the hub's fault: another entry was destroyed.
    """
    order = purged.order
    if (order.origin, order.index, order.leaf) != (asked.origin, asked.index, asked.leaf):
        raise Problem("entry-invalid", "what was destroyed is not this envelope")
    table, delivery = tables.outgoing_envelope, tables.delivery
    mine = table.c.envelope_id == asked.envelope_id
    with writing(home.engine) as connection:
        row = connection.execute(select(table).where(mine)).one()
        if row.state != OutboxState.ACCEPTED:
            return
        carried = select(delivery).where(delivery.c.envelope_id == asked.envelope_id)
        for each in connection.execute(carried).all():
            if DeliveryState(each.state) in ANSWERED:
                continue
            key = DeliveryKey(each.desk, each.bulletin_id, each.recipient)
            step = Step(DeliveryState.EXPIRED, purged.at, "purged", envelope_id=asked.envelope_id)
            advance(connection, key, step)
            raise_alarm(
                connection,
                AlarmKind.EXPIRED_UNANSWERED,
                f"{each.desk} {each.bulletin_id} {each.recipient}",
                f"destroyed {format_time(purged.at)} under an order of the council, before it was answered:"
                f" {order.reason.en}",
                now,
            )
        ended = {"state": move_outbox(OutboxState(row.state), OutboxState.EXPIRED)}
        connection.execute(update(table).where(mine).values(sealed=None, next_try=None, **ended))


def _note_answer(
    connection: Connection, row: Row[Any], answer: ProvedAnswer, now: datetime
) -> None:
    key = DeliveryKey(row.desk, row.bulletin_id, answer.recipient)
    state = _STATES[answer.payload.result]
    if state is DeliveryState.REJECTED and carrier_of(connection, key) != row.envelope_id:
        # Another envelope carries the bulletin by now: this answer was dealt with before.
        return
    now_in = state_of(connection, key)
    if state not in DELIVERY_TRANSITIONS[now_in]:
        if state is DeliveryState.REJECTED and now_in in _POSITIVE:
            _warn_of_lost_keys(connection, key, now)
        return
    if was_noted(connection, key, state, row.envelope_id):
        # A person sent the bulletin again since: what was answered before says nothing of that.
        return
    note_entry(connection, answer.checkpoint.origin, answer.index, answer.at, now)
    step = Step(
        state,
        answer.at,
        answer.payload.reason,
        envelope_id=row.envelope_id,
        proof=dump_json(answer.proof),
    )
    advance(connection, key, step)
    if state is DeliveryState.REJECTED:
        _note_rejected(connection, row, key, answer, now)


def _note_rejected(
    connection: Connection, row: Row[Any], key: DeliveryKey, answer: ProvedAnswer, now: datetime
) -> None:
    """`cannot_open`: seal again by itself once, before it expires, unless the desk ever opened it.

    For a thief of the desk's node answers so to all of the past: everything else needs a person
    (`resending`), and what was withdrawn is sealed for nobody.
    """
    delivery = tables.delivery
    mine = (
        (delivery.c.desk == key.desk)
        & (delivery.c.bulletin_id == key.bulletin_id)
        & (delivery.c.recipient == key.recipient)
    )
    again = (
        answer.payload.reason == "cannot_open"
        and now < from_seconds(row.expires)
        and not connection.execute(select(delivery.c.sealed_again).where(mine)).scalar_one()
        and not _POSITIVE & history_of(connection, key)
        and not is_withdrawn(connection, key.desk, key.bulletin_id)
    )
    if again:
        advance(connection, key, Step(DeliveryState.QUEUED, now))
        values = {"sealed_again": 1, "envelope_id": None}
        connection.execute(update(delivery).where(mine).values(values))
        return
    raise_alarm(
        connection,
        AlarmKind.REJECTED_BY_RECIPIENT,
        f"{key.desk} {key.bulletin_id} {key.recipient}",
        f"{key.recipient} rejected this bulletin: {answer.payload.reason}",
        now,
    )


def _warn_of_lost_keys(connection: Connection, key: DeliveryKey, now: datetime) -> None:
    """A desk that opened a bulletin says that it cannot: nothing is sealed until a person says so."""
    raise_alarm(
        connection,
        AlarmKind.REJECTED_BY_RECIPIENT,
        f"{key.desk} {key.bulletin_id} {key.recipient}",
        f"{key.recipient} opened this bulletin, and now says that it cannot: it lost its keys, or somebody"
        " else has them. Call its people; then `barid bulletin resend --confirm` sends it again",
        now,
        once=True,
    )


def put_off(home: Home, asked: Asked, now: datetime) -> None:
    """Ask later: what the hub said did not verify."""
    table = tables.outgoing_envelope
    mine = table.c.envelope_id == asked.envelope_id
    with writing(home.engine) as connection:
        tries = connection.execute(select(table.c.tries).where(mine)).scalar_one()
        values = {"next_try": to_seconds(now + pause(tries)), "tries": tries + 1}
        connection.execute(update(table).where(mine).values(values))


def ask_again(connection: Connection, desk: str, envelopes: Collection[str], now: datetime) -> None:
    """Note that the log shows answers to own envelopes, so that their status is asked at once."""
    table = tables.outgoing_envelope
    connection.execute(
        update(table)
        .where(
            table.c.desk == desk,
            table.c.envelope_id.in_(envelopes),
            table.c.state.in_([OutboxState.ACCEPTED, OutboxState.ANSWERED]),
        )
        .values(next_try=to_seconds(now), tries=0)
    )
