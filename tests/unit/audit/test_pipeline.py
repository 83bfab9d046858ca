"""The exchange log's pass: the same findings for any number of processes, and behind any journal."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from broker.audit import pipeline
from broker.audit.journal import JOURNAL_FILE, Journal
from broker.audit.mirror import Folder, Keeping
from broker.audit.pipeline import How
from broker.audit.report import AuditReport
from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from broker.client import TrustFileAbsent
from schemas.bulletin.vocabularies import Kind
from schemas.entries import AttachmentStored, HubOperated
from schemas.errors import ConfigurationError, HubUnreachable, ParseError
from tests.unit.audit.fake_hub import FakeHub
from tests.unit.audit.world import AuditWorld, found

LARGE = 600


@pytest.fixture
def large(story: AuditWorld) -> AuditWorld:
    """A log of three tiles: attachments that were stored, which cost no signature."""
    story.later(minutes=1)
    for number in range(LARGE):
        store(story, f"{number:064x}")
    return story


def store(world: AuditWorld, sha256: str) -> None:
    """Log an attachment."""
    size = len(world.entries)
    entry = AttachmentStored(
        type="attachment.stored", at=world.now, sha256=sha256, size=1000, directory_size=size
    )
    world.append(entry, None)


def audit(hub: Any, world: AuditWorld, data: Path, how: How) -> AuditReport:
    """Audit as told."""
    data.mkdir(exist_ok=True)
    store = SeenStore(data)
    return asyncio.run(verify_exchange(hub, world.invitation, store, lambda: world.now, how))


def outcome(report: AuditReport) -> Any:
    """All that a report says, but for the time that it took and what earlier audits did."""
    plain = json.loads(report.to_json())
    for name in ("milliseconds", "resumed"):
        plain.pop(name)
    for log in plain["logs"].values():
        # Each time it is signed, the time is in it.
        log.pop("checkpoint")
        log.pop("seen_size")
        log.pop("seen_checkpoint", None)
    return plain


class Counting(FakeHub):
    """Counts what is asked of the exchange log."""

    def __init__(self, hub: FakeHub) -> None:
        super().__init__(hub.logs, hub.files)
        self.asked: list[int] = []

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> Any:
        """Openings of a range."""
        if log == "exchange":
            self.asked.append(start)
        return await super().openings(log, start, end, generation)


def _worsen(hub: FakeHub) -> None:
    openings = hub.logs["exchange"].openings
    openings[3] = None
    two = openings[2]
    assert two is not None
    openings[300] = two.model_copy(update={"index": 300})


@pytest.mark.parametrize("is_wrong", [False, True])
def test_any_number_of_processes_finds_the_same(
    large: AuditWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_wrong: bool
) -> None:
    """In the same order, with the same counts."""
    monkeypatch.setattr(pipeline, "ENTRIES_FOR_WORKERS_MIN", 1)
    hub = large.served()
    if is_wrong:
        _worsen(hub)
    alone = audit(hub, large, tmp_path / "one", How(jobs=1))
    together = audit(hub, large, tmp_path / "two", How(jobs=2))
    assert outcome(together) == outcome(alone)
    assert alone.is_sound is not is_wrong


def test_a_process_that_dies_is_no_pass(
    large: AuditWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audit ends, and says why."""
    monkeypatch.setattr(pipeline, "ENTRIES_FOR_WORKERS_MIN", 1)

    class Killing(FakeHub):
        async def openings(self, log: str, start: int, end: int, generation: int = 1) -> Any:
            if log == "exchange" and start:
                for child in multiprocessing.active_children():
                    child.kill()
            return await super().openings(log, start, end, generation)

    served = large.served()
    with pytest.raises(ConfigurationError, match="a process that examined entries ended"):
        audit(Killing(served.logs, served.files), large, tmp_path, How(jobs=2))


def test_the_next_audit_goes_on_behind_the_journal(large: AuditWorld, tmp_path: Path) -> None:
    """It asks for what is new alone, and says the same as one that reads all."""
    journal = Journal(tmp_path)
    first = audit(large.served(), large, tmp_path, How(journal=journal))
    assert (first.resumed, first.is_sound) == (0, True)
    store(large, "ee" * 32)
    hub = Counting(large.served())
    second = audit(hub, large, tmp_path, How(journal=journal))
    size = second.exchange_log.checkpoint.size if second.exchange_log else 0
    assert second.resumed == size // 256 * 256 == 512
    assert hub.asked == [512]
    whole = audit(large.served(), large, tmp_path / "other", How())
    assert outcome(second) == outcome(whole)
    journal.close()


