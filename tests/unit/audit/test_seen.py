"""What shows from one audit to the next: logs that shrink, fork, or were backdated."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from broker.audit.seen import SEEN_FILE, SeenStore
from broker.tlog.receipt import LogVerifier
from schemas.errors import ConfigurationError
from schemas.loader import dump_json, load_json
from tests.unit.audit.fake_hub import FakeHub, one_signature
from tests.unit.audit.world import AuditWorld, audit, found


@pytest.mark.parametrize("log", ["directory", "exchange"])
def test_log_that_shrank(story: AuditWorld, tmp_path: Path, log: str) -> None:
    """A log that is shorter than at the audit before is found, and the longer one is remembered."""
    first = audit(story.served(), story, tmp_path)
    assert found(first) == []
    kept = (tmp_path / SEEN_FILE).read_bytes()
    shorter = story.copy()
    if log == "exchange":
        del shorter.exchange_entries[8]
    else:
        del shorter.exchange_entries[6:]
        del shorter.entries[19]
    report = audit(shorter.served(), story, tmp_path)
    expected: list[tuple[str, int | None, str]] = [("exchange", None, "log-shrank")]
    if log == "directory":
        expected = [("directory", None, "log-shrank"), *expected]
    assert found(report) == expected
    assert (tmp_path / SEEN_FILE).read_bytes() == kept
    assert report.exchange_log is not None
    assert first.exchange_log is not None
    assert report.exchange_log.seen_note == first.exchange_log.note
    assert report.exchange_log.seen_size == 9


@pytest.mark.parametrize("grown", [0, 3])
def test_log_with_two_faces(story: AuditWorld, tmp_path: Path, grown: int) -> None:
    """A hub that shows another history than at the audit before is found, however long it is."""
    other = story.copy()
    assert found(audit(story.served(), story, tmp_path)) == []
    del other.exchange_entries[8]
    for _ in range(1 + grown):
        other.accept(other.envelope("ma/main", "ne/main"))
    report = audit(other.served(), story, tmp_path)
    assert found(report) == [("exchange", None, "log-forked")]
    assert found(audit(story.served(), story, tmp_path)) == []


def test_directory_log_with_two_faces(story: AuditWorld, tmp_path: Path) -> None:
    """A directory log that differs from the one seen before is found too."""
    assert found(audit(story.served(), story, tmp_path)) == []
    other = story.copy()
    del other.exchange_entries[6:]
    del other.entries[18:]
    other._history = None
    other.later(seconds=1)
    other.announce(other.sealing_statement("tn/judicial", 1))
    other.later(seconds=1)
    other.publish()
    report = audit(other.served(), story, tmp_path)
    assert ("directory", None, "log-forked") in found(report)


def test_two_roots_in_one_audit(story: AuditWorld, tmp_path: Path) -> None:
    """A directory log that changes its root between two questions is found."""
    hub = story.served()
    other = story.copy()
    other.entries[19] = other.entries[18]
    answers = [hub.logs["directory"].checkpoint, other.served().logs["directory"].checkpoint]

    class TwoFaced(FakeHub):
        async def checkpoint(self, log: str, generation: int) -> str:
            return (
                answers.pop(0) if log == "directory" else await super().checkpoint(log, generation)
            )

    report = audit(TwoFaced(hub.logs, hub.files), story, tmp_path)
    assert ("directory", None, "log-forked") in found(report)


def test_backdated_entry(story: AuditWorld, tmp_path: Path) -> None:
    """An entry that claims a time at which the log was seen without it is found, five minutes allowed."""
    assert found(audit(story.served(), story, tmp_path, story.now + timedelta(minutes=5))) == []
    late = story.copy()
    late.accept(late.envelope("ly/main", "tn/main"))
    assert found(audit(late.served(), late, tmp_path, late.now + timedelta(hours=1))) == []
    later = late.copy()
    later.accept(later.envelope("ly/main", "tn/main"))
    report = audit(later.served(), later, tmp_path, later.now + timedelta(hours=1))
    assert found(report) == [("exchange", 10, "at-backdated")]


def test_entry_that_ignores_a_directory_seen_before_it(story: AuditWorld, tmp_path: Path) -> None:
    """An entry logged after an audit is judged by no less of the directory log than the audit saw."""
    late = story.copy()
    late.change_member("tn")
    late.publish()
    assert found(audit(late.served(), late, tmp_path)) == []
    late.accept(story.envelope("ly/main", "tn/main"), directory_size=20)
    assert found(audit(late.served(), late, tmp_path)) == [("exchange", 9, "directory-size-stale")]


def test_directory_entry_that_ignores_the_exchange_log_seen_before_it(
    story: AuditWorld, tmp_path: Path
) -> None:
    """A directory entry logged after an audit names no less of the exchange log than the audit saw."""
    assert found(audit(story.served(), story, tmp_path)) == []
    shorter = story.copy()
    del shorter.exchange_entries[8]
    shorter.change_member("tn")
    story.entries.append(shorter.publish())
    story.files |= shorter.files
    assert found(audit(story.served(), story, tmp_path)) == [
        ("directory", 20, "exchange-head-stale")
    ]


def test_damaged_memory_is_refused(story: AuditWorld, tmp_path: Path) -> None:
    """What was verified before is not silently begun anew when its file is damaged."""
    audit(story.served(), story, tmp_path)
    path = tmp_path / SEEN_FILE
    path.write_bytes(path.read_bytes().replace(b"\\n9\\n", b"\\n8\\n"))
    with pytest.raises(ConfigurationError, match="damaged"):
        audit(story.served(), story, tmp_path)


def test_memory_with_half_the_signatures_is_refused(story: AuditWorld, tmp_path: Path) -> None:
    """A checkpoint that only one of the log's keys signed is no evidence."""
    audit(story.served(), story, tmp_path)
    path = tmp_path / SEEN_FILE
    kept = load_json(path.read_bytes(), 100_000)
    path.write_bytes(dump_json({**kept, "exchange": one_signature(kept["exchange"], 0)}))
    with pytest.raises(ConfigurationError, match="damaged"):
        audit(story.served(), story, tmp_path)


def test_memory_holds_the_evidence(story: AuditWorld, tmp_path: Path) -> None:
    """The signed checkpoints themselves are kept, and the time of the audit."""
    hub = story.served()
    audit(hub, story, tmp_path)
    store = SeenStore(tmp_path)
    seen = store.open(
        store.load(),
        {
            "directory": LogVerifier.from_keys(story.logs.directory),
            "exchange": LogVerifier.from_keys(story.logs.exchange),
        },
    )
    assert seen is not None
    assert (seen.exchange.note, seen.exchange.size) == (hub.logs["exchange"].checkpoint, 9)
    assert (seen.directory.note, seen.directory.size) == (hub.logs["directory"].checkpoint, 20)
    assert seen.exchange.at == story.now
