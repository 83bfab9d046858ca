"""What the hub may not serve: an altered tile, opening or checkpoint, a log that shrank or has two faces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from broker.audit.seen import SEEN_FILE, SeenStore
from broker.audit.verify import verify_exchange
from broker.tlog.note import Note, parse_note
from broker.tlog.receipt import LogVerifier
from schemas.acknowledgements import Result
from schemas.errors import ConfigurationError, HubUnreachable, ParseError, Problem
from schemas.loader import dump_json, load_json
from schemas.receipts import Opening, OpeningsPage
from tests.unit.audit.world import AuditWorld, FakeHub, ServedLog, audit, found

LARGE = 258
"""Entries of the large log: more than a tile, so that there is one above level 0."""

_LARGE: list[AuditWorld] = []


@pytest.fixture
def large() -> AuditWorld:
    """A world whose exchange log has two tiles of level 0, and one above."""
    if not _LARGE:
        world = AuditWorld()
        world.accept(world.envelope("ly/main", "tn/main"))
        while len(world.exchange_entries) < LARGE:
            world.later(seconds=1)
            world.acknowledge("tn/main", 0, Result.DELIVERED)
        _LARGE.append(world)
    return _LARGE[0].copy()


def _flip(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _tile(log: str, level: int, index: int, at: int) -> Callable[[FakeHub], None]:
    def alter(hub: FakeHub) -> None:
        tiles = hub.logs[log].tiles
        tiles[level, index] = _flip(tiles[level, index], at)

    return alter


def _open(log: str, index: int, **changed: object) -> Callable[[FakeHub], None]:
    def alter(hub: FakeHub) -> None:
        opening = hub.logs[log].openings[index]
        assert opening is not None
        hub.logs[log].openings[index] = opening.model_copy(update=changed)

    return alter


def _withhold(log: str, index: int) -> Callable[[FakeHub], None]:
    def alter(hub: FakeHub) -> None:
        hub.logs[log].openings[index] = None

    return alter


def _bundle(log: str, index: int) -> Callable[[FakeHub], None]:
    def alter(hub: FakeHub) -> None:
        data = hub.logs[log].data
        data[index] = _flip(data[index])

    return alter


def _no_tile(log: str, level: int, index: int) -> Callable[[FakeHub], None]:
    def alter(hub: FakeHub) -> None:
        del hub.logs[log].tiles[level, index]

    return alter


SERVED: list[tuple[str, Callable[[FakeHub], None], int, str]] = [
    ("tile of level 0", _tile("exchange", 0, 1, 33), 257, "tile"),
    ("tile of level 1", _tile("exchange", 1, 0, 0), 0, "tile"),
    ("no tile of level 0", _no_tile("exchange", 0, 1), 256, "tile"),
    ("no tile of level 1", _no_tile("exchange", 1, 0), 0, "tile"),
    ("entry bundle", _bundle("exchange", 17), 17, "bundle"),
    ("entry", _open("exchange", 257, entry=b'{"type":"acknowledgement"}'), 257, "opening"),
    ("salt", _open("exchange", 257, salt=bytes(32)), 257, "opening"),
    ("no opening", _withhold("exchange", 100), 100, "opening-missing"),
    ("no last opening", _withhold("exchange", 255), 255, "opening-missing"),
]


@pytest.mark.parametrize(
    ("alter", "index", "rule"), [c[1:] for c in SERVED], ids=[c[0] for c in SERVED]
)
def test_one_altered_answer_is_one_finding(
    large: AuditWorld,
    tmp_path: Path,
    alter: Callable[[FakeHub], None],
    index: int,
    rule: str,
) -> None:
    """One alteration of what is served is one finding, at that leaf, by that rule."""
    hub = large.served()
    alter(hub)
    assert found(audit(hub, large, tmp_path)) == [("exchange", index, rule)]


def test_size_that_is_signed_and_not_served(story: AuditWorld, tmp_path: Path) -> None:
    """A hub that signs a tree of a billion leaves and serves none is not asked for all of them."""
    hub = story.served()
    log = hub.logs["exchange"]
    log.checkpoint = ServedLog.signed(story.exchange_log, 10**9, bytes(32), story.now)
    report = audit(hub, story, tmp_path)
    assert ("exchange", None, "root") in found(report)
    assert report.findings_by_rule["opening-missing"] < 2000


def test_full_tile_above_level_0(story: AuditWorld, tmp_path: Path) -> None:
    """A tile above level 0 is compared when it is full, 65,536 leaves later."""
    hub = story.served()
    data = [number.to_bytes(32, "big") for number in range(65536)]
    log = ServedLog.of(story.exchange_log, data, [None] * len(data), story.now)
    hub.logs["exchange"] = log
    log.tiles[1, 0] = _flip(log.tiles[1, 0])
    report = audit(hub, story, tmp_path)
    tiles = [finding for finding in report.findings if finding.rule == "tile"]
    assert [(finding.index, finding.detail.split()[0]) for finding in tiles] == [(0, "tile/1/000")]
    assert report.findings_by_rule["opening-missing"] == len(data)


def test_swapped_openings_are_found_both(story: AuditWorld, tmp_path: Path) -> None:
    """Two openings that changed places open neither leaf."""
    hub = story.served()
    openings = hub.logs["exchange"].openings
    two, seven = openings[2], openings[7]
    assert two is not None
    assert seven is not None
    openings[2] = seven.model_copy(update={"index": 2})
    openings[7] = two.model_copy(update={"index": 7})
    expected = [("exchange", 2, "opening"), ("exchange", 7, "opening")]
    assert found(audit(hub, story, tmp_path)) == expected


def test_answer_to_a_leaf_that_does_not_open_is_not_blamed(
    story: AuditWorld, tmp_path: Path
) -> None:
    """An acknowledgement of a withheld envelope cannot be judged, and only the leaf is a finding."""
    hub = story.served()
    hub.logs["exchange"].openings[0] = None
    report = audit(hub, story, tmp_path)
    assert found(report) == [("exchange", 0, "opening-missing")]
    assert report.counts is not None
    assert report.counts.unjudged == 1


def test_withheld_directory_entry_leaves_the_rest_unjudged(
    story: AuditWorld, tmp_path: Path
) -> None:
    """Behind a directory entry that does not open nothing can be judged, and nothing is accused."""
    hub = story.served()
    hub.logs["directory"].openings[0] = None
    report = audit(hub, story, tmp_path)
    assert found(report) == [("directory", 0, "opening-missing")]
    assert report.counts is not None
    assert report.counts.unjudged == 9


def _one_signature(text: str, keep: int) -> str:
    note = parse_note(text)
    return Note(note.text, (note.signatures[keep],)).render()


CHECKPOINTS: list[tuple[str, Callable[[ServedLog], str]]] = [
    ("garbage", lambda log: log.checkpoint[1:]),
    ("another size", lambda log: log.checkpoint.replace("\n9\n", "\n8\n")),
    ("Ed25519 alone", lambda log: _one_signature(log.checkpoint, 0)),
    ("ML-DSA-44 alone", lambda log: _one_signature(log.checkpoint, 1)),
]


@pytest.mark.parametrize("alter", [c[1] for c in CHECKPOINTS], ids=[c[0] for c in CHECKPOINTS])
def test_altered_checkpoint(
    story: AuditWorld, tmp_path: Path, alter: Callable[[ServedLog], str]
) -> None:
    """A checkpoint that its log's two keys did not both sign is found, and nothing is kept of it."""
    hub = story.served()
    log = hub.logs["exchange"]
    log.checkpoint = alter(log)
    report = audit(hub, story, tmp_path)
    assert found(report) == [("exchange", None, "checkpoint")]
    assert report.counts is None
    assert report.directory_entries.total() == 20
    assert not (tmp_path / SEEN_FILE).exists()


