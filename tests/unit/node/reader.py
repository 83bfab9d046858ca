"""A reader for one desk's inbox with a hub on paper: pass by pass, with restarts in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from broker.db import reading, writing
from broker.node import tables
from broker.node.home import Home
from broker.node.inbox.fetching import Fetcher
from broker.node.inbox.received import list_received, mark_read
from broker.node.sending import Sender
from schemas.acknowledgements import Acknowledgement
from schemas.entries import AcknowledgementEntry
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.receipts import InboxItem
from tests.unit.node.world import NodeWorld, open_database


class Reader:
    """The inbox of tn/main, its hub on paper, and a restart that loses what was in memory."""

    def __init__(self, world: NodeWorld, home: Home) -> None:
        self.world = world
        self.home = home
        self._start()

    def _start(self) -> None:
        self.line, self.client = self.world.line(self.home)
        clock = lambda: self.world.now  # noqa: E731
        self.fetcher = Fetcher(self.home, self.line, "tn/main", clock)
        self.sender = Sender(self.home, self.line, "tn/main", clock)

    def restart(self) -> None:
        """Kill the process: only the disk is left."""
        self.home.engine.dispose()
        self.home = replace(self.home, engine=open_database(self.home.data))
        self._start()

    def fetch(self) -> int:
        """Read the inbox once."""
        return asyncio.run(self.fetcher.fetch(0, lambda: None))

    def answer(self) -> int:
        """Hand in what is owed."""
        return asyncio.run(self.sender.answer())

    def serve(self, *items: InboxItem) -> None:
        """Let the hub serve these items, whatever is in its log."""
        self.client.inbox_items["tn/main"] = list(items)

    def shown(self) -> list[str]:
        """The ids of the bulletins that an analyst sees."""
        with reading(self.home.engine) as connection:
            found = list_received(connection, "tn/main", unread=False, after=None, limit=100)
        return [summary.bulletin_id for summary in found]

    def read(self, sender: str, bulletin_id: str) -> bool:
        """An analyst opens a bulletin."""
        with writing(self.home.engine) as connection:
            return mark_read(connection, "tn/main", sender, bulletin_id, self.world.now)

    def rows(self, table: str) -> list[Any]:
        """All rows of a table."""
        with reading(self.home.engine) as connection:
            return list(connection.execute(select(tables.metadata.tables[table])))

    def alarms(self) -> set[str]:
        """The kinds of all alarms."""
        return {row.kind for row in self.rows("alarm")}

    def logged(self) -> list[tuple[str, str | None, int]]:
        """The acknowledgements in the log: result, reason, number of items."""
        payloads = [
            parse(Acknowledgement, item.parsed.statement, ACKNOWLEDGEMENT_BYTES_MAX)
            for item in self.world.items
            if isinstance(item.parsed, AcknowledgementEntry)
        ]
        return [(str(p.result), p.reason, len(p.items)) for p in payloads]


def arrive(reader: Reader, sender: str = "ly/main", **changed: Any) -> str:
    """An envelope is accepted for tn/main; gives its bulletin's id."""
    outgoing = reader.world.outgoing(sender, **changed)
    reader.world.accept(reader.world.envelope(sender, "tn/main", outgoing=outgoing))
    return outgoing.bulletin_id
