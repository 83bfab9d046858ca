"""What a node calls and follows when its hub is on paper; tests break it where they want to.

`NodeWorld.line` hands both to a node in place of the real client and follower.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from broker.tlog.checkpoint import Checkpoint
from broker.tlog.quorum import Witnessed
from broker.tlog.receipt import LogVerifier
from keys.dsse import pae_sha256
from keys.envelope import parse_header
from keys.history import DirectoryHistory, DirectoryState
from keys.signing import RequestSigningKey
from keys.timestamps import TimestampCheck
from schemas.acknowledgements import Acknowledgement
from schemas.directory import HubAddress
from schemas.envelope import Envelope
from schemas.errors import HubUnreachable, Problem
from schemas.limits import ENVELOPE_BYTES_MAX, OPENINGS_PAGE_MAX
from schemas.loader import parse, to_plain
from schemas.receipts import (
    EnvelopeStatus,
    InboxItem,
    InboxPage,
    Opening,
    OpeningsPage,
    Receipt,
    Tombstone,
)
from schemas.statements import Statement
from tests.unit.node.paper_files import PaperFiles
from tests.unit.node.paper_log import LoggingWorld, statement_of


class PaperFollower:
    """Follows the hub on paper; a head in `forged` is not one with the log."""

    def __init__(self, world: LoggingWorld) -> None:
        self.world = world
        self.forged: set[bytes] = set()
        self.refreshed = 0
        self.told: TimestampCheck | None = None
        self.witnessed: dict[str, Witnessed] = {}
        self.generation = 1

    @property
    def is_witnessed(self) -> bool:
        """Whether both logs have a quorum."""
        return len(self.witnessed) == 2

    def has_witnessed(self, index: int) -> bool:
        """Whether an entry stands in a tree that a quorum cosigned."""
        found = self.witnessed.get("exchange")
        return found is not None and index < found.checkpoint.size

    @property
    def history(self) -> DirectoryHistory:
        """The directory log's history."""
        return self.world.known

    @property
    def state(self) -> DirectoryState:
        """Its newest state."""
        return self.world.newest

    @property
    def exchange_log(self) -> LogVerifier:
        """The exchange log's keys."""
        return self.world.log_keys

    @property
    def exchange_checkpoint(self) -> Checkpoint:
        """The newest tree."""
        return self.world.head()

    @property
    def timestamp(self) -> TimestampCheck | None:
        """The hub's timestamp is good, unless a test says otherwise."""
        return TimestampCheck(self.world.now) if self.told is None else self.told

    async def refresh(self) -> tuple[()]:
        """Nothing new."""
        self.refreshed += 1
        return ()

    async def prove_exchange_head(self, checkpoint: Checkpoint) -> None:
        """Compare with the tree of that size."""
        if checkpoint.root in self.forged or checkpoint != self.world.head(checkpoint.size):
            raise Problem("inconsistent-log")