def test_checkpoint_of_the_other_log(story: AuditWorld, tmp_path: Path) -> None:
    """The exchange log's checkpoint is none of the directory log."""
    hub = story.served()
    hub.logs["directory"].checkpoint = hub.logs["exchange"].checkpoint
    assert found(audit(hub, story, tmp_path)) == [("directory", None, "checkpoint")]


def test_root_that_the_leaves_do_not_make(story: AuditWorld, tmp_path: Path) -> None:
    """A signed root over other leaves than those served is found, and nothing is kept of it."""
    hub = story.served()
    other = story.copy()
    other.exchange_entries[8] = other.exchange_entries[7]
    hub.logs["exchange"].checkpoint = other.served().logs["exchange"].checkpoint
    assert found(audit(hub, story, tmp_path)) == [("exchange", None, "root")]
    assert not (tmp_path / SEEN_FILE).exists()


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


class _Failing(FakeHub):
    """A hub whose openings fail with an error."""

    error: Exception = HubUnreachable("the line is cut")

    async def openings(self, log: str, start: int, end: int) -> OpeningsPage:
        """Fail."""
        await super().openings(log, start, end)
        raise self.error


def _audit_failing(world: AuditWorld, data: Path, error: Exception) -> None:
    hub = world.served()
    failing = _Failing(hub.logs, hub.files)
    failing.error = error
    asyncio.run(verify_exchange(failing, world.invitation, SeenStore(data), lambda: world.now))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HubUnreachable("the line is cut"), HubUnreachable),
        (Problem("busy"), HubUnreachable),
        (Problem("auditors-only"), Problem),
    ],
    ids=["cut", "busy", "not an auditor"],
)
def test_hub_that_does_not_answer_is_not_accused(
    story: AuditWorld, tmp_path: Path, error: Exception, expected: type[Exception]
) -> None:
    """Without an answer there is no report, and nothing is remembered."""
    with pytest.raises(expected):
        _audit_failing(story, tmp_path, error)
    assert not (tmp_path / SEEN_FILE).exists()


