"""Receipts as files: of own envelopes, of answers to them, and of what was received, as ripe as they are now.

May import `broker.tlog` and the node's own rooms; the agency interface calls it. A receipt is ripe once a
quorum of witnesses has cosigned a tree in which its entry stands: the hub's tiles give a new path to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from broker.db import reading
from broker.fetched_tiles import over_tiles
from broker.node import tables
from broker.node.inbox.received import Received
from broker.node.line import Line
from broker.node.outbox.deliveries import deliveries_of
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.merkle import inclusion_path
from broker.tlog.proof import verify_inclusion
from broker.tlog.receipt import exchange_leaf
from broker.tlog.receipt_file import write_receipt_file
from broker.tlog.tlog_proof import TlogProof
from schemas.entries import EnvelopeAccepted, EnvelopeRefused, parse_exchange_entry
from schemas.errors import Problem, VerificationError
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.problems import PROBLEM_BYTES_MAX
from schemas.receipts import AcknowledgementProof, Receipt
from schemas.statements import Statement


@dataclass(frozen=True, slots=True)
class Kept:
    """A receipt that this node keeps.

    Args:
        name: of the file to be: what the entry says, and who says it.
        statement: what was signed; None where it is not kept.
    """

    name: str
    receipt: Receipt
    statement: Statement | None


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """A receipt as a file, and whether a quorum of witnesses stands for it."""

    name: str
    text: str
    witnessed: bool


def sent_receipts(line: Line, desk: str, bulletin_id: str) -> tuple[Kept, ...]:
    """Receipts of an own bulletin's envelopes, and of what their recipients answered.

    Raises:
        Problem: `not-found`.
    """
    envelope, header = tables.outgoing_envelope.c, tables.sent_header.c
    mine = (envelope.desk == desk) & (envelope.bulletin_id == bulletin_id)
    with reading(line.home.engine) as connection:
        envelopes = connection.execute(select(tables.outgoing_envelope).where(mine)).all()
        ids = [row.envelope_id for row in envelopes]
        query = select(header.pae, header.statement).where(header.envelope_id.in_(ids))
        headers = {row.pae: row.statement for row in connection.execute(query)}
        deliveries = deliveries_of(connection, desk, bulletin_id)
    if not envelopes and not deliveries:
        raise Problem("not-found", "this desk has sent no such bulletin")
    found = [_of_envelope(row, headers) for row in envelopes if row.receipt is not None]
    for delivery in deliveries:
        for step in delivery.steps:
            if step.proof is not None:
                proof = parse(AcknowledgementProof, step.proof, PROBLEM_BYTES_MAX)
                name = f"{step.state}.{delivery.recipient.replace('/', '-')}"
                found.append(Kept(name, proof.receipt, proof.statement))
    return tuple(found)


def _of_envelope(row: Row[Any], headers: dict[str, bytes]) -> Kept:
    receipt = parse(Receipt, row.receipt, PROBLEM_BYTES_MAX)
    entry = parse_exchange_entry(receipt.entry)
    word, statement = "refused", None
    if isinstance(entry, EnvelopeAccepted | EnvelopeRefused) and entry.pae in headers:
        statement = parse(Statement, headers[entry.pae], 2 * STATEMENT_BYTES_MAX)
    if isinstance(entry, EnvelopeAccepted):
        word = "accepted"
    return Kept(f"{word}.{row.envelope_id}", receipt, statement)


def received_receipt(found: Received) -> Kept:
    """The receipt of what first brought a received bulletin."""
    statement = parse(Statement, found.statement, 2 * STATEMENT_BYTES_MAX)
    receipt = parse(Receipt, found.receipt, PROBLEM_BYTES_MAX)
    return Kept(f"accepted.{found.envelope_id}", receipt, statement)


async def ripened(line: Line, kept: Kept) -> ReceiptFile:
    """Write a receipt as a file: to the newest tree that a quorum cosigned, else as the hub gave it.

    Raises:
        Problem: `inclusion`: the hub's tiles do not lead to that tree; what the hub answers.
        HubUnreachable: try again later.
    """
    receipt, witnessed = kept.receipt, line.follower.witnessed.get("exchange")
    if receipt.checkpoint.partition("\n")[0] != line.follower.exchange_log.origin:
        # Of a closed log, which nobody cosigns any more: as it is.
        witnessed = None
    path = tuple(bytes.fromhex(step) for step in receipt.path)
    proof = TlogProof(receipt.index, path, receipt.checkpoint)
    is_ripe = witnessed is not None and receipt.index < witnessed.checkpoint.size
    if witnessed is not None and is_ripe:
        steps = await path_to(line, receipt, witnessed.checkpoint)
        proof = TlogProof(receipt.index, steps, witnessed.text)
    text = write_receipt_file(receipt.entry, receipt.salt, proof, kept.statement, receipt.places)
    return ReceiptFile(f"{kept.name}.tlog-proof", text, is_ripe)


async def path_to(line: Line, receipt: Receipt, tree: Checkpoint) -> tuple[bytes, ...]:
    """The inclusion path of a receipt's entry in a verified tree, fetched from the hub, and verified.

    Raises:
        Problem: `inclusion`; what the hub answers.
        HubUnreachable: try again later.
    """
    index, generation = receipt.index, line.follower.generation
    steps = await over_tiles(
        line.reader,
        "exchange",
        generation,
        tree.size,
        lambda read: inclusion_path(index, tree.size, read),
    )
    leaf = exchange_leaf(receipt.salt, receipt.entry)
    try:
        verify_inclusion(leaf, index, tree.size, steps, tree.root)
    except VerificationError as error:
        raise Problem("inclusion", str(error)) from error
    return tuple(steps)
