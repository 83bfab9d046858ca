"""Notices: told at once, again and again until somebody acknowledges, and never with content."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import OperationalError

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms.book import Alarm, acknowledge_alarms, keep_alarms, list_alarms, raise_alarm
from broker.node.alarms.conditions import Failing
from broker.node.alarms.kinds import FACTS_ONLY, AlarmKind
from broker.node.alarms.notices import ALARMS_TOLD_MAX, Notifier, is_due, write_notice
from broker.node.alarms.rounds import Rounds
from broker.node.alarms.words import title_of
from broker.node.home import Home
from broker.settings import CommandNotices, NodeSettings, Notices, RepeatSeconds
from tests.exchange.mail_server import MailServer, mail_server
from tests.unit.node.world import NodeWorld, at

FLASH = "tn/main ly/main 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    """A mail server on this machine."""
    (tmp_path / "mail").mkdir()
    with mail_server(tmp_path / "mail", "plain") as serving:
        yield serving


class Telling:
    """The node of tn with a mail server and a command; time is the test's."""

    def __init__(self, home: Home, server: MailServer, folder: Path) -> None:
        self.home = home
        self.server = server
        self.heard = folder / "heard"
        self.hook = folder / "hook"
        self.now = at()
        self.seconds = 0.0
        self.write_hook(f'cat >> "{self.heard}"; echo >> "{self.heard}"')
        command = CommandNotices(argv=(str(self.hook),), timeout_seconds=5)
        self.notices = Notices(language="fr", command=command, smtp=server.settings())
        self.start()

    def write_hook(self, line: str) -> None:
        """What the command does."""
        self.hook.write_text(f"#!/bin/sh\n{line}\n")
        self.hook.chmod(0o700)

    def start(self) -> None:
        """A node that was started anew: only the disk is left."""
        self.failing = Failing()
        self.settings: NodeSettings = self.home.settings.model_copy(
            update={"notices": self.notices}
        )
        self.notifier = Notifier(
            self.settings, self.home.engine, self.failing, lambda: self.seconds
        )

    def raised(self, kind: AlarmKind = AlarmKind.URGENT_BULLETIN, subject: str = FLASH) -> None:
        """An alarm stands."""
        with writing(self.home.engine) as connection:
            keep_alarms(connection, kind, {subject: "precedence flash"}, self.now)

    def acknowledged(self, kind: AlarmKind = AlarmKind.URGENT_BULLETIN) -> None:
        """Somebody says that they know."""
        with writing(self.home.engine) as connection:
            acknowledge_alarms(connection, kind, [FLASH], "Salma", self.now)

    def pass_(self, *unrecorded: Alarm, **later: int) -> tuple[int, int]:
        """One pass after some time: how many notices came by command and by mail."""
        before = (len(self.commands()), len(self.server.came))
        self.now += timedelta(**later)
        self.seconds += timedelta(**later).total_seconds()
        asyncio.run(self.notifier.send_due(unrecorded, self.now))
        return len(self.commands()) - before[0], len(self.server.came) - before[1]

    def commands(self) -> list[dict[str, Any]]:
        """What the command read."""
        if not self.heard.exists():
            return []
        return [json.loads(line) for line in self.heard.read_text().splitlines()]


@pytest.fixture
def telling(tn: Home, server: MailServer, tmp_path: Path) -> Telling:
    """The node of tn, which tells people."""
    return Telling(tn, server, tmp_path)


# When people are told.


def test_told_at_once_then_every_interval_until_acknowledged(telling: Telling) -> None:
    """By both ways; the alarm counts the notices."""
    telling.raised()
    assert telling.pass_() == (1, 1)
    assert telling.pass_(seconds=30) == (0, 0)
    assert telling.pass_(seconds=270) == (1, 1)
    with reading(telling.home.engine) as connection:
        [alarm] = list_alarms(connection)
    assert (alarm.notices, alarm.notified) == (4, telling.now)
    telling.acknowledged()
    assert telling.pass_(hours=5) == (0, 0)


