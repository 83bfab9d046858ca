"""Freshness: what its age lets leave, who may let an urgent bulletin leave then, what is remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from broker.db import reading, writing
from broker.node import tables
from broker.node.freshness import (
    SOURCE_OF,
    Freshness,
    Source,
    Standing,
    freshness_of,
    note_timestamp,
    note_vouched,
    verified_at,
)
from broker.node.home import Home
from broker.node.outbox.holding import (
    Confirmation,
    confirm,
    confirmations_of,
    hold,
)
from broker.node.outbox.sealing import next_due
from keys.directory import Directory
from keys.envelope import parse_header
from keys.timestamps import TimestampCheck, TimestampFault
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import HubUnreachable, Problem
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)
SECOND = timedelta(seconds=1)
ME = "ly/main"


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox; its node has just followed the logs."""
    return Bench(world, ly)


def directory_of(bench: Bench) -> Directory:
    """In force; its council allows a day."""
    directory = bench.world.newest.directory
    assert directory is not None
    assert directory.council.grace_seconds == DAY.total_seconds()
    return directory


def fresh(bench: Bench, after: timedelta = timedelta()) -> Freshness:
    """How fresh the directory is some time from now."""
    with reading(bench.home.engine) as connection:
        return freshness_of(connection, directory_of(bench), bench.world.now + after)


def confirmed(bench: Bench, bulletin_id: str, by: str = "Salma B.") -> Confirmation:
    """A person lets a bulletin leave."""
    asked = Confirmation(by, "9f2c4e6a8b0d", "duty officer", bench.world.now, None)
    return confirm(bench.home, ME, bulletin_id, directory_of(bench), asked)


def kept(bench: Bench, bulletin_id: str) -> tuple[Confirmation, ...]:
    """The confirmations of a bulletin."""
    with reading(bench.home.engine) as connection:
        return confirmations_of(connection, ME, bulletin_id)


def held(bench: Bench, bulletin_id: str) -> bool:
    """Whether a bulletin is held."""
    return bench.outgoing(bulletin_id).held is not None


# How old it is.


@pytest.mark.parametrize(
    ("age", "standing"),
    [
        (timedelta(), Standing.FRESH),
        (HOUR, Standing.FRESH),
        (HOUR + SECOND, Standing.STALE),
        (DAY, Standing.STALE),
        (DAY + SECOND, Standing.OVER_GRACE),
    ],
)
def test_what_an_age_means(bench: Bench, age: timedelta, standing: Standing) -> None:
    """An hour is fresh, the council's grace is stale, a second more is over it."""
    found = fresh(bench, age)
    assert (found.verified, found.age, found.standing) == (bench.world.now, age, standing)
    assert found.over_grace == (standing is Standing.OVER_GRACE)


def test_a_directory_that_nothing_ever_vouched_for_is_over_the_grace(bench: Bench) -> None:
    """A new node is not fresh before it has followed."""
    with writing(bench.home.engine) as connection:
        connection.execute(delete(tables.freshness))
    assert (fresh(bench).verified, fresh(bench).standing) == (None, Standing.OVER_GRACE)


def test_a_clock_that_ran_ahead_makes_nothing_fresh(bench: Bench) -> None:
    """A moment that has yet to come says nothing, but for the minutes that clocks differ by."""
    assert fresh(bench, -timedelta(minutes=5)).age == timedelta()
    assert fresh(bench, -timedelta(minutes=5, seconds=1)).standing is Standing.OVER_GRACE


def test_an_expired_council_counts_as_over_the_grace(bench: Bench) -> None:
    """However lately it was verified."""
    bench.world.now = bench.world.expires - SECOND
    bench.follow()
    assert fresh(bench).standing is Standing.FRESH
    found = fresh(bench, SECOND)
    assert (found.standing, found.council_expired) == (Standing.OVER_GRACE, True)


def test_every_source_must_vouch(bench: Bench) -> None:
    """The directory is as old as the oldest of them says; one that never did makes it unknown."""
    directory = directory_of(bench)
    council = directory.council.model_copy(update={"witnesses": "named"})
    witnessed = replace(directory, council_part=replace(directory.council_part, council=council))
    now = bench.world.now
    with writing(bench.home.engine) as connection:
        note_vouched(connection, Source.DIRECTORY_QUORUM, now)
        assert verified_at(connection, witnessed) is None
        note_vouched(connection, Source.EXCHANGE_QUORUM, now - HOUR)
        assert verified_at(connection, witnessed) == now - HOUR
        note_vouched(connection, Source.EXCHANGE_QUORUM, now + HOUR)
        assert verified_at(connection, witnessed) == now
        note_vouched(connection, Source.DIRECTORY_QUORUM, now - 2 * HOUR)
        assert verified_at(connection, witnessed) == now - 2 * HOUR
        assert verified_at(connection, directory) == now


