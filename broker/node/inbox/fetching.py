"""Fetching an inbox: each envelope verified, stored once, and owed an answer; or a fault of the hub.

May import the node's own rooms; `sync` calls it. Blocking work runs on threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from broker.db import reading, writing
from broker.node.alarms.book import AlarmKind, raise_alarm, raise_fault
from broker.node.clock import Clock
from broker.node.home import Home
from broker.node.inbox.attachments import (
    AttachmentsAwaited,
    Wanted,
    note_attachments,
    open_to_end,
)
from broker.node.inbox.receive import (
    Arrived,
    Faulty,
    check_entry,
    check_sealed,
    keyid_of,
    open_sealed,
)
from broker.node.inbox.storing import Stored, is_known, store_opened, store_rejected
from broker.node.inbox.tombstones import (
    Destroyed,
    Expired,
    check_destroyed,
    check_tombstone,
    move_cursor,
    next_tombstone,
    note_ended,
)
from broker.node.line import Line
from broker.node.places import check_places
from broker.node.purged import purged_size
from broker.node.sealing_keys import private_key
from keys.envelope import parse_header
from keys.history import DirectoryState
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Fault, ParseError, Problem, VerificationError
from schemas.limits import INLINE_BYTES_MAX
from schemas.receipts import InboxItem, InboxPage, PurgedTombstone, Tombstone
from schemas.statements import Statement

PAGE_ITEMS: Final = 50
"""Envelopes of one page: about 5 MB where all bodies come along."""

_NO_RANK: Final = len(Precedence)
"""Behind every precedence: of a pass that is not busy with an envelope now."""


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
        self.wanted = Wanted(home)
        """The attachments that envelopes wait for; a task of its own downloads them."""
        self.is_clear = False
        """Whether the last pass was served nothing at all, so that there is nothing to ask for."""
        self.left: set[int] = set()
        """Of what the last pass was served, the entries that are still not here."""
        self._passes = 0
        self._taken: dict[int, int] = {}
        self._awaited: dict[int, Arrived] = {}
        self._places_changed = True

    async def fetch(self, wait_seconds: int, after_page: Callable[[], None]) -> int:
        """Read the inbox to its end, and store what is in it.

        Args:
            wait_seconds: how long the hub may hold the request while nothing waits.
            after_page: called when something was stored, so that it is answered soon.

        Returns:
            How many envelopes, or tombstones of some, were new; with none, what the hub serves is
            known or faulty.

        Raises:
            HubUnreachable, Problem: the hub did not answer the request for a page.
        """
        return await self._read_to_the_end(after_page, wait_seconds=wait_seconds)

    async def fetch_since(self, index: int, after_page: Callable[[], None]) -> int:
        """Take everything unexpired again, answered or not, for a node that was restored.

        What was answered before is served here alone: while something is `left`, this is to be repeated.

        Args:
            index: of the exchange log, from which on.
            after_page: as in `fetch`.

        Returns:
            As `fetch`.

        Raises:
            HubUnreachable, Problem: as `fetch`.
        """
        return await self._read_to_the_end(after_page, since=index)

    async def overtake(self, rank: int, after_page: Callable[[], None]) -> int:
        """Take what is more urgent than the envelope that a pass is busy with, beside that pass.

        Args:
            rank: of the most urgent that waits (0 is flash); one that is not ahead is left to the pass.
            after_page: as in `fetch`.

        Returns:
            How many envelopes were new.

        Raises:
            HubUnreachable, Problem: as `fetch`.
        """
        busy_with = min(self._taken.values(), default=_NO_RANK)
        if not self._passes or rank >= busy_with:
            return 0
        page = await self._line.clients[self._desk].inbox(self._desk, limit=PAGE_ITEMS)
        ahead = [item for item in page.items if _rank_of(item) < busy_with]
        stored = 0
        for item in ahead:
            stored += await self._take(item)
            if stored:
                after_page()
        return stored

    async def _read_to_the_end(
        self, after_page: Callable[[], None], *, wait_seconds: int = 0, since: int | None = None
    ) -> int:
        """Read page by page, each one's items, then its tombstones."""
        stored = 0
        served: set[int] = set()
        after: str | None = None
        self._passes += 1
        self.left.clear()
        try:
            while True:
                page = await self._page(after, wait_seconds if after is None else 0, since)
                for item in page.items:
                    stored += await self._take(item)
                explained = await self._bury(page.tombstones)
                stored += explained
                shown = {item.receipt.index for item in page.items}
                shown |= {_ended_at(tombstone) for tombstone in page.tombstones}
                is_further = page.next is not None and not shown <= served
                served |= shown
                if stored:
                    after_page()
                # A hub that shows the same on ever another page must not hide for ever what is missing.
                if is_further:
                    after = page.next
                elif not explained:
                    break
        finally:
            self._passes -= 1
        self.is_clear = not served
        self.wanted.keep(served)
        self._awaited = {i: arrived for i, arrived in self._awaited.items() if i in self.left}
        if self._places_changed and not self._taken:
            # Said before the look: what is stored during it is looked at the next time.
            self._places_changed = False
            await asyncio.to_thread(self._look_for_gaps)
        return stored

    async def _page(self, after: str | None, wait_seconds: int, since: int | None) -> InboxPage:
        tombstones = await asyncio.to_thread(next_tombstone, self._home, self._desk)
        return await self._line.clients[self._desk].inbox(
            self._desk,
            limit=PAGE_ITEMS,
            after=after,
            wait_seconds=wait_seconds,
            since=since,
            tombstones=tombstones,
            # Of what is asked for again most is here already: its bodies need not come.
            inline_bytes=INLINE_BYTES_MAX if since is None else 0,
        )

    async def _take(self, item: InboxItem) -> int:
        """Verify and store one envelope. Returns 1 if it was new, else 0."""
        index = item.receipt.index
        self.left.add(index)
        if index in self._taken:
            # Another pass is busy with it.
            return 0
        self._taken[index] = _rank_of(item)
        try:
            is_new = await self._verify_and_store(item)
            self.left.discard(index)
            return int(is_new)
        except AttachmentsAwaited:
            # They are on their way, and what is behind it goes on.
            return 0
        except Faulty as faulty:
            subject = self._subject(item.statement, index)
            await asyncio.to_thread(self._blame_hub, subject, faulty.problem)
        except Problem as problem:
            # What the log or the body's route answers is the hub's word: never the sender's fault.
            subject = self._subject(item.statement, index)
            await asyncio.to_thread(self._blame_hub, subject, problem)
        except VerificationError as error:
            # An own key file was altered: rejecting would be for good, the keystore can be restored.
            await asyncio.to_thread(self._note_own_failure, str(error))
        finally:
            del self._taken[index]
        return 0

    async def _bury(self, tombstones: Iterable[Tombstone | PurgedTombstone]) -> int:
        """Note what ended before it was here. Returns how many of them were new.

        The cursor stops before the first that does not verify, so that it is asked for again.
        """
        explained, is_whole = 0, True
        for tombstone in tombstones:
            try:
                ended = await self._prove_ended(tombstone)
                new = await asyncio.to_thread(self._note_ended, ended, move=is_whole)
                explained += int(new)
            except (Faulty, Problem) as error:
                is_whole = False
                problem = error.problem if isinstance(error, Faulty) else error
                subject = f"{self._desk} entry {_ended_at(tombstone)}"
                if isinstance(tombstone, Tombstone):
                    subject = self._subject(tombstone.statement, tombstone.receipt.index)
                await asyncio.to_thread(self._blame_hub, subject, problem)
        return explained

    async def _prove_ended(self, tombstone: Tombstone | PurgedTombstone) -> Expired | Destroyed:
        log = self._line.follower.exchange_log
        ended: Expired | Destroyed
        if isinstance(tombstone, PurgedTombstone):
            state = await self._line.state_at(purged_size(tombstone.purged))
            ended = await asyncio.to_thread(check_destroyed, tombstone, self._desk, log, state)
        else:
            ended = await asyncio.to_thread(check_tombstone, tombstone, self._desk, log)
            await self._prove(ended.arrived)
        await self._line.prove(ended.checkpoint)
        return ended

    def _note_ended(self, ended: Expired | Destroyed, *, move: bool) -> bool:
        with writing(self._home.engine) as connection:
            new = note_ended(connection, ended, self._clock())
            if move:
                move_cursor(connection, self._desk, ended.index + 1)
        self._places_changed |= new
        return new

    async def _verify_and_store(self, item: InboxItem) -> bool:
        """Have an envelope here. Returns whether it was new. Raises AttachmentsAwaited: not yet."""
        arrived = await asyncio.to_thread(self._check_entry, item)
        if arrived is None:
            return False
        if self.wanted.awaits(arrived.index):
            # It was right so far: nothing of it is opened again.
            raise AttachmentsAwaited
        await self._prove(arrived)
        state = await self._line.state_at(arrived.entry.directory_size, arrived.index)
        body = item.body
        if body is None:
            header = arrived.header
            body = await self._line.clients[self._desk].body(header.from_, header.id)
        try:
            stored = await asyncio.to_thread(self._open_and_store, arrived, body, state)
        except AttachmentsAwaited:
            self.wanted.add(arrived)
            self._awaited[arrived.index] = arrived
            raise
        self._awaited.pop(arrived.index, None)
        is_new = stored is not Stored.KNOWN
        self._places_changed |= is_new
        return is_new

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
            open_to_end(self._home, arrived, opened)
        except Faulty as faulty:
            if faulty.fault is Fault.HUB:
                raise
            with writing(self._home.engine) as connection:
                return store_rejected(
                    connection, arrived, faulty.problem, faulty.content_key, body, now
                )
        with writing(self._home.engine) as connection:
            stored = store_opened(connection, arrived, opened, body, now)
            if stored in {Stored.NEW, Stored.AGAIN}:
                note_attachments(connection, arrived, opened)
            return stored

    def _subject(self, statement: Statement, index: int) -> str:
        try:
            header = parse_header(statement)
        except ParseError:
            return f"{self._desk} entry {index}"
        return f"{self._desk} {header.from_} {header.id}"

    def _blame_hub(self, subject: str, problem: Problem) -> None:
        with writing(self._home.engine) as connection:
            raise_fault(connection, subject, problem, self._clock())

    def _note_own_failure(self, text: str) -> None:
        with writing(self._home.engine) as connection:
            raise_alarm(connection, AlarmKind.KEYSTORE, self._desk, text, self._clock())

    def _look_for_gaps(self) -> None:
        coming = [
            (each.header.from_, each.origin, place.n)
            for each in self._awaited.values()
            for place in each.item.receipt.places
        ]
        with writing(self._home.engine) as connection:
            check_places(connection, self._desk, self._clock(), coming)


def _rank_of(item: InboxItem) -> int:
    """The rank of an envelope as its header has it, before anything of it is verified."""
    try:
        return parse_header(item.statement).precedence.rank
    except ParseError:
        return _NO_RANK


def _ended_at(tombstone: Tombstone | PurgedTombstone) -> int:
    """The entry by which a tombstone is told from others."""
    if isinstance(tombstone, PurgedTombstone):
        return tombstone.purged.index
    return tombstone.receipt.index
