"""Freshness against a hub, or a line, that shows bad timestamps: each is noticed, and changes no directory.

Over the grace nothing leaves by itself, while receiving goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from broker.db import reading
from broker.hub.setup import load_repository
from broker.node import tables
from broker.node.outbox.holding import Confirmation, confirm
from keys.repository import TIMESTAMP_NAME, TrustSigner, online_signer
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem
from tests.exchange import timestamps
from tests.exchange.histories import Forward, History, Lie
from tests.exchange.hostile_hub import nothing, refused
from tests.exchange.nodes import document

SENDER, RECIPIENT = "ly", "tn"
PATH: Final = f"/v1/trust/{TIMESTAMP_NAME}"
STAMPS: Final = frozenset(
    {
        "timestamp-missing",
        "timestamp-expired",
        "timestamp-rolled-back",
        "timestamp-other-snapshot",
        "timestamp-signature",
    }
)
OLD: Final = frozenset({"directory-stale", "directory-over-grace"})


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """An exchange whose nodes have followed the logs; nothing was sent."""
    made = History(tmp_path / "history")
    everybody_works(made)
    yield made
    made.close()


def everybody_works(history: History) -> None:
    """One pass of every node, and one look around."""
    for member, node in history.nodes.items():
        history.work(member)
        history.run(node.look_around())


def send(history: History, precedence: Precedence = Precedence.ROUTINE) -> str:
    """Hand in a bulletin from sender to recipient; gives its id."""
    bulletin_id, content = document(f"{SENDER}/main", "a title")
    history.nodes[SENDER].hand_in(content, (f"{RECIPIENT}/main",), precedence)
    return bulletin_id


def state(history: History, bulletin_id: str) -> str:
    """Where it stands."""
    [(found, _)] = history.nodes[SENDER].states(bulletin_id).values()
    return found


def confirmed(history: History, bulletin_id: str) -> None:
    """A person at the sender's lets it leave."""
    node, now = history.nodes[SENDER], history.clock()
    directory = node.line.state.directory
    assert directory is not None
    asked = Confirmation("Salma", "9f2c4e6a8b0d", "duty officer", now, None)
    confirm(node.home, node.desk, bulletin_id, directory, asked)


def alarms(history: History, kinds: frozenset[str]) -> frozenset[str]:
    """Alarms of these kinds that stand at the sender."""
    return kinds & history.nodes[SENDER].alarms().keys()


def told(answer: Callable[[], httpx.Response]) -> Lie:
    """Whoever asks for the timestamp gets this."""

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        return answer() if request.url.path == PATH else await forward(request)

    return lie


def stamped(history: History, **changed: Any) -> Callable[[], httpx.Response]:
    """A timestamp that is right but for what is named; as of now, whenever it is asked for."""
    snapshot, number = timestamps.snapshot_of(history.ledger)
    online = online_signer(history.founded.hub.keystore.get("online"))
    version = timestamps.version_of(timestamps.current(history.ledger))
    values: dict[str, Any] = {
        "snapshot": snapshot,
        "number": number,
        "version": version,
        "key": online,
    }
    values |= {"expires": history.clock() + timedelta(days=300)} | changed

    def answer() -> httpx.Response:
        return httpx.Response(200, content=timestamps.sign(**values))

    return answer


Bad = Callable[[History], Callable[[], httpx.Response]]

BAD: Final[dict[str, tuple[str, Bad]]] = {
    "withheld": ("timestamp-missing", lambda _h: lambda: refused("not-found")),
    "refused": ("timestamp-missing", lambda _h: lambda: refused("not-your-desk")),
    "expired": ("timestamp-expired", lambda h: stamped(h, expires=h.clock())),
    "rolled back": ("timestamp-rolled-back", lambda h: stamped(h, version=1)),
    "of another key": ("timestamp-signature", lambda h: stamped(h, key=TrustSigner.generate())),
    "no timestamp": ("timestamp-signature", lambda _h: lambda: httpx.Response(200, content=b"{}")),
    "of another snapshot": ("timestamp-other-snapshot", lambda h: stamped(h, snapshot=b"{}")),
    "of another version": ("timestamp-other-snapshot", lambda h: stamped(h, number=99)),
}


