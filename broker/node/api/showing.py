"""Rows of the database as the agency interface shows them.

May import `schemas` and the node's own rooms; `service` calls it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Row, Select, select

from broker.node import tables
from broker.node.api.views import (
    DeliveryView,
    EnvelopeView,
    RecipientState,
    ReplyView,
    SentSummary,
    StepView,
)
from broker.node.clock import from_seconds
from broker.node.outbox.deliveries import Delivery
from broker.node.outbox.state import DeliveryState, OutboxState
from schemas.bulletin import parse_bulletin
from schemas.bulletin.vocabularies import Precedence
from schemas.loader import load_json, parse
from schemas.problems import PROBLEM_BYTES_MAX
from schemas.receipts import AcknowledgementProof, Receipt

_LIST_BYTES_MAX: Final = 1024 * 1024


def states_view(states: Mapping[str, DeliveryState]) -> tuple[RecipientState, ...]:
    """Where a bulletin stands with each recipient."""
    return tuple(RecipientState(desk=desk, state=state) for desk, state in states.items())


def sent_summary(row: Row[Any], states: Mapping[str, DeliveryState]) -> SentSummary:
    """An own bulletin, as a list shows it."""
    bulletin = parse_bulletin(row.document)
    return SentSummary(
        id=bulletin.id,
        kind=bulletin.kind,
        status=bulletin.status,
        title=bulletin.title,
        precedence=Precedence(row.precedence),
        queued=from_seconds(row.queued),
        expires=from_seconds(row.expires),
        withdrawn=None if row.withdrawn is None else from_seconds(row.withdrawn),
        recipients=states_view(states),
    )


def reply_view(row: Row[Any]) -> ReplyView | None:
    """What an own bulletin answers."""
    return None if row.reply_id is None else ReplyView(desk=row.reply_desk, id=row.reply_id)


def delivery_view(delivery: Delivery) -> DeliveryView:
    """One recipient with every step and proof."""
    steps = tuple(
        StepView(
            state=step.state,
            at=step.at,
            reason=step.reason,
            policies=step.policies,
            envelope=step.envelope_id,
            proof=None
            if step.proof is None
            else parse(AcknowledgementProof, step.proof, PROBLEM_BYTES_MAX),
        )
        for step in delivery.steps
    )
    return DeliveryView(desk=delivery.recipient, state=delivery.state, steps=steps)


def envelopes_query(desk: str, bulletin_id: str) -> Select[Any]:
    """The envelopes of an own bulletin, each with how old the directory of its newest header was."""
    envelope, header = tables.outgoing_envelope, tables.sent_header.c
    age = (
        select(header.sealed_at - header.directory_verified)
        .where(header.envelope_id == envelope.c.envelope_id)
        .order_by(header.sealed_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(envelope, age.label("directory_age"))
        .where(envelope.c.desk == desk, envelope.c.bulletin_id == bulletin_id)
        .order_by(envelope.c.created, envelope.c.envelope_id)
    )


def envelope_view(row: Row[Any]) -> EnvelopeView:
    """One envelope of `envelopes_query`, with its receipt."""
    return EnvelopeView(
        id=row.envelope_id,
        state=OutboxState(row.state),
        recipients=tuple(load_json(row.desks, _LIST_BYTES_MAX)),
        sealed=from_seconds(row.created),
        # Below nothing where the clock was set back.
        directory_age_seconds=None if row.directory_age is None else max(0, row.directory_age),
        receipt=None if row.receipt is None else parse(Receipt, row.receipt, PROBLEM_BYTES_MAX),
        problem=row.problem,
    )
