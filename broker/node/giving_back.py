"""Giving back: what this node verified of the hub's logs, where the hub was set back to an old disk.

May import `broker.client`, `keys`, `schemas` and the node's own rooms; `sync` and `sending` call it. The hub
believes its own signatures, so that any member can give back; each gives what only it has, its receipts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from broker.client import HubClient, LogClosed
from broker.db import reading
from broker.node import tables
from broker.node.follow_store import NodeFollowStore
from broker.node.home import Home
from broker.node.line import Line
from broker.quorum_look import LOGS
from broker.tlog.checkpoint import parse_checkpoint_text
from broker.tlog.note import parse_note
from keys.directory_files import make_directory_file
from keys.tuf_files import TrustFileMissing
from schemas.entries import EnvelopeAccepted, parse_exchange_entry
from schemas.errors import HubUnreachable, ParseError, Problem
from schemas.limits import LOST_ENVELOPES_MAX, STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.lost_entries import LostEntries, LostEnvelope
from schemas.problems import PROBLEM_BYTES_MAX
from schemas.receipts import Receipt
from schemas.statements import Statement

_LOG: Final = logging.getLogger("barid.node")


@dataclass(frozen=True, slots=True)
class ClosedExchange:
    """A closed exchange log: its generation and its origin."""

    generation: int
    origin: str


async def give_back_directory(home: Home, line: Line) -> None:
    """Show the hub the newest checkpoints that this node verified, and what it lacks of the directory log.

    A hub that has signed more than it has signs nothing from then on, and its operator is told. One that
    takes nothing is asked again at the next contact.

    Args:
        home: the node's home.
        line: to the hub.
    """
    try:
        await _give_back_directory(home, line)
    except (Problem, ParseError, HubUnreachable) as error:
        _LOG.warning("nothing was given back to the hub: %s", type(error).__name__)


async def _give_back_directory(home: Home, line: Line) -> None:
    store = NodeFollowStore(home.engine)
    generation = line.follower.generation
    kept = await asyncio.to_thread(lambda: {log: store.checkpoint(log) for log in LOGS})
    shown = {log: text for log, text in kept.items() if text}
    lost = LostEntries(v=1, exchange=home.exchange, generation=generation, checkpoints=shown)
    there = await line.reader.give_back(lost)
    if there.directory < line.follower.directory_checkpoint.size:
        whole = await asyncio.to_thread(_with_rest, lost, line, store, there.directory)
        await line.reader.give_back(whole)


def _with_rest(lost: LostEntries, line: Line, store: NodeFollowStore, start: int) -> LostEntries:
    def fetch(name: str, size_bytes_max: int) -> bytes:
        data = store.trust_file(name)
        if data is None or len(data) > size_bytes_max:
            raise TrustFileMissing(name)
        return data

    files: dict[str, bytes] = {}
    history = line.follower.history
    for size in range(start + 1, history.size + 1):
        publication = history.at(size).publication
        if publication is not None and publication.ref.index == size - 1:
            files |= make_directory_file(publication.directory, fetch, history.initial_root).files
    openings = store.openings_from(lost.generation, start)
    return lost.model_copy(update={"openings": openings, "files": files})


async def give_back_envelopes(
    home: Home, client: HubClient, desk: str, closed: ClosedExchange
) -> None:
    """Give back the receipts of a desk's envelopes that a closed log has lost.

    Else the hub would not know what was sent to whom, and refuse withdrawals and corrections of it.

    Args:
        home: the node's home.
        client: of the desk.
        desk: an own desk.
        closed: the closed exchange log.

    Raises:
        Problem, HubUnreachable: what the hub answers.
    """
    try:
        await client.checkpoint("exchange", closed.generation)
    except LogClosed as ended:
        # What the hub has is its own word: if it says too much, it goes without these.
        size = parse_checkpoint_text(parse_note(ended.note).text).size
    else:
        return
    lost = await asyncio.to_thread(lambda: list(_lost_envelopes(home, desk, closed.origin, size)))
    for start in range(0, len(lost), LOST_ENVELOPES_MAX):
        some = tuple(lost[start : start + LOST_ENVELOPES_MAX])
        await client.give_back(
            LostEntries(
                v=1,
                exchange=home.exchange,
                generation=closed.generation,
                checkpoints={},
                envelopes=some,
            )
        )


def _lost_envelopes(home: Home, desk: str, origin: str, size: int) -> Iterator[LostEnvelope]:
    """Own envelopes that were accepted in a log at or behind an index, with their receipts."""
    envelope, header = tables.outgoing_envelope.c, tables.sent_header.c
    query = select(envelope.receipt).where(
        envelope.desk == desk, envelope.entry_index >= size, envelope.receipt.is_not(None)
    )
    with reading(home.engine) as connection:
        for row in connection.execute(query.order_by(envelope.entry_index)).all():
            receipt = parse(Receipt, row.receipt, PROBLEM_BYTES_MAX)
            entry = parse_exchange_entry(receipt.entry)
            is_of_log = receipt.checkpoint.partition("\n")[0] == origin
            if not (is_of_log and isinstance(entry, EnvelopeAccepted)):
                continue
            sent = select(header.statement).where(header.pae == entry.pae)
            statement = connection.execute(sent).scalar_one()
            yield LostEnvelope(
                statement=parse(Statement, statement, 2 * STATEMENT_BYTES_MAX), receipt=receipt
            )
