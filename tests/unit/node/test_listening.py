"""Listening: the hub's events wake the inbox, let what is urgent pass, and are never needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import select

from broker.db import reading
from broker.node import tables
from broker.node.home import Home
from broker.node.inbox.received import list_received
from broker.node.pacing import Pace
from broker.node.restored import RESTORED_FILE, marker_bytes
from broker.node.sending import Sender
from broker.node.sync import Sync
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import HubUnreachable, Problem
from schemas.receipts import InboxPage
from tests.unit.node.world import NodeWorld, PaperClient, at

ASLEEP = Pace(refresh_seconds=60, idle_seconds=60, long_poll_seconds=50, base_seconds=0.01)
"""A node that does nothing by itself for a minute, once the event stream is open."""


class Listening:
    """tn's node with an event stream in which a test speaks."""

    def __init__(self, world: NodeWorld, home: Home) -> None:
        self.world = world
        self.home = home
        self.line, self.client = world.line(home)
        self.asked: list[float] = []
        self.waited: list[object] = []
        original = self.client.inbox

        async def inbox(desk: str, **options: object) -> InboxPage:
            if desk == "tn/main":
                self.asked.append(asyncio.get_running_loop().time())
                self.waited.append(options.get("wait_seconds"))
            return await original(desk, **options)  # type: ignore[arg-type]

        self.client.inbox = inbox  # type: ignore[method-assign]

    async def run(
        self, work: Callable[[], Awaitable[None]], pace: Pace = ASLEEP, *, opens: bool = True
    ) -> None:
        """Run the loop while a test works; it begins once the event stream is open, if it `opens`."""
        for desk in self.home.desks:
            self.client.streams[desk] = asyncio.Queue()
        working = asyncio.create_task(
            Sync(self.home, self.line, lambda: self.world.now, pace).run()
        )
        try:
            if opens:
                await until(lambda: self.waited[-1:] == [0])
            await work()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    def say(self, rank: int | None) -> None:
        """The hub says that something waits; None ends the stream."""
        self.client.streams["tn/main"].put_nowait(rank)

    def arrive(self, precedence: Precedence) -> str:
        """An envelope is accepted; gives its bulletin's id."""
        outgoing = replace(self.world.outgoing("ly/main"), precedence=precedence)
        self.world.accept(self.world.envelope("ly/main", "tn/main", outgoing=outgoing))
        return outgoing.bulletin_id

    def received(self) -> list[str]:
        """What tn/main received, in the order of arrival."""
        with reading(self.home.engine) as connection:
            found = list_received(connection, "tn/main", unread=False, after=None, limit=100)
        return [each.bulletin_id for each in sorted(found, key=lambda summary: summary.number)]

    def alarms(self) -> set[str]:
        """The kinds of all alarms."""
        with reading(self.home.engine) as connection:
            return set(connection.execute(select(tables.alarm.c.kind)).scalars())


@pytest.fixture
def listening(world: NodeWorld, tn: Home) -> Listening:
    """tn's node."""
    return Listening(world, tn)


async def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something is so."""
    for _ in range(int(seconds / 0.005)):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


def test_an_event_wakes_a_sleeping_inbox(listening: Listening) -> None:
    """While the stream is open nobody asks; what arrives is here within a second."""

    async def work() -> None:
        asked = len(listening.asked)
        await asyncio.sleep(0.2)
        assert len(listening.asked) == asked
        bulletin = listening.arrive(Precedence.FLASH)
        listening.say(0)
        await until(lambda: listening.received() == [bulletin])

    asyncio.run(listening.run(work))
    assert listening.waited[-1] == 0
    assert listening.alarms() <= {"urgent-bulletin"}


def test_without_a_stream_the_inbox_asks_by_long_poll(listening: Listening) -> None:
    """The hub ends the stream: the node asks again at once, and the hub may hold the request."""

    async def work() -> None:
        listening.say(None)
        await until(lambda: listening.waited[-1] == ASLEEP.long_poll_seconds)

    pace = replace(ASLEEP, base_seconds=60, cap_seconds=60, inbox_cap_seconds=60)
    asyncio.run(listening.run(work, pace))
    assert listening.alarms() <= {"urgent-bulletin"}


def test_a_flash_passes_a_page_that_takes_long(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the body of a routine envelope is on a slow line, a flash arrives and is stored first."""
    slow = asyncio.Event()
    routine = listening.arrive(Precedence.ROUTINE)
    original = listening.client.inbox

    async def inbox(desk: str, **options: object) -> InboxPage:
        page = await original(desk, **options)  # type: ignore[arg-type]
        bodiless = [
            item.model_copy(update={"body": None}) if item.receipt.index == 0 else item
            for item in page.items
        ]
        return page.model_copy(update={"items": tuple(bodiless)})

    async def body(_client: PaperClient, _sender: str, _envelope_id: str) -> bytes:
        await slow.wait()
        envelope = listening.world.items[0].envelope
        assert envelope is not None
        return envelope.body

    listening.client.inbox = inbox  # type: ignore[method-assign]
    monkeypatch.setattr(PaperClient, "body", body)

    async def work() -> None:
        await until(lambda: len(listening.asked) == 1)
        flash = listening.arrive(Precedence.FLASH)
        listening.say(0)
        await until(lambda: listening.received() == [flash])
        slow.set()
        await until(lambda: listening.received() == [flash, routine])

    asyncio.run(listening.run(work, opens=False))
    assert listening.alarms() <= {"urgent-bulletin"}