def test_leaves_behind_the_journal_are_those_that_are_signed(
    large: AuditWorld, tmp_path: Path
) -> None:
    """A log whose beginning was changed since makes another root, and the journal is forgotten."""
    journal = Journal(tmp_path)
    audit(large.served(), large, tmp_path, How(journal=journal))
    with closing(sqlite3.connect(tmp_path / JOURNAL_FILE)) as database:
        database.execute("UPDATE examined SET leaf = zeroblob(32) WHERE entry_index = 7")
        database.commit()
    report = audit(large.served(), large, tmp_path, How(journal=journal))
    assert set(report.findings_by_rule) >= {"root", "log-forked"}
    assert not (tmp_path / JOURNAL_FILE).exists()
    assert audit(large.served(), large, tmp_path, How(journal=journal)).is_sound
    journal.close()


def test_a_damaged_journal_is_told(large: AuditWorld, tmp_path: Path) -> None:
    """And what to do."""
    journal = Journal(tmp_path)
    audit(large.served(), large, tmp_path, How(journal=journal))
    with closing(sqlite3.connect(tmp_path / JOURNAL_FILE)) as database:
        database.execute("UPDATE examined SET entry = x'7b' WHERE entry_index = 7")
        database.commit()
    with pytest.raises(ConfigurationError, match="--full` begins anew"):
        audit(large.served(), large, tmp_path, How(journal=journal))
    journal.close()
    (tmp_path / JOURNAL_FILE).write_bytes(b"no database at all, but some text of a length" * 99)
    with pytest.raises(ConfigurationError, match="no journal of an audit"):
        audit(large.served(), large, tmp_path, How(journal=Journal(tmp_path)))


