"""What the agency interface answers: the models of its JSON, as the OpenAPI document shows them.

May import pydantic and `schemas`; `service` fills them, `routes` sends them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from broker.node.api.freshness_views import ConfirmationView, FreshnessView, HeldView
from broker.node.outbox.state import DeliveryState, OutboxState
from schemas.bulletin.values import LineMap
from schemas.bulletin.vocabularies import (
    Classification,
    DeskFunction,
    Kind,
    Precedence,
    Status,
    Tlp,
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
    """A bulletin in the outbox: from here nothing is lost.

    `freshness` is there unless the directory is fresh, `held` where the bulletin waits because of that;
    `witnessed`: both logs have a quorum of witnesses.
    """

    id: Uuid7
    desk: DeskId
    witnessed: bool
    recipients: tuple[RecipientState, ...]
    freshness: FreshnessView | None = None
    held: HeldView | None = None


class DecisionView(Message):
    """What the access rules say of one recipient, and by which policies."""

    desk: DeskId
    allowed: bool
    policies: tuple[str, ...]


class CheckView(Message):
    """A bulletin that is well-formed, and what the access rules say; nothing was stored.

    `warnings` are for a person to look at: nothing is refused for them.
    """

    id: Uuid7
    allowed: bool
    recipients: tuple[DecisionView, ...]
    warnings: tuple[str, ...] = ()


class SentSummary(Message):
    """An own bulletin as a list shows it; `withdrawn` is when this desk withdrew it."""

    id: Uuid7
    kind: Kind
    status: Status
    title: LineMap
    precedence: Precedence
    queued: UtcTime
    expires: UtcTime
    withdrawn: UtcTime | None = None
    recipients: tuple[RecipientState, ...]


class SentList(Message):
    """Own bulletins, the newest first; `next` is what to ask with as `after` for older ones.

    `witnessed`: both logs have a quorum of witnesses.
    """

    witnessed: bool
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
    """One envelope that carries a bulletin; `receipt` proves that it stands in the log.

    `directory_age_seconds` is how long ago, when it was last sealed, the directory had been verified.
    """

    id: Uuid7
    state: OutboxState
    recipients: tuple[DeskId, ...]
    sealed: UtcTime
    directory_age_seconds: Count | None = None
    receipt: Receipt | None = None
    problem: Word | None = None


class ReplyView(Message):
    """The bulletin that another one answers."""

    desk: DeskId
    id: Uuid7


class SentView(Message):
    """An own bulletin: its deliveries and envelopes.

    `witnessed`: a quorum of witnesses stands for the entry of each envelope that is in the log.
    `withdraws` and `supersedes` name the earlier bulletin of this desk that it is about; `withdrawn` (when)
    with `withdrawn_by`, and `superseded_by`, say what became of it; `separately`: no recipient learns of
    another; `held`: it waits, the directory being over the grace; `confirmations`: who let it leave then.
    """

    id: Uuid7
    desk: DeskId
    kind: Kind
    status: Status
    title: LineMap
    content: Sha256Hex
    precedence: Precedence
    queued: UtcTime
    expires: UtcTime
    withdraws: Uuid7 | None = None
    supersedes: Uuid7 | None = None
    withdrawn: UtcTime | None = None
    withdrawn_by: Uuid7 | None = None
    superseded_by: Uuid7 | None = None
    in_reply_to: ReplyView | None = None
    separately: bool = False
    held: HeldView | None = None
    confirmations: tuple[ConfirmationView, ...] = ()
    witnessed: bool
    recipients: tuple[DeliveryView, ...]
    envelopes: tuple[EnvelopeView, ...]


class MarkingView(Message):
    """The marking that a list shows."""

    tlp: Tlp
    classification: Classification


class DeskInfo(Message):
    """A desk of the directory in force.

    `names` are what its member calls it, `member_names` what the council calls the member. `receives` is
    false while it has no sealing key: what is sent to it waits. `may_send` are the kinds that the access
    rules let this token's desk send there, asked with the least marking.
    """

    desk: DeskId
    names: Names
    member_names: Names
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


class UploadView(Message):
    """How far the upload of an attachment has come, in bytes of the file."""

    offset: Count
    size: Count


class AlarmView(Message):
    """Something that a person should look at."""

    kind: str
    subject: str
    text: str
    first_seen: UtcTime
    last_seen: UtcTime
    times: Count


class StatusView(Message):
    """The node: its exchange, the line to the hub, the outbox of this token's desk, the alarms.

    `freshness` is absent before a directory is known; `held` counts bulletins that wait because of it.
    """

    exchange: ExchangeName
    test: bool
    witnessed: bool
    member: MemberId
    desks: tuple[DeskId, ...]
    hub: HubView
    logs: LogsView
    freshness: FreshnessView | None = None
    outbox: dict[DeliveryState, Count]
    held: Count
    unread: Count
    alarms: tuple[AlarmView, ...]
