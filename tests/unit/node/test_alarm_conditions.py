"""Conditions: what is wrong with line, clock, disk, keys and directory, each seen and each over again."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from broker.checks import DISK_FREE_BYTES_MIN
from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms.book import list_alarms
from broker.node.alarms.conditions import Failing, Found, find_conditions
from broker.node.alarms.kinds import AlarmKind
from broker.node.alarms.rounds import Rounds
from broker.node.home import Home, sealing_key_name
from broker.settings import CommandNotices, Notices, SmtpNotices
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem
from schemas.scalars import format_time
from tests.unit.node.agency import Agency
from tests.unit.node.reader import Reader
from tests.unit.node.world import NodeWorld, document, new_id

Usage = namedtuple("Usage", "total used free")


class Watched:
    """The node of tn, looked at."""

    def __init__(self, world: NodeWorld, home: Home) -> None:
        self.world = world
        self.home = home
        self.line, _ = world.line(home)
        self.failing = Failing()

    def found(self, **later: int) -> Found:
        """Everything that is looked at, after some time."""
        now = self.world.now + timedelta(**later)
        with reading(self.home.engine) as connection:
            return find_conditions(connection, self.home, self.line, self.failing, now)

    def wrong(self, **later: int) -> dict[AlarmKind, dict[str, str]]:
        """What is wrong: kinds with nothing are left out."""
        return {kind: causes for kind, causes in self.found(**later).causes.items() if causes}


@pytest.fixture
def watched(world: NodeWorld, tn: Home) -> Watched:
    """The node of tn."""
    return Watched(world, tn)


def test_nothing_is_wrong_with_a_new_node(watched: Watched) -> None:
    """Of the hub and the clock nothing is known before the first call: their alarms are left alone."""
    found = watched.found()
    assert {kind: causes for kind, causes in found.causes.items() if causes} == {}
    assert {AlarmKind.UNREACHABLE, AlarmKind.CLOCK} & found.causes.keys() == set()
    watched.line.reach.answered(watched.world.now)
    assert {AlarmKind.UNREACHABLE, AlarmKind.CLOCK} <= watched.found().causes.keys()


# The line and the clock.


def test_a_silent_hub_is_an_alarm_after_minutes_only(watched: Watched) -> None:
    """Not at the first try that failed; over as soon as it answers."""
    watched.line.reach.answered(watched.world.now)
    watched.line.reach.silent("ConnectError", watched.world.now)
    watched.line.reach.silent("ReadTimeout", watched.world.now + timedelta(minutes=2))
    assert watched.wrong(seconds=179) == {}
    expected = {"hub": f"no answer since {format_time(watched.world.now)}"}
    assert watched.wrong(minutes=3) == {AlarmKind.UNREACHABLE: expected}
    watched.line.reach.answered(watched.world.now)
    assert watched.found(minutes=3).causes[AlarmKind.UNREACHABLE] == {}


def test_a_hub_that_refuses_is_not_silent(watched: Watched) -> None:
    """It answers; what it says is another alarm."""
    watched.line.reach.silent("ConnectError", watched.world.now)
    watched.line.reach.failed("the hub answered: busy")
    assert watched.wrong(hours=1) == {}


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(300, None), (-300, None), (301, "5 minutes behind"), (-7200, "120 minutes ahead of")],
)
def test_a_clock_five_minutes_off_is_an_alarm(
    watched: Watched, seconds: int, says: str | None
) -> None:
    """The protocol's limit, either way."""
    told = format_time(watched.world.now + timedelta(seconds=seconds))
    watched.line.time.learn(Problem("signature-expired", hub_time=told))
    expected = {} if says is None else {AlarmKind.CLOCK: {"clock": f"{says} the hub's"}}
    assert watched.wrong() == expected


# The disk, the database, the keystore.


