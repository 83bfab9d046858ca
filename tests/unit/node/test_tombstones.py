"""Tombstones: they explain empty places as far as the log proves it, and tell the analyst what was missed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from broker.node.inbox.tombstones import next_tombstone
from broker.node.watch import note_openings
from schemas.bulletin.vocabularies import Precedence
from schemas.receipts import Tombstone
from tests.unit.node.reader import Reader, arrive
from tests.unit.node.world import new_id


@pytest.fixture
def watching(reader: Reader) -> Reader:
    """tn/main's inbox, of a node that has looked at the log before, and so has a cursor."""
    note_openings(reader.home, "tn/main", (), reader.world.exchange_log.origin, 0, reader.world.now)
    return reader


def cursor(reader: Reader) -> int:
    """From where tombstones are asked for."""
    return next_tombstone(reader.home, "tn/main")


def bury(reader: Reader, *tombstones: Tombstone) -> None:
    """Let the hub serve these tombstones, whatever is in its log."""
    reader.client.tombstones["tn/main"] = list(tombstones)


def alarm_of(reader: Reader, kind: str) -> Any:
    """The one alarm of a kind."""
    [alarm] = [row for row in reader.rows("alarm") if row.kind == kind]
    return alarm


def test_a_missed_envelope_is_explained_and_told(watching: Reader) -> None:
    """No gap, but a word to the analyst: from whom, how urgent, until when it lived."""
    missed = arrive(watching, precedence=Precedence.FLASH)
    watching.world.later(days=8)
    watching.world.expire(0)
    held = arrive(watching)
    assert watching.fetch() == 2
    assert watching.shown() == [held]
    assert watching.alarms() == {"missed"}
    alarm = alarm_of(watching, "missed")
    assert alarm.subject == f"tn/main ly/main {missed}"
    assert (
        "flash from ly/main, sealed 2026-11-24T22:00:00Z, expired 2026-12-01T22:00:00Z"
        in alarm.text
    )
    explained = {row.n: row.explained for row in watching.rows("place")}
    assert explained == {1: "expired", 2: None}
    assert cursor(watching) == 2


def test_what_is_known_of_is_told_once(watching: Reader) -> None:
    """The same tombstone again says nothing new, also after a restart."""
    arrive(watching)
    watching.world.expire(0)
    assert watching.fetch() == 1
    bury(watching, watching.world.tombstone(0, 1, "tn/main"))
    watching.restart()
    bury(watching, watching.world.tombstone(0, 1, "tn/main"))
    assert watching.fetch() == 0
    assert alarm_of(watching, "missed").times == 1


