"""A node restored from a backup: it takes everything again, shows it once, and is told of itself once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.db import writing
from broker.node.home import Home
from broker.node.places import check_places
from broker.node.restored import RESTORED_FILE, Restoration, Work, marker_bytes
from keys.dsse import sign_statement
from schemas.errors import ConfigurationError, Problem
from schemas.receipts import EnvelopeStatus
from schemas.statements import PayloadType
from tests.unit.node.bench import Bench
from tests.unit.node.reader import Reader, arrive
from tests.unit.node.world import NodeWorld, at, copy_home

DESKS = ("tn/judicial", "tn/main")


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly's node, which has not looked at the log yet."""
    return Bench(world, ly)


@pytest.fixture
def backup(reader: Reader, tmp_path: Path) -> Reader:
    """tn's node as it was before it received anything; `reader` goes on."""
    asyncio.run(reader.sender.watch())
    folder = tmp_path / "backup"
    folder.mkdir()
    reader.home.engine.dispose()
    return Reader(reader.world, copy_home(reader.home, folder))


def since(reader: Reader, index: int = 0) -> int:
    """Take everything again."""
    return asyncio.run(reader.fetcher.fetch_since(index, lambda: None))


def test_what_was_answered_before_the_loss_arrives_again_and_is_shown_once(
    reader: Reader, backup: Reader
) -> None:
    """Answered again as the order of answers allows: `delivered` after `read`."""
    first, second = arrive(reader), arrive(reader)
    reader.fetch()
    reader.read("ly/main", first)
    reader.answer()
    # The machine is lost. The hub has nothing unanswered for the node that comes back.
    reader.world.later(minutes=5)
    assert backup.fetch() == 0
    assert backup.shown() == []
    assert since(backup) == 2
    assert since(backup) == 0
    assert sorted(backup.shown()) == sorted([first, second])
    backup.answer()
    assert backup.logged() == [
        ("delivered", None, 2),
        ("read", None, 1),
        ("delivered", None, 2),
    ]
    assert backup.alarms() == set()


def test_bodies_are_fetched_only_where_they_are_missing(reader: Reader, backup: Reader) -> None:
    """What is asked for again is mostly here: the pages carry no bodies."""
    asked: list[object] = []
    original = backup.client.inbox

    async def inbox(desk: str, **options: object) -> object:
        asked.append(options["inline_bytes"])
        return await original(desk, **options)  # type: ignore[arg-type]

    backup.client.inbox = inbox  # type: ignore[method-assign, assignment]
    since(backup)
    backup.fetch()
    assert asked == [0, 64 * 1024]


def test_what_it_did_since_its_backup_is_one_alarm(reader: Reader, backup: Reader) -> None:
    """All foreign answers up to now are one alarm of the restore; a later one is a thief's."""
    for _ in range(3):
        arrive(reader)
        reader.fetch()
        reader.answer()
    # One answer of the hub holds less than that.
    backup.client.openings_max = 2
    asyncio.run(backup.sender.watch(at(minutes=5)))
    assert backup.alarms() == {"restored"}
    [alarm] = backup.rows("alarm")
    assert (alarm.subject, alarm.times) == ("tn/main", 3)
    assert "2026-11-24T22:05:00Z" in alarm.text
    arrive(reader)
    reader.fetch()
    reader.answer()
    asyncio.run(backup.sender.watch())
    assert backup.alarms() == {"restored", "foreign-acknowledgement"}


def test_a_backup_of_before_its_first_day_knows_what_it_did_since(
    bench: Bench, tmp_path: Path
) -> None:
    """What it sent after that backup leaves no gap among its places, and is one alarm."""
    folder = tmp_path / "early"
    folder.mkdir()
    bench.home.engine.dispose()
    early = Bench(bench.world, copy_home(bench.home, folder))
    bench.queue("tn/main")
    bench.send()
    asyncio.run(early.sender.watch(at(minutes=5)))
    assert early.alarms().keys() == {"restored"}
    early.queue("tn/main")
    early.send()
    with writing(early.home.engine) as connection:
        assert check_places(connection, "ly/main", early.world.now) == ()


