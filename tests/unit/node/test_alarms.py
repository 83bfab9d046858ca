"""Alarms: raised, counted, acknowledged, raised anew, over; each said in three languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from broker.db import writing
from broker.node.alarms.book import (
    HISTORY_MAX,
    MORE,
    QUIET,
    SUBJECTS_MAX,
    Alarm,
    acknowledge_alarms,
    clear_alarms,
    keep_alarms,
    list_alarms,
    list_history,
    note_sent,
    raise_alarm,
    raise_fault,
    retire_alarms,
    sent_by,
)
from broker.node.alarms.kinds import LASTING, SEVERITY, AlarmKind, Severity, severity_of
from broker.node.alarms.words import ADVICE, SEVERITIES, TITLES, Said, advice_of, title_of
from broker.node.home import Home
from schemas.errors import Problem
from tests.unit.node.world import at

KIND = AlarmKind.REFUSED
DESK: dict[str, Any] = {"desks": ("tn/judicial", "tn/main"), "desk": "tn/main"}


@pytest.fixture
def connection(tn: Home) -> Iterator[Connection]:
    """A writing transaction of a node's database."""
    with writing(tn.engine) as writable:
        yield writable


def raised(connection: Connection, text: str = "once", now: datetime | None = None) -> Alarm:
    """Raise an alarm, and give it as it stands."""
    raise_alarm(connection, KIND, "tn/main x", text, now or at())
    [alarm] = list_alarms(connection)
    return alarm


def acknowledged(connection: Connection, now: datetime | None = None) -> int:
    """Acknowledge it."""
    return acknowledge_alarms(connection, KIND, ["tn/main x"], "Salma", now or at())


# The life of an alarm.


def test_the_same_again_is_counted(connection: Connection) -> None:
    """One row a kind and subject, with the newest text and both times."""
    raised(connection, "first")
    alarm = raised(connection, "second", at(minutes=5))
    expected = Alarm(KIND, "tn/main x", "second", at(), at(minutes=5), 2)
    assert alarm == expected


def test_acknowledged_by_a_named_person(connection: Connection) -> None:
    """It goes on standing, and says who knows of it; a second person changes nothing."""
    raised(connection)
    assert acknowledged(connection, at(minutes=1)) == 1
    again = acknowledge_alarms(connection, KIND, ["tn/main x"], "Omar", at(minutes=2))
    [alarm] = list_alarms(connection)
    assert (again, alarm.acknowledged, alarm.acknowledged_by) == (0, at(minutes=1), "Salma")
    assert list_alarms(connection, waiting=True) == ()


def test_the_same_fault_tried_again_is_nothing_new(connection: Connection) -> None:
    """A hub that serves one faulty envelope for ever does not wake people for ever."""
    raised(connection)
    acknowledged(connection)
    assert raised(connection, now=at(minutes=5)).acknowledged_by == "Salma"


def test_what_happens_anew_waits_for_a_person_again(connection: Connection) -> None:
    """Another text is another event: the acknowledged one goes to the history, as it was."""
    raised(connection)
    acknowledged(connection)
    alarm = raised(connection, "another envelope", at(minutes=5))
    [old] = list_history(connection, **DESK)
    assert (alarm.acknowledged, alarm.times, alarm.first_seen) == (None, 1, at(minutes=5))
    assert (old.text, old.acknowledged_by, old.cleared) == ("once", "Salma", at(minutes=5))


def test_an_event_is_over_once_known_and_quiet(connection: Connection) -> None:
    """Not before it is acknowledged, nor while it goes on; the next one is then a new alarm."""
    raised(connection)
    retire_alarms(connection, at() + 10 * QUIET)
    acknowledged(connection, at() + 10 * QUIET)
    retire_alarms(connection, at() + 10 * QUIET)
    assert len(list_alarms(connection)) == 1
    retire_alarms(connection, at() + 11 * QUIET)
    assert (list_alarms(connection), len(list_history(connection, **DESK))) == ((), 1)
    assert raised(connection, now=at() + 12 * QUIET).acknowledged is None


def test_a_state_is_never_over_by_being_quiet(connection: Connection) -> None:
    """A foreign sealing key stays logged: acknowledged it is silent, seen again it is not new."""
    kind = AlarmKind.FOREIGN_SEALING_KEY
    raise_alarm(connection, kind, "tn/main x", "text", at(), once=True)
    acknowledge_alarms(connection, kind, ["tn/main x"], "Salma", at())
    retire_alarms(connection, at() + 10 * QUIET)
    raise_alarm(connection, kind, "tn/main x", "other text", at() + 10 * QUIET, once=True)
    [alarm] = list_alarms(connection)
    assert (alarm.acknowledged_by, alarm.text, alarm.times) == ("Salma", "text", 1)


