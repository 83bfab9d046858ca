"""What the agency interface answers: the models of its JSON, as the OpenAPI document shows them.

May import pydantic and `schemas`; `service` fills them, `routes` sends them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from broker.node.outbox.state import DeliveryState, OutboxState
from schemas.bulletin.values import LineMap
from schemas.bulletin.vocabularies import (
    Classification,
    DeskFunction,
    Kind,
    Precedence,
    Status,
    Tlp,
    Topic,
)
from schemas.directory import Names
from schemas.receipts import AcknowledgementProof, Receipt
from schemas.scalars import (
    Count,
    DeskId,
    ExchangeName,
    MemberId,
    Message,
    Sha256Hex,
    UtcTime,
    Uuid7,
    Word,
)


class RecipientState(Message):
    """Where a bulletin stands with one recipient."""

    desk: DeskId
    state: DeliveryState


class QueuedView(Message):
    """A bulletin in the outbox: from here nothing is lost."""

    id: Uuid7
    desk: DeskId
    recipients: tuple[RecipientState, ...]


class DecisionView(Message):
    """What the access rules say of one recipient, and by which policies."""

    desk: DeskId
    allowed: bool
    policies: tuple[str, ...]


class CheckView(Message):
    """A bulletin that is well-formed, and what the access rules say; nothing was stored."""

    id: Uuid7
    allowed: bool
    recipients: tuple[DecisionView, ...]


class SentSummary(Message):
    """An own bulletin as a list shows it."""

    id: Uuid7
    kind: Kind
    status: Status
    title: LineMap
    precedence: Precedence
    queued: UtcTime
    expires: UtcTime
    recipients: tuple[RecipientState, ...]


class SentList(Message):
    """Own bulletins, the newest first; `next` is what to ask with as `after` for older ones."""

    bulletins: tuple[SentSummary, ...]
    next: Count | None = None


class StepView(Message):
    """One step of a delivery: since when, why, and what proves it.

    `policies` are the access rules that permitted or forbade it; `envelope` is the one that carries it;
    `proof` is the recipient's signed acknowledgement with the receipt of its log entry.
    """

    state: DeliveryState
    at: UtcTime
    reason: Word | None = None
    policies: tuple[str, ...] = ()
    envelope: Uuid7 | None = None
    proof: AcknowledgementProof | None = None


class DeliveryView(Message):
    """One recipient: where the bulletin stands, and every step, the oldest first."""

    desk: DeskId
    state: DeliveryState
    steps: tuple[StepView, ...]


class EnvelopeView(Message):
    """One envelope that carries a bulletin; `receipt` proves that it stands in the log."""

    id: Uuid7
    state: OutboxState
    recipients: tuple[DeskId, ...]
    sealed: UtcTime
    receipt: Receipt | None = None
    problem: Word | None = None


class SentView(Message):
    """An own bulletin: its deliveries and envelopes. The exchange has no witnesses yet."""

    id: Uuid7
    desk: DeskId
    kind: Kind
    status: Status
    title: LineMap
    content: Sha256Hex
    precedence: Precedence
    queued: UtcTime
    expires: UtcTime
    witnessed: bool
    recipients: tuple[DeliveryView, ...]
    envelopes: tuple[EnvelopeView, ...]


class MarkingView(Message):
    """The marking that a list shows."""

    tlp: Tlp
    classification: Classification


class ReceivedSummary(Message):
    """A received bulletin as the inbox shows it."""

    sender: DeskId
    id: Uuid7
    kind: Kind
    status: Status
    title: LineMap
    topics: tuple[Topic, ...]
    marking: MarkingView
    precedence: Precedence
    received: UtcTime
    read: UtcTime | None = None


class Inbox(Message):
    """Received bulletins by precedence, then arrival; `next` is what to ask with as `after`."""

    bulletins: tuple[ReceivedSummary, ...]
    next: Annotated[str, Field(pattern=r"^[0-3]-\d{1,16}$")] | None = None


class Verified(Message):
    """By what a received bulletin was verified, before it was stored.

    `signer` is the keyid of the sender's node identity; `policies` are the access rules that permitted
    it to this desk; `origin`, `index` and `leaf` say where it stands in the log.
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
    read: UtcTime


class ReceivedView(Message):
    """A received bulletin, exactly as it was sealed, and by what it was verified."""

    verified: Verified
    bulletin: dict[str, Any]


class DeskInfo(Message):
    """A desk of the directory in force.

    `receives` is false while it has no sealing key: what is sent to it waits. `may_send` are the kinds
    that the access rules let this token's desk send there, asked with the least marking.
    """

    desk: DeskId
    names: Names
    kind: str
    functions: tuple[DeskFunction, ...]
    receives: bool
    may_send: tuple[Kind, ...]


class GroupInfo(Message):
    """A group of the council, and the desks that it stands for."""

    group: Word
    names: Names
    desks: tuple[DeskId, ...]


class DirectoryView(Message):
    """The directory in force, as this node verified it."""

    exchange: ExchangeName
    entry: Count
    since: UtcTime
    desks: tuple[DeskInfo, ...]
    groups: tuple[GroupInfo, ...]


class HubView(Message):
    """Whether the hub answers: since when and when last, or why not."""

    reachable_since: UtcTime | None = None
    last_answer: UtcTime | None = None
    problem: str | None = None


class LogsView(Message):
    """How far both logs were verified; which directory is in force, since when, with which versions."""

    directory_size: Count
    exchange_size: Count
    directory_entry: Count | None = None
    directory_since: UtcTime | None = None
    directory_versions: Annotated[dict[str, Count], Field(default_factory=dict)]


class AlarmView(Message):
    """Something that a person should look at."""

    kind: str
    subject: str
    text: str
    first_seen: UtcTime
    last_seen: UtcTime
    times: Count


class StatusView(Message):
    """The node: its exchange, the line to the hub, the outbox of this token's desk, the alarms."""

    exchange: ExchangeName
    test: bool
    witnessed: bool
    member: MemberId
    desks: tuple[DeskId, ...]
    hub: HubView
    logs: LogsView
    outbox: dict[DeliveryState, Count]
    unread: Count
    alarms: tuple[AlarmView, ...]
