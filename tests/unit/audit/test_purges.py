"""Purges before an auditor: what may be gone, what the log must say, and what the journal forgets."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.audit.journal import JOURNAL_FILE, Journal
from broker.audit.page import render_page
from broker.audit.pipeline import How
from broker.audit.purges import PURGE_TOLERANCE
from broker.tlog.merkle import leaf_hash
from keys.envelope import parse_header
from schemas.bulletin.vocabularies import Kind
from schemas.directory import Names
from schemas.entries import EnvelopeAccepted, OpeningPurged, parse_exchange_entry
from schemas.limits import PURGE_DELAY_SECONDS, PURGE_OVERDUE_SECONDS
from schemas.purges import PurgeOrder
from tests.unit.audit.fake_hub import FakeHub
from tests.unit.audit.test_pipeline import audit, large, outcome, store
from tests.unit.audit.world import AuditWorld, found

__all__ = ["large"]

REASON = Names(ar="حكم", fr="jugement", en="judgment")
ENVELOPE, ANSWER, REFUSAL, OTHER = 0, 1, 4, 2
"""Entries of the story, of some types."""


def order(world: AuditWorld, index: int, **changed: Any) -> PurgeOrder:
    """An order to destroy what opens an entry."""
    fields: dict[str, Any] = {
        "origin": world.exchange_log.origin,
        "index": index,
        "leaf": leaf_hash(world.exchange_entries[index].data).hex(),
        "reason": REASON,
        "ordered": world.now,
    }
    return PurgeOrder(**(fields | changed))


def command(world: AuditWorld, *orders: PurgeOrder) -> None:
    """The council brings orders into force, and they become due."""
    world.later(minutes=1)
    world.purges = tuple(sorted([*world.purges, *orders], key=lambda each: each.place))
    world.change_council()
    world.publish()
    world.later(seconds=PURGE_DELAY_SECONDS)


def say(world: AuditWorld, made: PurgeOrder, **changed: Any) -> int:
    """The hub logs that an order was carried out."""
    directory = world.known().newest.directory
    assert directory is not None
    fields: dict[str, Any] = {
        "type": "opening.purged",
        "at": world.now,
        "origin": made.origin,
        "index": made.index,
        "leaf": made.leaf,
        "places": (),
        "order": directory.purges_sha256 or "00" * 32,
        "directory_size": len(world.entries),
    }
    return world.append(OpeningPurged(**(fields | changed)), None)


def without(world: AuditWorld, *gone: int) -> FakeHub:
    """The hub, which does not open some entries."""
    hub = world.served()
    for index in gone:
        hub.logs["exchange"].openings[index] = None
    return hub


@pytest.mark.parametrize("index", [ENVELOPE, ANSWER, REFUSAL, OTHER])
def test_an_entry_of_any_type(story: AuditWorld, tmp_path: Path, index: int) -> None:
    """Nothing is found, though answers, expiries and corrections name what nobody can open any more."""
    command(story, made := order(story, index))
    logged = say(story, made)
    story.later(seconds=10)
    report = audit(without(story, index), story, tmp_path, How())
    assert report.findings == ()
    assert report.counts is not None
    assert (report.counts.destroyed, report.counts.unjudged) == (1, 0)
    [purged] = report.purged
    assert (purged.order.order, purged.index, purged.at) == (
        made,
        logged,
        story.now - timedelta(seconds=10),
    )
    plain = report.to_plain()["purged"][0]
    assert (plain["index"], plain["leaf"], plain["reason"]["fr"]) == (index, made.leaf, "jugement")
    page = render_page(report.to_plain(), "ar")
    assert made.reason.ar in page
    assert plain["order"] in page


def test_what_follows_names_what_is_gone(story: AuditWorld, tmp_path: Path) -> None:
    """Its withdrawal, and a refusal for what it said."""
    command(story, made := order(story, ENVELOPE))
    say(story, made)
    statement = story.exchange_entries[ENVELOPE].statement
    assert statement is not None
    original = parse_header(statement).bulletin.id
    story.accept(story.envelope("ly/main", "tn/main", kind=Kind.WITHDRAWAL, withdraws=original))
    story.refuse(story.envelope("ly/main", "tn/main"), "bulletin-differs")
    assert audit(without(story, ENVELOPE), story, tmp_path, How()).findings == ()


def test_without_an_order(story: AuditWorld, tmp_path: Path) -> None:
    """Another order, for another leaf of the same entry or another entry, is none."""
    command(story, order(story, OTHER))
    report = audit(without(story, ENVELOPE), story, tmp_path, How())
    assert found(report) == [("exchange", ENVELOPE, "opening-missing")]


def test_an_order_of_another_leaf(story: AuditWorld, tmp_path: Path) -> None:
    """The hub that took it lied: the tree has another leaf there."""
    command(story, order(story, ENVELOPE, leaf="00" * 32))
    report = audit(without(story, ENVELOPE), story, tmp_path, How())
    assert found(report) == [("exchange", ENVELOPE, "opening-missing")]


WRONG: dict[str, Callable[[PurgeOrder], dict[str, Any]]] = {
    "another entry": lambda made: {"index": made.index + 2},
    "another leaf": lambda _made: {"leaf": "00" * 32},
    "another list": lambda _made: {"order": "00" * 32},
    "itself": lambda made: {"index": made.index + 9},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_log_says_must_be_so(story: AuditWorld, tmp_path: Path, what: str) -> None:
    """It names an order in force, and the list that it stands in."""
    command(story, made := order(story, ENVELOPE))
    logged = say(story, made, **WRONG[what](made))
    report = audit(without(story, ENVELOPE), story, tmp_path, How())
    assert found(report) == [("exchange", logged, "purge-order")]


def test_obeyed_before_the_order(story: AuditWorld, tmp_path: Path) -> None:
    """The directory by which the hub says that it obeyed has the order."""
    size = len(story.entries)
    command(story, made := order(story, ENVELOPE))
    logged = say(story, made, directory_size=size)
    report = audit(without(story, ENVELOPE), story, tmp_path, How())
    assert ("exchange", logged, "purge-order") in found(report)


def test_said_twice(story: AuditWorld, tmp_path: Path) -> None:
    """The second entry is a finding."""
    command(story, made := order(story, ENVELOPE))
    say(story, made)
    again = say(story, made)
    report = audit(without(story, ENVELOPE), story, tmp_path, How())
    assert found(report) == [("exchange", again, "purge-order")]


def test_not_said(story: AuditWorld, tmp_path: Path) -> None:
    """An hour behind the time when the order was due; not before."""
    command(story, order(story, ENVELOPE))
    story.later(seconds=int(PURGE_TOLERANCE.total_seconds()))
    store(story, "aa" * 32)
    hub = without(story, ENVELOPE)
    assert audit(hub, story, tmp_path / "one", How()).findings == ()
    story.later(seconds=1)
    store(story, "bb" * 32)
    report = audit(without(story, ENVELOPE), story, tmp_path / "two", How())
    assert found(report) == [("exchange", ENVELOPE, "purge-unlogged")]


def test_not_obeyed(story: AuditWorld, tmp_path: Path) -> None:
    """A remark, a day behind the time when the order was due."""
    command(story, order(story, ENVELOPE))
    story.later(seconds=PURGE_OVERDUE_SECONDS)
    words = [each.word for each in audit(story.served(), story, tmp_path / "one", How()).remarks]
    assert "purge-overdue" not in words
    story.later(seconds=1)
    report = audit(story.served(), story, tmp_path / "two", How())
    assert "purge-overdue" in [each.word for each in report.remarks]
    assert report.findings == ()


class TestJournal:
    """What an auditor kept of an entry goes when the order is due, and the next audit says the same."""

    def test_it_forgets(self, large: AuditWorld, tmp_path: Path) -> None:
        """Entry and verdict are gone from the file; the leaf still makes the tree."""
        journal = Journal(tmp_path)
        entry = parse_exchange_entry(large.exchange_entries[ENVELOPE].entry)
        assert isinstance(entry, EnvelopeAccepted)
        secret = entry.pae.encode()
        assert audit(large.served(), large, tmp_path, How(journal=journal)).is_sound
        assert secret in _held(tmp_path)
        command(large, made := order(large, ENVELOPE))
        say(large, made)
        hub = without(large, ENVELOPE)
        second = audit(hub, large, tmp_path, How(journal=journal))
        assert second.resumed == 512
        assert outcome(second) == outcome(audit(hub, large, tmp_path / "other", How()))
        assert secret not in _held(tmp_path)
        third = audit(hub, large, tmp_path, How(journal=journal))
        assert (third.resumed, outcome(third)) == (512, outcome(second))
        journal.close()

    def test_what_was_never_ordered_is_not_forgotten(
        self, large: AuditWorld, tmp_path: Path
    ) -> None:
        """Somebody who empties rows of the file hides nothing."""
        journal = Journal(tmp_path)
        audit(large.served(), large, tmp_path, How(journal=journal))
        with closing(sqlite3.connect(tmp_path / JOURNAL_FILE)) as database:
            database.execute("UPDATE examined SET entry = x'' WHERE entry_index = 7")
            database.commit()
        report = audit(large.served(), large, tmp_path, How(journal=journal))
        assert ("exchange", 7, "opening-missing") in found(report)
        journal.close()

    def test_first_read_when_it_is_gone(self, large: AuditWorld, tmp_path: Path) -> None:
        """A leaf without an opening keeps its place, so that what is behind it is found there."""
        command(large, made := order(large, ENVELOPE))
        say(large, made)
        hub, journal = without(large, ENVELOPE), Journal(tmp_path)
        first = audit(hub, large, tmp_path, How(journal=journal))
        second = audit(hub, large, tmp_path, How(journal=journal))
        assert (first.is_sound, second.resumed, outcome(second)) == (True, 512, outcome(first))
        journal.close()


def _held(data: Path) -> bytes:
    files = [data / f"{JOURNAL_FILE}{suffix}" for suffix in ("", "-wal")]
    return b"".join(file.read_bytes() for file in files if file.exists())
