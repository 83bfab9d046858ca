"""The outbox: sealed bytes on the disk before they leave, and nothing lost at any commit point."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from broker.db import reading
from broker.node.clock import from_seconds
from broker.node.home import Home
from broker.node.outbox.checking import LIFE
from broker.node.outbox.deliveries import deliveries_of
from broker.node.outbox.sealing import due, seal_queued
from broker.node.sending import Sender
from keys.content import open_body
from keys.envelope import parse_header
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import Envelope
from schemas.errors import HubUnreachable, Problem
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import parse
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox; every desk but ne/main has a sealing key."""
    return Bench(world, ly)


def test_a_bulletin_is_accepted_for_all_its_recipients(bench: Bench) -> None:
    """One envelope goes to both, and both deliveries have the receipt's policies."""
    bulletin = bench.queue("tn/main", "dz/main")
    assert bench.send() == 1
    assert bench.states(bulletin) == {"dz/main": "accepted", "tn/main": "accepted"}
    [envelope] = bench.envelopes()
    assert (envelope.state, envelope.entry_index) == ("accepted", 0)
    with reading(bench.home.engine) as connection:
        steps = deliveries_of(connection, "ly/main", bulletin)[0].steps
    assert steps[-1].policies == ("standing-mechanism",)


def test_a_desk_without_key_waits_and_the_others_get_theirs(bench: Bench) -> None:
    """It is shown as waiting; once its key is logged, it gets another envelope of the same content."""
    bulletin = bench.queue("tn/main", "ne/main")
    bench.send()
    assert bench.states(bulletin) == {"ne/main": "waiting", "tn/main": "accepted"}
    assert bench.send() == 0
    bench.world.announce(bench.world.sealing_statement("ne/main", 1))
    assert bench.send() == 1
    assert bench.states(bulletin) == {"ne/main": "accepted", "tn/main": "accepted"}
    headers = [parse_header(item.statement) for item in bench.world.items]
    assert [header.desks for header in headers] == [("tn/main",), ("ne/main",)]
    assert headers[0].bulletin == headers[1].bulletin
    assert headers[0].id != headers[1].id