def test_what_is_over_is_told_no_more(telling: Telling) -> None:
    """Nobody has to acknowledge a bulletin that somebody opened; the next one is told at once."""
    telling.raised()
    assert telling.pass_() == (1, 1)
    with writing(telling.home.engine) as connection:
        keep_alarms(connection, AlarmKind.URGENT_BULLETIN, {}, telling.now)
    assert telling.pass_(minutes=5) == (0, 0)
    telling.raised()
    assert telling.pass_() == (1, 1)


def test_what_happens_anew_is_told_at_once(telling: Telling) -> None:
    """An acknowledged alarm that is raised again, in the same second."""
    kind = AlarmKind.FOREIGN_ENVELOPE
    for text in ("the first", "the second"):
        with writing(telling.home.engine) as connection:
            raise_alarm(connection, kind, FLASH, text, telling.now)
        assert telling.pass_() == (1, 1)
        telling.acknowledged(kind)
        assert telling.pass_(seconds=1) == (0, 0)


def test_what_happens_anew_between_two_passes_is_told_at_once(telling: Telling) -> None:
    """No pass ever saw that it was acknowledged."""
    kind = AlarmKind.FOREIGN_ENVELOPE
    for text in ("the first", "the second"):
        with writing(telling.home.engine) as connection:
            raise_alarm(connection, kind, FLASH, text, telling.now)
        assert telling.pass_(seconds=1) == (1, 1)
        telling.acknowledged(kind)


def test_a_restart_forgets_nothing(telling: Telling) -> None:
    """Neither that people were told, nor that they must be told again."""
    telling.raised()
    assert telling.pass_() == (1, 1)
    telling.start()
    assert telling.pass_(seconds=30) == (0, 0)
    telling.start()
    assert telling.pass_(seconds=270) == (1, 1)


def test_a_way_that_fails_is_tried_again_and_shown(telling: Telling) -> None:
    """The other way goes its own pace; what failed says why, and is over when it goes through."""
    telling.server.refuses = True
    telling.raised()
    assert telling.pass_() == (1, 0)
    assert telling.failing.channels == {"command": None, "smtp": "the mail server answered 451"}
    assert telling.pass_(seconds=30) == (0, 0)
    telling.server.refuses = False
    assert telling.pass_(seconds=60) == (0, 1)
    assert telling.failing.channels == {"command": None, "smtp": None}
    assert telling.pass_(seconds=60) == (0, 0)