def test_what_is_not_ahead_overtakes_nothing(listening: Listening) -> None:
    """A pass that is busy with a flash is left alone by another flash: nothing is taken twice."""

    async def work() -> None:
        fetcher = Sync(
            listening.home, listening.line, lambda: listening.world.now, ASLEEP
        )._fetchers["tn/main"]
        flash = listening.arrive(Precedence.FLASH)
        listening.arrive(Precedence.ROUTINE)
        asked = len(listening.asked)
        assert await fetcher.overtake(0, lambda: None) == 0
        fetcher._passes, fetcher._taken = 1, {7: 0}
        assert await fetcher.overtake(0, lambda: None) == 0
        assert len(listening.asked) == asked
        fetcher._taken = {0: 3}
        assert await fetcher.overtake(0, lambda: None) == 0
        assert len(listening.asked) == asked + 1
        # Of the same page the flash passes the routine one that the pass comes to later.
        fetcher._taken = {9: 3}
        assert await fetcher.overtake(0, lambda: None) == 1
        assert listening.received() == [flash]

    asyncio.run(work())


def test_a_hub_that_floods_with_events_is_not_asked_without_pause(listening: Listening) -> None:
    """Twenty events a second are heard, and no more."""

    async def work() -> None:
        asked = len(listening.asked)
        for _ in range(10_000):
            listening.say(3)
        await asyncio.sleep(0.5)
        assert len(listening.asked) - asked <= 25

    asyncio.run(listening.run(work))


def test_events_without_end_wait_for_one_look_beside_a_pass(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that says flash all the time, and does not answer, is asked once beside the pass."""
    held = asyncio.Event()
    original = listening.client.inbox
    calls = 0

    async def inbox(desk: str, **options: object) -> InboxPage:
        nonlocal calls
        if desk == "tn/main":
            calls += 1
            if not held.is_set():
                await held.wait()
        return await original(desk, **options)  # type: ignore[arg-type]

    async def work() -> None:
        monkeypatch.setattr(listening.client, "inbox", inbox)
        for _ in range(10):
            listening.say(0)
        await asyncio.sleep(0.6)
        assert calls == 2
        held.set()
        await until(lambda: calls > 2)

    asyncio.run(listening.run(work))


def test_a_stream_that_fails_is_no_alarm_and_is_asked_for_again(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails with it is told by the inbox's own requests."""
    tries: list[str] = []

    def events(_client: PaperClient, desk: str) -> object:
        tries.append(desk)
        if len(tries) % 2:
            raise HubUnreachable("cut")
        raise Problem("not-found")

    monkeypatch.setattr(PaperClient, "events", events)

    async def work() -> None:
        await until(lambda: tries.count("tn/main") >= 3)

    asyncio.run(listening.run(work, replace(ASLEEP, cap_seconds=0.02), opens=False))
    assert listening.alarms() <= {"urgent-bulletin"}


def test_a_restored_node_asks_again_for_what_it_did_not_get(listening: Listening) -> None:
    """What was answered before comes by `since` alone: the marker stays until all of it is here."""
    first, second = (listening.arrive(Precedence.ROUTINE) for _ in range(2))
    listening.world.answered |= {(0, "tn/main"), (1, "tn/main")}
    marker = listening.home.data / RESTORED_FILE
    marker.write_bytes(marker_bytes(at()))
    original = listening.client.inbox
    asked: list[object] = []
    faulty = [True]

    async def inbox(desk: str, **options: object) -> InboxPage:
        page = await original(desk, **options)  # type: ignore[arg-type]
        if desk != "tn/main":
            return page
        asked.append(options.get("since"))
        flipped = [
            item.model_copy(update={"slot": bytes(len(item.slot))})
            if faulty and item.receipt.index == 1
            else item
            for item in page.items
        ]
        return page.model_copy(update={"items": tuple(flipped)})

    listening.client.inbox = inbox  # type: ignore[method-assign]

    async def work() -> None:
        await until(lambda: listening.received() == [first] and len(asked) > 1)
        assert marker.exists()
        faulty.clear()
        await until(lambda: listening.received() == [first, second] and not marker.exists())

    asyncio.run(listening.run(work, replace(ASLEEP, inbox_cap_seconds=0.05)))
    assert asked[:2] == [0, 1]


def test_a_restored_node_takes_everything_again_when_it_starts(listening: Listening) -> None:
    """By itself, once; then the marker is gone."""
    bulletin = listening.arrive(Precedence.ROUTINE)
    listening.world.answered.add((0, "tn/main"))
    marker = listening.home.data / RESTORED_FILE
    marker.write_bytes(marker_bytes(at()))

    async def work() -> None:
        await until(lambda: listening.received() == [bulletin] and not marker.exists())

    asyncio.run(listening.run(work))


def test_a_restored_node_sends_nothing_before_it_has_looked_at_the_log(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it withdrew after its backup must not leave again."""
    (listening.home.data / RESTORED_FILE).write_bytes(marker_bytes(listening.world.now))
    looked = asyncio.Event()
    original_watch, original_send = Sender.watch, Sender.send
    sent: list[bool] = []

    async def watch(sender: Sender, *arguments: object) -> None:
        await looked.wait()
        await original_watch(sender, *arguments)  # type: ignore[arg-type]

    async def send(sender: Sender) -> int:
        sent.append(looked.is_set())
        return await original_send(sender)

    monkeypatch.setattr(Sender, "watch", watch)
    monkeypatch.setattr(Sender, "send", send)

    async def work() -> None:
        await asyncio.sleep(0.3)
        looked.set()
        await until(lambda: len(sent) >= 2)

    asyncio.run(listening.run(work, opens=False))
    assert set(sent) == {True}
