"""The inbox as its routes see it: lists, reading, export, threads; each question one function.

May import the node's own rooms; `inbox_routes` calls it on a thread. Nothing is shown of what its sender
withdrew before anybody read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from broker.db import reading, writing
from broker.following import Follower
from broker.node.api.inbox_views import (
    ExportView,
    Inbox,
    Marks,
    ReceivedSummary,
    ThreadItem,
    ThreadView,
    Verified,
    WithdrawnView,
)
from broker.node.api.views import MarkingView, ReplyView
from broker.node.home import Home
from broker.node.inbox.received import (
    Received,
    Summary,
    find_received,
    list_received,
    mark_exported,
    mark_read,
)
from broker.node.inbox.threads import Name, Part, find_thread
from broker.node.line import Line
from keys.envelope import parse_header
from schemas.bulletin import Bulletin, parse_bulletin
from schemas.bulletin.withdrawal import Withdrawal
from schemas.entries import EnvelopeAccepted, parse_exchange_entry
from schemas.errors import Problem
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.problems import PROBLEM_BYTES_MAX
from schemas.receipts import Receipt
from schemas.statements import Statement

_STATEMENT_JSON_BYTES_MAX: Final = 2 * STATEMENT_BYTES_MAX


def show_inbox(
    line: Line, desk: str, *, unread: bool, limit: int, after: tuple[int, int] | None
) -> Inbox:
    """Received bulletins by precedence, then arrival."""
    with reading(line.home.engine) as connection:
        found = list_received(connection, desk, unread=unread, after=after, limit=limit + 1)
    shown = found[:limit]
    last = shown[-1] if len(found) > limit else None
    return Inbox(
        witnessed=line.follower.is_witnessed,
        bulletins=tuple(_summary(each) for each in shown),
        next=None if last is None else f"{last.precedence.rank}-{last.number}",
    )


def read_received(
    line: Line, desk: str, sender: str, bulletin_id: str, now: datetime
) -> tuple[bytes | None, Verified, Marks]:
    """Open a received bulletin for a person, and owe its sender the answer `read`.

    Returns:
        The exact bytes, None where it was withdrawn before anybody read it; by what they were verified;
        and what became of it since.

    Raises:
        Problem: `not-found`.
    """
    with writing(line.home.engine) as connection:
        mark_read(connection, desk, sender, bulletin_id, now)
        found = find_received(connection, desk, sender, bulletin_id)
    if found is None:
        raise Problem("not-found", "this desk has received no such bulletin")
    document = None if found.summary.is_hidden else found.summary.document
    return document, _verified(desk, found, line.follower), _marks(found.summary)


def export_received(
    line: Line, desk: str, sender: str, bulletin_id: str, now: datetime
) -> ExportView:
    """Give a bulletin with its evidence away as files, and note that; this opens it, too.

    Raises:
        Problem: `not-found`, also where it was withdrawn before anybody read it.
    """
    with writing(line.home.engine) as connection:
        mark_exported(connection, desk, sender, bulletin_id, now)
        found = find_received(connection, desk, sender, bulletin_id)
    if found is None:
        raise Problem("not-found", "this desk has received no such bulletin")
    return ExportView(
        verified=_verified(desk, found, line.follower),
        marks=_marks(found.summary),
        document=found.summary.document,
        statement=_statement(found),
        receipt=_receipt(found),
    )


def show_thread(home: Home, desk: str, start: Name, *, with_sent: bool) -> ThreadView:
    """The thread of a bulletin that a desk received or sent.

    Args:
        home: the node's home.
        desk: the own desk.
        start: sender and id of the bulletin.
        with_sent: whether the own bulletins in it may be shown.

    Raises:
        Problem: `not-found`.
    """
    with reading(home.engine) as connection:
        thread = find_thread(connection, desk, start, with_sent=with_sent)
    if not thread.parts:
        raise Problem("not-found", "this desk has no such bulletin")
    return ThreadView(
        bulletins=tuple(_thread_item(part) for part in thread.parts), complete=thread.is_complete
    )


def _summary(summary: Summary) -> ReceivedSummary:
    bulletin, marks = parse_bulletin(summary.document), _marks(summary)
    shown = not summary.is_hidden
    return ReceivedSummary(
        sender=summary.sender,
        id=bulletin.id,
        kind=bulletin.kind,
        status=bulletin.status,
        title=bulletin.title if shown else None,
        topics=bulletin.topics if shown else (),
        marking=_marking(bulletin) if shown else None,
        precedence=summary.precedence,
        received=summary.received,
        read=summary.read,
        withdrawn=marks.withdrawn,
        supersedes=marks.supersedes,
        superseded_by=marks.superseded_by,
        exported=marks.exported,
    )


def _marking(bulletin: Bulletin) -> MarkingView:
    marking = bulletin.marking
    return MarkingView(tlp=marking.tlp, classification=marking.classification)


def _marks(summary: Summary) -> Marks:
    withdrawn = None
    if summary.withdrawn is not None:
        withdrawal = parse_bulletin(summary.withdrawn.document)
        if isinstance(withdrawal, Withdrawal):
            withdrawn = WithdrawnView(
                at=summary.withdrawn.at, by=withdrawal.id, reason=withdrawal.reason
            )
    return Marks(
        withdrawn=withdrawn,
        supersedes=summary.supersedes,
        superseded_by=summary.superseded_by,
        exported=summary.exported,
    )


def _verified(desk: str, found: Received, follower: Follower) -> Verified:
    statement = _statement(found)
    header, entry = parse_header(statement), parse_exchange_entry(_receipt(found).entry)
    policies: Sequence[str] = ()
    if isinstance(entry, EnvelopeAccepted):
        policies = next(each.policies for each in entry.recipients if each.desk == desk)
    return Verified(
        sender=found.summary.sender,
        signer=statement.signatures[0].keyid,
        envelope=found.envelope_id,
        content=found.content,
        precedence=header.precedence,
        created=header.created,
        expires=header.expires,
        logged=entry.at,
        origin=found.origin,
        index=found.index,
        leaf=found.leaf,
        policies=tuple(policies),
        witnessed=follower.has_witnessed(found.index),
        received=found.summary.received,
        read=found.summary.read,
    )


def _statement(found: Received) -> Statement:
    return parse(Statement, found.statement, _STATEMENT_JSON_BYTES_MAX)


def _receipt(found: Received) -> Receipt:
    return parse(Receipt, found.receipt, PROBLEM_BYTES_MAX)


def _thread_item(part: Part) -> ThreadItem:
    bulletin, shown = parse_bulletin(part.document), not part.is_hidden
    reply = part.in_reply_to if shown else None
    return ThreadItem(
        direction="sent" if part.is_sent else "received",
        desk=part.name[0],
        id=part.name[1],
        kind=bulletin.kind,
        status=bulletin.status,
        title=bulletin.title if shown else None,
        precedence=part.precedence,
        at=part.at,
        in_reply_to=None if reply is None else ReplyView(desk=reply[0], id=reply[1]),
        read=part.read,
        withdrawn=part.withdrawn,
    )
