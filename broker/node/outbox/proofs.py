"""Receipts of own envelopes: what the hub answered, verified before it counts.

May import `broker.tlog`, `schemas` and the node's own rooms; `sending` proves with it what `settle` notes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from broker.db import reading
from broker.node import tables
from broker.node.home import Home
from broker.tlog.receipt import LogVerifier, VerifiedReceipt, verify_receipt
from schemas.entries import EnvelopeAccepted, EnvelopeRefused
from schemas.errors import ParseError, Problem
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.problems import PROBLEM_BYTES_MAX, from_document
from schemas.receipts import Receipt
from schemas.statements import Statement


@dataclass(frozen=True, slots=True)
class Proved:
    """A receipt of an own envelope, verified up to the log that it names."""

    envelope_id: str
    receipt: Receipt
    verified: VerifiedReceipt


def prove(home: Home, envelope_id: str, receipt: Receipt, log: LogVerifier) -> Proved:
    """Verify the receipt of an own envelope, accepted or refused.

    1. The entry is in the log (`verify_receipt`); the caller proves that the log is the one it follows.
    2. It is of a header that was sent for this envelope: the newest, or an earlier one.
    3. An acceptance tells the place of each recipient.

    Args:
        home: the node's home.
        envelope_id: which was submitted.
        receipt: as the hub gave it.
        log: the exchange log's keys.

    Raises:
        Problem: `entry-invalid`, `inclusion` or `place`: the hub's fault.
    """
    verified = verify_receipt(receipt, log)
    entry = verified.entry
    if not isinstance(entry, EnvelopeAccepted | EnvelopeRefused):
        raise Problem("entry-invalid", "the entry is not of an envelope")
    column = tables.sent_header.c
    query = select(column.statement).where(
        column.envelope_id == envelope_id, column.pae == entry.pae
    )
    with reading(home.engine) as connection:
        stored = connection.execute(query).scalar_one_or_none()
    if stored is None:
        raise Problem("entry-invalid", "the entry is not of a header that was sent")
    statement = parse(Statement, stored, 2 * STATEMENT_BYTES_MAX)
    if entry.header != statement.payload:
        raise Problem("entry-invalid", "the entry carries another header")
    if isinstance(entry, EnvelopeAccepted):
        logged = [recipient.desk for recipient in entry.recipients]
        if [place.desk for place in receipt.places] != logged:
            raise Problem("place", "not exactly the places of the recipients were told")
    return Proved(envelope_id, receipt, verified)


def receipt_within(problem: Problem) -> Receipt | None:
    """The receipt that a final refusal carries as its proof, or that of the earlier submission.

    Returns:
        None where the hub's answer proves nothing.
    """
    shown = problem.extensions.get("receipt")
    earlier = problem.extensions.get("earlier")
    if shown is None and problem.word == "id-taken" and isinstance(earlier, list) and earlier:
        shown = earlier[0]
        if isinstance(shown, dict) and "type" in shown:
            shown = _refusal_receipt(shown)
    if shown is None:
        return None
    try:
        return parse(Receipt, dump_json(shown), PROBLEM_BYTES_MAX)
    except ParseError:
        return None


def _refusal_receipt(document: dict[str, Any]) -> object:
    try:
        return from_document(dump_json(document)).extensions.get("receipt")
    except ParseError:
        return None