def test_a_disk_that_is_nearly_full(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit in bytes is free: still well; one byte less: an alarm."""
    free = [DISK_FREE_BYTES_MIN]
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(0, 0, free[0]))
    assert watched.wrong() == {}
    free[0] -= 1
    assert watched.wrong() == {AlarmKind.DISK: {"data directory": "under 1024 MiB are free"}}


def test_a_data_directory_that_is_gone(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot even be looked at."""

    def gone(_path: object) -> Usage:
        raise FileNotFoundError

    monkeypatch.setattr(shutil, "disk_usage", gone)
    assert list(watched.wrong()) == [AlarmKind.DATABASE]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OperationalError("s", {}, Exception("database or disk is full")), AlarmKind.DISK),
        (OperationalError("s", {}, Exception("disk I/O error")), AlarmKind.DATABASE),
        (OSError(errno.ENOSPC, "no space"), AlarmKind.DISK),
    ],
    ids=["full", "broken", "no space"],
)
def test_a_database_that_failed_lately(
    world: NodeWorld, tn: Home, error: Exception, kind: AlarmKind
) -> None:
    """Whatever part of the node met it; two minutes later, without another, it is over."""
    line, _ = world.line(tn)
    rounds = Rounds(tn, line, lambda: world.now)
    assert rounds.note_failure(error)
    for other in (
        ValueError("anything else"),
        IntegrityError("s", {}, Exception("UNIQUE constraint failed")),
        OperationalError("s", {}, Exception("database is locked")),
    ):
        assert not rounds.note_failure(other)
    watched = Watched(world, tn)
    watched.failing = rounds._failing
    assert watched.wrong(minutes=2) == {kind: {"node.db": type(error).__name__}}
    assert watched.wrong(seconds=121) == {}


@pytest.mark.parametrize("damage", ["gone", "altered"])
def test_a_key_that_cannot_be_read(watched: Watched, damage: str) -> None:
    """Before the first bulletin comes that it should open."""
    name = sealing_key_name("tn/main", 1)
    if damage == "gone":
        watched.home.keystore.delete(name)
    else:
        [path] = (watched.home.data / "keystore").glob(f"{name}*")
        path.write_bytes(path.read_bytes()[:-1] + b"\x00\x01")
    expected = {"tn/main": "the secret of the sealing key of epoch 1 cannot be read"}
    assert watched.wrong() == {AlarmKind.KEYSTORE: expected}


# Keys and directory.


def test_an_own_sealing_key_that_is_not_renewed(watched: Watched) -> None:
    """Renewed at 30 days; older by five it is an alarm, for every own desk; gone it is one still."""
    assert AlarmKind.SEALING_KEY_STALE not in watched.wrong(days=34, hours=23)
    stale = watched.wrong(days=35)[AlarmKind.SEALING_KEY_STALE]
    assert list(stale) == ["tn/judicial", "tn/main"]
    assert stale["tn/main"].startswith("made ")
    stale = watched.wrong(days=61)[AlarmKind.SEALING_KEY_STALE]
    assert stale["tn/main"] == "no sealing key is usable"


def test_a_recipient_whose_key_ran_out_days_ago(watched: Watched) -> None:
    """Its node is off; a desk that never had a key has yet to start."""
    kind = AlarmKind.RECIPIENT_KEY_EXPIRED
    assert kind not in watched.wrong(days=61, hours=23)
    expired = watched.wrong(days=62, hours=1)[kind]
    assert {"ly/main", "dz/main"} <= expired.keys()
    assert {"ne/main", "tn/main"} & expired.keys() == set()


def test_the_directory_and_the_own_file_run_out(watched: Watched) -> None:
    """Thirty days before, and when they have."""
    kinds = {
        AlarmKind.COUNCIL_EXPIRES,
        AlarmKind.COUNCIL_EXPIRED,
        AlarmKind.MEMBER_FILE_EXPIRES,
    }
    ends = format_time(watched.world.expires)

    def wrong(**later: int) -> dict[AlarmKind, dict[str, str]]:
        return {kind: causes for kind, causes in watched.wrong(**later).items() if kind in kinds}

    assert wrong(days=334) == {}
    assert wrong(days=335) == {
        AlarmKind.COUNCIL_EXPIRES: {"root": f"expires {ends}", "targets": f"expires {ends}"},
        AlarmKind.MEMBER_FILE_EXPIRES: {"tn": f"expires {ends}"},
    }
    assert wrong(days=365) == {
        AlarmKind.COUNCIL_EXPIRED: {"root": f"expired {ends}", "targets": f"expired {ends}"},
        AlarmKind.MEMBER_FILE_EXPIRES: {"tn": f"expired {ends}"},
    }


# Urgent bulletins.