def test_a_restart_forgets_nothing(bench: Bench) -> None:
    """When it was verified stands on the disk."""
    before = fresh(bench, DAY)
    bench.home.engine.dispose()
    assert fresh(bench, DAY) == before


@pytest.mark.parametrize("fault", list(TimestampFault))
def test_a_bad_timestamp_vouches_for_nothing(bench: Bench, fault: TimestampFault) -> None:
    """Lies are alarms of their own, about the timestamp; the others are looked at by the rounds."""
    was = bench.world.now
    bench.world.later(hours=2)
    with writing(bench.home.engine) as connection:
        note_timestamp(connection, TimestampCheck(bench.world.now, fault, "what was wrong"))
    assert fresh(bench).verified == was
    lies = {TimestampFault.SIGNATURE, TimestampFault.ROLLED_BACK, TimestampFault.OTHER_SNAPSHOT}
    assert bench.alarms() == ({str(fault): "what was wrong"} if fault in lies else {})


# What leaves.


@pytest.mark.parametrize("precedence", list(Precedence))
def test_over_the_grace_nothing_leaves_by_itself(bench: Bench, precedence: Precedence) -> None:
    """It is neither sealed nor submitted, whatever its precedence; until then everything leaves."""
    bench.world.later(hours=24)
    early = bench.queue("tn/main", precedence=precedence)
    bench.send()
    assert bench.states(early) == {"tn/main": "accepted"}
    assert not held(bench, early)
    bench.world.later(seconds=1)
    late = bench.queue("tn/main", precedence=precedence)
    assert bench.send() == 0
    assert bench.states(late) == {"tn/main": "queued"}
    assert held(bench, late)
    assert len(bench.envelopes()) == 1
    bench.follow()
    bench.send()
    assert bench.states(late) == {"tn/main": "accepted"}
    assert not held(bench, late)


@pytest.mark.parametrize("precedence", [Precedence.FLASH, Precedence.IMMEDIATE])
def test_what_is_urgent_leaves_once_a_person_confirmed_it(
    bench: Bench, precedence: Precedence
) -> None:
    """That one alone; who, by which token, when, and how old the directory was is kept."""
    was = bench.world.now
    bench.world.later(hours=25)
    bulletin, other = (bench.queue("tn/main", precedence=precedence) for _ in range(2))
    routine = bench.queue("tn/main")
    bench.send()
    expected = Confirmation("Salma B.", "9f2c4e6a8b0d", "duty officer", bench.world.now, was)
    assert confirmed(bench, bulletin) == expected
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    assert bench.states(other) == bench.states(routine) == {"tn/main": "queued"}
    assert kept(bench, bulletin) == (expected,)


def test_confirming_again_changes_nothing(bench: Bench) -> None:
    """The first who did is kept."""
    bench.world.later(hours=25)
    bulletin = bench.queue("tn/main", precedence=Precedence.FLASH)
    first = confirmed(bench, bulletin)
    bench.world.later(minutes=1)
    assert confirmed(bench, bulletin, "Omar T.") == first
    assert len(kept(bench, bulletin)) == 1


@pytest.mark.parametrize("precedence", [Precedence.PRIORITY, Precedence.ROUTINE])
def test_nobody_can_confirm_what_is_not_urgent(bench: Bench, precedence: Precedence) -> None:
    """It waits, and the problem says for what."""
    bench.world.later(hours=25)
    bulletin = bench.queue("tn/main", precedence=precedence)
    with pytest.raises(Problem, match="directory-over-grace"):
        confirmed(bench, bulletin)
    assert kept(bench, bulletin) == ()


def test_a_confirmation_counts_for_what_is_urgent_alone(bench: Bench) -> None:
    """Whoever wrote it there: the outbox asks again."""
    bench.world.later(hours=25)
    bulletin = bench.queue("tn/main", precedence=Precedence.PRIORITY)
    with writing(bench.home.engine) as connection:
        values = {
            "by": "Salma B.",
            "token_id": "9f2c4e6a8b0d",
            "token_name": "duty officer",
            "at": 1,
        }
        row = tables.confirmation.insert().values(desk=ME, bulletin_id=bulletin, **values)
        connection.execute(row)
    bench.send()
    assert held(bench, bulletin)


