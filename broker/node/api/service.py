"""The node as its routes see it: what an agency may ask, each question and order one method.

May import every room of the node; `app` makes it, `routes` call it. Methods block: they read and write
the database, and run on threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from broker.db import reading
from broker.node import tables
from broker.node.alarms.book import list_alarms
from broker.node.api.freshness_views import (
    ConfirmedView,
    confirmation_view,
    freshness_view,
    held_view,
)
from broker.node.api.showing import (
    delivery_view,
    envelope_view,
    envelopes_query,
    reply_view,
    sent_summary,
    states_view,
)
from broker.node.api.tokens import Token
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
from broker.node.freshness import Freshness, Standing, freshness_of
from broker.node.home import Home
from broker.node.line import Line
from broker.node.outbox.checking import Order, check, directory_of
from broker.node.outbox.deliveries import DeliveryKey, deliveries_of, states_of
from broker.node.outbox.holding import Confirmation, confirm, confirmations_of, is_waiting
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
        with reading(self.home.engine) as connection:
            freshness = self._freshness(connection)
            row = self._outgoing(connection, desk, queued.bulletin_id)
            confirmations = confirmations_of(connection, desk, queued.bulletin_id)
        states = tuple(queued.deliveries.values())
        fresh = freshness is None or freshness.standing is Standing.FRESH
        return QueuedView(
            id=queued.bulletin_id,
            desk=desk,
            witnessed=self.line.follower.is_witnessed,
            recipients=states_view(queued.deliveries),
            freshness=None if freshness is None or fresh else freshness_view(freshness),
            held=None if freshness is None else held_view(row, states, confirmations, freshness),
        )

    def confirm(self, desk: str, bulletin_id: str, token: Token, by: str) -> ConfirmedView:
        """Let an urgent bulletin leave under a directory that is over the grace. Raises as `confirm`."""
        directory = directory_of(self.line.state)
        asked = Confirmation(by, token.token_id, token.name, self.clock(), None)
        kept = confirm(self.home, desk, bulletin_id, directory, asked)
        return ConfirmedView(id=bulletin_id, desk=desk, confirmation=confirmation_view(kept))

    def _freshness(self, connection: Connection) -> Freshness | None:
        directory = self.line.state.directory
        return None if directory is None else freshness_of(connection, directory, self.clock())

    def _outgoing(self, connection: Connection, desk: str, bulletin_id: str) -> Row[Any]:
        table = tables.outgoing_bulletin
        mine = (table.c.desk == desk) & (table.c.bulletin_id == bulletin_id)
        row = connection.execute(select(table).where(mine)).one_or_none()
        if row is None:
            raise Problem("not-found", "this desk has sent no such bulletin")
        return row

    def document(self, desk: str, bulletin_id: str) -> bytes:
        """The exact bytes of an own bulletin. Raises Problem: `not-found`."""
        with reading(self.home.engine) as connection:
            found: bytes = self._outgoing(connection, desk, bulletin_id).document
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
            witnessed=self.line.follower.is_witnessed,
            bulletins=tuple(sent_summary(row, states[row.bulletin_id]) for row in shown),
            next=more,
        )

    def sent_one(self, desk: str, bulletin_id: str) -> SentView:
        """An own bulletin with every step and proof.

        Raises:
            Problem: `not-found`.
        """
        with reading(self.home.engine) as connection:
            row = self._outgoing(connection, desk, bulletin_id)
            deliveries = deliveries_of(connection, desk, bulletin_id)
            followers = followers_of(connection, desk, bulletin_id)
            envelopes = connection.execute(envelopes_query(desk, bulletin_id)).all()
            freshness = self._freshness(connection)
            confirmations = confirmations_of(connection, desk, bulletin_id)
        states = {each.recipient: each.state for each in deliveries}
        summary = sent_summary(row, states)
        held = None
        if freshness is not None:
            held = held_view(row, tuple(states.values()), confirmations, freshness)
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
            held=held,
            confirmations=tuple(confirmation_view(each) for each in confirmations),
            witnessed=self._is_witnessed(envelopes),
            recipients=tuple(delivery_view(each) for each in deliveries),
            envelopes=tuple(envelope_view(each) for each in envelopes),
        )

    def _is_witnessed(self, envelopes: Sequence[Row[Any]]) -> bool:
        logged = [each.entry_index for each in envelopes if each.entry_index is not None]
        follower = self.line.follower
        return all(map(follower.has_witnessed, logged)) if logged else follower.is_witnessed

    def status(self, desk: str) -> StatusView:
        """The node, as a token's holder may see it: the outbox counts are of its desk."""
        directory = self.line.state.directory
        delivery, received = tables.delivery, tables.incoming_bulletin
        sent = tables.outgoing_bulletin
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
            held = connection.execute(
                select(func.count()).where(sent.c.desk == desk, is_waiting())
            ).scalar_one()
            freshness = self._freshness(connection)
            alarms = list_alarms(connection, desks=self.home.desks, desk=desk)
        reach, state = self.line.reach, self.line.state
        return StatusView(
            exchange=self.home.exchange,
            # Without a directory nothing is known to be real.
            test=True if directory is None else directory.council.test,
            witnessed=self.line.follower.is_witnessed,
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
            freshness=None if freshness is None else freshness_view(freshness),
            outbox={DeliveryState(word): count for word, count in counts},
            held=held,
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