def test_unreadable_openings_are_missing_ones(story: AuditWorld, tmp_path: Path) -> None:
    """An answer that cannot be read opens no leaf."""
    hub = story.served()
    failing = _Failing(hub.logs, hub.files)
    failing.error = ParseError("not a page")
    report = audit(failing, story, tmp_path)
    assert set(report.findings_by_rule) == {"opening-missing"}


def test_directory_log_that_never_rests(story: AuditWorld, tmp_path: Path) -> None:
    """A hub whose directory log moves around every question cannot be audited."""
    sizes = iter(range(20, 0, -1))

    class Restless(FakeHub):
        async def checkpoint(self, log: str, generation: int) -> str:
            if log == "directory":
                shorter = story.copy()
                del shorter.entries[next(sizes) :]
                return shorter.served().logs["directory"].checkpoint
            return await super().checkpoint(log, generation)

    hub = story.served()
    with pytest.raises(HubUnreachable):
        audit(Restless(hub.logs, hub.files), story, tmp_path)


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
    path.write_bytes(dump_json({**kept, "exchange": _one_signature(kept["exchange"], 0)}))
    with pytest.raises(ConfigurationError, match="damaged"):
        audit(story.served(), story, tmp_path)


def test_memory_holds_the_evidence(story: AuditWorld, tmp_path: Path) -> None:
    """The signed checkpoints themselves are kept, and the time of the audit."""
    hub = story.served()
    audit(hub, story, tmp_path)
    seen = SeenStore(tmp_path).load(
        LogVerifier.from_keys(story.logs.directory), LogVerifier.from_keys(story.logs.exchange)
    )
    assert seen is not None
    assert (seen.exchange.note, seen.exchange.size) == (hub.logs["exchange"].checkpoint, 9)
    assert (seen.directory.note, seen.directory.size) == (hub.logs["directory"].checkpoint, 20)
    assert seen.exchange.at == story.now


def test_openings_that_were_not_asked_for_are_passed_over(
    story: AuditWorld, tmp_path: Path
) -> None:
    """A page with openings of other leaves neither helps nor stops the audit."""

    class Talkative(FakeHub):
        async def openings(self, log: str, start: int, end: int) -> OpeningsPage:
            page = await super().openings(log, start, end)
            stray = Opening(index=10_000, entry=b"{}")
            return OpeningsPage(openings=(*page.openings, stray))

    hub = story.served()
    talkative = Talkative(hub.logs, hub.files)
    talkative.page_max = 4
    assert found(audit(talkative, story, tmp_path)) == []
