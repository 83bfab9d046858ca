"""The inbox: verified, stored once with its answer, acknowledged only after; gaps do not go unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from broker.db import reading, writing
from broker.node import tables
from broker.node.home import Home
from broker.node.inbox.fetching import Fetcher
from broker.node.inbox.received import find_received, list_received, mark_read
from broker.node.places import check_places, note_places
from broker.node.sending import Sender
from keys.envelope import parse_header
from schemas.acknowledgements import Acknowledgement
from schemas.bulletin.vocabularies import Precedence
from schemas.entries import AcknowledgementEntry
from schemas.errors import HubUnreachable, Problem
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.receipts import InboxItem, Place
from tests.unit.node.world import NodeWorld, document, new_id, open_database


class Reader:
    """The inbox of tn/main, its hub on paper, and a restart that loses what was in memory."""

    def __init__(self, world: NodeWorld, home: Home) -> None:
        self.world = world
        self.home = home
        self._start()

    def _start(self) -> None:
        self.line, self.client = self.world.line(self.home)
        clock = lambda: self.world.now  # noqa: E731
        self.fetcher = Fetcher(self.home, self.line, "tn/main", clock)
        self.sender = Sender(self.home, self.line, "tn/main", clock)

    def restart(self) -> None:
        """Kill the process: only the disk is left."""
        self.home.engine.dispose()
        self.home = replace(self.home, engine=open_database(self.home.data))
        self._start()

    def fetch(self) -> int:
        """Read the inbox once."""
        return asyncio.run(self.fetcher.fetch(0, lambda: None))

    def answer(self) -> int:
        """Hand in what is owed."""
        return asyncio.run(self.sender.answer())

    def serve(self, *items: InboxItem) -> None:
        """Let the hub serve these items, whatever is in its log."""
        self.client.inbox_items["tn/main"] = list(items)

    def shown(self) -> list[str]:
        """The ids of the bulletins that an analyst sees."""
        with reading(self.home.engine) as connection:
            found = list_received(connection, "tn/main", unread=False, after=None, limit=100)
        return [summary.bulletin_id for summary in found]

    def read(self, sender: str, bulletin_id: str) -> bool:
        """An analyst opens a bulletin."""
        with writing(self.home.engine) as connection:
            return mark_read(connection, "tn/main", sender, bulletin_id, self.world.now)

    def rows(self, table: str) -> list[Any]:
        """All rows of a table."""
        with reading(self.home.engine) as connection:
            return list(connection.execute(select(tables.metadata.tables[table])))

    def alarms(self) -> set[str]:
        """The kinds of all alarms."""
        return {row.kind for row in self.rows("alarm")}

    def logged(self) -> list[tuple[str, str | None, int]]:
        """The acknowledgements in the log: result, reason, number of items."""
        payloads = [
            parse(Acknowledgement, item.parsed.statement, ACKNOWLEDGEMENT_BYTES_MAX)
            for item in self.world.items
            if isinstance(item.parsed, AcknowledgementEntry)
        ]
        return [(str(p.result), p.reason, len(p.items)) for p in payloads]


@pytest.fixture
def reader(world: NodeWorld, tn: Home) -> Reader:
    """tn/main's inbox."""
    return Reader(world, tn)


def arrive(reader: Reader, sender: str = "ly/main", **changed: Any) -> str:
    """An envelope is accepted for tn/main; gives its bulletin's id."""
    outgoing = reader.world.outgoing(sender, **changed)
    reader.world.accept(reader.world.envelope(sender, "tn/main", outgoing=outgoing))
    return outgoing.bulletin_id


def test_an_envelope_is_stored_once_and_acknowledged(reader: Reader) -> None:
    """Bulletin, evidence, place and answer stand on the disk; then the answer is logged."""
    bulletin = arrive(reader)
    assert reader.fetch() == 1
    assert reader.shown() == [bulletin]
    assert [len(reader.rows(t)) for t in ("incoming_envelope", "place", "answer")] == [1, 1, 1]
    assert reader.logged() == []
    assert reader.answer() == 1
    assert reader.logged() == [("delivered", None, 1)]
    assert reader.answer() == 0
    assert reader.alarms() == set()


