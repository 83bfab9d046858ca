"""Deadlines: who has not answered in the time of the precedence, and what never left, each found once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms import deadlines
from broker.node.alarms.book import list_alarms
from broker.node.alarms.deadlines import answered_late, overdue
from broker.node.alarms.kinds import AlarmKind
from broker.node.home import Home
from broker.node.outbox.state import DeliveryState
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Precedence
from schemas.directory import MemberFile
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld

SECONDS = {"flash": 900, "immediate": 3600, "priority": 21600, "routine": 86400}


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox."""
    return Bench(world, ly)


def late(bench: Bench, **later: int) -> dict[AlarmKind, dict[str, str]]:
    """What is overdue after some time, kinds with nothing left out."""
    directory = bench.world.newest.directory
    assert directory is not None
    with reading(bench.home.engine) as connection:
        found = overdue(connection, directory, bench.world.now + timedelta(**later))
    return {kind: causes for kind, causes in found.items() if causes}


def sent(bench: Bench, *to: str, **changed: Any) -> str:
    """A bulletin that the hub accepted; time has not moved."""
    bulletin_id = bench.queue(*to, **changed)
    bench.send()
    return bulletin_id


@pytest.mark.parametrize("precedence", list(Precedence))
def test_an_answer_is_due_by_the_deadline_of_its_precedence(
    bench: Bench, precedence: Precedence
) -> None:
    """Not a second before; the alarm names desk, precedence and times."""
    bulletin_id = sent(bench, "tn/main", precedence=precedence)
    limit = SECONDS[precedence]
    assert late(bench, seconds=limit - 1) == {}
    [(kind, causes)] = late(bench, seconds=limit).items()
    urgent = precedence in {Precedence.FLASH, Precedence.IMMEDIATE}
    assert kind is (AlarmKind.UNANSWERED_URGENT if urgent else AlarmKind.UNANSWERED)
    [(subject, text)] = causes.items()
    assert subject == f"ly/main {bulletin_id} tn/main"
    assert text.startswith(f"precedence {precedence}; queued 2026-11-24T22:00:00Z; due ")
    assert text.endswith("state accepted")


def test_the_deputy_is_named(bench: Bench) -> None:
    """Where the member has declared one."""

    def declare(file: MemberFile) -> MemberFile:
        main = file.desks["main"].model_copy(update={"deputy": "tn/judicial"})
        return file.model_copy(update={"desks": {**file.desks, "main": main}})

    bench.world.change_member("tn", declare)
    bench.world.publish()
    sent(bench, "tn/main", "dz/main")
    texts = list(late(bench, days=1)[AlarmKind.UNANSWERED].values())
    assert [text.endswith("; deputy tn/judicial") for text in texts] == [False, True]


@pytest.mark.parametrize("result", [Result.DELIVERED, Result.READ, Result.REJECTED])
def test_an_answer_ends_it(bench: Bench, result: Result) -> None:
    """Whatever the recipient says: it has spoken; the others are still late."""
    bulletin_id = sent(bench, "tn/main", "dz/main")
    reason = {"reason": "padding"} if result is Result.REJECTED else {}
    if result is Result.READ:
        bench.world.log_answer(bench.world.answer("tn/main", 0, Result.DELIVERED))
    bench.world.log_answer(bench.world.answer("tn/main", 0, result, **reason))
    bench.world.later(minutes=2)
    bench.ask()
    [subject] = late(bench, days=1)[AlarmKind.UNANSWERED]
    assert subject == f"ly/main {bulletin_id} dz/main"


def test_a_desk_without_a_key_is_late_too_and_what_left_is_no_fault_here(bench: Bench) -> None:
    """It waits for the recipient's key: its people are to be called, nothing is wrong at this node."""
    sent(bench, "ne/main", precedence=Precedence.FLASH)
    found = late(bench, minutes=15)
    assert list(found) == [AlarmKind.UNANSWERED_URGENT]
    [text] = found[AlarmKind.UNANSWERED_URGENT].values()
    assert text.endswith("state waiting")


def test_what_no_quorum_stands_for_is_an_alarm_after_ten_minutes(bench: Bench) -> None:
    """Where the council names witnesses; it is over once they have cosigned."""
    bulletin_id = sent(bench, "tn/main", precedence=Precedence.ROUTINE)
    assert late(bench, seconds=600) == {}
    directory = bench.world.newest.directory
    assert directory is not None
    council = directory.council.model_copy(update={"witnesses": "named"})
    witnessed = replace(directory, council_part=replace(directory.council_part, council=council))
    with writing(bench.home.engine) as connection:
        for seconds, expected in ((599, []), (600, [f"ly/main {bulletin_id}"])):
            found = overdue(connection, witnessed, bench.world.now + timedelta(seconds=seconds))
            assert list(found[AlarmKind.NOT_WITNESSED]) == expected
        connection.execute(update(tables.delivery).values(state=DeliveryState.WITNESSED))
        found = overdue(connection, witnessed, bench.world.now + timedelta(hours=1))
        assert found[AlarmKind.NOT_WITNESSED] == {}


