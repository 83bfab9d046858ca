"""The age of the directory where people and programs see it: alarms, answers, status, metrics, doctor."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms.conditions import Failing, find_conditions
from broker.node.alarms.kinds import AlarmKind
from broker.node.api.freshness_views import HeldView
from broker.node.doctor import _check_freshness
from broker.node.freshness import Source, freshness_of, note_vouched
from broker.node.home import Home
from broker.node.sync import Sync
from broker.node.watching import NodeGauges
from keys.timestamps import TimestampCheck, TimestampFault
from schemas.scalars import format_time
from tests.unit.node.agency import SENT, Agency, word
from tests.unit.node.test_sync import PACE
from tests.unit.node.world import NodeWorld, document, new_id

AGES = {AlarmKind.DIRECTORY_STALE, AlarmKind.DIRECTORY_OVER_GRACE}
STAMPS = {AlarmKind.TIMESTAMP_MISSING, AlarmKind.TIMESTAMP_EXPIRED}


class Shown:
    """An agency of tn/main whose node has followed the logs, some time ago."""

    def __init__(self, agency: Agency) -> None:
        self.agency = agency
        self.world = agency.world
        self.verified = agency.world.now

    def causes(self) -> dict[AlarmKind, dict[str, str]]:
        """The alarms that there should be, of the kinds that something is known of."""
        agency, now = self.agency, self.world.now
        with reading(agency.home.engine) as connection:
            return find_conditions(connection, agency.home, agency.line, Failing(), now).causes

    def post(self, precedence: str = "routine") -> dict[str, Any]:
        """Hand in a bulletin; gives the answer."""
        content = document("tn/main", new_id())
        answer = self.agency.call(
            "POST", f"{SENT}?to=ly/main&precedence={precedence}", body=content
        )
        assert answer.status_code == 202
        shown: dict[str, Any] = answer.json()
        return shown

    def sent(self, bulletin_id: str) -> dict[str, Any]:
        """What the node shows of an own bulletin."""
        shown: dict[str, Any] = self.agency.call("GET", f"{SENT}/{bulletin_id}").json()
        return shown

    def status(self) -> dict[str, Any]:
        """The node's status."""
        shown: dict[str, Any] = self.agency.call("GET", "/v1/status").json()
        return shown

    def follow(self) -> None:
        """The logs are followed, and the hub's timestamp is good."""
        with writing(self.agency.home.engine) as connection:
            note_vouched(connection, Source.TIMESTAMP, self.world.now)


@pytest.fixture
def shown(agency: Agency) -> Shown:
    """The directory was just verified."""
    return Shown(agency)


def in_three_languages(words: dict[str, str]) -> None:
    """Each in its own script, and all different."""
    assert set(words) == {"ar", "fr", "en"}
    assert len(set(words.values())) == 3
    assert re.search("[\u0621-\u064a]", words["ar"])
    assert not re.search("[\u0621-\u064a]", words["fr"] + words["en"])


# Alarms.


def test_nothing_is_said_of_its_age_before_the_hub_was_called(shown: Shown) -> None:
    """A node that was off for a night has yet to ask."""
    shown.world.later(days=3)
    assert not AGES & shown.causes().keys()
    shown.agency.line.reach.silent("ConnectError", shown.world.now)
    assert AGES & shown.causes().keys() == AGES


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [
        (3600, None),
        (3601, AlarmKind.DIRECTORY_STALE),
        (86400, AlarmKind.DIRECTORY_STALE),
        (86401, AlarmKind.DIRECTORY_OVER_GRACE),
    ],
)
def test_its_age_is_an_alarm_over_an_hour(
    shown: Shown, seconds: int, kind: AlarmKind | None
) -> None:
    """One of two, which says when it was last verified; over as soon as it is verified again."""
    shown.agency.line.reach.answered(shown.world.now)
    shown.world.later(seconds=seconds)
    causes = shown.causes()
    expected = {"directory": f"last verified {format_time(shown.verified)}"}
    assert {each: causes[each] for each in AGES if causes[each]} == (
        {} if kind is None else {kind: expected}
    )
    shown.follow()
    assert [shown.causes()[each] for each in AGES] == [{}, {}]


