"""Withdrawals and corrections at the recipient: in either order, of what is unread, read, saved, rejected."""

from __future__ import annotations

from typing import Any

import pytest

from broker.db import reading, writing
from broker.node.inbox.received import Summary, find_readable, list_received, mark_exported
from keys.release import draft_release, sign_release
from schemas.errors import Problem
from tests.unit.node.documents import withdrawal
from tests.unit.node.reader import Reader, arrive
from tests.unit.node.world import document, new_id


def send(reader: Reader, content: bytes, sender: str = "ly/main", **changed: Any) -> str:
    """A bulletin of these bytes is accepted for tn/main; gives its id."""
    outgoing = reader.world.outgoing(sender, content, **changed)
    reader.world.accept(reader.world.envelope(sender, "tn/main", outgoing=outgoing))
    return outgoing.bulletin_id


def withdraw(reader: Reader, original: str, sender: str = "ly/main") -> str:
    """A withdrawal is accepted for tn/main; gives its id."""
    return send(reader, withdrawal(sender, original), sender)


def summaries(reader: Reader, *, unread: bool = False) -> dict[str, Summary]:
    """What the inbox lists, by bulletin id."""
    with reading(reader.home.engine) as connection:
        found = list_received(connection, "tn/main", unread=unread, after=None, limit=100)
    return {summary.bulletin_id: summary for summary in found}


def export(reader: Reader, bulletin_id: str) -> None:
    """An analyst saves a bulletin as a file."""
    with writing(reader.home.engine) as connection:
        mark_exported(connection, "tn/main", "ly/main", bulletin_id, reader.world.now)


def is_readable(reader: Reader, bulletin_id: str) -> bool:
    """Whether anything inside may be shown."""
    with reading(reader.home.engine) as connection:
        try:
            find_readable(connection, "tn/main", "ly/main", bulletin_id)
        except Problem:
            return False
    return True


def test_unread_it_is_hidden_and_answered(reader: Reader) -> None:
    """Nothing inside is shown any more, nobody can open it, and its sender learns that nobody had."""
    original = arrive(reader)
    reader.fetch()
    reader.answer()
    by = withdraw(reader, original)
    reader.fetch()
    reader.answer()
    assert reader.logged() == [
        ("delivered", None, 1),
        ("delivered", None, 1),
        ("withdrawn", "unread", 1),
    ]
    hidden = summaries(reader)[original]
    assert hidden.is_hidden
    assert hidden.withdrawn is not None
    assert (hidden.withdrawn.bulletin_id, hidden.withdrawn.at) == (by, reader.world.now)
    assert b"The report was wrong." in hidden.withdrawn.document
    assert original not in summaries(reader, unread=True)
    assert not is_readable(reader, original)
    assert not reader.read("ly/main", original)
    with pytest.raises(Problem, match="withdrew it before it was read"):
        export(reader, original)
    assert reader.answer() == 0


@pytest.mark.parametrize("reason", ["read", "exported"])
def test_what_was_read_stays_readable_and_is_marked(reader: Reader, reason: str) -> None:
    """What a person knows cannot be taken back: the sender learns how far it went."""
    original = arrive(reader)
    reader.fetch()
    if reason == "read":
        assert reader.read("ly/main", original)
    else:
        export(reader, original)
    reader.answer()
    withdraw(reader, original)
    reader.fetch()
    reader.answer()
    assert reader.logged() == [
        ("delivered", None, 1),
        ("read", None, 1),
        ("delivered", None, 1),
        ("withdrawn", reason, 1),
    ]
    marked = summaries(reader)[original]
    assert marked.withdrawn is not None
    assert not marked.is_hidden
    assert is_readable(reader, original)


def test_a_withdrawal_that_comes_first_hides_what_it_withdraws(reader: Reader) -> None:
    """The original is kept as evidence, never shown, and answered `withdrawn` alone."""
    original = reader.world.outgoing("ly/main")
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=original))
    withdraw(reader, original.bulletin_id)
    reader.serve(reader.world.item(1, "tn/main"))
    reader.fetch()
    reader.serve(reader.world.item(0, "tn/main"))
    assert reader.fetch() == 1
    assert summaries(reader)[original.bulletin_id].is_hidden
    assert not reader.read("ly/main", original.bulletin_id)
    assert len(reader.rows("incoming_envelope")) == 2
    reader.answer()
    assert reader.logged() == [("delivered", None, 1), ("withdrawn", "unread", 1)]


