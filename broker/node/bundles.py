"""Making bundles: a bulletin that this node sent or received, with all that proves it to others.

May import `keys`, `schemas` and the node's own rooms; the agency interface calls it. What is made here
leaves the sealed world: it holds the key that opens the bulletin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Row, select

from broker.db import reading
from broker.node import tables
from broker.node.follow_store import NodeFollowStore
from broker.node.inbox.received import find_shown
from broker.node.line import Line
from broker.node.receipts import path_to
from broker.quorum_look import LOGS
from broker.tlog.checkpoint import Checkpoint
from broker.void import check_nothing_is_old, check_stays_in_force
from keys.directory_files import make_directory_file
from keys.envelope import parse_header
from keys.tuf_files import pick, recording
from schemas.bundle import Bundle, DirectoryLog, ProvedAcceptance, ProvedEntry
from schemas.directory import Witnesses
from schemas.entries import EnvelopeAccepted, parse_exchange_entry
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.limits import (
    BUNDLE_BYTES_MAX,
    BUNDLE_ENTRIES_MAX,
    ENVELOPE_BYTES_MAX,
    STATEMENT_BYTES_MAX,
)
from schemas.loader import dump_json, parse
from schemas.problems import PROBLEM_BYTES_MAX
from schemas.receipts import Receipt
from schemas.statements import Statement

_TOO_LARGE: Final = "the directory log is too large for a bundle: have the log audited"


@dataclass(frozen=True, slots=True)
class Source:
    """One accepted envelope as this node keeps it; `body` is None where the hub alone still has it."""

    statement: Statement
    content_key: bytes
    body: bytes | None
    receipt: Receipt


def received_source(line: Line, desk: str, sender: str, bulletin_id: str) -> Source:
    """The envelope that first brought a received bulletin.

    Raises:
        Problem: `not-found`.
    """
    envelope = tables.incoming_envelope
    with reading(line.home.engine) as connection:
        shown = find_shown(connection, desk, sender, bulletin_id)
        if shown is None:
            raise Problem("not-found", "this desk has received no such bulletin")
        row = connection.execute(
            select(envelope).where(
                envelope.c.desk == desk,
                envelope.c.sender == sender,
                envelope.c.envelope_id == shown.envelope_id,
            )
        ).one()
    return Source(_statement(row.statement), row.content_key, row.body, _receipt(row.receipt))


def sent_source(line: Line, desk: str, bulletin_id: str) -> Source:
    """The first envelope of an own bulletin that the hub accepted.

    Raises:
        Problem: `not-found`.
    """
    envelope, header = tables.outgoing_envelope, tables.sent_header
    mine = (envelope.c.desk == desk) & (envelope.c.bulletin_id == bulletin_id)
    accepted = mine & envelope.c.receipt.is_not(None) & envelope.c.problem.is_(None)
    with reading(line.home.engine) as connection:
        rows = connection.execute(select(envelope).where(accepted).order_by(envelope.c.created))
        row = rows.first()
        if row is None:
            raise Problem("not-found", "the hub has accepted no envelope of such a bulletin")
        receipt = _receipt(row.receipt)
        pae = _accepted(receipt).pae
        sent = select(header.c.statement).where(header.c.pae == pae)
        statement = _statement(connection.execute(sent).scalar_one())
    return Source(statement, row.content_key, _sealed_body(row), receipt)


def _sealed_body(row: Row[Any]) -> bytes | None:
    if row.sealed is None:
        return None
    body: bytes = parse(Envelope, row.sealed, ENVELOPE_BYTES_MAX).body
    return body


def _statement(data: bytes) -> Statement:
    return parse(Statement, data, 2 * STATEMENT_BYTES_MAX)


def _receipt(data: bytes) -> Receipt:
    return parse(Receipt, data, PROBLEM_BYTES_MAX)


def _accepted(receipt: Receipt) -> EnvelopeAccepted:
    entry = parse_exchange_entry(receipt.entry)
    if not isinstance(entry, EnvelopeAccepted):
        raise Problem("not-found", "the hub has accepted no envelope of such a bulletin")
    return entry


async def make_bundle(line: Line, source: Source) -> bytes:
    """Write `bundle.json`, to the newest trees that a quorum cosigned.

    Raises:
        Problem: `busy`: no quorum of witnesses has cosigned so far yet; `not-found`: the log is closed, or
            the body is nowhere any more; `inclusion`, or what the hub answers.
        HubUnreachable: try again later.
    """
    entry = _accepted(source.receipt)
    if source.receipt.checkpoint.partition("\n")[0] != line.follower.exchange_log.origin:
        raise Problem("not-found", "its log is closed; its receipts are exported as they are")
    trees = _trees(line, source.receipt.index, entry.directory_size)
    steps = await path_to(line, source.receipt, trees["exchange"].checkpoint)
    acceptance = ProvedAcceptance(
        entry=source.receipt.entry,
        salt=source.receipt.salt,
        index=source.receipt.index,
        path=_hex(steps),
    )
    body = source.body
    if body is None:
        header = parse_header(source.statement)
        body = await line.clients[header.from_].body(header.from_, header.id)
    return await asyncio.to_thread(_write, line, source, body, acceptance, trees)


def _hex(steps: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(step.hex() for step in steps)


@dataclass(frozen=True, slots=True)
class _Tree:
    checkpoint: Checkpoint
    text: str


def _trees(line: Line, index: int, directory_size: int) -> dict[str, _Tree]:
    """The newest witnessed trees; the newest signed ones in a test exchange without witnesses."""
    follower, directory = line.follower, line.state.directory
    if directory is None or not isinstance(directory.council.witnesses, Witnesses):
        return {log: _Tree(follower.head(log), follower.text(log)) for log in LOGS}
    found = {log: _Tree(each.checkpoint, each.text) for log, each in follower.witnessed.items()}
    least = {"exchange": index + 1, "directory": directory_size}
    for log, size in least.items():
        if log not in found or found[log].checkpoint.size < size:
            raise Problem("busy", f"no quorum of witnesses has cosigned the {log} log so far yet")
    return found


def _write(
    line: Line,
    source: Source,
    body: bytes,
    acceptance: ProvedAcceptance,
    trees: Mapping[str, _Tree],
) -> bytes:
    follower, store = line.follower, NodeFollowStore(line.home.engine)
    size = trees["directory"].checkpoint.size
    until = _accepted(source.receipt).directory_size
    judging, newest = (follower.history.at(each).publication for each in (until, size))
    if judging is None or newest is None:
        raise Problem("directory-invalid", "no directory was in force at that entry")
    logs = [
        tuple(each.entry for each in store.openings_from(generation, 0))
        for generation in range(1, follower.generation + 1)
    ]
    entries, closed = logs[-1][:until], tuple(logs[:-1])
    if sum(map(len, (entries, *closed))) > BUNDLE_ENTRIES_MAX:
        raise Problem("not-found", f"{_TOO_LARGE}: over {BUNDLE_ENTRIES_MAX} directory entries")
    files, noting = recording(partial(pick, store.trust_file))
    root, index = follower.history.initial_root, judging.ref.index
    before = (*(entry for each in closed for entry in each), *entries[:index])
    check_nothing_is_old(judging.directory, before, noting)
    check_stays_in_force(judging.directory, entries[index:], root, noting)
    files |= make_directory_file(judging.directory, noting, root).files
    is_renewed = newest.ref != judging.ref
    if is_renewed:
        files |= make_directory_file(newest.directory, noting, root).files
    steps = follower.fold.growth(until, size)
    data = dump_json(
        Bundle(
            v=1,
            exchange=line.home.exchange,
            statement=source.statement,
            content_key=source.content_key,
            body=body,
            acceptance=acceptance,
            exchange_checkpoint=trees["exchange"].text,
            directory=DirectoryLog(entries=entries, judging=index, path=_hex(steps)),
            closed=closed,
            directory_checkpoint=trees["directory"].text,
            witnessing=_proved(line, newest.ref.index, size) if is_renewed else None,
            files=files,
        )
    )
    if len(data) > BUNDLE_BYTES_MAX:
        raise Problem("not-found", f"{_TOO_LARGE}: over {BUNDLE_BYTES_MAX} bytes")
    return data


def _proved(line: Line, index: int, size: int) -> ProvedEntry:
    follower = line.follower
    store = NodeFollowStore(line.home.engine)
    entry = store.openings_from(follower.generation, index)[0].entry
    return ProvedEntry(entry=entry, index=index, path=_hex(follower.fold.path(index, size)))