def test_an_expired_council_is_told_once(shown: Shown) -> None:
    """By its own alarms, about root and targets."""
    shown.agency.line.reach.answered(shown.world.now)
    shown.world.now = shown.world.expires
    causes = shown.causes()
    assert set(causes[AlarmKind.COUNCIL_EXPIRED]) == {"root", "targets"}
    assert [causes[each] for each in AGES] == [{}, {}]


@pytest.mark.parametrize("role", ["root", "targets"])
def test_root_and_targets_run_out_each_for_itself(shown: Shown, role: str) -> None:
    """The alarm is about the one that does."""
    soon = shown.world.now + timedelta(days=20)
    if role == "root":
        shown.world.change_root(expires=soon)
    else:
        shown.world.change_council(expires=soon)
    shown.world.publish()
    found = shown.causes()[AlarmKind.COUNCIL_EXPIRES]
    assert found == {role: f"expires {format_time(soon)}"}


@pytest.mark.parametrize("fault", [TimestampFault.MISSING, TimestampFault.EXPIRED])
def test_a_timestamp_that_is_not_renewed(shown: Shown, fault: TimestampFault) -> None:
    """It is an alarm as long as it lasts; before it was looked at nothing is said."""
    follower: Any = shown.agency.line.follower
    follower.told = TimestampCheck(shown.world.now, fault, "what is wrong")
    causes = shown.causes()
    assert causes[AlarmKind(str(fault))] == {"timestamp": "what is wrong"}
    assert sum(bool(causes[each]) for each in STAMPS) == 1
    follower.told = TimestampCheck(shown.world.now)
    assert [shown.causes()[each] for each in STAMPS] == [{}, {}]


def test_what_waits_for_a_person_is_an_alarm(shown: Shown) -> None:
    """Urgent bulletins only, each until it was confirmed."""
    shown.world.later(hours=25)
    bulletin = shown.post("flash")["id"]
    shown.post("routine")
    shown.agency.exchange()
    causes = shown.causes()[AlarmKind.AWAITING_CONFIRMATION]
    since = format_time(shown.world.now)
    assert causes == {f"tn/main {bulletin}": f"precedence flash; waits since {since}"}
    shown.agency.call("POST", f"{SENT}/{bulletin}/confirm?by=Salma")
    shown.agency.exchange()
    assert shown.causes()[AlarmKind.AWAITING_CONFIRMATION] == {}


# The loop.


def test_the_loop_notes_what_was_found_once(world: NodeWorld, tn: Home) -> None:
    """One look is noted once; a good one after the grace wakes the outboxes."""
    line, _ = world.line(tn)
    follower: Any = line.follower
    sync = Sync(tn, line, lambda: world.now, PACE)
    follower.told = TimestampCheck(world.now, TimestampFault.ROLLED_BACK, "older")

    def times() -> list[int]:
        with reading(tn.engine) as connection:
            return list(connection.execute(select(tables.alarm.c.times)).scalars())

    asyncio.run(sync._refresh())
    asyncio.run(sync._refresh())
    assert times() == [1]
    world.later(hours=25)
    follower.told = TimestampCheck(world.now)
    asyncio.run(sync._refresh())
    assert all(event.is_set() for event in sync._outbox.values())
    assert times() == [1]


# Answers.


def test_while_it_is_fresh_nothing_is_said(shown: Shown) -> None:
    """Neither at posting nor with the bulletin; the status shows when it was verified."""
    answer = shown.post()
    assert not {"freshness", "held"} & answer.keys()
    assert "held" not in shown.sent(answer["id"])
    status = shown.status()
    assert status["held"] == 0
    assert status["freshness"] == {
        "standing": "fresh",
        "verified": format_time(shown.verified),
        "age_seconds": 0,
        "council_expires": format_time(shown.world.expires),
    }


def test_a_stale_directory_is_told_to_who_posts(shown: Shown) -> None:
    """In three languages; the bulletin leaves all the same, and its envelope says how old it was."""
    shown.world.later(hours=3)
    answer = shown.post()
    assert (answer["freshness"]["standing"], "held" in answer) == ("stale", False)
    assert answer["freshness"]["age_seconds"] == 3 * 3600
    in_three_languages(answer["freshness"]["words"])
    assert format_time(shown.verified) in answer["freshness"]["words"]["ar"]
    assert shown.status()["freshness"]["standing"] == "stale"
    shown.agency.exchange()
    [envelope] = shown.sent(answer["id"])["envelopes"]
    assert (envelope["state"], envelope["directory_age_seconds"]) == ("accepted", 3 * 3600)


