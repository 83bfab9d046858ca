"""What the agency interface answers about the inbox: received bulletins, their marks, threads, evidence.

May import pydantic and `schemas`; `inbox_service` fills them, `inbox_routes` sends them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from broker.node.api.views import MarkingView, ReplyView
from schemas.bulletin.values import LineMap, ParagraphMap
from schemas.bulletin.vocabularies import Kind, Precedence, Status, Topic
from schemas.receipts import Receipt
from schemas.scalars import Base64, Count, DeskId, Message, Sha256Hex, UtcTime, Uuid7
from schemas.statements import Statement


class WithdrawnView(Message):
    """That the sender withdrew a bulletin: since when, by which bulletin of its own, and why."""

    at: UtcTime
    by: Uuid7
    reason: ParagraphMap


class Marks(Message):
    """What became of a received bulletin since it was sent.

    `supersedes` and `superseded_by` name bulletins of the same sender; `exported` is when it first left the
    inbox as a file. What was withdrawn before anybody read it is shown without its content.
    """

    withdrawn: WithdrawnView | None = None
    supersedes: Uuid7 | None = None
    superseded_by: Uuid7 | None = None
    exported: UtcTime | None = None


class ReceivedSummary(Marks):
    """A received bulletin as the inbox shows it; withdrawn unread, it has no title, topics and marking."""

    sender: DeskId
    id: Uuid7
    kind: Kind
    status: Status
    title: LineMap | None = None
    topics: tuple[Topic, ...] = ()
    marking: MarkingView | None = None
    precedence: Precedence
    received: UtcTime
    read: UtcTime | None = None


class Inbox(Message):
    """Received bulletins by precedence, then arrival; `next` is what to ask with as `after`.

    `witnessed`: both logs have a quorum of witnesses.
    """

    witnessed: bool
    bulletins: tuple[ReceivedSummary, ...]
    next: Annotated[str, Field(pattern=r"^[0-3]-\d{1,16}$")] | None = None


class Verified(Message):
    """By what a received bulletin was verified, before it was stored.

    `signer` is the keyid of the sender's node identity; `policies` are the access rules that permitted
    it to this desk; `origin`, `index` and `leaf` say where it stands in the log. `read` is absent where it
    was withdrawn before anybody read it.
    """

    sender: DeskId
    signer: Sha256Hex
    envelope: Uuid7
    content: Sha256Hex
    precedence: Precedence
    created: UtcTime
    expires: UtcTime
    logged: UtcTime
    origin: str
    index: Count
    leaf: Sha256Hex
    policies: tuple[str, ...]
    witnessed: bool
    received: UtcTime
    read: UtcTime | None = None


class ReceivedView(Message):
    """A received bulletin, exactly as it was sealed, by what it was verified, and what became of it.

    `bulletin` is absent where it was withdrawn before anybody read it.
    """

    verified: Verified
    marks: Marks
    bulletin: dict[str, Any] | None = None


class ExportView(Message):
    """A received bulletin with its evidence, to be kept as files: `document` are its exact bytes.

    `statement` is the signed header of the envelope that first brought it, `receipt` proves its log entry.
    """

    verified: Verified
    marks: Marks
    document: Base64
    statement: Statement
    receipt: Receipt


class ThreadItem(Message):
    """One bulletin of a thread, which this desk received or sent; `at` is when it arrived or was queued.

    `title` is absent where it was withdrawn before anybody read it.
    """

    direction: Literal["received", "sent"]
    desk: DeskId
    id: Uuid7
    kind: Kind
    status: Status
    title: LineMap | None = None
    precedence: Precedence
    at: UtcTime
    in_reply_to: ReplyView | None = None
    read: UtcTime | None = None
    withdrawn: UtcTime | None = None


class ThreadView(Message):
    """Bulletins joined by what they answer, the oldest first; `complete` is false where there are more."""

    bulletins: tuple[ThreadItem, ...]
    complete: bool
