"""Places: numbered from 1 without a gap for each pair of desks, and rising with the log."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from broker.db import writing
from broker.node.places import check_places, note_places
from schemas.errors import Problem
from schemas.receipts import Place
from tests.unit.node.arriving import download
from tests.unit.node.arriving import send as send_with_attachment
from tests.unit.node.reader import Reader, arrive


def places(reader: Reader, *numbers: tuple[int, int]) -> None:
    """Note places (n, index) from ly/main."""
    with writing(reader.home.engine) as connection:
        for n, index in numbers:
            told = Place(desk="tn/main", n=n, place_salt=bytes(32))
            note_places(connection, "tn/main", "ly/main", "log/1", index, [told])


def gaps(reader: Reader) -> Sequence[str]:
    """Look for gaps."""
    with writing(reader.home.engine) as connection:
        return check_places(connection, "tn/main", reader.world.now)


def test_an_envelope_that_is_held_back_shows_as_a_gap(reader: Reader) -> None:
    """The hub serves the second and hides the first: an alarm names the pair of desks."""
    arrive(reader)
    arrive(reader)
    reader.serve(reader.world.item(1, "tn/main"))
    reader.fetch()
    assert reader.alarms() == {"gap"}
    reader.serve(reader.world.item(0, "tn/main"))
    reader.fetch()
    assert gaps(reader) == ()


def test_an_envelope_that_waits_for_its_attachments_is_no_gap(reader: Reader) -> None:
    """It is right so far and not stored yet: its place is accounted for, and no other is."""
    for _ in range(2):
        arrive(reader)
    send_with_attachment(reader)
    arrive(reader)
    items = [
        reader.world.item(index, "tn/main")
        for index, item in enumerate(reader.world.items)
        if item.envelope is not None
    ]
    reader.serve(items[0], items[2], items[3])
    assert reader.fetch() == 2
    [alarm] = reader.rows("alarm")
    assert (alarm.kind, "1 of the places" in alarm.text) == ("gap", True)
    reader.serve(*items)
    assert reader.fetch() == 1
    assert reader.alarms() == set()
    assert len(reader.rows("place")) == 3
    assert download(reader) is True
    assert reader.fetch() == 1
    assert reader.alarms() == set()


@pytest.mark.parametrize(
    ("held", "found"),
    [
        (((1, 0), (2, 5), (3, 9)), ()),
        (((3, 9), (1, 0), (2, 5)), ()),
        (((1, 0), (3, 9)), ("ly/main > tn/main",)),
        (((2, 5),), ("ly/main > tn/main",)),
    ],
)
def test_places_run_from_1_without_a_gap(
    reader: Reader, held: tuple[tuple[int, int], ...], found: tuple[str, ...]
) -> None:
    """In whatever order they arrive."""
    places(reader, *held)
    assert gaps(reader) == found


@pytest.mark.parametrize(
    "wrong",
    [((1, 0), (1, 3)), ((1, 5), (2, 3)), ((2, 3), (1, 5)), ((1, 4), (2, 4))],
    ids=["twice", "not rising", "not rising, the later first", "one entry, two places"],
)
def test_places_rise_with_the_log_and_belong_to_one_entry(
    reader: Reader, wrong: tuple[tuple[int, int], ...]
) -> None:
    """Anything else is the hub's fault."""
    with pytest.raises(Problem) as caught:
        places(reader, *wrong)
    assert caught.value.word == "place"


def test_a_place_given_twice_is_not_acknowledged(reader: Reader) -> None:
    """Two envelopes with the number 1: the second is the hub's fault."""
    arrive(reader)
    reader.world._places.clear()
    arrive(reader)
    assert reader.fetch() == 1
    assert reader.alarms() == {"hub-fault"}
    reader.answer()
    assert reader.logged() == [("delivered", None, 1)]


def test_an_envelope_that_expired_while_it_waited_is_counted_once(reader: Reader) -> None:
    """Its tombstone explains its place: the one that the hub holds back shows beside it."""
    arrive(reader)
    arrive(reader)
    send_with_attachment(reader)
    held_back = {0}
    items = [
        reader.world.item(index, "tn/main")
        for index, item in enumerate(reader.world.items)
        if item.envelope is not None and index not in held_back
    ]
    last = items[-1].receipt.index
    reader.serve(*items[1:])
    reader.fetch()
    reader.world.later(days=40)
    expired = reader.world.expire(last)
    reader.serve()
    reader.client.tombstones["tn/main"] = [reader.world.tombstone(last, expired, "tn/main")]
    reader.fetch()
    gap = [row.text for row in reader.rows("alarm") if row.kind == "gap"]
    assert ["2 of the places" in text for text in gap] == [True]
