"""The node as its routes see it: what an agency may ask, each question and order one method.

May import every room of the node; `app` makes it, `routes` call it. Methods block: they read and write
the database, and run on threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms import list_alarms
from broker.node.api.showing import (
    delivery_view,
    envelope_view,
    received_summary,
    sent_summary,
    states_view,
)
from broker.node.api.views import (
    AlarmView,
    CheckView,
    DecisionView,
    HubView,
    Inbox,
    LogsView,
    QueuedView,
    SentList,
    SentView,
    StatusView,
    Verified,
)
from broker.node.clock import Clock
from broker.node.home import Home
from broker.node.inbox import received
from broker.node.line import Line
from broker.node.outbox.deliveries import deliveries_of, states_of
from broker.node.outbox.queueing import Order, Queued, check, queue
from broker.node.outbox.state import DeliveryState
from keys.envelope import parse_header
from schemas.entries import EnvelopeAccepted, parse_exchange_entry
from schemas.errors import Problem
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.problems import PROBLEM_BYTES_MAX
from schemas.receipts import Receipt
from schemas.statements import Statement

_LIST_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Node:
    """A running node.

    Args:
        home: its data directory, opened.
        line: to the hub.
        clock: its own.
    """

    home: Home
    line: Line
    clock: Clock

    def check(self, order: Order) -> CheckView:
        """Validate a bulletin and ask the access rules; nothing is stored. Raises as `check`."""
        checked = check(order, self.line.state, self.clock())
        return CheckView(
            id=checked.bulletin.id,
            allowed=all(decision.allowed for decision in checked.decisions.values()),
            recipients=tuple(
                DecisionView(desk=desk, allowed=decision.allowed, policies=decision.policies)
                for desk, decision in checked.decisions.items()
            ),
        )

    def queue(self, order: Order) -> QueuedView:
        """Take a bulletin into the outbox. Raises as `queue`."""
        queued: Queued = queue(self.home, order, self.line.state, self.clock())
        return QueuedView(
            id=queued.bulletin_id, desk=order.desk, recipients=states_view(queued.deliveries)
        )

    def sent(self, desk: str, limit: int, after: int | None) -> SentList:
        """Own bulletins, the newest first."""
        table = tables.outgoing_bulletin
        query = select(table).where(table.c.desk == desk)
        if after is not None:
            query = query.where(table.c.number < after)
        with reading(self.home.engine) as connection:
            rows = connection.execute(query.order_by(table.c.number.desc()).limit(limit + 1)).all()
            shown = rows[:limit]
            states = states_of(connection, desk, [row.bulletin_id for row in shown])
        more = shown[-1].number if len(rows) > limit else None
        return SentList(
            bulletins=tuple(sent_summary(row, states[row.bulletin_id]) for row in shown),
            next=more,
        )

    def sent_one(self, desk: str, bulletin_id: str) -> SentView:
        """An own bulletin with every step and proof.

        Raises:
            Problem: `not-found`.
        """
        bulletin, envelope = tables.outgoing_bulletin, tables.outgoing_envelope
        with reading(self.home.engine) as connection:
            row = connection.execute(
                select(bulletin).where(
                    bulletin.c.desk == desk, bulletin.c.bulletin_id == bulletin_id
                )
            ).one_or_none()
            if row is None:
                raise Problem("not-found", "this desk has sent no such bulletin")
            deliveries = deliveries_of(connection, desk, bulletin_id)
            envelopes = connection.execute(
                select(envelope)
                .where(envelope.c.desk == desk, envelope.c.bulletin_id == bulletin_id)
                .order_by(envelope.c.created, envelope.c.envelope_id)
            ).all()
        summary = sent_summary(row, {each.recipient: each.state for each in deliveries})
        return SentView(
            id=summary.id,
            desk=desk,
            kind=summary.kind,
            status=summary.status,
            title=summary.title,
            content=row.content,
            precedence=summary.precedence,
            queued=summary.queued,
            expires=summary.expires,
            witnessed=False,
            recipients=tuple(delivery_view(each) for each in deliveries),
            envelopes=tuple(envelope_view(each) for each in envelopes),
        )

    def inbox(self, desk: str, *, unread: bool, limit: int, after: tuple[int, int] | None) -> Inbox:
        """Received bulletins by precedence, then arrival."""
        with reading(self.home.engine) as connection:
            found = received.list_received(
                connection, desk, unread=unread, after=after, limit=limit + 1
            )
        shown = found[:limit]
        last = shown[-1] if len(found) > limit else None
        return Inbox(
            bulletins=tuple(received_summary(each) for each in shown),
            next=None if last is None else f"{last.precedence.rank}-{last.number}",
        )

    def read(self, desk: str, sender: str, bulletin_id: str) -> tuple[bytes, Verified]:
        """Open a received bulletin for a person, and owe its sender the answer `read`.

        Returns:
            The exact bytes, and by what they were verified.

        Raises:
            Problem: `not-found`.
        """
        now = self.clock()
        with writing(self.home.engine) as connection:
            found = received.find_received(connection, desk, sender, bulletin_id)
            if found is None:
                raise Problem("not-found", "this desk has received no such bulletin")
            received.mark_read(connection, desk, sender, bulletin_id, now)
        statement = parse(Statement, found.statement, 2 * STATEMENT_BYTES_MAX)
        header = parse_header(statement)
        receipt = parse(Receipt, found.receipt, PROBLEM_BYTES_MAX)
        entry = parse_exchange_entry(receipt.entry)
        policies: Sequence[str] = ()
        if isinstance(entry, EnvelopeAccepted):
            policies = next(each.policies for each in entry.recipients if each.desk == desk)
        return found.summary.document, Verified(
            sender=sender,
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
            witnessed=False,
            received=found.summary.received,
            read=found.summary.read or now,
        )

    def status(self, desk: str) -> StatusView:
        """The node, as a token's holder may see it: the outbox counts are of its desk."""
        directory = self.line.state.directory
        delivery, received = tables.delivery, tables.incoming_bulletin
        with reading(self.home.engine) as connection:
            counts = connection.execute(
                select(delivery.c.state, func.count())
                .where(delivery.c.desk == desk)
                .group_by(delivery.c.state)
            ).all()
            unread = connection.execute(
                select(func.count()).where(
                    received.c.desk == desk, received.c.read.is_(None), received.c.quarantined == 0
                )
            ).scalar_one()
            alarms = list_alarms(connection)
        reach, state = self.line.reach, self.line.state
        return StatusView(
            exchange=self.home.exchange,
            # Without a directory nothing is known to be real.
            test=True if directory is None else directory.council.test,
            witnessed=False,
            member=self.home.settings.member,
            desks=self.home.settings.desk_ids,
            hub=HubView(
                reachable_since=reach.since, last_answer=reach.last, problem=reach.problem or None
            ),
            logs=LogsView(
                directory_size=state.size,
                exchange_size=self.line.follower.exchange_checkpoint.size,
                directory_entry=None if state.in_force is None else state.in_force.index,
                directory_since=state.in_force_since,
                directory_versions={} if directory is None else dict(directory.versions),
            ),
            outbox={DeliveryState(word): count for word, count in counts},
            unread=unread,
            alarms=tuple(
                AlarmView(
                    kind=each.kind,
                    subject=each.subject,
                    text=each.text,
                    first_seen=each.first_seen,
                    last_seen=each.last_seen,
                    times=each.times,
                )
                for each in alarms
            ),
        )