def test_a_lasting_alarm_ends_with_its_cause(connection: Connection) -> None:
    """What has a cause stays, keeps who acknowledged it, and takes a new text; the rest is over."""
    kind = AlarmKind.UNANSWERED
    keep_alarms(connection, kind, {"a": "state queued", "b": "state queued"}, at())
    acknowledge_alarms(connection, kind, ["a"], "Salma", at())
    keep_alarms(connection, kind, {"a": "state accepted"}, at(minutes=1))
    [alarm] = list_alarms(connection)
    assert (alarm.subject, alarm.text, alarm.acknowledged_by) == ("a", "state accepted", "Salma")
    assert (alarm.first_seen, alarm.last_seen, alarm.times) == (at(), at(minutes=1), 1)
    assert [each.subject for each in list_history(connection, **DESK)] == ["b"]
    keep_alarms(connection, kind, {}, at(minutes=2))
    keep_alarms(connection, kind, {"a": "state accepted"}, at(minutes=3))
    assert [each.acknowledged for each in list_alarms(connection)] == [None]


def test_what_is_not_known_is_left_as_it_is(connection: Connection) -> None:
    """After a restart nobody has called the hub yet: its alarm is neither over nor new."""
    keep_alarms(connection, AlarmKind.NOTICE_FAILED, {"smtp": "why"}, at())
    keep_alarms(connection, AlarmKind.NOTICE_FAILED, {}, at(minutes=1), unknown=["smtp"])
    assert len(list_alarms(connection)) == 1
    keep_alarms(connection, AlarmKind.NOTICE_FAILED, {}, at(minutes=1))
    assert list_alarms(connection) == ()


def test_a_cause_that_is_gone_is_cleared(connection: Connection) -> None:
    """Only the subjects named."""
    for subject in ("a", "b"):
        raise_alarm(connection, AlarmKind.GAP, subject, "text", at())
    clear_alarms(connection, AlarmKind.GAP, ["a", "never raised"], at())
    assert [alarm.subject for alarm in list_alarms(connection)] == ["b"]


def test_notices_are_forgotten_with_the_alarm(connection: Connection) -> None:
    """Who acknowledged is told at once when it happens anew; what is over leaves nothing behind."""
    alarm = raised(connection)
    note_sent(connection, [alarm], "smtp", at(minutes=1))
    note_sent(connection, [alarm], "command", at(minutes=2))
    [told] = list_alarms(connection)
    assert (told.notified, told.notices) == (at(minutes=2), 2)
    assert sent_by(connection, "smtp") == {(KIND, "tn/main x"): at(minutes=1)}
    acknowledged(connection)
    assert sent_by(connection, "smtp") == {}
    note_sent(connection, [alarm], "smtp", at(minutes=3))
    assert sent_by(connection, "smtp") == {}


# Limits.


def test_a_flood_of_one_kind_is_counted_on_one_alarm(connection: Connection) -> None:
    """A hub that lies about ever new envelopes fills no disk, and hides no other kind."""
    for number in range(SUBJECTS_MAX + 3):
        raise_alarm(connection, AlarmKind.HUB_FAULT, f"tn/main {number}", "text", at())
    raise_alarm(connection, KIND, "tn/main x", "text", at())
    alarms = {alarm.subject: alarm for alarm in list_alarms(connection, 10_000)}
    assert len(alarms) == SUBJECTS_MAX + 2
    assert alarms[MORE].times == 3


def test_the_history_keeps_the_newest(connection: Connection) -> None:
    """A thousand; the oldest are forgotten."""
    for number in range(HISTORY_MAX + 5):
        keep_alarms(connection, AlarmKind.DISK, {str(number): "text"}, at())
    history = list_history(connection, 10_000, **DESK)
    assert len(history) == HISTORY_MAX
    assert history[-1].subject == "4"


def test_a_text_is_cut(connection: Connection) -> None:
    """Whatever the hub puts into its checkpoints."""
    problem = Problem("inconsistent-log", checkpoints=["x" * 100_000])
    raise_fault(connection, "exchange", problem, at())
    [alarm] = list_alarms(connection)
    assert (alarm.kind, len(alarm.text)) == (AlarmKind.INCONSISTENT_LOG, 16 * 1024)


