"""A bench for one desk's work with a hub on paper: pass by pass, with restarts in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from broker.db import reading, writing
from broker.node import tables
from broker.node.freshness import Source, note_vouched
from broker.node.home import Home
from broker.node.outbox.checking import Order
from broker.node.outbox.deliveries import deliveries_of
from broker.node.outbox.queueing import queue
from broker.node.sending import Sender
from keys.envelope import parse_header
from tests.unit.node.documents import withdrawal
from tests.unit.node.world import NodeWorld, PaperClient, document, new_id, open_database


class Bench:
    """The outbox of ly/main, its hub on paper, and a restart that loses what was in memory."""

    def __init__(self, world: NodeWorld, home: Home) -> None:
        self.world = world
        self.home = home
        self.sender, self.client = self._start()

    def _start(self) -> tuple[Sender, PaperClient]:
        line, client = self.world.line(self.home)
        return Sender(self.home, line, "ly/main", lambda: self.world.now), client

    def restart(self) -> None:
        """Kill the process: only the disk is left."""
        self.home.engine.dispose()
        self.home = replace(self.home, engine=open_database(self.home.data))
        self.sender, self.client = self._start()

    def follow(self) -> None:
        """The logs are followed to their heads, and the hub's timestamp is good."""
        with writing(self.home.engine) as connection:
            note_vouched(connection, Source.TIMESTAMP, self.world.now)

    def queue(self, *to: str, **changed: Any) -> str:
        """Queue a bulletin; gives its id."""
        bulletin_id = new_id()
        asked = Order("ly/main", document("ly/main", bulletin_id), to, **changed)
        queue(self.home, asked, self.world.newest, self.world.now)
        return bulletin_id

    def withdraw(self, original: str, *to: str, **changed: Any) -> str:
        """Queue the withdrawal of a bulletin; gives its id."""
        bulletin_id = new_id()
        content = withdrawal("ly/main", original, bulletin_id)
        asked = Order("ly/main", content, to, **changed)
        queue(self.home, asked, self.world.newest, self.world.now)
        return bulletin_id

    def outgoing(self, bulletin_id: str) -> Any:
        """The row of an own bulletin."""
        table = tables.outgoing_bulletin
        with reading(self.home.engine) as connection:
            query = select(table).where(table.c.bulletin_id == bulletin_id)
            return connection.execute(query).one()

    def accepted(self, bulletin_id: str) -> list[tuple[str, ...]]:
        """The desks of every accepted envelope of a bulletin, in the order of the log."""
        headers = [parse_header(item.statement) for item in self.world.items if item.envelope]
        return [header.desks for header in headers if header.bulletin.id == bulletin_id]

    def reasons(self, bulletin_id: str) -> dict[str, str | None]:
        """Why a bulletin stands where it does, by recipient."""
        with reading(self.home.engine) as connection:
            found = deliveries_of(connection, "ly/main", bulletin_id)
        return {delivery.recipient: delivery.steps[-1].reason for delivery in found}

    def send(self) -> int:
        """One pass of the outbox."""
        return asyncio.run(self.sender.send())

    def ask(self) -> int:
        """One pass of asking for answers."""
        return asyncio.run(self.sender.ask())

    def states(self, bulletin_id: str) -> dict[str, str]:
        """Where a bulletin stands with each recipient."""
        with reading(self.home.engine) as connection:
            found = deliveries_of(connection, "ly/main", bulletin_id)
        return {delivery.recipient: str(delivery.state) for delivery in found}

    def envelopes(self) -> list[Any]:
        """All rows of envelopes, in the order of sealing."""
        table = tables.outgoing_envelope
        with reading(self.home.engine) as connection:
            order = (table.c.created, table.c.envelope_id)
            return list(connection.execute(select(table).order_by(*order)))

    def headers(self) -> int:
        """How many headers are kept."""
        with reading(self.home.engine) as connection:
            return len(connection.execute(select(tables.sent_header)).all())

    def alarms(self) -> dict[str, str]:
        """Kind → text."""
        with reading(self.home.engine) as connection:
            return {row.kind: row.text for row in connection.execute(select(tables.alarm))}