@pytest.mark.parametrize(("kind", "bad"), BAD.values(), ids=BAD)
def test_each_bad_timestamp_is_noticed_and_changes_no_directory(
    history: History, kind: str, bad: Bad
) -> None:
    """An alarm of its own kind; what was in force stays, everything leaves until the grace is over."""
    node = history.nodes[SENDER]
    in_force = node.line.state.in_force
    history.wire.lie = told(bad(history))
    for hours in (0, 1, 1):
        history.later(hours=hours)
        everybody_works(history)
    assert alarms(history, STAMPS) == {kind}
    assert alarms(history, OLD) == {"directory-stale"}
    assert node.line.state.in_force == in_force
    bulletin = send(history)
    everybody_works(history)
    assert state(history, bulletin) == "accepted"
    history.wire.lie = None
    everybody_works(history)
    assert alarms(history, OLD) == set()
    lasting = {"timestamp-missing", "timestamp-expired"}
    assert alarms(history, STAMPS) == {kind} - lasting


@pytest.mark.parametrize("answer", [nothing, lambda: refused("busy")], ids=["silent", "busy"])
def test_no_answer_is_no_fault_of_the_timestamp(
    history: History, answer: Callable[[], httpx.Response]
) -> None:
    """The logs are followed all the same; the directory ages."""
    history.wire.lie = told(answer)
    history.later(hours=2)
    bulletin = send(history)
    for _ in range(2):
        everybody_works(history)
    assert alarms(history, STAMPS) == set()
    assert alarms(history, OLD) == {"directory-stale"}
    history.later(minutes=2)
    everybody_works(history)
    assert state(history, bulletin) == "delivered"


def test_a_hub_that_is_frozen(history: History) -> None:
    """Its last timestamp runs out after a day; a day and more later the directory is over the grace."""
    history.frozen = True
    everybody_works(history)
    history.later(hours=23)
    everybody_works(history)
    assert alarms(history, STAMPS | OLD) == set()
    history.later(hours=2)
    everybody_works(history)
    assert alarms(history, STAMPS | OLD) == {"timestamp-expired", "directory-stale"}
    history.later(hours=23)
    everybody_works(history)
    assert alarms(history, STAMPS | OLD) == {"timestamp-expired", "directory-over-grace"}


def test_published_between_two_calls_is_no_alarm(history: History) -> None:
    """A directory that comes into force after the log was read, and before the timestamp was."""
    hub = history.founded.hub
    published: list[int] = []

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        if request.url.path == PATH and not published:
            expires = history.clock() + timedelta(days=300)
            files = hub.files | hub.signed_member("ml", 2, expires)
            data = history.folder / "hub"
            published.append(load_repository(data, hub.keystore, files, history.clock()).index)
            history.ledger.catch_up()
        return await forward(request)

    node = history.nodes[SENDER]
    history.wire.lie = lie
    history.later(minutes=1)
    history.work(SENDER)
    history.run(node.look_around())
    assert published
    in_force = node.line.state.in_force
    assert in_force is not None
    assert in_force.index == published[0]
    assert alarms(history, STAMPS) == set()
    with reading(node.home.engine) as connection:
        [row] = connection.execute(tables.freshness.select()).all()
    assert row.at == history.now_unix()


def over_the_grace(history: History) -> None:
    """For more than a day the hub shows no good timestamp."""
    history.frozen = True
    history.wire.lie = told(lambda: refused("not-found"))
    everybody_works(history)
    history.later(hours=24, seconds=1)
    everybody_works(history)
    assert alarms(history, OLD) == {"directory-over-grace"}