def test_a_hub_that_does_not_know_a_desk_is_not_blamed(connection: Connection) -> None:
    """As of a suspended member: one alarm for the desk, however many envelopes it had asked about."""
    for number in range(3):
        raise_fault(connection, f"ly/main {number}", Problem("unknown-key"), at())
    [alarm] = list_alarms(connection)
    assert (alarm.kind, alarm.subject, alarm.times) == (AlarmKind.REFUSES_US, "ly/main", 3)


# What is shown to whom, in which order.


def test_the_most_severe_that_waits_comes_first(connection: Connection) -> None:
    """Then what somebody knows of; a short list leaves out the least."""
    for kind in (AlarmKind.INTERNAL, AlarmKind.URGENT_BULLETIN, AlarmKind.GAP):
        raise_alarm(connection, kind, "x", "text", at())
    assert [alarm.kind for alarm in list_alarms(connection, 2)] == ["urgent-bulletin", "gap"]
    acknowledge_alarms(connection, AlarmKind.URGENT_BULLETIN, ["x"], "Salma", at())
    order = [alarm.kind for alarm in list_alarms(connection)]
    assert order == ["gap", "internal", "urgent-bulletin"]


@pytest.mark.parametrize(
    ("subject", "seen"),
    [
        ("tn/main ly/main 019ab5f0", True),
        ("ly/main > tn/main", True),
        ("hub", True),
        ("ly/main", True),
        ("tn/mainland", True),
        ("tn/judicial 019ab5f0 ly/main", False),
        ("tn/judicial", False),
        ("ly/main > tn/judicial", False),
        ("tn/main > tn/judicial", True),
    ],
)
def test_another_desks_alarms_are_not_shown(
    connection: Connection, subject: str, seen: bool
) -> None:
    """What names another own desk alone is that desk's; the rest is everybody's, standing or over."""
    keep_alarms(connection, AlarmKind.DISK, {subject: "text"}, at())
    assert [alarm.subject for alarm in list_alarms(connection, **DESK)] == [subject] * seen
    keep_alarms(connection, AlarmKind.DISK, {}, at())
    assert [alarm.subject for alarm in list_history(connection, **DESK)] == [subject] * seen


def test_a_node_of_one_desk_shows_everything(connection: Connection) -> None:
    """There is no other desk whose alarm it could be."""
    keep_alarms(connection, AlarmKind.DISK, {"x": "text"}, at())
    only: dict[str, Any] = {"desks": ("tn/main",), "desk": "tn/main"}
    assert len(list_alarms(connection, **only)) == 1


# Words.


@pytest.mark.parametrize("kind", list(AlarmKind))
def test_every_kind_says_what_is_wrong_and_what_to_do(kind: AlarmKind) -> None:
    """Severity, title and advice, in three languages, each in its script, short enough for a line."""
    assert kind in SEVERITY
    for said in (TITLES[kind], ADVICE[kind]):
        assert len({said.en, said.fr, said.ar}) == 3
        assert re.search("[\u0621-\u064a]", said.ar)
        assert not re.search("[\u0621-\u064a]", said.en + said.fr)
        assert max(len(said.en), len(said.fr), len(said.ar)) <= 150
    assert title_of(kind).in_("fr") == TITLES[kind].fr
    assert advice_of(kind).in_("ar") == ADVICE[kind].ar


def test_a_kind_of_a_later_version_has_words_too() -> None:
    """A database that was used by a newer program is still shown."""
    assert (severity_of("brand-new"), severity_of("gap")) == (Severity.SERIOUS, Severity.SERIOUS)
    assert isinstance(title_of("brand-new"), Said)
    assert isinstance(advice_of("brand-new"), Said)


def test_the_tables_have_no_other_kinds() -> None:
    """Nor severities."""
    assert set(SEVERITY) == set(TITLES) == set(ADVICE) == set(AlarmKind)
    assert set(SEVERITIES) == set(Severity)
    assert set(AlarmKind) > LASTING


def test_the_documentation_lists_the_kinds() -> None:
    """With severity and title, in their order."""
    text = (Path(__file__).parents[3] / "docs" / "alarms.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (\w+) \| (.+) \|$", text, re.MULTILINE)
    assert rows == [(str(kind), str(SEVERITY[kind]), TITLES[kind].en) for kind in AlarmKind]