@pytest.mark.parametrize("was_read", [False, True], ids=["unread", "read"])
def test_each_envelope_of_a_withdrawn_bulletin_is_answered_so(
    reader: Reader, *, was_read: bool
) -> None:
    """Those that are here, once each, and one that comes later."""
    original = reader.world.outgoing("ly/main")
    for _ in range(2):
        reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=original))
    reader.fetch()
    if was_read:
        reader.read("ly/main", original.bulletin_id)
    for _ in range(2):
        withdraw(reader, original.bulletin_id)
    reader.fetch()
    reader.answer()
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=original))
    reader.fetch()
    reader.answer()
    reason = "read" if was_read else "unread"
    withdrawn = [each for each in reader.logged() if each[0] == "withdrawn"]
    assert withdrawn == [("withdrawn", reason, 2), ("withdrawn", reason, 1)]
    assert reader.alarms() == set()


def test_withdrawn_is_said_after_read(reader: Reader) -> None:
    """Also where an earlier `withdrawn` is still owed: the hub takes no `read` behind it."""
    first, second = arrive(reader), arrive(reader)
    reader.fetch()
    reader.answer()
    reader.read("ly/main", first)
    reader.answer()
    withdraw(reader, first)
    reader.fetch()
    reader.read("ly/main", second)
    withdraw(reader, second)
    reader.fetch()
    reader.answer()
    assert [each[0] for each in reader.logged()] == [
        "delivered",
        "read",
        "delivered",
        "read",
        "withdrawn",
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the withdrawal first"])
def test_only_its_own_sender_withdraws_a_bulletin(reader: Reader, order: tuple[int, int]) -> None:
    """Another desk's withdrawal of the same id is about another bulletin."""
    original = arrive(reader)
    withdraw(reader, original, "dz/main")
    for index in order:
        reader.serve(reader.world.item(index, "tn/main"))
        reader.fetch()
    assert not summaries(reader)[original].is_hidden
    assert is_readable(reader, original)


def test_the_hubs_mark_changes_nothing(reader: Reader) -> None:
    """Only a withdrawal that was verified counts, whatever the hub says of an original."""
    original = arrive(reader)
    item = reader.world.item(0, "tn/main").model_copy(update={"withdrawn": True})
    reader.serve(item)
    reader.fetch()
    assert summaries(reader)[original].withdrawn is None
    reader.answer()
    assert reader.logged() == [("delivered", None, 1)]


def test_a_rejected_withdrawal_changes_nothing(reader: Reader) -> None:
    """Its bulletin disagrees with its header: quarantined, and the original stands."""
    original = arrive(reader)
    content = withdrawal("ly/main", new_id())
    send(reader, content, withdraws=original)
    reader.fetch()
    assert summaries(reader)[original].withdrawn is None
    reader.answer()
    assert ("rejected", "bulletin-header", 1) in reader.logged()


@pytest.mark.parametrize("signers", [0, 1, 2])
def test_a_withdrawal_needs_the_release_of_its_desk(reader: Reader, signers: int) -> None:
    """A node alone, or too few people, withdraw nothing of a desk that demands a release; enough do."""
    world = reader.world
    secrets = world.desks["dz/main"] = world.make_desk(releasers=2)
    declared = secrets.declare("dz/main", release_threshold=2)
    world.change_member(
        "dz", lambda file: file.model_copy(update={"desks": {**file.desks, "main": declared}})
    )
    world.publish()

    def send_released(content: bytes, people: int) -> str:
        outgoing = world.outgoing("dz/main", content)
        draft = draft_release(outgoing, world.exchange, ["tn/main"], world.now)
        release = None
        if people:
            release = sign_release(draft.release, secrets.release[:people])
        return send(reader, content, "dz/main", release=release, release_salts=dict(draft.salts))

    # `outgoing` draws no id: both calls read it from the document.
    original = send_released(document("dz/main"), 2)
    send_released(withdrawal("dz/main", original), signers)
    reader.fetch()
    assert reader.rows("incoming_bulletin") != []
    assert summaries(reader)[original].is_hidden == (signers == 2)
    reader.answer()
    expected = [("delivered", None, 1), ("rejected", "not-released", 1)]
    if signers == 2:
        expected = [("delivered", None, 2), ("withdrawn", "unread", 1)]
    assert reader.logged() == expected


def test_a_second_content_of_a_withdrawal_changes_nothing(reader: Reader) -> None:
    """Two contents under one id: the first counts, the other is quarantined with what it withdraws."""
    first, second, late = (reader.world.outgoing("ly/main") for _ in range(3))
    by = new_id()
    for original in (first, second):
        reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=original))
    for original in (first, second, late):
        send(reader, withdrawal("ly/main", original.bulletin_id, by))
    reader.fetch()
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=late))
    reader.fetch()
    assert summaries(reader)[first.bulletin_id].is_hidden
    for original in (second, late):
        assert not summaries(reader)[original.bulletin_id].is_hidden