def test_the_marker_goes_once_every_desk_has_done_everything(tmp_path: Path) -> None:
    """A crash before that leaves it, so that all of it is done again."""
    (tmp_path / RESTORED_FILE).write_bytes(marker_bytes(at()))
    restoration = Restoration(tmp_path, DESKS)
    assert restoration.at == at()
    for desk in DESKS:
        for work in Work:
            assert restoration.is_open(desk, work)
            assert (tmp_path / RESTORED_FILE).exists()
            restoration.done(desk, work)
            assert not restoration.is_open(desk, work)
    assert not (tmp_path / RESTORED_FILE).exists()
    assert Restoration(tmp_path, DESKS).at is None


def test_without_a_marker_nothing_is_to_be_done(tmp_path: Path) -> None:
    """An ordinary start."""
    restoration = Restoration(tmp_path, DESKS)
    assert not any(restoration.is_open(desk, work) for desk in DESKS for work in Work)
    restoration.done("tn/main", Work.INBOX)


def test_a_node_made_anew_has_as_much_to_do(tmp_path: Path) -> None:
    """For the desks that had another node, and no others; the marker is written first."""
    restoration = Restoration(tmp_path, DESKS)
    restoration.begin(["tn/main"], at())
    assert Restoration(tmp_path, DESKS).at == restoration.at == at()
    assert all(restoration.is_open("tn/main", work) for work in Work)
    assert not any(restoration.is_open("tn/judicial", work) for work in Work)
    for work in Work:
        restoration.done("tn/main", work)
    assert not (tmp_path / RESTORED_FILE).exists()


@pytest.mark.parametrize("data", [b"", b"{}", b'{"at":"yesterday"}', b"[" * 5000])
def test_a_marker_that_is_none_stops_the_start(tmp_path: Path, data: bytes) -> None:
    """It says which file, and what to do."""
    (tmp_path / RESTORED_FILE).write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"restored\.json"):
        Restoration(tmp_path, DESKS)


def test_a_receipt_of_another_envelope_explains_nothing(bench: Bench, tmp_path: Path) -> None:
    """A hub that shows the receipt of somebody else's envelope fills no gap of the restored node."""
    folder = tmp_path / "early"
    folder.mkdir()
    bench.home.engine.dispose()
    early = Bench(bench.world, copy_home(bench.home, folder))
    bench.queue("tn/main")
    bench.send()
    other = bench.world.accept(bench.world.envelope("dz/main", "tn/main"))
    original = early.client.status

    async def status(sender: str, envelope_id: str) -> EnvelopeStatus:
        shown = await original(sender, envelope_id)
        return shown.model_copy(update={"receipt": bench.world.receipt(other, "dz/main")})

    early.client.status = status  # type: ignore[method-assign]
    with pytest.raises(Problem, match="another envelope"):
        asyncio.run(early.sender.watch(at(minutes=5)))


@pytest.mark.parametrize("is_signed", [True, False])
def test_what_was_withdrawn_after_the_backup_is_sent_to_nobody(
    bench: Bench, tmp_path: Path, is_signed: bool
) -> None:
    """The log shows the withdrawal, signed by this desk; what it did not sign withdraws nothing."""
    bulletin = bench.queue("tn/main", "ne/main")
    folder = tmp_path / "early"
    folder.mkdir()
    bench.home.engine.dispose()
    early = Bench(bench.world, copy_home(bench.home, folder))
    bench.send()
    bench.withdraw(bulletin)
    bench.send()
    bench.world.announce(bench.world.sealing_statement("ne/main", 1))
    if not is_signed:
        identity, item = bench.world.desks["dz/main"].node, bench.world.items[-1]
        assert identity is not None
        item.statement = sign_statement(
            PayloadType.ENVELOPE, item.statement.payload, bench.world.exchange, [identity]
        )
    asyncio.run(early.sender.watch(at(minutes=5)))
    expected = {True: "withdrawn", False: "queued"}[is_signed]
    assert set(early.states(bulletin).values()) == {expected}
