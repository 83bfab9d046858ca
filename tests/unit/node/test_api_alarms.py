"""Alarms over the agency interface: who sees them, who acknowledges them, the trial; and the status."""

from __future__ import annotations

from typing import Any

import pytest

from broker.db import writing
from broker.node.alarms.book import keep_alarms, raise_alarm
from broker.node.alarms.kinds import AlarmKind
from broker.node.api.tokens import Action
from tests.unit.node.agency import Agency, word

OWN = "tn/main 019ab5f0 ly/main"
OTHER = "tn/judicial 019ab5f0 ly/main"


@pytest.fixture
def alarmed(agency: Agency) -> Agency:
    """An alarm of tn/main, one of tn/judicial, one of the whole node."""
    with writing(agency.home.engine) as connection:
        for kind, subject in (
            (AlarmKind.UNANSWERED, OWN),
            (AlarmKind.UNANSWERED, OTHER),
            (AlarmKind.FINDING, "directory log 7"),
        ):
            raise_alarm(connection, kind, subject, "precedence routine", agency.world.now)
    agency.tokens["judicial alarms"] = agency.token("tn/judicial", Action.ALARMS)
    return agency


def listed(agency: Agency, who: str = "read", query: str = "") -> list[dict[str, Any]]:
    """The alarms that a token sees."""
    answer = agency.call("GET", f"/v1/alarms{query}", who)
    assert answer.status_code == 200
    alarms: list[dict[str, Any]] = answer.json()["alarms"]
    return alarms


def acknowledge(agency: Agency, path: str, who: str = "alarms") -> dict[str, Any] | str:
    """Acknowledge; gives the answer, or the problem's word."""
    answer = agency.call("POST", f"/v1/alarms/{path}", who)
    found: dict[str, Any] = answer.json()
    return found if answer.status_code == 200 else word(answer)


def test_an_alarm_says_what_is_wrong_and_what_to_do(alarmed: Agency) -> None:
    """In three languages, with its severity, the most severe first."""
    first, second = listed(alarmed)
    assert (first["kind"], first["severity"]) == ("finding", "critical")
    assert second["subject"] == OWN
    assert second["title"]["fr"] == "Un bulletin n'a pas été remis à temps"
    assert second["advice"]["en"].startswith("Ask the desk whether its node runs")
    assert "acknowledged" not in second


@pytest.mark.parametrize(
    ("who", "subjects"),
    [
        ("send", [OWN, "directory log 7"]),
        ("alarms", [OWN, "directory log 7"]),
        ("judicial", ["directory log 7", OTHER]),
    ],
)
def test_each_desk_sees_its_own_and_the_nodes(
    alarmed: Agency, who: str, subjects: list[str]
) -> None:
    """Whatever its token may do; the status shows the same."""
    assert sorted(each["subject"] for each in listed(alarmed, who)) == sorted(subjects)
    status = alarmed.call("GET", "/v1/status", who).json()
    assert sorted(each["subject"] for each in status["alarms"]) == sorted(subjects)


def test_who_acknowledged_is_shown(alarmed: Agency) -> None:
    """The name that was typed and the token that vouches for it, or the token's alone."""
    answer = acknowledge(alarmed, f"unanswered/acknowledge?subject={OWN}&by=Salma")
    assert answer == {"acknowledged": 1, "by": "Salma (test)"}
    assert listed(alarmed)[1]["acknowledged_by"] == "Salma (test)"
    assert acknowledge(alarmed, "finding/acknowledge") == {"acknowledged": 1, "by": "test"}
    assert acknowledge(alarmed, "finding/acknowledge") == {"acknowledged": 0, "by": "test"}


def test_a_kind_is_acknowledged_for_the_own_desk_alone(alarmed: Agency) -> None:
    """All that the token sees; another desk's stay as they are."""
    assert acknowledge(alarmed, "unanswered/acknowledge") == {"acknowledged": 1, "by": "test"}
    [other] = [each for each in listed(alarmed, "judicial") if each["subject"] == OTHER]
    assert "acknowledged" not in other


@pytest.mark.parametrize(
    "path",
    [
        f"unanswered/acknowledge?subject={OTHER}",
        "unanswered/acknowledge?subject=tn/main",
        "gap/acknowledge",
        "nothing/acknowledge",
    ],
)
def test_what_is_not_there_or_anothers_is_not_found(alarmed: Agency, path: str) -> None:
    """The answer does not tell which."""
    assert acknowledge(alarmed, path) == "not-found"


@pytest.mark.parametrize("who", ["both", "send", "read", "judicial"])
def test_reading_and_sending_acknowledge_nothing(alarmed: Agency, who: str) -> None:
    """A program's token that leaks must not silence the node."""
    assert acknowledge(alarmed, "finding/acknowledge", who) == "token-scope"
    assert acknowledge(alarmed, "test", who) == "token-scope"
    assert all("acknowledged" not in each for each in listed(alarmed, who))


@pytest.mark.parametrize("path", ["GAP/acknowledge", "finding/acknowledge?by=", "a b/acknowledge"])
def test_a_wrong_form_is_refused(alarmed: Agency, path: str) -> None:
    """Before anything is looked for."""
    assert acknowledge(alarmed, path) == "bad-parameter"


def test_what_is_over_is_shown_when_asked_for(alarmed: Agency) -> None:
    """With when it was over; another desk's is not."""
    with writing(alarmed.home.engine) as connection:
        keep_alarms(connection, AlarmKind.UNANSWERED, {}, alarmed.world.now)
    assert [each["kind"] for each in listed(alarmed)] == ["finding"]
    over = listed(alarmed, query="?all=true")[1:]
    assert [(each["subject"], each["cleared"]) for each in over] == [(OWN, "2026-11-24T22:00:00Z")]


def test_a_trial_without_a_way_says_so(alarmed: Agency) -> None:
    """An empty list: the settings name none."""
    assert acknowledge(alarmed, "test") == {"channels": []}