def test_served_again_it_is_stored_once(reader: Reader) -> None:
    """The hub serves an envelope until it is answered: an analyst sees it once."""
    bulletin = arrive(reader)
    assert [reader.fetch(), reader.fetch()] == [1, 0]
    assert reader.shown() == [bulletin]
    assert len(reader.rows("answer")) == 1


def test_a_bulletin_in_two_envelopes_is_acknowledged_twice_and_shown_once(reader: Reader) -> None:
    """The sender sealed it again: each envelope gets its answer."""
    outgoing = reader.world.outgoing("ly/main")
    for _ in range(2):
        reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    assert reader.fetch() == 2
    assert reader.shown() == [outgoing.bulletin_id]
    reader.answer()
    assert reader.logged() == [("delivered", None, 2)]


def test_read_is_answered_once_for_every_envelope(reader: Reader) -> None:
    """Also for one that arrives after the bulletin was read."""
    outgoing = reader.world.outgoing("ly/main")
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    reader.fetch()
    reader.answer()
    assert reader.read("ly/main", outgoing.bulletin_id)
    assert not reader.read("ly/main", outgoing.bulletin_id)
    reader.answer()
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    reader.fetch()
    reader.answer()
    answers = [("delivered", None, 1), ("read", None, 1)]
    assert reader.logged() == answers + answers


def test_delivered_is_said_before_read(reader: Reader) -> None:
    """A read that is still owed does not carry the read of a later bulletin before its delivery."""
    first, second = (reader.world.outgoing("ly/main") for _ in range(2))
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=first))
    reader.fetch()
    reader.answer()
    assert reader.read("ly/main", first.bulletin_id)
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=second))
    reader.fetch()
    assert reader.read("ly/main", second.bulletin_id)
    reader.answer()
    assert reader.logged() == [("delivered", None, 1), ("delivered", None, 1), ("read", None, 2)]


def test_two_contents_under_one_id_are_kept_and_one_is_shown(reader: Reader) -> None:
    """A sender cannot give two contents to one bulletin unseen: both headers are evidence."""
    bulletin_id = new_id()
    first, second = (
        reader.world.outgoing("ly/main", document("ly/main", bulletin_id, title={"en": title}))
        for title in ("one", "two")
    )
    # The second content comes in two envelopes: not shown either time.
    for outgoing in (first, second, second):
        reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    assert reader.fetch() == 3
    assert reader.shown() == [bulletin_id]
    assert "two-contents" in reader.alarms()
    assert len(reader.rows("incoming_envelope")) == 3
    reader.answer()
    assert reader.logged() == [("delivered", None, 1), ("rejected", "bulletin-differs", 2)]


def test_the_same_id_of_another_sender_is_another_bulletin(reader: Reader) -> None:
    """One member cannot suppress another's bulletin by using its id first."""
    bulletin_id = new_id()
    for sender in ("ly/main", "dz/main"):
        outgoing = reader.world.outgoing(sender, document(sender, bulletin_id))
        reader.world.accept(reader.world.envelope(sender, "tn/main", outgoing=outgoing))
    reader.fetch()
    assert reader.shown() == [bulletin_id, bulletin_id]


def test_what_does_not_open_is_rejected_without_blame(reader: Reader) -> None:
    """The sealing key is gone: `cannot_open`, with no content key as proof."""
    bulletin = arrive(reader)
    reader.home.keystore.delete("desk.main.sealing.1")
    with writing(reader.home.engine) as connection:
        connection.execute(tables.sealing_key.update().values(state="destroyed"))
    assert reader.fetch() == 1
    assert bulletin not in reader.shown()
    reader.answer()
    assert reader.logged() == [("rejected", "cannot_open", 1)]
    assert reader.rows("incoming_envelope")[0].content_key is None


def test_the_senders_fault_is_rejected_with_the_key_as_proof(reader: Reader) -> None:
    """Quarantined: the evidence is kept, and an analyst sees nothing."""
    outgoing = reader.world.outgoing("ly/main", document("dz/main"))
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    assert reader.fetch() == 1
    assert reader.shown() == []
    reader.answer()
    assert reader.logged() == [("rejected", "bulletin-header", 1)]
    [kept] = reader.rows("incoming_envelope")
    assert (len(kept.content_key), kept.reason) == (32, "bulletin-header")
    assert "quarantined" in reader.alarms()


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


