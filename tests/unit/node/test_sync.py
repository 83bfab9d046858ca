"""The loop: it goes on after every failure, waits longer each time, and lets one desk hold up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from broker.db import reading
from broker.node import tables
from broker.node.alarms.book import AlarmKind
from broker.node.home import Home
from broker.node.inbox.received import list_received
from broker.node.line import HubClock
from broker.node.outbox.checking import Order
from broker.node.outbox.queueing import queue
from broker.node.pacing import Backoff, Pace, pause_seconds
from broker.node.restored import RESTORED_FILE
from broker.node.sync import Sync
from broker.node.watch import watched_size
from keys.history import Finding
from keys.signing import SigningIdentity
from schemas.errors import HubUnreachable, Problem
from schemas.scalars import format_time
from tests.unit.node.world import NodeWorld, PaperClient, at, document

ASKED = 5

PACE = Pace(
    refresh_seconds=0.01,
    idle_seconds=0.05,
    long_poll_seconds=0,
    base_seconds=0.01,
    cap_seconds=0.05,
    inbox_cap_seconds=0.05,
    round_seconds=0.05,
)


async def away(*_arguments: object, **_more: object) -> object:
    """A call that nobody answers."""
    raise HubUnreachable("the hub did not answer: ConnectError")


class Running:
    """The loop of one node, run until something is so."""

    def __init__(self, world: NodeWorld, home: Home) -> None:
        self.world = world
        self.home = home
        self.line, self.client = world.line(home)
        self.sync = Sync(home, self.line, lambda: world.now, PACE)

    def until(
        self, holds: Callable[[], bool], *, before: Callable[[], None] = lambda: None
    ) -> None:
        """Run until `holds`, five seconds at the most."""

        async def run() -> None:
            working = asyncio.create_task(self.sync.run())
            await asyncio.sleep(0.02)
            before()
            try:
                for _ in range(500):
                    if holds():
                        return
                    await asyncio.sleep(0.01)
                raise TimeoutError
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

        asyncio.run(run())

    def alarms(self) -> set[str]:
        """The kinds of all alarms."""
        with reading(self.home.engine) as connection:
            return set(connection.execute(select(tables.alarm.c.kind)).scalars())

    def received(self) -> list[str]:
        """The ids of what tn/main received."""
        with reading(self.home.engine) as connection:
            found = list_received(connection, "tn/main", unread=False, after=None, limit=9)
        return [summary.bulletin_id for summary in found]

    def rejected(self) -> list[str]:
        """Why tn/main could not take something."""
        column = tables.answer.c
        query = select(column.reason).where(column.result == "rejected", column.desk == "tn/main")
        with reading(self.home.engine) as connection:
            return list(connection.execute(query).scalars())

    def delivery(self) -> list[str]:
        """The states of all deliveries."""
        with reading(self.home.engine) as connection:
            return list(connection.execute(select(tables.delivery.c.state)).scalars())


@pytest.fixture
def running(world: NodeWorld, tn: Home) -> Running:
    """The loop of tn's node."""
    return Running(world, tn)


def test_a_bulletin_goes_out_and_one_comes_in(running: Running) -> None:
    """Sent, fetched, acknowledged, without anybody calling for it but the queue."""
    outgoing = running.world.outgoing("ly/main")

    def work() -> None:
        order = Order("tn/main", document("tn/main"), ("dz/main",))
        queue(running.home, order, running.world.newest, running.world.now)
        running.sync.queued("tn/main")
        running.world.accept(running.world.envelope("ly/main", "tn/main", outgoing=outgoing))

    running.until(
        lambda: (
            running.delivery() == ["accepted"]
            and running.received() == [outgoing.bulletin_id]
            and len(running.world.answered) == 1
        ),
        before=work,
    )
    assert running.alarms() == set()
    assert running.line.reach.since == running.world.now


def test_sealing_keys_are_announced_by_themselves(world: NodeWorld, tmp_path: object) -> None:
    """A new node has its first key logged before anything else is asked of it."""
    home = world.home(tmp_path, "ne", "main")  # type: ignore[arg-type]
    running = Running(world, home)
    running.until(lambda: world.newest.sealing_key("ne/main", world.now) is not None)
    assert len(running.client.announced) == 1
    home.close()


