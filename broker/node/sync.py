"""The loop: the logs followed, each desk's outbox sent, its inbox fetched, its answers handed in.

May import asyncio and the node's own rooms; `service` runs it while the node serves. A hub that is away
for weeks loses nothing: every step starts from what is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from broker.db import writing
from broker.node import sealing_keys
from broker.node.alarms.book import AlarmKind, raise_alarm, raise_fault
from broker.node.alarms.rounds import Rounds
from broker.node.clock import Clock
from broker.node.giving_back import give_back_directory
from broker.node.home import Home
from broker.node.inbox.attachments import Downloader
from broker.node.inbox.fetching import Fetcher
from broker.node.line import Line
from broker.node.listening import Listener
from broker.node.pacing import Backoff, Pace
from broker.node.restored import Restoration, Work
from broker.node.sending import Sender
from broker.node.uploading import Uploader
from broker.node.vouching import Vouching
from broker.node.witnessing import Witness
from keys.history import Finding
from schemas.errors import (
    BaridError,
    Fault,
    HubUnreachable,
    ParseError,
    Problem,
    VerificationError,
)

_LOG: Final = logging.getLogger("barid.node")

_AWAITING_SECONDS: Final = 2.0
"""Longest pause of the inbox while attachments are on their way: a flash may come meanwhile."""

Step = Callable[[], Awaitable[float]]
"""One step of a task; gives the seconds until the next."""


class Sync:
    """All work with the hub, one task a desk and kind of work.

    Args:
        home: the node's home.
        line: to the hub.
        clock: the node's own.
        pace: how often.
    """

    def __init__(self, home: Home, line: Line, clock: Clock, pace: Pace) -> None:
        self._home = home
        self._line = line
        self._clock = clock
        self._pace = pace
        self.rounds = Rounds(home, line, clock)
        self._senders = {desk: Sender(home, line, desk, clock) for desk in home.desks}
        self._fetchers = {desk: Fetcher(home, line, desk, clock) for desk in home.desks}
        self._uploaders = {desk: Uploader(home, line, desk, clock) for desk in home.desks}
        self._downloaders = {
            desk: Downloader(home, line, desk, clock, fetcher.wanted)
            for desk, fetcher in self._fetchers.items()
        }
        self._uploads = {desk: asyncio.Event() for desk in home.desks}
        self._downloads = {desk: asyncio.Event() for desk in home.desks}
        self._inbox = {desk: asyncio.Event() for desk in home.desks}
        self._outbox = {desk: asyncio.Event() for desk in home.desks}
        self._answers = {desk: asyncio.Event() for desk in home.desks}
        self._idle = {
            desk: Backoff(pace.base_seconds, pace.inbox_cap_seconds) for desk in home.desks
        }
        self._listeners = {
            desk: Listener(
                line.clients[desk], desk, self._backoff(), functools.partial(self._heard, desk)
            )
            for desk in home.desks
        }
        self._restoration = Restoration(home.data, home.desks)
        self._since = dict.fromkeys(home.desks, 0)
        self._new = {desk for desk in home.desks if not sealing_keys.has_keys(home, desk)}
        self._seen = (0, 0)
        self._vouching = Vouching(home, line, clock)
        self._witness = Witness(home, line, clock)
        self._tasks: asyncio.TaskGroup | None = None
        self._overtaking: set[str] = set()
        self._ranks: dict[str, set[int]] = {desk: set() for desk in home.desks}
        self._keys = {desk: self._backoff() for desk in home.desks}
        self._keys_after: dict[str, float] = {}

    def _backoff(self) -> Backoff:
        return Backoff(self._pace.base_seconds, self._pace.cap_seconds)

    def queued(self, desk: str) -> None:
        """Something waits in a desk's outbox; called from the event loop."""
        self._outbox[desk].set()

    def owes_answers(self, desk: str) -> None:
        """A desk owes answers; called from the event loop."""
        self._answers[desk].set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._forever("logs", self._follow, asyncio.Event()))
            tasks.create_task(self._forever("alarms", self._watch, self.rounds.wake))
            for desk in self._home.desks:
                outbox, answers = self._outbox[desk], self._answers[desk]
                tasks.create_task(self._forever(f"{desk} outbox", self._send(desk), outbox))
                tasks.create_task(self._forever(f"{desk} answers", self._answer(desk), answers))
                inbox, uploads = self._inbox[desk], self._uploads[desk]
                tasks.create_task(self._forever(f"{desk} inbox", self._fetch(desk), inbox))
                events = self._listeners[desk].step
                tasks.create_task(self._forever(f"{desk} events", events, asyncio.Event()))
                # Of their own, so that a large attachment keeps no flash waiting.
                tasks.create_task(self._forever(f"{desk} uploads", self._upload(desk), uploads))
                downloads = self._downloads[desk]
                tasks.create_task(
                    self._forever(f"{desk} downloads", self._download(desk), downloads)
                )

    async def _forever(self, name: str, step: Step, wake: asyncio.Event) -> None:
        backoff = self._backoff()
        while True:
            wake.clear()
            try:
                seconds = await step()
                backoff.succeeded()
            except Exception as error:  # noqa: BLE001 - a task that ended would lose the desk's mail
                await self._note_failure(name, error)
                # Until the pause is over nothing wakes it: who sends much must not hammer the hub.
                await asyncio.sleep(backoff.failed())
                continue
            await _wait(wake, seconds)

    async def _watch(self) -> float:
        """Look at what is wrong for a while, and tell people; a hub that is silent is seen there too."""
        await self.rounds.go()
        # However much comes in, the next round is not woken before that.
        await asyncio.sleep(self._pace.base_seconds)
        return self._pace.round_seconds

    async def _note_failure(self, name: str, error: Exception) -> None:
        if isinstance(error, HubUnreachable):
            self._line.reach.silent(str(error), self._clock())
        elif isinstance(error, Problem):
            self._line.time.learn(error)
            self._line.reach.failed(f"the hub answered: {error}")
        else:
            # The type alone: a message may quote what was being handled.
            _LOG.error("%s failed: %s", name, type(error).__name__)
        if isinstance(error, HubUnreachable) or self.rounds.note_failure(error):
            return
        try:
            await asyncio.to_thread(self._raise_alarm, name, error)
        except SQLAlchemyError:
            _LOG.error("the database takes no alarm")

    def _raise_alarm(self, name: str, error: Exception) -> None:
        now = self._clock()
        with writing(self._home.engine) as connection:
            if isinstance(error, Problem) and error.type.fault is Fault.HUB:
                raise_fault(connection, name, error, now)
            elif isinstance(error, Problem):
                raise_alarm(connection, AlarmKind.REFUSES_US, name, str(error), now)
            elif isinstance(error, ParseError | VerificationError):
                # What the hub sent is not what it should be, or a file that it holds back.
                raise_alarm(connection, AlarmKind.HUB_FAULT, name, str(error), now)
            else:
                text = str(error) if isinstance(error, BaridError) else type(error).__name__
                raise_alarm(connection, AlarmKind.INTERNAL, name, text, now)

    async def _follow(self) -> float:
        """Follow both logs, keep the desks' sealing keys, look at what concerns the desks."""
        await self._refresh()
        self._line.reach.answered(self._clock())
        if anew := {desk for desk in self._new if self._line.state.sealing_keys(desk)}:
            # Such a desk had another node, whose keys and bulletins are lost.
            await asyncio.to_thread(self._restoration.begin, anew, self._clock())
        self._new.clear()
        await self._cosign()
        announced = [await self._keep_keys(desk) for desk in self._senders]
        if any(announced):
            await self._refresh()
        seen = self._line.state.size, self._line.follower.exchange_checkpoint.size
        for desk, sender in self._senders.items():
            restoring = self._restoration.is_open(desk, Work.LOG)
            try:
                await sender.watch(self._restoration.at if restoring else None)
                self._restoration.done(desk, Work.LOG)
            except Problem as problem:
                # A desk that the hub does not know keeps no other from looking.
                await self._note_failure(f"{desk} log", problem)
        if seen != self._seen:
            # A key for which a bulletin waited, or an answer to one that was sent. Since the last look, not
            # since this one began: a receipt's checkpoint moves the log on in between, too.
            self._seen = seen
            self._wake_outboxes()
        return self._pace.refresh_seconds

    async def _refresh(self) -> None:
        """Read the logs; note what is wrong there, and whether the directory is found fresh."""
        try:
            findings = await self._line.refresh()
        except Problem as problem:
            if problem.word == "inconsistent-log":
                await give_back_directory(self._home, self._line)
            raise
        await self._note_findings(findings)
        if await asyncio.to_thread(self._vouching.note):
            self._wake_outboxes()

    async def _cosign(self) -> None:
        """Cosign as a witness; what goes wrong there keeps no desk waiting."""
        try:
            await self._witness.cosign()
        except (Problem, ParseError, HubUnreachable) as error:
            await self._note_failure("witness", error)

    def _wake_outboxes(self) -> None:
        for event in self._outbox.values():
            event.set()

    async def _keep_keys(self, desk: str) -> bool:
        """Keep one desk's sealing keys; what the hub says against one keeps no other desk waiting."""
        now = asyncio.get_running_loop().time()
        if now < self._keys_after.get(desk, 0.0):
            return False
        try:
            announced = await self._senders[desk].keep_keys()
        except Problem as problem:
            self._keys_after[desk] = now + self._keys[desk].failed()
            await self._note_failure(f"{desk} sealing key", problem)
            return False
        self._keys[desk].succeeded()
        return announced

    async def _note_findings(self, findings: tuple[Finding, ...]) -> None:
        if findings:
            await asyncio.to_thread(self._raise_findings, findings)

    def _raise_findings(self, findings: tuple[Finding, ...]) -> None:
        with writing(self._home.engine) as connection:
            for finding in findings:
                raise_alarm(
                    connection,
                    AlarmKind.FINDING,
                    f"directory log {finding.index}",
                    f"{finding.rule}: {finding.detail}",
                    self._clock(),
                )

    def _send(self, desk: str) -> Step:
        sender = self._senders[desk]

        async def step() -> float:
            if self._restoration.is_open(desk, Work.LOG):
                # What it withdrew after its backup must not leave again: the log shows that first.
                return self._pace.base_seconds
            submitted = await sender.send()
            # Something may have been sealed that waits for its attachments.
            self._uploads[desk].set()
            asked = await sender.ask()
            if submitted or asked:
                return 0.0
            return await asyncio.to_thread(sender.idle_seconds, self._pace.idle_seconds)

        return step

    def _upload(self, desk: str) -> Step:
        uploader = self._uploaders[desk]

        async def step() -> float:
            stored = await uploader.step()
            if stored:
                self._outbox[desk].set()
            return 0.0 if stored is not None else uploader.idle_seconds(self._pace.idle_seconds)

        return step

    def _download(self, desk: str) -> Step:
        downloader = self._downloaders[desk]

        async def step() -> float:
            here = await downloader.step()
            if here:
                self._inbox[desk].set()
            return 0.0 if here is not None else downloader.idle_seconds(self._pace.idle_seconds)

        return step

    def _answer(self, desk: str) -> Step:
        sender = self._senders[desk]

        async def step() -> float:
            await sender.answer()
            return self._pace.idle_seconds

        return step

    def _fetch(self, desk: str) -> Step:
        fetcher, sender = self._fetchers[desk], self._senders[desk]

        async def step() -> float:
            if desk in self._new:
                # Whether it has to take everything again the logs tell, which were not read yet.
                return self._pace.base_seconds
            began = asyncio.get_running_loop().time()
            stored = await self._fetch_once(desk)
            self._line.reach.answered(self._clock())
            if fetcher.wanted:
                self._downloads[desk].set()
            if stored:
                # A flash that came is told to people at once.
                self.rounds.wake.set()
                # Answered before asking again, else the hub would serve the same once more.
                await sender.answer()
                self._idle[desk].succeeded()
                return 0.0
            if self._listeners[desk].is_open and fetcher.is_clear:
                # The stream wakes it; it asks now and then all the same.
                self._idle[desk].succeeded()
                return self._pace.listening_seconds
            held_seconds = asyncio.get_running_loop().time() - began
            if 0 < self._pace.long_poll_seconds - 1 <= held_seconds:
                self._idle[desk].succeeded()
                return 0.0
            # The hub serves at once what is known or faulty: asking at once would go on for ever.
            seconds = self._idle[desk].failed()
            return min(seconds, _AWAITING_SECONDS) if fetcher.wanted else seconds

        return step

    async def _fetch_once(self, desk: str) -> int:
        """One pass over a desk's inbox; the first after a restore takes everything again."""
        fetcher = self._fetchers[desk]
        answer = functools.partial(self.owes_answers, desk)
        if self._restoration.is_open(desk, Work.INBOX):
            # From the beginning: the hub has nothing that expired, and a backup may lack any of it.
            stored = await fetcher.fetch_since(self._since[desk], answer)
            if fetcher.left:
                # Asked for again: what was answered before the restore, nothing else serves.
                self._since[desk] = min(fetcher.left)
            else:
                self._restoration.done(desk, Work.INBOX)
            return stored
        held_seconds = 0 if self._listeners[desk].is_open else self._pace.long_poll_seconds
        return await fetcher.fetch(held_seconds, answer)

    def _heard(self, desk: str, rank: int | None) -> None:
        """The event stream says that something waits, or begins or ends."""
        self._inbox[desk].set()
        if rank is None or self._tasks is None:
            return
        self._ranks[desk].add(rank)
        if desk not in self._overtaking:
            self._overtaking.add(desk)
            self._tasks.create_task(self._overtake(desk))

    async def _overtake(self, desk: str) -> None:
        """Let what is urgent pass a long pass over the inbox; what is heard meanwhile is looked at next."""
        fetcher, heard = self._fetchers[desk], self._ranks[desk]
        while heard:
            rank = min(heard)
            heard.clear()
            try:
                if await fetcher.overtake(rank, functools.partial(self.owes_answers, desk)):
                    # A flash that came is told to people at once.
                    self.rounds.wake.set()
            except Exception as error:  # noqa: BLE001 - as in `_forever`
                await self._note_failure(f"{desk} inbox", error)
        self._overtaking.discard(desk)
        if fetcher.wanted:
            self._downloads[desk].set()


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    """Sleep until woken, for so many seconds at the most."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    # Not `wait_for`: in Python 3.11 it may swallow a cancellation that comes as it is woken.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