def test_a_failing_way_is_not_hammered(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer and longer pauses, ten minutes at the most."""
    monkeypatch.setattr("broker.node.pacing._JITTER.uniform", lambda _low, high: high)
    tried: list[float] = []
    telling.write_hook("exit 1")
    telling.raised()
    original = telling.notifier._deliver

    def counting(channel: Any, alarms: Any, now: datetime) -> str | None:
        if channel.name == "command":
            tried.append(telling.seconds)
        return original(channel, alarms, now)

    monkeypatch.setattr(telling.notifier, "_deliver", counting)
    for _ in range(80):
        telling.pass_(seconds=30)
    pauses = [after - before for before, after in pairwise(tried)]
    assert pauses == [30, 60, 120, 240, 480, 600, 600]


def test_a_database_that_takes_nothing_tells_people_still(telling: Telling) -> None:
    """At its interval, not at every pass: a second memory holds what the disk does not."""
    broken = Alarm(AlarmKind.DISK, "node.db", "OperationalError", telling.now, telling.now, 1)
    telling.home.engine.dispose()
    for file in telling.home.data.glob("node.db*"):
        file.write_bytes(b"not a database" * 1000)
    assert telling.pass_(broken) == (1, 1)
    assert telling.commands()[0]["alarms"][0]["kind"] == "disk-full"
    assert telling.pass_(broken, seconds=30) == (0, 0)
    assert telling.pass_(broken, seconds=270) == (1, 1)
    # It was over for a pass: the next failure is a new one.
    assert telling.pass_(seconds=1) == (0, 0)
    assert telling.pass_(broken, seconds=1) == (1, 1)


def test_a_record_that_is_not_written_is_remembered(
    telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full lets itself be read: the same alarm is not told every half minute."""
    telling.raised()

    @contextmanager
    def full(engine: Engine) -> Iterator[Connection]:
        with engine.connect() as connection:
            yield connection
        raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    monkeypatch.setattr("broker.node.alarms.notices.writing", full)
    assert telling.pass_() == (1, 1)
    assert telling.pass_(seconds=30) == (0, 0)
    assert telling.pass_(seconds=270) == (1, 1)


def test_a_clock_that_was_set_back_silences_nobody(telling: Telling) -> None:
    """A notice that seems to come from the future counts as none."""
    telling.raised()
    telling.pass_()
    telling.now -= timedelta(days=2)
    telling.start()
    assert telling.pass_() == (1, 1)


def test_without_settings_nobody_is_told(tn: Home) -> None:
    """The alarms are still shown."""
    notifier = Notifier(tn.settings, tn.engine, Failing(), lambda: 0.0)
    with writing(tn.engine) as connection:
        raise_alarm(connection, AlarmKind.GAP, "x", "text", at())
    asyncio.run(notifier.send_due((), at()))
    assert asyncio.run(notifier.send_trial(at())) == {}
    with reading(tn.engine) as connection:
        assert [alarm.notices for alarm in list_alarms(connection)] == [0]


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [(AlarmKind.URGENT_BULLETIN, 300), (AlarmKind.GAP, 3600), (AlarmKind.INTERNAL, 86400)],
)
def test_the_interval_is_that_of_the_severity(kind: AlarmKind, seconds: int) -> None:
    """Divided as the clock divides time, so that several alarms come in one notice."""
    repeat = RepeatSeconds()
    midnight = datetime.fromisoformat("2026-11-25T00:00:00+00:00")
    alarm = Alarm(kind, "x", "text", midnight, midnight, 1)

    def due(sent: int, now: int) -> bool:
        moments = [midnight + timedelta(seconds=each) for each in (sent, now)]
        return is_due(alarm, moments[0], repeat, moments[1])

    assert is_due(alarm, None, repeat, midnight)
    assert not due(0, seconds - 1)
    assert due(0, seconds)
    # One that came just before the turn is not told twice within seconds.
    assert not due(seconds - 10, seconds)
    assert not due(seconds - 10, seconds + seconds // 2 - 11)
    assert due(seconds - 10, seconds + seconds // 2 - 10)
    assert due(10, seconds)


# What people are told.


def test_a_notice_in_the_language_of_the_settings(telling: Telling) -> None:
    """The line names member, severity and what is wrong; the JSON has the same for a program."""
    telling.raised()
    telling.raised(AlarmKind.INTERNAL, "tn/main inbox")
    telling.pass_()
    [mail] = telling.server.came
    assert mail["Subject"] == "[Barid tn] critique: Un bulletin urgent attend d'être ouvert (+1)"
    body = mail.get_content()
    assert f"urgent-bulletin  {FLASH}  depuis 2026-11-24T22:00:00Z" in body
    assert body.index("urgent-bulletin") < body.index("internal")
    [document] = telling.commands()
    assert (document["v"], document["member"], document["trial"]) == (1, "tn", False)
    assert (document["more"], len(document["alarms"])) == (0, 2)
    first = {
        "kind": "urgent-bulletin",
        "severity": "critical",
        "title": "Un bulletin urgent attend d'être ouvert",
        "advice": ("Ouvrez-le maintenant : `barid inbox list --unread`, puis `barid inbox read`."),
        "subject": FLASH,
        "facts": "precedence flash",
        "first_seen": "2026-11-24T22:00:00Z",
        "last_seen": "2026-11-24T22:00:00Z",
        "times": 1,
        "notices": 0,
    }
    assert document["alarms"][0] == first


def test_what_a_library_or_the_hub_said_stays_on_the_node(telling: Telling) -> None:
    """A notice carries the text of those kinds alone whose text is ids, desks and times."""
    for kind in AlarmKind:
        alarm = Alarm(kind, "x", "a text of somebody's", at(), at(), 1)
        notice = write_notice(telling.settings, "en", [alarm], at())
        told = "somebody's" in notice.body or b"somebody's" in notice.document
        assert told == (kind in FACTS_ONLY), kind


def test_a_flood_is_one_notice(telling: Telling) -> None:
    """The most severe are named, the others counted, and none is told again in the next pass."""
    causes = {f"tn/main {number} ly/main": "state accepted" for number in range(200)}
    with writing(telling.home.engine) as connection:
        keep_alarms(connection, AlarmKind.UNANSWERED, causes, telling.now)
    telling.raised()
    assert telling.pass_() == (1, 1)
    [document] = telling.commands()
    assert document["alarms"][0]["kind"] == "urgent-bulletin"
    assert (len(document["alarms"]), document["more"]) == (ALARMS_TOLD_MAX, 201 - ALARMS_TOLD_MAX)
    assert telling.pass_(seconds=30) == (0, 0)


@pytest.mark.parametrize("language", ["ar", "fr", "en"])
def test_every_language_is_whole(telling: Telling, language: Any) -> None:
    """With one alarm, with many, and as a trial."""
    alarm = Alarm(AlarmKind.GAP, "ly/main > tn/main", "text", at(), at(), 1)
    notices = [
        write_notice(telling.settings, language, [alarm] * count, at()) for count in (0, 1, 60)
    ]
    assert len({notice.body for notice in notices}) == 3
    assert title_of("gap").in_(language) in notices[1].subject
    assert "{" not in "".join(notice.body + notice.subject for notice in notices)


def test_a_trial_goes_by_every_way(telling: Telling) -> None:
    """And says of each whether it went; nothing stands because of it."""
    telling.write_hook("exit 4")
    results = asyncio.run(telling.notifier.send_trial(telling.now))
    assert results == {"command": "the command ended with 4", "smtp": None}
    assert "essai" in telling.server.came[0]["Subject"]
    with reading(telling.home.engine) as connection:
        assert connection.execute(select(tables.alarm)).all() == []


# The round.


def test_a_round_keeps_alarms_and_tells_people(world: NodeWorld, telling: Telling) -> None:
    """What is wrong is raised and told; the way that fails is an alarm in the next round."""
    home = telling.home
    object.__setattr__(home, "settings", telling.settings)
    line, _ = world.line(home)
    line.reach.silent("ConnectError", world.now - timedelta(hours=1))
    rounds = Rounds(home, line, lambda: world.now)
    telling.server.refuses = True
    asyncio.run(rounds.go())
    asyncio.run(rounds.go())
    with reading(home.engine) as connection:
        alarms = {alarm.kind: alarm.subject for alarm in list_alarms(connection)}
    assert alarms == {"hub-unreachable": "hub", "notice-failed": "smtp"}
    told = [alarm["kind"] for document in telling.commands() for alarm in document["alarms"]]
    assert told == ["hub-unreachable", "notice-failed"]
    line.reach.answered(world.now)
    asyncio.run(rounds.go())
    with reading(home.engine) as connection:
        assert [alarm.kind for alarm in list_alarms(connection)] == ["notice-failed"]


def test_a_round_without_a_database_tells_people_and_goes_on(
    world: NodeWorld, telling: Telling, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says the type of the error alone."""
    home = telling.home
    object.__setattr__(home, "settings", telling.settings)
    line, _ = world.line(home)
    rounds = Rounds(home, line, lambda: world.now)
    home.engine.dispose()
    for file in home.data.glob("node.db*"):
        file.write_bytes(b"not a database" * 1000)
    asyncio.run(rounds.go())
    [document] = telling.commands()
    assert [alarm["kind"] for alarm in document["alarms"]] == ["database-failed"]
    assert "the database takes no alarm: DatabaseError" in caplog.text