class PaperClient(PaperFiles):
    """Calls the hub on paper, for any desk; tests break it with `away` and `refusals`."""

    def __init__(self, world: LoggingWorld) -> None:
        super().__init__(world)
        self.away = False
        self.drops_answers = False
        self.openings_max = OPENINGS_PAGE_MAX
        self.refusals: list[Problem] = []
        self.stale = False  # an honest hub says so of what it does not know
        self.submitted: list[bytes] = []
        self.inbox_items: dict[str, list[InboxItem]] = {}
        self.tombstones: dict[str, list[Tombstone]] = {}
        self.streams: dict[str, asyncio.Queue[int | None]] = {}
        self.bodies: dict[str, bytes] = {}
        self.announced: list[Statement] = []

    def aim(self, _addresses: Sequence[HubAddress], _keys: Sequence[RequestSigningKey]) -> None:
        """There is one hub on paper, which asks nobody for a key."""

    def _call(self) -> None:
        if self.away:
            raise HubUnreachable("away")
        if self.refusals:
            raise self.refusals.pop(0)

    async def submit(self, sealed: bytes) -> Receipt:
        """Accept an envelope once; the same bytes again get the same entry's receipt."""
        self._call()
        self.submitted.append(sealed)
        envelope = parse(Envelope, sealed, ENVELOPE_BYTES_MAX)
        header = parse_header(statement_of(envelope))
        index = self.world.find(header.id)
        if index is None:
            if self.stale:
                raise Problem("stale-directory")
            self.check_stored(header)
            index = self.world.accept(envelope)
        if self.drops_answers:
            raise HubUnreachable("the line was cut after the commit")
        if self.world.items[index].statement != statement_of(envelope):
            receipt = self.world.receipt(index, header.from_)
            raise Problem("id-taken", earlier=[to_plain(receipt)])
        return self.world.receipt(index, header.from_)

    async def inbox(
        self, desk: str, *, since: int | None = None, tombstones: int = 0, **_options: Any
    ) -> InboxPage:
        """What waits and what expired, or what a test put there."""
        self._call()
        buried = self.tombstones.get(desk)
        if buried is None:
            buried = self._tombstones(desk, tombstones)
        if desk in self.inbox_items:
            items = self.inbox_items[desk]
        else:
            answered = self.world.answered if since is None else set()
            items = [
                self.world.item(index, desk)
                for index in self._addressed(desk)
                if (index, desk) not in answered
                and index not in self.world.ends()
                and index >= (since or 0)
            ]
        return InboxPage(items=tuple(items), tombstones=tuple(buried))

    def _addressed(self, desk: str) -> list[int]:
        return [
            index
            for index, item in enumerate(self.world.items)
            if item.envelope is not None and desk in item.envelope.slots
        ]

    def _tombstones(self, desk: str, start: int) -> list[Tombstone]:
        ends = self.world.ends()
        return [
            self.world.tombstone(index, ends[index], desk)
            for index in sorted(ends, key=lambda each: ends[each])
            if index in self._addressed(desk)
            and ends[index] >= start
            and (index, desk) not in self.world.answered
        ]

    @asynccontextmanager
    async def events(self, desk: str) -> AsyncIterator[AsyncIterator[int]]:
        """A stream of what a test says; none where it says nothing."""
        if desk not in self.streams:
            raise Problem("not-found")
        yield self._ranks(desk)

    async def _ranks(self, desk: str) -> AsyncIterator[int]:
        while (rank := await self.streams[desk].get()) is not None:
            yield rank

    async def body(self, sender: str, envelope_id: str) -> bytes:
        """A body."""
        self._call()
        return self.bodies[envelope_id]

    async def acknowledge(self, statement: Statement) -> Receipt:
        """Log an acknowledgement once."""
        self._call()
        payload = parse(Acknowledgement, statement.payload, ENVELOPE_BYTES_MAX)
        for index, item in enumerate(self.world.items):
            if pae_sha256(item.statement) == pae_sha256(statement):
                return self.world.receipt(index, payload.desk)
        index = self.world.log_answer(statement)
        if self.drops_answers:
            raise HubUnreachable("the line was cut after the commit")
        return self.world.receipt(index, payload.desk)

    async def status(self, sender: str, envelope_id: str) -> EnvelopeStatus:
        """What became of an envelope."""
        self._call()
        index = self.world.find(envelope_id)
        assert index is not None
        return self.world.status(index)

    async def publish_sealing_key(self, desk: str, statement: Statement) -> None:
        """Log a sealing key once."""
        self._call()
        self.announced.append(statement)
        self.world.announce(statement)

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> OpeningsPage:
        """Everything: a desk looks only at what concerns it."""
        self._call()
        last = min(end, start + self.openings_max)
        return OpeningsPage(
            openings=tuple(
                Opening(index=i, salt=item.salt, entry=item.entry, statement=item.statement)
                for i, item in enumerate(self.world.items)
                if start <= i < last
            ),
            next=None if last == end else last,
        )
