"""The acknowledgements that a desk owes: signed in batches, handed in, owed until they are proved."""

from __future__ import annotations

from datetime import timedelta

import pytest

from broker.db import writing
from broker.node import tables
from keys.envelope import parse_header
from schemas.errors import Problem
from tests.unit.node.reader import Reader, arrive
from tests.unit.node.world import new_id


def test_an_acknowledgement_holds_at_most_100_items_of_one_sender(reader: Reader) -> None:
    """101 from one sender and one from another make three statements."""
    with writing(reader.home.engine) as connection:
        for number in range(102):
            connection.execute(
                tables.answer.insert().values(
                    desk="tn/main",
                    sender="dz/main" if number == 50 else "ly/main",
                    envelope_id=new_id(),
                    origin=reader.world.exchange_log.origin,
                    entry_index=number,
                    leaf="0" * 64,
                    result="delivered",
                    made=0,
                )
            )
    assert reader.answer() == 3
    assert sorted(count for _, _, count in reader.logged()) == [1, 1, 100]


def test_items_that_the_hub_refuses_are_dropped_with_an_alarm(reader: Reader) -> None:
    """The others are signed anew: a thief's acknowledgement of some must not block the rest."""
    arrive(reader)
    arrive(reader)
    reader.fetch()
    header = parse_header(reader.world.items[0].statement)
    refused = {"from": header.from_, "id": header.id}
    reader.client.refusals = [Problem("acknowledgement-items", items=[refused])]
    assert [reader.answer(), reader.answer(), reader.answer()] == [1, 1, 0]
    assert reader.logged() == [("delivered", None, 1)]
    assert reader.alarms() == {"acknowledgement-refused"}


def test_a_refusal_that_names_no_item_does_not_go_on_for_ever(reader: Reader) -> None:
    """Nothing could be signed anew but the same."""
    arrive(reader)
    reader.fetch()
    reader.client.refusals = [Problem("acknowledgement-items", items=[])]
    assert [reader.answer(), reader.answer()] == [1, 0]
    assert reader.alarms() == {"acknowledgement-refused"}


def test_a_receipt_of_another_entry_leaves_the_acknowledgement_owed(reader: Reader) -> None:
    """Only a proof of this statement ends the sending."""
    arrive(reader)
    arrive(reader)
    reader.fetch()

    async def wrong(*_arguments: object) -> object:
        return reader.world.receipt(0, "tn/main")

    reader.client.acknowledge = wrong  # type: ignore[method-assign, assignment]
    with pytest.raises(Problem) as caught:
        reader.answer()
    assert caught.value.word == "entry-invalid"
    assert [row.state for row in reader.rows("acknowledgement")] == ["signed"]


def test_one_acknowledgement_that_is_refused_does_not_hold_up_the_others(reader: Reader) -> None:
    """Every statement is handed in; what was said against one is raised after."""
    arrive(reader, "dz/main")
    arrive(reader, "ly/main")
    reader.fetch()
    reader.client.refusals = [Problem("statement-signature")]
    with pytest.raises(Problem):
        reader.answer()
    assert reader.logged() == [("delivered", None, 1)]
    assert reader.answer() == 1
    assert reader.logged() == [("delivered", None, 1)] * 2


def test_read_waits_for_delivered(reader: Reader) -> None:
    """While `delivered` is refused for now, `read` is held back: the hub would refuse it for good."""
    bulletin = arrive(reader)
    reader.fetch()
    assert reader.read("ly/main", bulletin)
    reader.client.refusals = [Problem("busy")]
    with pytest.raises(Problem, match="busy"):
        reader.answer()
    assert reader.logged() == []
    assert reader.answer() == 2
    assert reader.logged() == [("delivered", None, 1), ("read", None, 1)]
    assert reader.alarms() == set()


def test_read_waits_for_what_is_signed_anew(reader: Reader) -> None:
    """Where one item of `delivered` is refused, the others are delivered before they are read."""
    arrive(reader)
    kept = arrive(reader)
    reader.fetch()
    assert reader.read("ly/main", kept)
    header = parse_header(reader.world.items[0].statement)
    refused = {"from": header.from_, "id": header.id, "why": "it is not yours"}
    reader.client.refusals = [Problem("acknowledgement-items", items=[refused])]
    reader.answer()
    assert reader.logged() == []
    reader.answer()
    assert reader.logged() == [("delivered", None, 1), ("read", None, 1)]


@pytest.mark.parametrize("hours", [25, -25], ids=["the hub was away", "the clock was set back"])
def test_an_old_statement_is_signed_anew(reader: Reader, hours: int) -> None:
    """The hub takes none whose `at` is over a day away: its answers go out under a new one."""
    arrive(reader)
    reader.fetch()
    reader.client.refusals = [Problem("busy")]
    with pytest.raises(Problem, match="busy"):
        reader.answer()
    reader.world.now += timedelta(hours=hours)
    assert reader.answer() == 1
    assert reader.logged() == [("delivered", None, 1)]
    states = {row.made: row.state for row in reader.rows("acknowledgement")}
    assert states[int(reader.world.now.timestamp())] == "logged"
    assert sorted(states.values()) == ["logged", "stale"]


def test_a_statement_of_an_hour_ago_goes_out_as_it_is(reader: Reader) -> None:
    """After a crash or a short outage the hub knows the same bytes again."""
    arrive(reader)
    reader.fetch()
    reader.client.refusals = [Problem("busy")]
    with pytest.raises(Problem, match="busy"):
        reader.answer()
    reader.world.now += timedelta(hours=1)
    reader.answer()
    assert [row.state for row in reader.rows("acknowledgement")] == ["logged"]
