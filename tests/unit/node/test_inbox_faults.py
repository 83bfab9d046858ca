"""The hub's faults at the inbox: never acknowledged, always an alarm, and healed when served rightly."""

from __future__ import annotations

import pytest

from keys.envelope import parse_header
from schemas.errors import HubUnreachable
from schemas.receipts import InboxItem, InboxPage
from tests.unit.node.reader import Reader, arrive


def _without_body(reader: Reader) -> InboxItem:
    return reader.world.item(0, "tn/main", inline=False)


def _flipped(reader: Reader) -> InboxItem:
    item = reader.world.item(0, "tn/main")
    return item.model_copy(update={"slot": bytes([item.slot[0] ^ 1]) + item.slot[1:]})


def test_the_hubs_fault_is_never_acknowledged_and_heals(reader: Reader) -> None:
    """A flipped bit raises an alarm; served rightly later, the envelope is stored as if new."""
    bulletin = arrive(reader)
    reader.serve(_flipped(reader))
    assert [reader.fetch(), reader.fetch()] == [0, 0]
    assert reader.answer() == 0
    assert reader.logged() == []
    assert reader.rows("incoming_envelope") == []
    [alarm] = reader.rows("alarm")
    assert (alarm.kind, alarm.times) == ("hub-fault", 2)
    reader.serve(reader.world.item(0, "tn/main"))
    assert reader.fetch() == 1
    assert reader.shown() == [bulletin]


def test_one_faulty_envelope_does_not_hold_up_the_others(reader: Reader) -> None:
    """The rest of the page is stored."""
    arrive(reader)
    second = arrive(reader)
    reader.serve(_flipped(reader), reader.world.item(1, "tn/main"))
    assert reader.fetch() == 1
    assert reader.shown() == [second]


def test_a_forked_log_is_never_acknowledged(reader: Reader) -> None:
    """A receipt of another tree than the one followed: an alarm with its checkpoint as evidence."""
    arrive(reader)
    reader.line.follower.forged.add(reader.world.head().root)  # type: ignore[attr-defined]
    assert reader.fetch() == 0
    [alarm] = reader.rows("alarm")
    assert alarm.kind == "inconsistent-log"
    assert reader.world.exchange_log.origin in alarm.text
    assert reader.answer() == 0


def test_a_body_that_was_not_inlined_is_fetched(reader: Reader) -> None:
    """Large bodies have a route of their own, and are checked alike."""
    bulletin = arrive(reader)
    envelope = reader.world.items[0].envelope
    assert envelope is not None
    header = parse_header(reader.world.items[0].statement)
    reader.serve(_without_body(reader))
    reader.client.bodies[header.id] = envelope.body[:-1]
    assert reader.fetch() == 0
    assert reader.alarms() == {"hub-fault"}
    reader.client.bodies[header.id] = envelope.body
    assert reader.fetch() == 1
    assert reader.shown() == [bulletin]


def test_the_directory_is_read_as_far_as_the_entry_says(reader: Reader) -> None:
    """An entry beyond what was followed makes the node follow; one beyond the log is a fault."""
    reader.world.accept(
        reader.world.envelope("ly/main", "tn/main"), directory_size=len(reader.world.entries) + 1
    )
    assert reader.fetch() == 0
    assert reader.line.follower.refreshed == 1  # type: ignore[attr-defined]
    assert reader.alarms() == {"hub-fault"}


def test_pages_without_end_end_a_pass(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that names ever another page, and hides an envelope: the pass ends, and the gap shows."""
    arrive(reader)
    arrive(reader)
    page = InboxPage(items=(reader.world.item(1, "tn/main"),))
    asked: list[object] = []

    async def inbox(_desk: str, **_options: object) -> InboxPage:
        asked.append(None)
        if len(asked) > 10:
            raise HubUnreachable("no end")
        return page.model_copy(update={"next": f"{len(asked)}-1"})

    monkeypatch.setattr(reader.client, "inbox", inbox)
    assert reader.fetch() == 1
    assert reader.alarms() == {"gap"}
