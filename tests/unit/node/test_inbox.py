"""The inbox: verified, stored once with its answer, kept through crashes, shown in order."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from broker.db import reading, writing
from broker.node import tables
from broker.node.inbox.received import find_received, list_received
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import HubUnreachable
from tests.unit.node.reader import Reader, arrive
from tests.unit.node.world import document, new_id


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


def test_two_fetches_at_once_store_one_envelope(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last word is the transaction's, whatever was looked up before it."""
    arrive(reader)
    monkeypatch.setattr("broker.node.inbox.fetching.is_known", lambda *_: False)
    assert [reader.fetch(), reader.fetch()] == [1, 0]
    assert len(reader.rows("answer")) == 1


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