def test_an_audit_that_was_cut_off_goes_on(
    large: AuditWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was examined before the hub went away is not examined again."""
    monkeypatch.setattr(pipeline, "_KEPT_AT_ONCE", 256)

    class Away(Counting):
        async def openings(self, log: str, start: int, end: int, generation: int = 1) -> Any:
            if log == "exchange" and start == 512:
                raise HubUnreachable("away")
            return await super().openings(log, start, end, generation)

    journal = Journal(tmp_path)
    with pytest.raises(HubUnreachable):
        audit(Away(large.served()), large, tmp_path, How(journal=journal))
    hub = Counting(large.served())
    report = audit(hub, large, tmp_path, How(journal=journal))
    assert (report.resumed, hub.asked, report.is_sound) == (512, [512], True)
    journal.close()


def test_nothing_behind_a_finding_is_kept(large: AuditWorld, tmp_path: Path) -> None:
    """The next audit finds it again."""
    hub = large.served()
    _worsen(hub)
    journal = Journal(tmp_path)
    first = audit(hub, large, tmp_path, How(journal=journal))
    assert journal.size(large.exchange_log.origin) == 0
    again = audit(hub, large, tmp_path, How(journal=journal))
    assert outcome(again) == outcome(first)
    journal.close()


def test_progress_is_told(large: AuditWorld, tmp_path: Path) -> None:
    """Of both logs, to their ends."""
    told: list[tuple[str, int, int]] = []
    audit(large.served(), large, tmp_path, How(progress=lambda *at: told.append(at)))
    ends = {log: (done, total) for log, done, total in told}
    size = len(large.exchange_entries)
    assert ends == {"directory": (len(large.entries),) * 2, "exchange": (size, size)}


def test_a_copy_is_verified_without_the_hub(large: AuditWorld, tmp_path: Path) -> None:
    """It says the same; a second copy asks for nothing that never changes."""
    copy, hub = tmp_path / "copy", large.served()
    whole = audit(Keeping(hub, copy), large, tmp_path / "one", How())
    assert whole.is_sound
    again = audit(Folder(copy), large, tmp_path / "two", How())
    assert outcome(again) == outcome(whole)
    store(large, "ee" * 32)
    counting = Counting(large.served())
    audit(Keeping(counting, copy), large, tmp_path / "three", How())
    assert counting.asked == [512]
    assert audit(Folder(copy), large, tmp_path / "four", How()).is_sound


@pytest.mark.parametrize(
    ("name", "change", "rules"),
    [
        ("log/exchange/1/tile/0/001", lambda data: data[:-1] + b"x", {"tile"}),
        ("log/exchange/1/tile/entries/001", lambda data: data[:-1] + b"x", {"bundle"}),
        ("log/exchange/1/openings/256-512.json", lambda data: b"{}", {"opening-missing"}),
        ("log/exchange/1/checkpoint", lambda data: data[:-9], {"checkpoint"}),
        ("log/directory/1/tile/0/000.p/20", None, {"tile"}),
    ],
)
def test_a_copy_is_believed_no_more_than_a_hub(
    large: AuditWorld,
    tmp_path: Path,
    name: str,
    change: Callable[[bytes], bytes] | None,
    rules: set[str],
) -> None:
    """What was altered or taken away in the folder is a finding."""
    copy = tmp_path / "copy"
    audit(Keeping(large.served(), copy), large, tmp_path / "one", How())
    if change is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(change((copy / name).read_bytes()))
    report = audit(Folder(copy), large, tmp_path / "two", How())
    assert set(report.findings_by_rule) == rules


def test_names_that_lead_out_of_a_copy_are_not_read(tmp_path: Path) -> None:
    """Neither of tiles nor of trust files."""
    (tmp_path / "secret").write_bytes(b"x")
    folder = Folder(tmp_path / "copy")
    for name in ("../secret", "metadata/../../secret", "/etc/passwd", "targets/a/../../../secret"):
        with pytest.raises(TrustFileAbsent):
            asyncio.run(folder.trust_file(name))
        with pytest.raises(ParseError):
            asyncio.run(folder.tile("exchange", 1, name))


TREES = How(trees_only=True)


def test_the_trees_alone(large: AuditWorld, tmp_path: Path) -> None:
    """No entry of the exchange log is asked for, and nothing is said of any."""
    hub = Counting(large.served())
    report = audit(hub, large, tmp_path, TREES)
    assert report.is_sound
    assert (hub.asked, report.counts, report.trees_only) == ([], None, True)
    # What stands in the log is another matter.
    large.accept(large.envelope("ly/main", "tn/main", kind=Kind.JUDICIAL_REQUEST))
    assert audit(large.served(), large, tmp_path, TREES).is_sound
    assert not audit(large.served(), large, tmp_path, How()).is_sound


@pytest.mark.parametrize("rule", ["bundle", "tile", "root", "log-forked", "log-shrank"])
def test_trees_that_are_not_right(large: AuditWorld, tmp_path: Path, rule: str) -> None:
    """Bundles, tiles of each level, the signed root, and what was seen before."""
    hub = large.served()
    log = hub.logs["exchange"]
    if rule == "bundle":
        log.data[300] = bytes(32)
    elif rule == "tile":
        log.tiles[1, 0] = bytes(len(log.tiles[1, 0]))
    elif rule == "root":
        log.checkpoint = log.signed(log.secrets, len(log.data), bytes(32), large.now)
    else:
        assert audit(hub, large, tmp_path, TREES).is_sound
        del large.exchange_entries[-1]
        if rule == "log-forked":
            large.accept(large.envelope("ma/main", "ne/main"))
        hub = large.served()
    report = audit(hub, large, tmp_path, TREES)
    assert [(each.log, each.rule) for each in report.findings] == [("exchange", rule)]


def test_what_was_judged_by_another_directory_log_is_not_believed(
    story: AuditWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub shows a directory log without a revocation, goes away, and then shows the members' one."""
    monkeypatch.setattr(pipeline, "_KEPT_AT_ONCE", 256)
    story.later(minutes=1)
    other = story.copy()
    stolen = story.desks["ly/main"]
    story.desks["ly/main"] = story.make_desk()
    story.change_member("ly", lambda file: story.declare("ly"))
    story.publish()
    tree = story.exchange_head()
    other.log(
        HubOperated(type="hub.operated", at=other.now, exchange_log=tree, operation="configuration")
    )
    other.desks["ly/main"] = stolen
    forged = other.envelope("ly/main", "tn/main")
    for world in (story, other):
        world.later(minutes=1)
    other.accept(forged)
    for number in range(LARGE):
        store(other, f"{number:064x}")
    story.exchange_entries = [*other.exchange_entries]

    class Away(FakeHub):
        async def openings(self, log: str, start: int, end: int, generation: int = 1) -> Any:
            if log == "exchange" and start == 512:
                raise HubUnreachable("away")
            return await super().openings(log, start, end, generation)

    journal, shown = Journal(tmp_path), other.served()
    with pytest.raises(HubUnreachable):
        audit(Away(shown.logs, shown.files), other, tmp_path, How(journal=journal))
    report = audit(story.served(), story, tmp_path, How(journal=journal))
    assert found(report) == [
        ("directory", None, "log-forked"),
        ("exchange", 9, "accepted-stale-directory"),
    ]
    assert (report.resumed, [each.verdict.what for each in report.evidence]) == (0, ["two-roots"])
    journal.close()
