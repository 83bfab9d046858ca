"""The line to the hub: one client a desk, one follower of the logs, and whether the hub answers.

May import `broker.client`, `broker.following` and the node's own rooms; `sync`'s parts call the hub
through it. Reading the logs happens one at a time, since what was verified must only grow; what they say of
the own keys and of the hub's address is heeded at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from broker.client import HubClient
from broker.following import Follower, FollowStore
from broker.node.clock import Clock
from broker.node.home import Home
from broker.node.rekeying import notice_new_keys, switch_keys
from broker.tlog.checkpoint import Checkpoint
from keys.history import DirectoryState, Finding
from schemas.directory import HubAddress, Invitation
from schemas.errors import ConfigurationError, Problem, VerificationError
from schemas.scalars import parse_time

_LOG: Final = logging.getLogger("barid.node")


class HubClock:
    """The time that requests are stamped with: the node's own, moved by what the hub said (a 401)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_seconds = 0

    def now_unix(self) -> int:
        """Seconds since 1970, as the hub counts them."""
        return int(self._clock().timestamp()) + self._offset_seconds

    def here(self) -> datetime:
        """This machine's own time, UTC."""
        return self._clock()

    @property
    def offset_seconds(self) -> int:
        """How far the hub's clock is ahead of this machine's, as far as the hub said."""
        return self._offset_seconds

    def learn(self, problem: Problem) -> None:
        """Take the hub's time from a refusal of the request's times; it stamps requests only."""
        told = problem.extensions.get("hub_time")
        if problem.word != "signature-expired" or not isinstance(told, str):
            return
        try:
            hub_time = parse_time(told)
        except ValueError:
            return
        self._offset_seconds = int((hub_time - self._clock()).total_seconds())


@dataclass(slots=True)
class Reach:
    """Whether the hub answers: since when and when last, or why not, and since when it is silent."""

    since: datetime | None = None
    last: datetime | None = None
    problem: str = "the hub was not called yet"
    silent_since: datetime | None = None
    was_called: bool = False

    def answered(self, now: datetime) -> None:
        """Note that it answered."""
        self.was_called = True
        self.since = self.since or now
        self.last = now
        self.problem = ""
        self.silent_since = None

    def failed(self, why: str) -> None:
        """Note that it answered with a problem."""
        self.was_called = True
        self.since = None
        self.problem = why
        self.silent_since = None

    def silent(self, why: str, now: datetime) -> None:
        """Note that it did not answer at all."""
        self.was_called = True
        self.since = None
        self.problem = why
        self.silent_since = self.silent_since or now


@dataclass(frozen=True, slots=True)
class Line:
    """What this node calls the hub with, and knows of its logs.

    Args:
        home: the node's home.
        invited: where the invitation says that the hub is.
        clients: by own desk.
        reader: reads the logs as whichever own desk the hub knows: one that was revoked blinds no other.
        follower: of both logs, for all desks.
        time: that requests are stamped with.
        reach: whether the hub answers.
    """

    home: Home
    invited: HubAddress
    clients: Mapping[str, HubClient]
    reader: HubClient
    follower: Follower
    time: HubClock
    reach: Reach = field(default_factory=Reach)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def state(self) -> DirectoryState:
        """The newest verified state of the directory log."""
        return self.follower.state

    async def refresh(self) -> tuple[Finding, ...]:
        """Follow both logs to their newest checkpoints, and heed what they say.

        1. Next keys that were made meanwhile are noticed first: the hub may know a desk by them alone.
        2. The logs are followed.
        3. Desks whose next keys the directory names by now switch to them.
        4. The clients call where the directory says that the hub is, by the keys that are left.

        Raises:
            Problem, HubUnreachable: as `Follower.refresh`.
        """
        async with self._reading:
            await self.look_for_keys()
            findings = await self.follower.refresh()
            directory, now = self.state.directory, self.time.here()
            await asyncio.to_thread(switch_keys, self.home, directory, now)
            self.aim()
            return findings

    async def look_for_keys(self) -> None:
        """Notice next keys that were made beside this node, and have the clients try them too."""
        await asyncio.to_thread(notice_new_keys, self.home)
        self.aim()

    def aim(self) -> None:
        """Have each client call the hub where it is, by its desk's keys.

        The address of the directory in force comes first; the invitation's follows, since a node that missed
        a change of the address gets a new one. The certificates of both are trusted.
        """
        directory = self.state.directory
        told = () if directory is None else (directory.council.hub,)
        addresses = tuple(dict.fromkeys((*told, self.invited)))
        known = {desk: keys.requests for desk, keys in self.home.desks.items()}
        every = tuple(key for keys in known.values() for key in keys)
        aims = [(self.clients[desk], keys) for desk, keys in known.items()]
        for client, keys in (*aims, (self.reader, every)):
            try:
                client.aim(addresses, keys)
            except ConfigurationError:
                _LOG.error("the directory's TLS trust of the hub is no certificate")
                client.aim((self.invited,), keys)

    async def prove(self, checkpoint: Checkpoint) -> None:
        """Prove that a receipt's tree is one with the log that is followed.

        Raises:
            Problem: `inconsistent-log`.
        """
        async with self._reading:
            await self.follower.prove_exchange_head(checkpoint)

    async def state_at(self, size: int, exchange_index: int | None = None) -> DirectoryState:
        """The directory log's state at an entry's `directory_size`, read so far if need be.

        Args:
            size: as the entry names it.
            exchange_index: where that entry stands, if its judgement depends on it.

        Raises:
            Problem: `directory-invalid` where the directory log is not so long, or was longer already.
        """
        if size > self.follower.history.size:
            await self.refresh()
        if size > self.follower.history.size:
            raise Problem("directory-invalid", f"the directory log has no {size} entries")
        if exchange_index is None:
            return self.follower.history.at(size)
        try:
            return self.follower.history.judging(size, exchange_index)
        except VerificationError as error:
            raise Problem("directory-invalid", str(error)) from error

    async def close(self) -> None:
        """Close all connections."""
        for client in (*self.clients.values(), self.reader):
            await client.close()


def open_line(home: Home, invitation: Invitation, store: FollowStore, clock: Clock) -> Line:
    """Make the clients of all desks, and replay what was followed before.

    Args:
        home: the node's home.
        invitation: where the hub is, and the trust root.
        store: what was followed before; it is verified again here.
        clock: the node's own.

    Raises:
        ConfigurationError: the hub's TLS trust holds no certificate.
        VerificationError: what was followed before does not verify.
    """
    time = HubClock(clock)

    def client(desk: str) -> HubClient:
        return HubClient(invitation.hub, home.exchange, home.desks[desk].request, time.now_unix)

    clients = {desk: client(desk) for desk in home.desks}
    reader = client(home.settings.desk_ids[0])
    follower = Follower(invitation, reader, store, clock)
    line = Line(home, invitation.hub, clients, reader, follower, time)
    line.aim()
    for each in (*clients.values(), reader):
        each.look_for_keys = line.look_for_keys
    return line
