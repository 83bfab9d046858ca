"""Honest histories: an audit finds nothing in them, and counts what they hold."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Kind
from schemas.entries import HubOperated
from schemas.loader import load_json
from tests.unit.audit.world import AuditWorld, audit, found, new_id

DESKS = ("dz/main", "ly/main", "ly/judicial", "tn/main", "tn/judicial")


def test_story_is_sound(story: AuditWorld, tmp_path: Path) -> None:
    """Nothing is found in an honest exchange, and everything in it is counted."""
    report = audit(story.served(), story, tmp_path)
    assert found(report) == []
    assert report.is_sound
    assert report.counts is not None
    assert report.counts.to_plain() == {
        "entries": {"acknowledgement": 3, "envelope.accepted": 5, "envelope.refused": 1},
        "envelopes_by_member": {"ly": 2, "ma": 1, "tn": 2},
        "recipients": 7,
        "refused": {"access-denied": 1},
        "acknowledged": {"delivered": 1, "read": 1, "rejected": 1},
        "undelivered": 5,
        "unjudged": 0,
        "destroyed": 0,
    }
    assert report.directory_entries == Counter({"desk.sealing_key": 18, "directory.published": 2})


def test_report_shows_the_trees_and_that_nobody_witnessed_them(
    story: AuditWorld, tmp_path: Path
) -> None:
    """The report names size and root of both logs, and that the exchange has no witnesses."""
    report = audit(story.served(), story, tmp_path)
    plain = load_json(report.to_json(), 1_000_000)
    head = story.exchange_head()
    assert report.is_witnessed is False
    assert (plain["witnesses"], plain["witnessed"]) == ("none", False)
    assert plain["findings"] == []
    assert plain["logs"]["exchange"]["size"] == head.size
    assert plain["logs"]["exchange"]["root"] == head.root
    assert plain["logs"]["directory"]["size"] == len(story.entries)


def test_empty_logs_are_sound(tmp_path: Path) -> None:
    """A hub that has logged nothing at all passes."""
    world = AuditWorld()
    world.entries.clear()
    report = audit(world.served(), world, tmp_path)
    assert found(report) == []


def test_log_of_several_tiles_is_sound(story: AuditWorld, tmp_path: Path) -> None:
    """Openings come in pages, tiles fill up, and the audit goes over their borders."""
    first = story.accept(story.envelope("ly/main", "tn/main"))
    while len(story.exchange_entries) < 260:
        story.later(seconds=1)
        story.acknowledge("tn/main", first, Result.DELIVERED)
    hub = story.served()
    hub.page_max = 100
    report = audit(hub, story, tmp_path)
    assert found(report) == []
    assert report.counts is not None
    assert report.counts.entries.total() == 260


def test_audits_of_a_growing_log_are_sound(story: AuditWorld, tmp_path: Path) -> None:
    """Each audit proves that both logs grew from what the one before verified."""
    sizes = []
    for _ in range(3):
        report = audit(story.served(), story, tmp_path)
        assert found(report) == []
        assert report.exchange_log is not None
        sizes.append((report.exchange_log.seen_size, report.exchange_log.checkpoint.size))
        story.later(minutes=1)
        story.log(
            HubOperated(
                type="hub.operated",
                at=story.now,
                exchange_log=story.exchange_head(),
                operation="start",
            )
        )
        story.accept(story.envelope("ly/main", "tn/main"))
    assert sizes == [(0, 9), (9, 10), (10, 11)]


def test_withdrawal_and_its_answer_are_sound(world: AuditWorld, tmp_path: Path) -> None:
    """A sender withdraws what it sent, and a recipient answers `withdrawn` for the original."""
    bulletin = new_id()
    original = world.accept(world.envelope("ly/main", "tn/main", "dz/main", bulletin_id=bulletin))
    world.acknowledge("tn/main", original, Result.DELIVERED)
    world.accept(world.envelope("ly/main", "tn/main", withdraws=bulletin))
    world.acknowledge("tn/main", original, Result.WITHDRAWN, reason="unread")
    assert found(audit(world.served(), world, tmp_path)) == []


def test_restored_node_answers_anew(world: AuditWorld, tmp_path: Path) -> None:
    """Answers may be repeated, and keys that were lost may come back."""
    first = world.accept(world.envelope("ly/main", "tn/main"))
    told = (
        (Result.DELIVERED, None),
        (Result.READ, None),
        (Result.DELIVERED, None),
        (Result.REJECTED, "cannot_open"),
        (Result.READ, None),
    )
    for result, reason in told:
        world.later(seconds=1)
        world.acknowledge("tn/main", first, result, reason=reason)
    assert found(audit(world.served(), world, tmp_path)) == []


def test_bulletin_travels_in_several_envelopes(world: AuditWorld, tmp_path: Path) -> None:
    """One bulletin may go out again, to the same desk and to others, under new envelope ids."""
    bulletin = new_id()
    for desks in (("tn/main",), ("tn/main",), ("dz/main", "ma/main")):
        world.accept(world.envelope("ly/main", *desks, bulletin_id=bulletin))
    assert found(audit(world.served(), world, tmp_path)) == []


def _step(world: AuditWorld, draw: st.DataObject) -> None:
    action = draw.draw(st.sampled_from(("send", "answer", "publish", "refuse")))
    sender = draw.draw(st.sampled_from(DESKS))
    if action == "send":
        others = sorted(set(DESKS) - {sender})
        to = draw.draw(st.lists(st.sampled_from(others), min_size=1, max_size=3, unique=True))
        world.accept(world.envelope(sender, *to))
    elif action == "refuse":
        judicial = world.envelope(sender, "ma/main", kind=Kind.JUDICIAL_REQUEST)
        world.refuse(judicial, "access-denied")
    elif action == "publish":
        world.change_member(sender.partition("/")[0])
        world.publish()
    elif world.waiting:
        index, desk = draw.draw(st.sampled_from(sorted(world.waiting)))
        world.acknowledge(desk, index, Result.DELIVERED)
    # The same answer within a second is the same statement, which a hub logs once.
    world.later(seconds=draw.draw(st.integers(int(action == "answer"), 90)))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_random_honest_histories_are_sound(draw: st.DataObject, world: AuditWorld) -> None:
    """Nothing is ever found in what an honest hub logs, in one audit or in two."""
    world = world.copy()
    with TemporaryDirectory() as data:
        for _ in range(2):
            for _ in range(draw.draw(st.integers(1, 5))):
                _step(world, draw)
            clock_differs = timedelta(minutes=draw.draw(st.integers(-4, 4)))
            report = audit(world.served(), world, Path(data), world.now + clock_differs)
            assert found(report) == []
