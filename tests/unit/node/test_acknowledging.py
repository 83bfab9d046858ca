"""The acknowledgements that a desk owes: signed in batches, handed in, owed until they are proved."""

from __future__ import annotations

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