def test_a_hub_that_comes_back_finds_everything_waiting(running: Running) -> None:
    """While it is away the node says so; then the queue empties by itself."""
    order = Order("tn/main", document("tn/main"), ("dz/main",))
    queue(running.home, order, running.world.newest, running.world.now)
    running.client.away = True
    running.line.follower.refresh = away  # type: ignore[method-assign, assignment]

    def silent_for_minutes() -> bool:
        if running.line.reach.silent_since == running.world.now:
            # The first tries that failed shout at nobody.
            assert "hub-unreachable" not in running.alarms()
            running.world.later(minutes=5)
        return "hub-unreachable" in running.alarms()

    running.until(silent_for_minutes)
    assert running.line.reach.since is None
    running.world.later(minutes=5)
    later = Running(running.world, running.home)
    later.until(lambda: later.delivery() == ["accepted"] and later.alarms() == set())


def test_a_bug_in_one_task_stops_no_other(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged by its type alone, and the others go on."""

    async def broken(*_arguments: object, **_more: object) -> object:
        raise RuntimeError("a secret route")

    monkeypatch.setattr(PaperClient, "inbox", broken)
    order = Order("tn/main", document("tn/main"), ("dz/main",))
    queue(running.home, order, running.world.newest, running.world.now)
    running.until(lambda: running.delivery() == ["accepted"] and "internal" in running.alarms())
    assert "RuntimeError" in caplog.text
    assert "a secret route" not in caplog.text
    with reading(running.home.engine) as connection:
        texts = connection.execute(select(tables.alarm.c.text)).scalars()
        assert set(texts) == {"RuntimeError"}


def test_a_sealing_key_that_is_refused_holds_up_nothing(
    world: NodeWorld, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The logs are followed and the outbox sends, whatever the hub says against one key."""

    async def refuse(*_arguments: object) -> None:
        raise Problem("sealing-key-rate")

    monkeypatch.setattr(PaperClient, "publish_sealing_key", refuse)
    home = world.home(tmp_path, "ne", "main")  # type: ignore[arg-type]
    running = Running(world, home)
    order = Order("ne/main", document("ne/main"), ("dz/main",))
    queue(home, order, world.newest, world.now)
    running.until(
        lambda: running.delivery() == ["accepted"] and "hub-refuses-requests" in running.alarms()
    )
    home.close()


def test_findings_in_the_directory_log_are_alarms(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A void entry is shown with its rule."""
    found = [(Finding(7, "directory-invalid", "a version jumped"),)]

    async def refresh() -> tuple[Finding, ...]:
        return found.pop() if found else ()

    monkeypatch.setattr(running.line.follower, "refresh", refresh)
    running.until(lambda: "finding" in running.alarms())


def test_an_inbox_of_known_things_is_not_asked_without_pause(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that serves the same again and again meets longer and longer pauses: one before each request."""
    outgoing = running.world.outgoing("ly/main")
    running.world.accept(running.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    running.client.inbox_items["tn/main"] = [running.world.item(0, "tn/main")]
    pauses = running.sync._idle["tn/main"]
    told: list[str] = []
    original, longer = running.client.inbox, pauses.failed

    def paused() -> float:
        longer()
        told.append(f"pause {pauses._failures}")
        return 0.0

    async def asked(desk: str, **options: Any) -> object:
        if desk == "tn/main":
            told.append("asked")
        return await original(desk, **options)

    monkeypatch.setattr(pauses, "failed", paused)
    running.client.inbox = asked  # type: ignore[method-assign, assignment]
    running.until(lambda: len(told) >= 2 * ASKED)
    # What is new is followed by the next request at once.
    assert told[2:8] == ["pause 1", "asked", "pause 2", "asked", "pause 3", "asked"]


def test_the_outbox_wakes_though_a_receipt_moved_the_log_on(running: Running) -> None:
    """What entries a receipt's checkpoint already covers are looked at by the next look, and wake it too."""

    async def look() -> list[bool]:
        await running.sync._follow()
        running.sync._outbox["tn/main"].clear()
        await running.sync._follow()
        found = [running.sync._outbox["tn/main"].is_set()]
        running.world.accept(running.world.envelope("ly/main", "tn/main"))
        await running.line.refresh()
        await running.sync._follow()
        return [*found, running.sync._outbox["tn/main"].is_set()]

    assert asyncio.run(look()) == [False, True]


# Pacing and the clock.


def test_pauses_double_up_to_a_cap_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between nothing and twice the last, never beyond the cap."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    monkeypatch.setattr("broker.node.pacing._JITTER.uniform", uniform)
    pauses = [pause_seconds(tries, 1.0, 10.0) for tries in (0, 1, 2, 3, 4, 1000)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert {low for low, _ in drawn} == {0}


def test_a_success_makes_the_next_failure_a_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count starts anew."""
    monkeypatch.setattr("broker.node.pacing._JITTER.uniform", lambda _low, high: high)
    backoff = Backoff(base_seconds=1.0, cap_seconds=60.0)
    assert [backoff.failed(), backoff.failed()] == [1.0, 2.0]
    backoff.succeeded()
    assert backoff.failed() == 1.0


def test_a_wrong_clock_stamps_requests_with_the_hubs_time() -> None:
    """Only a refusal of the request's times moves it, and nothing but requests is stamped with it."""
    clock = HubClock(at)
    start = int(at().timestamp())
    told = format_time(at() + timedelta(hours=3))
    clock.learn(Problem("unknown-key", hub_time=told))
    clock.learn(Problem("signature-expired"))
    clock.learn(Problem("signature-expired", hub_time="soon"))
    assert clock.now_unix() == start
    clock.learn(Problem("signature-expired", hub_time=told))
    assert clock.now_unix() == start + 3 * 3600


def test_the_first_call_that_is_refused_for_its_time_is_learned_from(running: Running) -> None:
    """Through the loop, whatever call it was."""
    told = format_time(running.world.now + timedelta(hours=1))
    running.client.refusals = [Problem("signature-expired", hub_time=told)]
    start = int(running.world.now.timestamp())
    running.until(lambda: running.line.time.now_unix() == start + 3600)


def test_unreachable_says_why(running: Running) -> None:
    """The status shows the reason, and that it never answered."""

    async def away(*_arguments: object, **_more: object) -> object:
        raise HubUnreachable("the hub did not answer: ConnectError")

    running.line.follower.refresh = away  # type: ignore[method-assign, assignment]
    running.client.away = True
    running.until(lambda: "ConnectError" in running.line.reach.problem)


def test_a_refused_desk_keeps_no_other_from_looking(running: Running) -> None:
    """tn/judicial was revoked: the log is looked at for tn/main all the same, and people are told."""
    looks = 0

    async def refused(*_arguments: Any) -> None:
        nonlocal looks
        looks += 1
        raise Problem("unknown-key")

    asyncio.run(running.sync._senders["tn/main"].watch())
    running.world.accept(running.world.envelope("ly/main", "tn/main"))
    size = running.world.head().size
    running.sync._senders["tn/judicial"].watch = refused  # type: ignore[assignment]
    running.until(
        lambda: (
            (watched_size(running.home, "tn/main") or 0) >= size
            and AlarmKind.REFUSES_US in running.alarms()
            and looks > 1
        )
    )


def test_a_new_node_reads_the_logs_before_its_inbox(bare: NodeWorld, tmp_path: Path) -> None:
    """Whether its desks had another node, so that everything is to be taken again, the logs tell."""
    running = Running(bare, bare.home(tmp_path, "tn", "main"))
    original, asked, followed = running.client.inbox, 0, False

    async def inbox(*arguments: Any, **more: Any) -> Any:
        nonlocal asked
        asked += not followed
        return await original(*arguments, **more)

    async def refresh() -> tuple[()]:
        nonlocal followed
        await asyncio.sleep(0.1)
        followed = True
        return ()

    running.client.inbox = inbox  # type: ignore[method-assign]
    running.line.follower.refresh = refresh  # type: ignore[method-assign]
    running.until(lambda: followed)
    assert asked == 0
    running.home.close()


def test_a_node_made_anew_takes_everything_again(bare: NodeWorld, tmp_path: Path) -> None:
    """The log has keys of the desk from before: what was answered then is asked for once more."""
    first = bare.home(tmp_path, "tn", "judicial", "main")
    bare.announce_for(first)
    first.close()
    bare.accept(bare.envelope("ly/main", "tn/main"))
    bare.answered.add((0, "tn/main"))
    for desk in first.desks:
        bare.desks[desk] = replace(bare.desks[desk], node=SigningIdentity.generate())
    bare.change_member("tn", lambda _file: bare.declare("tn"))
    bare.publish()
    (tmp_path / "anew").mkdir()
    running = Running(bare, bare.home(tmp_path / "anew", "tn", "judicial", "main"))
    marker = running.home.data / RESTORED_FILE
    running.until(lambda: bool(running.rejected()) and not marker.exists())
    assert running.rejected() == ["cannot_open"]
    assert "foreign-sealing-key" not in running.alarms()
    running.home.close()
