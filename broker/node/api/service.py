"""The node as its routes see it: what an agency may ask, each question and order one method.

May import every room of the node; `app` makes it, `routes` call it. Methods block: they read and write
the database, and run on threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from broker.db import reading
from broker.node import tables
from broker.node.alarms.book import list_alarms
from broker.node.api.showing import (
    delivery_view,
    envelope_view,
    reply_view,
    sent_summary,
    states_view,
)
from broker.node.api.views import (
    AlarmView,
    CheckView,
    DecisionView,
    HubView,
    LogsView,
    QueuedView,
    SentList,
    SentView,
    StatusView,
)
from broker.node.clock import Clock
from broker.node.home import Home
from broker.node.line import Line
from broker.node.outbox.checking import Order, check
from broker.node.outbox.deliveries import DeliveryKey, deliveries_of, states_of
from broker.node.outbox.originals import followers_of
from broker.node.outbox.queueing import Queued, queue
from broker.node.outbox.resending import resend
from broker.node.outbox.state import DeliveryState
from schemas.errors import Problem

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
        with reading(self.home.engine) as connection:
            checked = check(connection, order, self.line.state, self.clock())
        return CheckView(
            id=checked.bulletin.id,
            allowed=all(decision.allowed for decision in checked.decisions.values()),
            recipients=tuple(
                DecisionView(desk=desk, allowed=decision.allowed, policies=decision.policies)
                for desk, decision in checked.decisions.items()
            ),
            warnings=checked.warnings,
        )

    def queue(self, order: Order) -> QueuedView:
        """Take a bulletin into the outbox. Raises as `queue`."""
        return self._queued(order.desk, queue(self.home, order, self.line.state, self.clock()))

    def resend(self, key: DeliveryKey, expires: datetime | None, *, confirmed: bool) -> QueuedView:
        """Queue a bulletin again for one desk. Raises as `resend`."""
        state, now = self.line.state, self.clock()
        queued = resend(self.home, key, state, now, expires=expires, confirmed=confirmed)
        return self._queued(key.desk, queued)

    def _queued(self, desk: str, queued: Queued) -> QueuedView:
        return QueuedView(
            id=queued.bulletin_id, desk=desk, recipients=states_view(queued.deliveries)
        )

    def document(self, desk: str, bulletin_id: str) -> bytes:
        """The exact bytes of an own bulletin. Raises Problem: `not-found`."""
        column = tables.outgoing_bulletin.c
        query = select(column.document).where(
            column.desk == desk, column.bulletin_id == bulletin_id
        )
        with reading(self.home.engine) as connection:
            found: bytes | None = connection.execute(query).scalar_one_or_none()
        if found is None:
            raise Problem("not-found", "this desk has sent no such bulletin")
        return found

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
            followers = followers_of(connection, desk, bulletin_id)
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
            withdraws=row.withdraws,
            supersedes=row.supersedes,
            withdrawn=summary.withdrawn,
            withdrawn_by=followers.withdrawn_by if row.withdrawn is not None else None,
            superseded_by=followers.superseded_by,
            in_reply_to=reply_view(row),
            separately=bool(row.separately),
            witnessed=False,
            recipients=tuple(delivery_view(each) for each in deliveries),
            envelopes=tuple(envelope_view(each) for each in envelopes),
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
                    received.c.desk == desk,
                    received.c.read.is_(None),
                    received.c.withdrawn.is_(None),
                    received.c.quarantined == 0,
                )
            ).scalar_one()
            alarms = list_alarms(connection, desks=self.home.desks, desk=desk)
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