@pytest.mark.parametrize("state", [DeliveryState.QUEUED, DeliveryState.UNRELEASED])
def test_what_has_not_left_after_a_third_is_an_alarm_of_its_own(
    bench: Bench, state: DeliveryState
) -> None:
    """Once a bulletin, however many desks wait for it; the deadline then counts for each desk."""
    bulletin_id = bench.queue("tn/main", "dz/main", precedence=Precedence.FLASH)
    with writing(bench.home.engine) as connection:
        connection.execute(update(tables.delivery).values(state=state))
    assert late(bench, seconds=299) == {}
    found = late(bench, seconds=300)
    assert list(found) == [AlarmKind.NOT_ACCEPTED]
    assert list(found[AlarmKind.NOT_ACCEPTED]) == [f"ly/main {bulletin_id}"]
    found = late(bench, seconds=900)
    assert len(found[AlarmKind.UNANSWERED_URGENT]) == 2
    assert len(found[AlarmKind.NOT_ACCEPTED]) == 1


@pytest.mark.parametrize("state", [DeliveryState.REFUSED, DeliveryState.EXPIRED])
def test_what_has_ended_otherwise_is_not_late(bench: Bench, state: DeliveryState) -> None:
    """A refusal and an expiry have alarms of their own."""
    bench.queue("tn/main")
    with writing(bench.home.engine) as connection:
        connection.execute(update(tables.delivery).values(state=state))
    assert late(bench, days=2) == {}


def test_a_withdrawn_bulletin_is_not_late(bench: Bench) -> None:
    """Nobody needs to get it any more; its withdrawal has a deadline of its own."""
    sent(bench, "tn/main")
    with writing(bench.home.engine) as connection:
        connection.execute(update(tables.outgoing_bulletin).values(withdrawn=1))
    assert late(bench, days=2) == {}


def test_a_flood_of_routine_hides_no_flash(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of each precedence have alarms of their own; the next come as those are answered."""
    monkeypatch.setattr(deadlines, "ALARMS_PER_PRECEDENCE", 3)
    ids = [sent(bench, "tn/main") for _ in range(5)]
    sent(bench, "tn/main", precedence=Precedence.FLASH)
    found = late(bench, days=1)
    assert [subject.split()[1] for subject in found[AlarmKind.UNANSWERED]] == ids[:3]
    assert len(found[AlarmKind.UNANSWERED_URGENT]) == 1
    with writing(bench.home.engine) as connection:
        first = tables.delivery.c.bulletin_id == ids[0]
        connection.execute(update(tables.delivery).where(first).values(state="delivered"))
    found = late(bench, days=1)
    assert [subject.split()[1] for subject in found[AlarmKind.UNANSWERED]] == ids[1:4]


def test_the_council_sets_the_deadlines(bench: Bench) -> None:
    """Another council, other deadlines."""
    council = bench.world.council
    shorter = council.deadlines_seconds.model_copy(update={"routine": 60})
    bench.world.change_council(
        lambda before: before.model_copy(update={"deadlines_seconds": shorter})
    )
    bench.world.publish()
    sent(bench, "tn/main")
    assert list(late(bench, seconds=60)) == [AlarmKind.UNANSWERED]


def test_a_year_of_answered_bulletins_is_not_read(bench: Bench) -> None:
    """The search begins at the deliveries that are open, by their index."""
    sent(bench, "tn/main")
    directory = bench.world.newest.directory
    assert directory is not None
    with reading(bench.home.engine) as connection:
        query = deadlines.late_query(
            (DeliveryState.ACCEPTED,), directory.council.deadlines_seconds, 1, bench.world.now
        )
        compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
        plans = [str(step[3]) for step in steps]
    assert any("delivery USING INDEX delivery_state" in plan for plan in plans), plans
    assert not any(plan.startswith("SCAN outgoing_bulletin") for plan in plans), plans


def test_what_expired_unanswered_is_an_alarm(bench: Bench) -> None:
    """Also before its deadline; withdrawn, nobody misses it; an answer learned late ends it."""
    first = sent(bench, "tn/main", "dz/main", expires=bench.world.now + timedelta(hours=1))
    second = sent(bench, "tn/main", expires=bench.world.now + timedelta(hours=1))
    with writing(bench.home.engine) as connection:
        withdrawn = tables.outgoing_bulletin.c.bulletin_id == second
        connection.execute(update(tables.outgoing_bulletin).where(withdrawn).values(withdrawn=1))
    bench.world.log_answer(bench.world.answer("tn/main", 0, Result.DELIVERED))
    bench.world.later(hours=1)
    bench.send()
    with reading(bench.home.engine) as connection:
        subjects = [alarm.subject for alarm in list_alarms(connection)]
        assert answered_late(connection) == ()
    assert sorted(subjects) == [f"ly/main {first} {desk}" for desk in ("dz/main", "tn/main")]
    bench.ask()
    with reading(bench.home.engine) as connection:
        assert answered_late(connection) == (f"ly/main {first} tn/main",)
