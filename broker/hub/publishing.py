"""Publishing over HTTP: who may have how many directories judged, one at a time for each member.

May import asyncio, the sequencer and `publications`; the route calls it. What is published authenticates
itself, whoever brings it: here the hub's own time is guarded, since to verify signatures takes long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from broker.hub.ledger import Ledger
from broker.hub.publications import Publish, judge, read_publication
from broker.hub.sequencer import Sequencer
from keys.derivation import sha256_hex
from schemas.envelope import DirectoryRef
from schemas.errors import Problem
from schemas.governance import Published
from schemas.limits import PUBLICATIONS_PER_HOUR_MAX

_HOUR_SECONDS: Final = 3600
_DAY_SECONDS: Final = 24 * 3600

_DAYS_HOURS: Final = 4
"""A day has room for what four hours have: every reader keeps every directory."""


@dataclass(slots=True)
class _Judged:
    """A publication that a member had judged: when, what (its SHA-256), beside which directory, and why not.

    A refusal holds as long as that directory is in force.
    """

    at: int
    name: str
    in_force: DirectoryRef | None
    refused: str = ""


class Publishing:
    """What members publish. It is kept in memory: a restart, which is the operator's alone, forgets it.

    Args:
        exchange: the exchange's name.
        ledger: the hub's.
        sequencer: commits what would come into force.
        now_unix: seconds since 1970.
    """

    def __init__(
        self, exchange: str, ledger: Ledger, sequencer: Sequencer, now_unix: Callable[[], int]
    ) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._sequencer = sequencer
        self._now_unix = now_unix
        self._judged: dict[str, list[_Judged]] = {}
        self._here: set[str] = set()

    @contextmanager
    def turn(self, member: str) -> Iterator[None]:
        """Hold a member's one turn while the block reads and publishes: a publication is large.

        Raises:
            Problem: `busy`: another publication of this member is being read or judged.
        """
        if member in self._here:
            raise Problem("busy", f"another publication of {member} is being judged")
        self._here.add(member)
        try:
            yield
        finally:
            self._here.remove(member)

    async def publish(self, member: str, data: bytes) -> Published:
        """Publish what a desk of a member brought, within its turn.

        1. What was published already is answered as before, and counts nothing.
        2. So is what was refused beside the same directory.
        3. Any other counts, refused or not.
        4. It is judged outside the sequencer's transaction, which only what may come into force enters.

        Args:
            member: of the calling desk.
            data: a publication's JSON.

        Raises:
            ParseError: it is none.
            Problem: `wrong-exchange`, `publication`, `publication-rate`, `busy`.
        """
        files = await asyncio.to_thread(read_publication, data, self._exchange)
        work = Publish(files, self._ledger.signers)
        if (published := await asyncio.to_thread(self._known, work)) is not None:
            return published
        judged = self._note(member, sha256_hex(data))
        if judged.refused:
            raise Problem("publication", judged.refused)
        try:
            await asyncio.to_thread(self._judge, work)
            answer: Published = await self._sequencer.submit(work, size_bytes=len(data))
        except Problem as problem:
            if problem.word == "publication":
                judged.refused = problem.detail
            raise
        return answer

    def _known(self, work: Publish) -> Published | None:
        with self._ledger.at_one_moment() as (connection, history):
            return work.known(connection, history)

    def _judge(self, work: Publish) -> None:
        at = datetime.fromtimestamp(self._now_unix(), UTC)
        with self._ledger.at_one_moment() as (connection, history):
            judge(work.files, connection, history, work.signers, at)

    def _note(self, member: str, name: str) -> _Judged:
        """Find what was judged of this publication, or count it. Raises Problem: `publication-rate`."""
        now, in_force = self._now_unix(), self._ledger.state.in_force
        # Either way, since a clock that was set back must not keep a member waiting for it.
        today = [each for each in self._judged.get(member, ()) if abs(now - each.at) < _DAY_SECONDS]
        self._judged[member] = today
        for each in today:
            if (each.name, each.in_force) == (name, in_force):
                return each
        for within, most, said in (
            (_HOUR_SECONDS, PUBLICATIONS_PER_HOUR_MAX, "an hour"),
            (_DAY_SECONDS, _DAYS_HOURS * PUBLICATIONS_PER_HOUR_MAX, "a day"),
        ):
            recent = [each.at for each in today if abs(now - each.at) < within]
            if len(recent) >= most:
                seconds = min(recent) + within - now
                raise Problem(
                    "publication-rate",
                    f"{member} had {most} publications judged within {said}; room in {seconds} seconds",
                    retry_after=seconds,
                )
        today.append(_Judged(now, name, in_force))
        return today[-1]