def test_a_withdrawal_does_not_bring_back_a_rejected_original(reader: Reader) -> None:
    """What was rejected stays rejected: no second answer is owed for it."""
    original = send(reader, document("dz/main"))
    withdraw(reader, original)
    reader.fetch()
    reader.answer()
    assert sorted(reader.logged()) == [
        ("delivered", None, 1),
        ("rejected", "bulletin-header", 1),
    ]


@pytest.mark.parametrize("how", ["withdraws", "supersedes"])
def test_a_withdrawal_cannot_be_taken_back(reader: Reader, how: str) -> None:
    """The hub refuses it; should it not, the recipient rejects it, and the withdrawal stands."""
    original = arrive(reader)
    by = withdraw(reader, original)
    reader.fetch()
    if how == "withdraws":
        withdraw(reader, by)
    else:
        send(reader, document("ly/main"), supersedes=by)
    reader.fetch()
    reader.answer()
    assert ("rejected", "original-withdrawal", 1) in reader.logged()
    assert summaries(reader)[by].withdrawn is None
    assert summaries(reader)[by].superseded_by is None
    assert summaries(reader)[original].is_hidden


def test_a_withdrawal_that_comes_after_its_own_withdrawal_still_counts(reader: Reader) -> None:
    """In whatever order: what it withdraws is hidden."""
    original, by = arrive(reader), new_id()
    withdraw(reader, by)
    send(reader, withdrawal("ly/main", original, by))
    reader.fetch()
    assert summaries(reader)[by].withdrawn is None
    assert summaries(reader)[original].is_hidden


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the correction first"])
def test_a_correction_marks_what_it_replaces(reader: Reader, order: tuple[int, int]) -> None:
    """The old one stays readable, and says which bulletin replaced it."""
    original = arrive(reader)
    correction = send(reader, document("ly/main"), supersedes=original)
    for index in order:
        reader.serve(reader.world.item(index, "tn/main"))
        reader.fetch()
    assert summaries(reader)[original].superseded_by == correction
    assert summaries(reader)[correction].supersedes == original
    assert is_readable(reader, original)
    assert reader.read("ly/main", original)
    reader.answer()
    assert {each[0] for each in reader.logged()} == {"delivered", "read"}


def test_a_crash_while_withdrawing_leaves_nothing_half_done(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Withdrawal, mark and answers stand in one transaction."""
    original = arrive(reader)
    reader.fetch()
    withdraw(reader, original)

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("broker.node.inbox.withdrawals.note_answer", crash)
    with pytest.raises(KeyboardInterrupt):
        reader.fetch()
    monkeypatch.undo()
    reader.restart()
    assert not summaries(reader)[original].is_hidden
    assert len(reader.rows("answer")) == 1
    assert reader.fetch() == 1
    assert summaries(reader)[original].is_hidden