def fresh_again(history: History) -> None:
    """The hub renews its timestamp, and everybody sees it."""
    history.frozen = False
    history.wire.lie = None
    history.later(minutes=5)
    everybody_works(history)
    assert alarms(history, OLD) == set()


def test_over_the_grace_routine_waits_flash_asks_and_receiving_goes_on(history: History) -> None:
    """Until it is fresh again: then all of it leaves by itself."""
    arrived = send(history)
    everybody_works(history)
    over_the_grace(history)
    # The recipient, over the grace as well, has received and answered.
    assert [each.bulletin_id for each in history.nodes[RECIPIENT].shown()] == [arrived]
    assert state(history, arrived) == "delivered"
    words = (Precedence.FLASH, Precedence.IMMEDIATE, Precedence.PRIORITY, Precedence.ROUTINE)
    bulletins = {word: send(history, word) for word in words}
    for _ in range(3):
        everybody_works(history)
    assert {state(history, each) for each in bulletins.values()} == {"queued"}
    assert "awaiting-confirmation" in history.nodes[SENDER].alarms()
    confirmed(history, bulletins[Precedence.FLASH])
    for _ in range(2):
        everybody_works(history)
        history.later(minutes=2)
    flash = bulletins.pop(Precedence.FLASH)
    assert state(history, flash) == "delivered"
    assert {each.bulletin_id for each in history.nodes[RECIPIENT].shown()} == {arrived, flash}
    assert {state(history, each) for each in bulletins.values()} == {"queued"}
    with pytest.raises(Problem, match="directory-over-grace"):
        confirmed(history, bulletins[Precedence.ROUTINE])
    fresh_again(history)
    for _ in range(2):
        everybody_works(history)
        history.later(minutes=2)
    assert {state(history, each) for each in bulletins.values()} == {"delivered"}
    assert "awaiting-confirmation" not in history.nodes[SENDER].alarms()
    assert history.audit().findings == ()


def test_a_node_that_starts_anew_remembers(history: History) -> None:
    """How old its directory is, what waits, and who confirmed."""
    flash, routine = send(history, Precedence.FLASH), send(history)
    over_the_grace(history)
    # They left before.
    assert {state(history, each) for each in (flash, routine)} == {"delivered"}
    flash, routine = send(history, Precedence.FLASH), send(history)
    history.nodes[SENDER].reopen()
    everybody_works(history)
    assert {state(history, each) for each in (flash, routine)} == {"queued"}
    confirmed(history, flash)
    history.nodes[SENDER].reopen()
    everybody_works(history)
    assert (state(history, flash), state(history, routine)) == ("accepted", "queued")
    history.nodes[SENDER].reopen()
    fresh_again(history)
    history.later(minutes=2)
    everybody_works(history)
    assert state(history, routine) == "delivered"


def test_a_node_that_was_off_begins_by_asking(history: History) -> None:
    """After days it holds nothing and warns of nothing once it has followed an honest hub."""
    bulletin = send(history)
    for _ in range(3):
        history.later(days=1)
    node = history.nodes[SENDER]
    node.reopen()
    history.run(node.look_around())
    assert alarms(history, OLD | STAMPS) == set()
    for _ in range(2):
        everybody_works(history)
        history.later(minutes=2)
    assert alarms(history, OLD | STAMPS) == set()
    assert state(history, bulletin) == "delivered"


def test_a_rolled_back_timestamp_is_seen_after_a_restart(history: History) -> None:
    """The newest one seen stands on the disk."""
    newest = timestamps.version_of(timestamps.current(history.ledger)) + 9
    history.wire.lie = told(stamped(history, version=newest))
    everybody_works(history)
    assert alarms(history, STAMPS) == set()
    history.wire.lie = told(stamped(history, version=newest - 1))
    history.nodes[SENDER].reopen()
    everybody_works(history)
    assert alarms(history, STAMPS) == {"timestamp-rolled-back"}
    with reading(history.nodes[SENDER].home.engine) as connection:
        [row] = connection.execute(tables.alarm.select()).all()
    assert row.subject == "timestamp"