def test_desks_that_wait_do_not_hold_up_newer_bulletins(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait for a key, what can go goes."""
    monkeypatch.setattr("broker.node.outbox.sealing.SEALED_AT_ONCE", 2)
    for _ in range(3):
        bench.queue("ne/main", precedence=Precedence.FLASH)
        bench.send()
    bulletin = bench.queue("tn/main")
    for _ in range(3):
        bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}


def test_the_most_urgent_goes_first(bench: Bench) -> None:
    """By precedence, then age."""
    order = [Precedence.ROUTINE, Precedence.FLASH, Precedence.PRIORITY, Precedence.FLASH]
    queued = [bench.queue("tn/main", precedence=precedence) for precedence in order]
    bench.send()
    sent = [parse_header(item.statement).bulletin.id for item in bench.world.items]
    assert sent == [queued[1], queued[3], queued[2], queued[0]]


@pytest.mark.parametrize("expires", [None, timedelta(days=2)])
def test_handed_in_while_a_pass_runs(bench: Bench, expires: timedelta | None) -> None:
    """The pass's time is older than the bulletin: its envelope lives no longer than one may."""
    until = None if expires is None else bench.world.now + expires
    bench.queue("tn/main", expires=until)
    began = bench.world.now - timedelta(seconds=2)
    seal_queued(bench.home, "ly/main", bench.world.newest, began)
    bench.send()
    [item] = bench.world.items
    header = parse_header(item.statement)
    assert header.expires == (until or bench.world.now + LIFE)
    assert header.created == max(began, header.expires - LIFE)


class TestCrashes:
    """kill -9 at every commit point: a restart goes on from the disk, and nothing goes out twice."""

    def test_after_queueing(self, bench: Bench) -> None:
        """The bulletin is sealed and sent after the restart."""
        bulletin = bench.queue("tn/main")
        bench.restart()
        bench.send()
        assert bench.states(bulletin) == {"tn/main": "accepted"}

    def test_after_sealing(self, bench: Bench) -> None:
        """The very bytes that were sealed before the crash are sent after it."""
        bulletin = bench.queue("tn/main")
        seal_queued(bench.home, "ly/main", bench.world.newest, bench.world.now)
        [before] = bench.envelopes()
        bench.restart()
        bench.send()
        assert bench.client.submitted == [before.sealed]
        assert bench.states(bulletin) == {"tn/main": "accepted"}

    def test_within_sealing(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """A crash before the commit leaves nothing, and the next id and key are new."""
        bulletin = bench.queue("tn/main")

        def crash(*_arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("broker.node.outbox.sealing.carry", crash)
        with pytest.raises(KeyboardInterrupt):
            seal_queued(bench.home, "ly/main", bench.world.newest, bench.world.now)
        monkeypatch.undo()
        assert bench.envelopes() == []
        bench.restart()
        bench.send()
        assert bench.states(bulletin) == {"tn/main": "accepted"}

    def test_between_the_hubs_commit_and_the_receipt(self, bench: Bench) -> None:
        """The hub accepted, the answer was lost: the same bytes get the same receipt."""
        bulletin = bench.queue("tn/main")
        bench.client.drops_answers = True
        with pytest.raises(HubUnreachable):
            bench.send()
        sent = list(bench.client.submitted)
        bench.restart()
        bench.world.later(minutes=10)
        bench.send()
        assert bench.client.submitted == sent
        assert len(bench.world.items) == 1
        assert bench.states(bulletin) == {"tn/main": "accepted"}

    def test_within_settling(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """A crash while the receipt is stored leaves the sealed bytes, which are sent again."""
        bulletin = bench.queue("tn/main")

        def crash(*_arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("broker.node.outbox.settle.note_places", crash)
        with pytest.raises(KeyboardInterrupt):
            bench.send()
        monkeypatch.undo()
        assert bench.states(bulletin) == {"tn/main": "queued"}
        bench.restart()
        bench.send()
        assert len(bench.world.items) == 1
        assert bench.states(bulletin) == {"tn/main": "accepted"}


def test_a_hub_that_is_away_for_weeks_loses_nothing(bench: Bench) -> None:
    """For a day every pass fails, then none tries; the bytes stay, and leave soon after its return."""
    bulletin = bench.queue("tn/main")
    bench.client.away = True
    bench.world.later(days=1)
    with pytest.raises(HubUnreachable):
        bench.send()
    for _ in range(20):
        bench.world.later(days=1)
        assert bench.send() == 0
    bench.world.later(hours=1)
    bench.restart()
    bench.client.refusals = [Problem("created-skew")]
    bench.send()
    bench.world.later(minutes=2)
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}


@pytest.mark.parametrize("word", ["stale-directory", "stale-key", "created-skew"])
def test_a_stale_header_is_sealed_again_with_the_same_id_key_and_body(
    bench: Bench, word: str
) -> None:
    """Slots and header are new; every header that may have been sent is kept."""
    bulletin = bench.queue("tn/main", "dz/main")
    bench.client.refusals = [Problem(word)]
    bench.send()
    [before] = bench.envelopes()
    bench.world.later(minutes=1)
    bench.world.change_member("tn")
    bench.world.publish()
    bench.send()
    [after] = bench.envelopes()
    old, new = (parse(Envelope, row.sealed, ENVELOPE_BYTES_MAX) for row in (before, after))
    assert (after.envelope_id, after.content_key) == (before.envelope_id, before.content_key)
    assert new.body == old.body
    assert new.slots != old.slots
    assert parse_header(new).directory == bench.world.newest.in_force
    assert bench.headers() == 2
    assert bench.states(bulletin) == {"dz/main": "accepted", "tn/main": "accepted"}


def test_the_directory_is_read_anew_before_sealing_again(bench: Bench) -> None:
    """Sealing again under the directory that was just called stale would go on for ever."""
    bench.queue("tn/main")
    bench.client.refusals = [Problem("stale-directory")]
    line, _ = bench.world.line(bench.home)
    bench.send()
    sender = Sender(bench.home, line, "ly/main", lambda: bench.world.now)
    asyncio.run(sender.send())
    assert line.follower.refreshed == 1  # type: ignore[attr-defined]


def test_a_receipt_for_an_earlier_header_counts(bench: Bench) -> None:
    """The first header was accepted unseen, the second meets `id-taken` with the first's receipt."""
    bulletin = bench.queue("tn/main")
    bench.client.drops_answers = True
    with pytest.raises(HubUnreachable):
        bench.send()
    bench.client.drops_answers = False
    bench.world.later(minutes=10)
    # The retry is called stale by a hub that has not seen its own commit yet.
    bench.client.refusals = [Problem("stale-directory")]
    bench.send()
    bench.world.change_member("tn")
    bench.world.publish()
    bench.world.later(minutes=10)
    bench.send()
    assert len(bench.client.submitted) == 2
    assert len(bench.world.items) == 1
    assert bench.states(bulletin) == {"tn/main": "accepted"}


def test_a_proved_refusal_ends_the_trying(bench: Bench) -> None:
    """The deliveries say why and by which policies; nothing is sent again."""
    bulletin = bench.queue("tn/main", "dz/main")
    [sealed] = _sealed(bench)
    extensions: dict[str, Any] = {"desk": "dz/main", "policies": ["some-rule"]}
    bench.client.refusals = [bench.world.refuse(sealed, "access-denied", **extensions)]
    bench.send()
    assert bench.states(bulletin) == {"dz/main": "refused", "tn/main": "refused"}
    with reading(bench.home.engine) as connection:
        dz, tn = deliveries_of(connection, "ly/main", bulletin)
    assert (dz.steps[-1].reason, dz.steps[-1].policies) == ("access-denied", ("some-rule",))
    assert (tn.steps[-1].reason, tn.steps[-1].policies) == ("access-denied", ())
    bench.world.later(days=1)
    assert bench.send() == 0
    assert "refused" in bench.alarms()


@pytest.mark.parametrize(
    "word", ["access-denied", "lifetime", "bulletin-differs", "not-sender", "too-large"]
)
def test_a_refusal_without_proof_ends_nothing(bench: Bench, word: str) -> None:
    """Else a hub could make a message vanish with one word."""
    bulletin = bench.queue("tn/main")
    bench.client.refusals = [Problem(word)]
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "queued"}
    assert "hub-refuses-requests" in bench.alarms()
    bench.world.later(minutes=10)
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}


def test_a_refusal_proved_for_another_envelope_ends_nothing(bench: Bench) -> None:
    """The proof must be of a header that this node sent for this envelope."""
    bulletin = bench.queue("tn/main")
    other = bench.world.envelope("dz/main", "tn/main")
    bench.client.refusals = [bench.world.refuse(other, "access-denied")]
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "queued"}
    assert bench.alarms()["hub-fault"].startswith("entry-invalid")


def test_a_receipt_of_a_forked_log_ends_nothing(bench: Bench) -> None:
    """A receipt whose tree is not one with the log that is followed proves nothing."""
    bulletin = bench.queue("tn/main")
    line, client = bench.world.line(bench.home)
    sender = Sender(bench.home, line, "ly/main", lambda: bench.world.now)
    seal_queued(bench.home, "ly/main", bench.world.newest, bench.world.now)
    [waiting] = due(bench.home, "ly/main", bench.world.now, 10)
    asyncio.run(client.submit(waiting.sealed))
    line.follower.forged.add(bench.world.head().root)  # type: ignore[attr-defined]
    asyncio.run(sender.send())
    assert bench.states(bulletin) == {"tn/main": "queued"}
    assert "inconsistent-log" in bench.alarms()


def test_a_rule_that_changed_while_a_desk_waited_is_heeded(bench: Bench) -> None:
    """It is refused to that desk alone, by name, and nothing of it is sealed."""
    bulletin = bench.queue("ne/main", "tn/main")
    bench.send()
    bench.world.announce(bench.world.sealing_statement("ne/main", 1))
    bench.world.policy_text += (
        '@id("not-to-ne")\nforbid (principal, action, resource == Desk::"ne/main");\n'
    )
    bench.world.change_council()
    bench.world.publish()
    assert bench.send() == 0
    assert bench.states(bulletin) == {"ne/main": "refused", "tn/main": "accepted"}


def test_what_was_never_sent_expires(bench: Bench) -> None:
    """A desk that got no key in time: the delivery says expired, and nothing is sealed for it."""
    bulletin = bench.queue("ne/main", expires=bench.world.now + timedelta(days=1))
    bench.send()
    bench.world.later(days=1)
    bench.send()
    assert bench.states(bulletin) == {"ne/main": "expired"}


def test_what_may_have_arrived_is_asked_for_after_it_expired(bench: Bench) -> None:
    """The receipt was lost until after `expires`: the same bytes still find it."""
    bulletin = bench.queue("tn/main", expires=bench.world.now + timedelta(hours=1))
    bench.client.drops_answers = True
    with pytest.raises(HubUnreachable):
        bench.send()
    bench.client.drops_answers = False
    bench.world.later(hours=2)
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}


