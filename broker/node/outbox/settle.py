"""What the hub answered to an envelope: a receipt, a proved refusal, or a reason to try again.

May import `broker.tlog`, `keys`, `schemas` and the node's own rooms; `sync` calls it. Only what is proved
to stand in the log ends the trying: anything else may be a fault of the hub, or of the line.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from broker.db import writing
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm
from broker.node.clock import to_seconds
from broker.node.dating import note_entry
from broker.node.home import Home
from broker.node.outbox.addressing import update_envelope
from broker.node.outbox.deliveries import DeliveryKey, Step, advance_if_allowed
from broker.node.outbox.originals import end_unsent, give_up, is_withdrawn
from broker.node.outbox.proofs import Proved
from broker.node.outbox.state import DeliveryState, OutboxState, move_outbox
from broker.node.pacing import pause_seconds
from broker.node.places import note_places
from schemas.entries import EnvelopeAccepted, EnvelopeRefused
from schemas.errors import Finality, Problem
from schemas.loader import dump_json, load_json

RETRY_BASE_SECONDS: Final = 2
"""Longest pause before the second try; it doubles with each."""

RETRY_CAP_SECONDS: Final = 60
"""Longest pause between two tries of one envelope."""

_RESEAL: Final = frozenset({"stale-directory", "stale-key", "created-skew"})
"""Refusals after which another header may pass."""

_NOT_ACCEPTED: Final = _RESEAL | {"attachments-missing"}
"""Refusals of an envelope that the hub does not know: it looks for its id before it judges."""

_LIST_BYTES_MAX: Final = 1024 * 1024


def settle(home: Home, proved: Proved, refusal: Problem | None, now: datetime) -> OutboxState:
    """Note a proved answer: the envelope was accepted for all its recipients, or refused for good.

    One transaction: a crash before its commit leaves the sealed bytes, which are submitted again and
    answered with the same receipt.

    Args:
        home: the node's home.
        proved: the verified receipt, its log proved to be the one that is followed.
        refusal: what the hub said with a refusal: the policies stand there.
        now: UTC, whole seconds.

    Raises:
        Problem: `place`: the hub gave one place twice.
    """
    with writing(home.engine) as connection:
        row = _row(connection, proved.envelope_id)
        if OutboxState(row.state) not in {OutboxState.SEALED, OutboxState.EXPIRED}:
            return OutboxState(row.state)
        entry, verified = proved.verified.entry, proved.verified
        note_entry(connection, verified.checkpoint.origin, verified.index, entry.at, now)
        if isinstance(entry, EnvelopeAccepted):
            return _accept(connection, row, proved, entry, now)
        if isinstance(entry, EnvelopeRefused):
            return _refuse(connection, row, proved, entry, refusal, now)
    raise Problem("entry-invalid", "the entry is not of an envelope")


def _accept(
    connection: Connection, row: Row[Any], proved: Proved, entry: EnvelopeAccepted, now: datetime
) -> OutboxState:
    verified = proved.verified
    state = move_outbox(OutboxState(row.state), OutboxState.ACCEPTED)
    note_places(
        connection,
        row.desk,
        row.desk,
        verified.checkpoint.origin,
        verified.index,
        proved.receipt.places,
    )
    update_envelope(
        connection,
        row.envelope_id,
        state=state,
        receipt=dump_json(proved.receipt),
        entry_index=verified.index,
        leaf=verified.leaf.hex(),
        next_try=to_seconds(now),
        tries=0,
    )
    for recipient in entry.recipients:
        key = DeliveryKey(row.desk, row.bulletin_id, recipient.desk)
        step = Step(
            DeliveryState.ACCEPTED,
            entry.at,
            policies=recipient.policies,
            envelope_id=row.envelope_id,
        )
        advance_if_allowed(connection, key, step)
    return state


def _refuse(
    connection: Connection,
    row: Row[Any],
    proved: Proved,
    entry: EnvelopeRefused,
    refusal: Problem | None,
    now: datetime,
) -> OutboxState:
    if row.state == OutboxState.EXPIRED:
        # It came too late, and its deliveries say so already.
        return OutboxState.EXPIRED
    state = move_outbox(OutboxState(row.state), OutboxState.REFUSED)
    update_envelope(
        connection,
        row.envelope_id,
        state=state,
        receipt=dump_json(proved.receipt),
        entry_index=proved.verified.index,
        leaf=proved.verified.leaf.hex(),
        next_try=None,
        problem=entry.problem,
    )
    named, policies = _blamed(refusal)
    for desk in load_json(row.desks, _LIST_BYTES_MAX):
        step = Step(
            DeliveryState.REFUSED,
            entry.at,
            entry.problem,
            policies if named in {None, desk} else (),
            row.envelope_id,
        )
        advance_if_allowed(connection, DeliveryKey(row.desk, row.bulletin_id, desk), step)
    raise_alarm(
        connection,
        AlarmKind.REFUSED,
        f"{row.desk} {row.bulletin_id}",
        " ".join(["the hub refused this bulletin:", entry.problem, *policies]),
        now,
    )
    return state


def _blamed(refusal: Problem | None) -> tuple[str | None, tuple[str, ...]]:
    """The recipient and the policies that a refusal names."""
    if refusal is None:
        return None, ()
    desk, policies = refusal.extensions.get("desk"), refusal.extensions.get("policies")
    named = desk if isinstance(desk, str) else None
    listed = policies if isinstance(policies, list) else []
    return named, tuple(str(policy) for policy in listed)


def note_problem(home: Home, envelope_id: str, problem: Problem, now: datetime) -> None:
    """Note an answer that ends nothing: seal again, or wait and send the same bytes again.

    It ends what was withdrawn meanwhile, where it shows that the hub has not accepted that.

    Args:
        home: the node's home.
        envelope_id: which was submitted.
        problem: what the hub said.
        now: UTC, whole seconds.
    """
    with writing(home.engine) as connection:
        row = _row(connection, envelope_id)
        if row.state != OutboxState.SEALED:
            return
        if problem.word in _NOT_ACCEPTED and is_withdrawn(connection, row.desk, row.bulletin_id):
            # The hub has not accepted it, and now never will.
            give_up(connection, row)
            end_unsent(connection, row.desk, row.bulletin_id, now)
            return
        if problem.word == "log-closed":
            # Accepted, and its receipt never came: a new envelope goes to those who have not answered.
            give_up(connection, row)
            return
        values = _pause(row, now)
        if problem.word in _RESEAL:
            values["must_seal"] = 1
            if row.tries <= 1:
                values["next_try"] = to_seconds(now)
        update_envelope(connection, envelope_id, **values)
        if problem.type.finality is not Finality.RETRYABLE:
            raise_alarm(
                connection,
                AlarmKind.REFUSES_US,
                f"{row.desk} {problem.word}",
                f"envelope {envelope_id}, without proof that this is final: {problem.detail}",
                now,
            )


def note_unreachable(home: Home, envelope_id: str, now: datetime) -> None:
    """Note that the hub did not answer; the same bytes go out again later."""
    with writing(home.engine) as connection:
        row = _row(connection, envelope_id)
        update_envelope(connection, envelope_id, **_pause(row, now))


def _pause(row: Row[Any], now: datetime) -> dict[str, object]:
    # The try that just failed is counted already, since it began.
    return {"next_try": to_seconds(now + pause(max(0, row.tries - 1)))}


def pause(tries: int) -> timedelta:
    """How long to wait after so many earlier tries of one envelope."""
    return timedelta(seconds=pause_seconds(tries, RETRY_BASE_SECONDS, RETRY_CAP_SECONDS))


def is_due(now: datetime) -> ColumnElement[bool]:
    """Of an `outgoing_envelope`: whether it is to be submitted, or its status asked, now.

    What is put off for longer than any pause was put off by a clock that ran ahead, and was set right.
    """
    next_try, at = tables.outgoing_envelope.c.next_try, to_seconds(now)
    return or_(next_try <= at, next_try > at + RETRY_CAP_SECONDS)


def _row(connection: Connection, envelope_id: str) -> Row[Any]:
    table = tables.outgoing_envelope
    return connection.execute(select(table).where(table.c.envelope_id == envelope_id)).one()
