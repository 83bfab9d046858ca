"""A bench for one desk's work with a hub on paper: pass by pass, with restarts in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from broker.db import reading
from broker.node import tables
from broker.node.home import Home
from broker.node.outbox.deliveries import deliveries_of
from broker.node.outbox.queueing import Order, queue
from broker.node.sending import Sender
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

    def queue(self, *to: str, **changed: Any) -> str:
        """Queue a bulletin; gives its id."""
        bulletin_id = new_id()
        asked = Order("ly/main", document("ly/main", bulletin_id), to, **changed)
        queue(self.home, asked, self.world.newest, self.world.now)
        return bulletin_id

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