def test_sealed_bytes_go_30_days_after_they_expired(bench: Bench) -> None:
    """Nobody answered: the bytes are dropped, the headers stay."""
    bench.queue("tn/main", expires=bench.world.now + timedelta(days=1))
    bench.send()
    bench.world.later(days=30)
    bench.send()
    assert bench.envelopes()[0].sealed is not None
    bench.world.later(days=1)
    bench.send()
    [row] = bench.envelopes()
    assert (row.state, row.sealed, bench.headers()) == ("expired", None, 1)


def test_pauses_grow_with_every_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exponential back-off with full jitter, bounded."""
    monkeypatch.setattr("broker.node.pacing._JITTER.uniform", lambda _low, high: high)
    bench.queue("tn/main")
    bench.client.away = True
    pauses = []
    for _ in range(8):
        with pytest.raises(HubUnreachable):
            bench.send()
        [row] = bench.envelopes()
        pauses.append(int((from_seconds(row.next_try) - bench.world.now).total_seconds()))
        bench.world.now = from_seconds(row.next_try)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]


def test_only_recipients_can_open_what_leaves(bench: Bench) -> None:
    """The body opens with the stored content key, and is nowhere in the bytes in the clear."""
    bench.queue("tn/main")
    [sealed] = _sealed(bench)
    [row] = bench.envelopes()
    opened = open_body(row.content_key, bench.world.exchange, row.envelope_id, sealed.body)
    assert b"Weapons smuggled" in opened.bulletin_json
    assert b"Weapons smuggled" not in row.sealed


def _sealed(bench: Bench) -> list[Envelope]:
    seal_queued(bench.home, "ly/main", bench.world.newest, bench.world.now)
    return [parse(Envelope, row.sealed, ENVELOPE_BYTES_MAX) for row in bench.envelopes()]