def test_attachments_are_never_acknowledged(reader: Reader) -> None:
    """The envelope opens, and its attachments cannot be had: the hub's fault, whatever else is right."""
    reader.world.accept(reader.world.with_attachment("ly/main", "tn/main"))
    assert reader.fetch() == 0
    assert reader.rows("answer") == []
    assert reader.alarms() == {"hub-fault"}


def test_two_fetches_at_once_store_one_envelope(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last word is the transaction's, whatever was looked up before it."""
    arrive(reader)
    monkeypatch.setattr("broker.node.inbox.fetching.is_known", lambda *_: False)
    assert [reader.fetch(), reader.fetch()] == [1, 0]
    assert len(reader.rows("answer")) == 1


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


class TestCrashes:
    """kill -9 at every commit point: what was acknowledged is on the disk, nothing is shown twice."""

    def test_while_storing(self, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing of it is there, and it is fetched again."""
        bulletin = arrive(reader)

        def crash(*_arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("broker.node.inbox.storing.note_answer", crash)
        with pytest.raises(KeyboardInterrupt):
            reader.fetch()
        monkeypatch.undo()
        assert [len(reader.rows(t)) for t in ("incoming_bulletin", "place", "answer")] == [0, 0, 0]
        reader.restart()
        assert reader.fetch() == 1
        assert reader.shown() == [bulletin]

    def test_after_storing(self, reader: Reader) -> None:
        """The answer that is owed survives, and the envelope is not shown twice."""
        bulletin = arrive(reader)
        reader.fetch()
        reader.restart()
        assert reader.fetch() == 0
        reader.answer()
        assert reader.logged() == [("delivered", None, 1)]
        assert reader.shown() == [bulletin]

    def test_between_the_hubs_commit_and_the_receipt(self, reader: Reader) -> None:
        """The acknowledgement was logged unseen: the same statement is handed in, and logged once."""
        arrive(reader)
        reader.fetch()
        reader.client.drops_answers = True
        with pytest.raises(HubUnreachable):
            reader.answer()
        reader.restart()
        assert reader.answer() == 1
        assert reader.logged() == [("delivered", None, 1)]
        assert [row.state for row in reader.rows("acknowledgement")] == ["logged"]


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


# Places.


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


# What an analyst sees.


def test_the_inbox_is_in_order_of_precedence_then_arrival(reader: Reader) -> None:
    """Flash first; pages follow each other without a gap or a double."""
    order = [Precedence.ROUTINE, Precedence.FLASH, Precedence.PRIORITY, Precedence.FLASH]
    ids = [arrive(reader, precedence=precedence) for precedence in order]
    reader.fetch()
    expected = [ids[1], ids[3], ids[2], ids[0]]
    assert reader.shown() == expected
    seen: list[str] = []
    after: tuple[int, int] | None = None
    with reading(reader.home.engine) as connection:
        while True:
            page = list_received(connection, "tn/main", unread=True, after=after, limit=1)
            if not page:
                break
            seen += [page[0].bulletin_id]
            after = (page[0].precedence.rank, page[0].number)
    assert seen == expected


def test_unread_leaves_out_what_was_opened(reader: Reader) -> None:
    """Reading is noted with its time."""
    first, second = arrive(reader), arrive(reader)
    reader.fetch()
    reader.read("ly/main", first)
    with reading(reader.home.engine) as connection:
        unread = list_received(connection, "tn/main", unread=True, after=None, limit=9)
        opened = find_received(connection, "tn/main", "ly/main", first)
    assert [summary.bulletin_id for summary in unread] == [second]
    assert opened is not None
    assert opened.summary.read == reader.world.now


def test_one_desk_of_a_node_does_not_see_the_others_inbox(reader: Reader) -> None:
    """The inboxes of one node's desks are apart."""
    bulletin = arrive(reader)
    reader.fetch()
    with reading(reader.home.engine) as connection:
        assert find_received(connection, "tn/judicial", "ly/main", bulletin) is None
        count = select(func.count()).select_from(tables.incoming_bulletin)
        assert connection.execute(count).scalar_one() == 1


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
