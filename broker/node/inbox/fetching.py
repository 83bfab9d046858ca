"""Fetching an inbox: each envelope verified, stored once, and owed an answer; or a fault of the hub.

May import the node's own rooms; `sync` calls it. Blocking work runs on threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from broker.db import reading, writing
from broker.node.alarms import AlarmKind, raise_alarm, raise_fault
from broker.node.clock import Clock
from broker.node.home import Home
from broker.node.inbox.receive import (
    Arrived,
    Faulty,
    check_entry,
    check_sealed,
    keyid_of,
    open_sealed,
)
from broker.node.inbox.storing import Stored, is_known, store_opened, store_rejected
from broker.node.line import Line
from broker.node.places import check_places
from broker.node.sealing_keys import private_key
from keys.envelope import parse_header
from keys.history import DirectoryState
from schemas.errors import Fault, ParseError, Problem, VerificationError
from schemas.receipts import InboxItem

PAGE_ITEMS: Final = 50
"""Envelopes of one page: about 5 MB where all bodies come along."""


class Fetcher:
    """Empties the inbox of one desk.

    Args:
        home: the node's home.
        line: to the hub.
        desk: an own desk.
        clock: the node's own.
    """

    def __init__(self, home: Home, line: Line, desk: str, clock: Clock) -> None:
        self._home = home
        self._line = line
        self._desk = desk
        self._clock = clock

    async def fetch(self, wait_seconds: int, after_page: Callable[[], None]) -> int:
        """Read the inbox to its end, and store what is in it.

        Args:
            wait_seconds: how long the hub may hold the request while nothing waits.
            after_page: called when something was stored, so that it is answered soon.

        Returns:
            How many envelopes were new; with none, what the hub serves is known or faulty.

        Raises:
            HubUnreachable, Problem: the hub did not answer the request for a page.
        """
        client = self._line.clients[self._desk]
        stored = 0
        after: str | None = None
        while True:
            wait = wait_seconds if after is None else 0
            page = await client.inbox(self._desk, limit=PAGE_ITEMS, after=after, wait_seconds=wait)
            for item in page.items:
                stored += await self._take(item)
            if stored:
                after_page()
            if page.next is None or page.next == after:
                break
            after = page.next
        if stored:
            await asyncio.to_thread(self._look_for_gaps)
        return stored

    async def _take(self, item: InboxItem) -> int:
        """Verify and store one envelope. Returns 1 if it was new, else 0."""
        try:
            return await self._verify_and_store(item)
        except Faulty as faulty:
            await asyncio.to_thread(self._blame_hub, item, faulty.problem)
        except Problem as problem:
            # What the log or the body's route answers is the hub's word: never the sender's fault.
            await asyncio.to_thread(self._blame_hub, item, problem)
        except VerificationError as error:
            # An own key file was altered: rejecting would be for good, the keystore can be restored.
            await asyncio.to_thread(self._note_own_failure, str(error))
        return 0

    async def _verify_and_store(self, item: InboxItem) -> int:
        arrived = await asyncio.to_thread(self._check_entry, item)
        if arrived is None:
            return 0
        await self._prove(arrived)
        state = await self._line.state_at(arrived.entry.directory_size)
        body = item.body
        if body is None:
            header = arrived.header
            body = await self._line.clients[self._desk].body(header.from_, header.id)
        stored = await asyncio.to_thread(self._open_and_store, arrived, body, state)
        return int(stored is not Stored.KNOWN)

    async def _prove(self, arrived: Arrived) -> None:
        try:
            await self._line.prove(arrived.checkpoint)
        except Problem as problem:
            if problem.word != "inconsistent-log" or "checkpoints" in problem.extensions:
                raise
            shown = [arrived.item.receipt.checkpoint]
            raise Problem(problem.word, problem.detail, checkpoints=shown) from problem

    def _check_entry(self, item: InboxItem) -> Arrived | None:
        """Steps 1 to 3; None for an envelope that is stored already."""
        arrived = check_entry(item, self._desk, self._line.follower.exchange_log)
        with reading(self._home.engine) as connection:
            if is_known(connection, self._desk, arrived.header.from_, arrived.header.id):
                return None
        return arrived

    def _open_and_store(self, arrived: Arrived, body: bytes, state: DirectoryState) -> Stored:
        """Steps 4 to 17, then one transaction: what is acknowledged later is on the disk before."""
        check_sealed(arrived, body, state)
        private = private_key(self._home, self._desk, keyid_of(arrived))
        now = self._clock()
        try:
            opened = open_sealed(arrived, body, private, state)
        except Faulty as faulty:
            if faulty.fault is Fault.HUB:
                raise
            with writing(self._home.engine) as connection:
                return store_rejected(
                    connection, arrived, faulty.problem, faulty.content_key, body, now
                )
        with writing(self._home.engine) as connection:
            return store_opened(connection, arrived, opened, body, now)

    def _blame_hub(self, item: InboxItem, problem: Problem) -> None:
        try:
            header = parse_header(item.statement)
            subject = f"{self._desk} {header.from_} {header.id}"
        except ParseError:
            subject = f"{self._desk} entry {item.receipt.index}"
        with writing(self._home.engine) as connection:
            raise_fault(connection, subject, problem, self._clock())

    def _note_own_failure(self, text: str) -> None:
        with writing(self._home.engine) as connection:
            raise_alarm(connection, AlarmKind.INTERNAL, f"{self._desk} keys", text, self._clock())

    def _look_for_gaps(self) -> None:
        with writing(self._home.engine) as connection:
            check_places(connection, self._desk, self._clock())