def arrived(reader: Reader, precedence: Precedence) -> str:
    """A bulletin from ly/main that was stored; its title is a secret."""
    outgoing = reader.world.outgoing(
        "ly/main", document("ly/main", title={"en": "Wadi-Zamzam-4711"}), precedence=precedence
    )
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    reader.fetch()
    return outgoing.bulletin_id


@pytest.mark.parametrize("precedence", list(Precedence))
def test_flash_and_immediate_wait_to_be_opened(reader: Reader, precedence: Precedence) -> None:
    """Desk, sender, id, precedence and time are told; over when a person opens it."""
    bulletin_id = arrived(reader, precedence)
    watched = Watched(reader.world, reader.home)
    if precedence in {Precedence.PRIORITY, Precedence.ROUTINE}:
        assert watched.wrong() == {}
        return
    text = f"precedence {precedence}; received {format_time(reader.world.now)}"
    expected = {f"tn/main ly/main {bulletin_id}": text}
    assert watched.wrong() == {AlarmKind.URGENT_BULLETIN: expected}
    reader.read("ly/main", bulletin_id)
    assert watched.wrong() == {}


@pytest.mark.parametrize("column", ["quarantined", "withdrawn"])
def test_what_is_shown_to_nobody_wakes_nobody(reader: Reader, column: str) -> None:
    """Quarantined or withdrawn before anybody opened it."""
    arrived(reader, Precedence.FLASH)
    with writing(reader.home.engine) as connection:
        connection.execute(update(tables.incoming_bulletin).values({column: 1}))
    assert Watched(reader.world, reader.home).wrong() == {}


# Notices.


def test_a_way_of_notices_that_fails(watched: Watched) -> None:
    """Shown with its reason until one goes through; what this process has not tried is not known."""
    object.__setattr__(watched.home, "settings", with_notices(watched.home))
    assert watched.found().unknown == {AlarmKind.NOTICE_FAILED: {"command", "smtp"}}
    watched.failing.channels |= {"smtp": "refused", "command": None}
    assert watched.found().unknown == {AlarmKind.NOTICE_FAILED: set()}
    assert watched.wrong() == {AlarmKind.NOTICE_FAILED: {"smtp": "refused"}}


def test_a_way_that_was_removed_is_no_alarm(watched: Watched) -> None:
    """Nobody will try it again: its alarm is over."""
    assert watched.found().unknown == {AlarmKind.NOTICE_FAILED: frozenset()}


def with_notices(home: Home) -> Any:
    """The settings of a node that tells people."""
    mail = SmtpNotices(
        host="localhost",
        port=25,
        security="plain",
        sender="barid@node.example",
        recipients=("duty@agency.example",),
    )
    notices = Notices(command=CommandNotices(argv=("/usr/bin/true",)), smtp=mail)
    return home.settings.model_copy(update={"notices": notices})


# No content, anywhere.


def test_no_alarm_holds_a_word_of_a_bulletin(agency: Agency, reader: Reader) -> None:
    """Whatever came, was sent, refused, rejected or quarantined: alarms hold none of it."""
    marker = "Wadi-Zamzam-4711"
    secret: dict[str, Any] = {
        "title": {"en": marker},
        "text": {"en": marker},
        "summary": {"en": marker},
    }
    arrived(reader, Precedence.FLASH)
    world, twice = agency.world, new_id()
    for text in (marker, f"{marker} again"):
        content = document("ly/main", twice, **{**secret, "text": {"en": text}})
        outgoing = world.outgoing("ly/main", content)
        world.accept(world.envelope("ly/main", "tn/main", outgoing=outgoing))
    reader.fetch()
    url = "/v1/desks/tn/main/bulletins?to=dz/main&precedence=flash"
    assert agency.call("POST", url, body=document("tn/main", **secret)).status_code == 202
    world.later(hours=2)
    rounds = Rounds(agency.home, agency.line, lambda: world.now)
    rounds._look()
    with reading(agency.home.engine) as connection:
        rows = connection.execute(select(tables.alarm)).all()
        kinds = {alarm.kind for alarm in list_alarms(connection)}
    assert {"urgent-bulletin", "unanswered-urgent", "not-accepted"} <= kinds
    assert "two-contents" in kinds
    assert marker not in repr(rows)