def test_many_tombstones_are_read_to_their_end(
    watching: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, with the cursor behind the last of each."""
    for index in range(3):
        arrive(watching)
        watching.world.expire(2 * index)
    asked: list[int] = []
    original = watching.client._tombstones

    def one_at_a_time(desk: str, start: int) -> list[Tombstone]:
        asked.append(start)
        return original(desk, start)[:1]

    monkeypatch.setattr(watching.client, "_tombstones", one_at_a_time)
    assert watching.fetch() == 3
    assert asked == [0, 2, 4, 6]


def test_a_gap_is_over_once_it_is_explained(watching: Reader) -> None:
    """The alarm is raised while the place is empty, and goes when a tombstone says why."""
    arrive(watching)
    arrive(watching)
    watching.serve(watching.world.item(1, "tn/main"))
    watching.fetch()
    assert watching.alarms() == {"gap"}
    watching.serve()
    watching.world.expire(0)
    watching.fetch()
    assert watching.alarms() == {"missed"}


def test_what_was_stored_was_not_missed(watching: Reader) -> None:
    """Its answer never reached the hub, which calls it expired unanswered: nobody is alarmed."""
    arrive(watching)
    watching.fetch()
    watching.world.expire(0)
    assert watching.fetch() == 0
    assert watching.alarms() == set()
    assert [row.explained for row in watching.rows("place")] == [None]
    assert cursor(watching) == 2


def test_a_bulletin_that_came_in_another_envelope_was_not_missed(watching: Reader) -> None:
    """Sealed again before the first expired: its place is explained, and nobody is alarmed."""
    outgoing = watching.world.outgoing("ly/main")
    for _ in range(2):
        watching.world.accept(watching.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    watching.world.expire(0)
    watching.fetch()
    assert watching.alarms() == set()


def test_what_comes_after_all_is_not_missed_any_more(watching: Reader) -> None:
    """Sent anew by its sender: the alarm is over."""
    outgoing = watching.world.outgoing("ly/main")
    watching.world.accept(watching.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    watching.world.expire(0)
    watching.fetch()
    assert watching.alarms() == {"missed"}
    watching.world.accept(watching.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    watching.fetch()
    assert watching.alarms() == set()


def _early(reader: Reader) -> Tombstone:
    early = reader.world.now + timedelta(days=7, seconds=-1)
    return reader.world.tombstone(0, reader.world.expire(0, at=early), "tn/main")


def _of_another_envelope(reader: Reader) -> Tombstone:
    return reader.world.tombstone(0, reader.world.expire(0, id=new_id()), "tn/main")


def _of_another_sender(reader: Reader) -> Tombstone:
    return reader.world.tombstone(0, reader.world.expire(0, from_="dz/main"), "tn/main")


def _before_it_was_accepted(reader: Reader) -> Tombstone:
    end = reader.world.expire(0)
    # The same two entries the other way round.
    items = reader.world.items
    items[0], items[end] = items[end], items[0]
    return reader.world.tombstone(end, 0, "tn/main")


def _no_end_at_all(reader: Reader) -> Tombstone:
    return reader.world.tombstone(0, 0, "tn/main")


def _without_place(reader: Reader) -> Tombstone:
    true = reader.world.tombstone(0, reader.world.expire(0), "tn/main")
    return true.model_copy(update={"receipt": true.receipt.model_copy(update={"places": ()})})


def _other_place(reader: Reader) -> Tombstone:
    true = reader.world.tombstone(0, reader.world.expire(0), "tn/main")
    [place] = true.receipt.places
    moved = place.model_copy(update={"n": 2})
    return true.model_copy(update={"receipt": true.receipt.model_copy(update={"places": (moved,)})})


def _another_statement(reader: Reader) -> Tombstone:
    true = reader.world.tombstone(0, reader.world.expire(0), "tn/main")
    arrive(reader)
    return true.model_copy(update={"statement": reader.world.items[-1].statement})


def _not_in_the_log(reader: Reader) -> Tombstone:
    true = reader.world.tombstone(0, reader.world.expire(0), "tn/main")
    salted = true.expired.model_copy(update={"salt": bytes(32)})
    return true.model_copy(update={"expired": salted})


def _accepted_in_a_forked_log(reader: Reader) -> Tombstone:
    before = reader.world.receipt(0, "tn/main", size=1)
    reader.line.follower.forged.add(reader.world.head(1).root)  # type: ignore[attr-defined]
    true = reader.world.tombstone(0, reader.world.expire(0), "tn/main")
    return true.model_copy(update={"receipt": before})


def _ended_in_a_forked_log(reader: Reader) -> Tombstone:
    before = reader.world.receipt(0, "tn/main", size=1)
    true = reader.world.tombstone(0, reader.world.expire(0), "tn/main")
    reader.line.follower.forged.add(reader.world.head().root)  # type: ignore[attr-defined]
    return true.model_copy(update={"receipt": before})


FORGED: list[tuple[str, Callable[[Reader], Tombstone]]] = [
    ("before the header's end", _early),
    ("of another envelope", _of_another_envelope),
    ("of another sender's", _of_another_sender),
    ("before the acceptance", _before_it_was_accepted),
    ("no end at all", _no_end_at_all),
    ("without a place", _without_place),
    ("another place", _other_place),
    ("another statement", _another_statement),
    ("not in the log", _not_in_the_log),
    ("accepted in a forked log", _accepted_in_a_forked_log),
    ("ended in a forked log", _ended_in_a_forked_log),
]


@pytest.mark.parametrize(("name", "forge"), FORGED, ids=[case[0] for case in FORGED])
def test_a_forged_tombstone_explains_nothing(
    watching: Reader, name: str, forge: Callable[[Reader], Tombstone]
) -> None:
    """The hub's fault: an alarm, no place noted, and it is asked for again."""
    arrive(watching)
    bury(watching, forge(watching))
    watching.serve()
    assert watching.fetch() == 0, name
    assert len(watching.alarms() & {"hub-fault", "inconsistent-log"}) == 1, name
    assert watching.rows("place") == []
    assert cursor(watching) == 0


def test_one_forged_tombstone_holds_up_no_other(watching: Reader) -> None:
    """The others are noted; the cursor stays before the forged one until it is served rightly."""
    arrive(watching)
    arrive(watching)
    early = _early(watching)
    second = watching.world.expire(1)
    bury(watching, early, watching.world.tombstone(1, second, "tn/main"))
    watching.serve()
    assert watching.fetch() == 1
    assert [row.n for row in watching.rows("place")] == [2]
    assert cursor(watching) == 0
    assert watching.alarms() == {"hub-fault", "missed", "gap"}
    end = watching.world.expire(0)
    bury(watching, watching.world.tombstone(0, end, "tn/main"))
    assert watching.fetch() == 1
    assert cursor(watching) == end + 1
    assert "gap" not in watching.alarms()


def test_an_envelope_served_after_its_tombstone_is_taken(watching: Reader) -> None:
    """A hub that serves it after all: the place is held, and the alarm is over."""
    bulletin = arrive(watching)
    item = watching.world.item(0, "tn/main")
    watching.world.expire(0)
    watching.fetch()
    bury(watching)
    watching.serve(item)
    assert watching.fetch() == 1
    assert watching.shown() == [bulletin]
    assert [row.explained for row in watching.rows("place")] == [None]
    assert watching.alarms() == set()


def test_a_node_that_never_looked_at_the_log_asks_from_the_beginning(reader: Reader) -> None:
    """Its cursor begins with its first look; until then nothing is told twice either."""
    arrive(reader)
    reader.world.expire(0)
    assert [reader.fetch(), reader.fetch()] == [1, 0]
    assert cursor(reader) == 0
    assert alarm_of(reader, "missed").times == 1