def test_what_needs_no_confirmation_takes_none(bench: Bench) -> None:
    """An unknown bulletin, one that is free to leave, one that has left, one that was withdrawn."""
    with pytest.raises(Problem, match="not-found"):
        confirmed(bench, "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b")
    bulletin = bench.queue("tn/main", precedence=Precedence.FLASH)
    with pytest.raises(Problem, match="within the grace"):
        confirmed(bench, bulletin)
    bench.send()
    bench.world.later(hours=25)
    with pytest.raises(Problem, match="nothing of this bulletin waits"):
        confirmed(bench, bulletin)
    other = bench.queue("tn/main", precedence=Precedence.FLASH)
    bench.withdraw(other)
    with pytest.raises(Problem, match="withdrawn"):
        confirmed(bench, other)


def test_a_confirmation_ends_when_the_directory_is_fresh_again(bench: Bench) -> None:
    """Over the grace once more, the same bulletin, sent again, waits for another."""
    bench.world.later(hours=25)
    bulletin = bench.queue("tn/main", precedence=Precedence.FLASH)
    confirmed(bench, bulletin)
    bench.client.away = True
    with pytest.raises(HubUnreachable):
        bench.send()
    bench.client.away = False
    bench.follow()
    bench.world.later(minutes=5)
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    [ended] = kept(bench, bulletin)
    assert ended.ended == bench.world.now
    bench.world.later(hours=25)
    with writing(bench.home.engine) as connection:
        table = tables.delivery
        connection.execute(update(table).values(state="queued", envelope_id=None))
    bench.send()
    assert held(bench, bulletin)


def test_what_was_sealed_before_waits_too_and_is_sealed_anew(bench: Bench) -> None:
    """A line that was cut: the directory of then may not be the newest when it leaves at last."""
    bulletin = bench.queue("tn/main")
    bench.client.away = True
    with pytest.raises(HubUnreachable):
        bench.send()
    bench.client.away = False
    bench.world.later(hours=25)
    assert bench.send() == 0
    assert next_due(bench.home, ME) is None
    bench.world.change_member("ml")
    bench.world.publish()
    bench.follow()
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    [accepted] = [item for item in bench.world.items if item.envelope]
    assert parse_header(accepted.statement).directory == bench.world.newest.in_force
    assert bench.headers() == 2


def test_a_header_says_how_old_its_directory_was(bench: Bench) -> None:
    """When it had last been verified as it was sealed."""
    was = int(bench.world.now.timestamp())
    bench.world.later(hours=3)
    bench.queue("tn/main")
    bench.send()
    with reading(bench.home.engine) as connection:
        [row] = connection.execute(select(tables.sent_header)).all()
    assert (row.directory_verified, row.sealed_at) == (was, was + 3 * 3600)


def test_what_was_withdrawn_is_not_held(bench: Bench) -> None:
    """Of it only what the hub may have already is submitted, so that its withdrawal can follow."""
    bulletin = bench.queue("tn/main", precedence=Precedence.FLASH)
    bench.client.drops_answers = True
    with pytest.raises(HubUnreachable):
        bench.send()
    bench.client.drops_answers = False
    bench.world.later(hours=25)
    bench.send()
    withdrawal = bench.withdraw(bulletin, precedence=Precedence.FLASH)
    confirmed(bench, withdrawal)
    for _ in range(3):
        bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    assert bench.states(withdrawal) == {"tn/main": "accepted"}


def test_more_than_one_pass_holds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, all are held, and all are free again."""
    monkeypatch.setattr("broker.node.outbox.holding.HELD_AT_ONCE", 2)
    bulletins = [bench.queue("tn/main") for _ in range(5)]
    bench.world.later(hours=25)
    bench.send()
    assert [held(bench, each) for each in bulletins] == [True] * 5
    bench.follow()
    hold(bench.home, ME, directory_of(bench), bench.world.now)
    assert [held(bench, each) for each in bulletins] == [False] * 5


def test_without_a_directory_nothing_is_decided(bench: Bench) -> None:
    """Nothing can be sealed then anyway."""
    bulletin = bench.queue("tn/main")
    bench.world.later(hours=25)
    hold(bench.home, ME, None, bench.world.now)
    assert not held(bench, bulletin)


def test_the_sources_are_few(bench: Bench) -> None:
    """One that is added must be noted somewhere, or nothing is ever fresh."""
    rows: Any
    with reading(bench.home.engine) as connection:
        rows = connection.execute(select(tables.freshness.c.source)).scalars().all()
    assert {*rows, *SOURCE_OF.values()} == set(Source)