@pytest.mark.parametrize(
    ("precedence", "needs"),
    [
        ("flash", "confirmation"),
        ("immediate", "confirmation"),
        ("priority", "fresh-directory"),
        ("routine", "fresh-directory"),
    ],
)
def test_over_the_grace_who_posts_is_told_what_it_waits_for(
    shown: Shown, precedence: str, needs: str
) -> None:
    """At once, and with the bulletin as long as it waits."""
    shown.world.later(hours=25)
    answer = shown.post(precedence)
    assert answer["freshness"]["standing"] == "over-grace"
    in_three_languages(answer["freshness"]["words"])
    assert (answer["held"]["reason"], answer["held"]["needs"]) == ("directory-over-grace", needs)
    in_three_languages(answer["held"]["words"])
    shown.agency.exchange()
    held = HeldView.model_validate_json(json.dumps(shown.sent(answer["id"])["held"]))
    assert (str(held.needs), held.since) == (needs, shown.world.now)
    assert shown.status()["held"] == 1
    shown.follow()
    shown.agency.exchange()
    after = shown.sent(answer["id"])
    assert ("held" in after, after["recipients"][0]["state"]) == (False, "accepted")
    assert shown.status()["held"] == 0


def test_an_expired_council_and_none_verified_have_words_too(shown: Shown) -> None:
    """What is wrong is what is said."""
    shown.world.now = shown.world.expires
    shown.follow()
    words = shown.status()["freshness"]["words"]
    in_three_languages(words)
    assert "expired" in words["en"]
    shown.world.now = shown.verified
    words = shown.status()["freshness"]["words"]
    in_three_languages(words)
    assert "never" in words["en"]


def test_a_confirmation_over_https(shown: Shown) -> None:
    """With a person's name, by a token that may send for the desk; it is shown with the bulletin."""
    shown.world.later(hours=25)
    bulletin = shown.post("flash")["id"]
    path = f"{SENT}/{bulletin}/confirm"
    assert word(shown.agency.call("POST", path)) == "bad-parameter"
    assert word(shown.agency.call("POST", f"{path}?by=S", "read")) == "token-scope"
    assert word(shown.agency.call("POST", f"{path}?by=S", "judicial")) == "token-scope"
    answer = shown.agency.call("POST", f"{path}?by=Salma", "send")
    assert answer.status_code == 200
    kept = answer.json()["confirmation"]
    token_id = kept.pop("token_id")
    assert kept == {
        "by": "Salma",
        "token": "test",
        "at": format_time(shown.world.now),
        "directory_verified": format_time(shown.verified),
    }
    sent = shown.sent(bulletin)
    assert ("held" in sent, sent["confirmations"]) == (False, [{**kept, "token_id": token_id}])
    routine = shown.post("routine")["id"]
    refused = shown.agency.call("POST", f"{SENT}/{routine}/confirm?by=Salma")
    assert (refused.status_code, word(refused)) == (409, "directory-over-grace")


# The operator.


def test_the_metrics_show_it(shown: Shown) -> None:
    """Its age, whether it is over the grace, and how many wait."""
    shown.world.later(hours=25)
    shown.post()
    shown.agency.exchange()
    agency = shown.agency
    gauges = NodeGauges(agency.home, agency.line, lambda: shown.world.now)
    with reading(agency.home.engine) as connection:
        found = {each.name: each.samples[0].value for each in gauges._freshness(connection)}
    assert found == {
        "barid_node_directory_age_seconds": 25 * 3600,
        "barid_node_directory_over_grace": 1,
        "barid_node_held": 1,
    }


@pytest.mark.parametrize(("hours", "grade"), [(1, "ok"), (2, "warn"), (25, "fail")])
def test_the_doctor_looks_at_it(shown: Shown, hours: int, grade: str) -> None:
    """Fresh, stale, over the grace; each with what to do."""
    directory = shown.world.newest.directory
    assert directory is not None
    now = shown.world.now + timedelta(hours=hours)
    with reading(shown.agency.home.engine) as connection:
        check = _check_freshness(freshness_of(connection, directory, now))
    assert (check.name, check.grade) == ("freshness", grade)
    assert format_time(shown.verified) in check.said
