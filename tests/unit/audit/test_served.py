"""What the hub may not serve: an altered tile, opening or checkpoint; and a hub that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.audit.seen import SEEN_FILE, SeenStore
from broker.audit.verify import verify_exchange
from broker.tlog.receipt import exchange_leaf_data
from schemas.acknowledgements import Result
from schemas.errors import HubUnreachable, ParseError, Problem
from schemas.receipts import Opening, OpeningsPage
from tests.unit.audit.fake_hub import FakeHub, ServedLog, one_signature
from tests.unit.audit.world import AuditWorld, audit, found

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


def _entry(log: str, index: int) -> Callable[[FakeHub], None]:
    """Alter an entry where the hub makes both bundle and opening from it."""

    def alter(hub: FakeHub) -> None:
        served = hub.logs[log]
        opening = served.openings[index]
        assert opening is not None
        assert opening.salt is not None
        served.openings[index] = opening.model_copy(update={"entry": b"{}"})
        served.data[index] = exchange_leaf_data(opening.salt, b"{}")

    return alter


SERVED: list[tuple[str, Callable[[FakeHub], None], int, str]] = [
    ("tile of level 0", _tile("exchange", 0, 1, 33), 257, "tile"),
    ("tile of level 1", _tile("exchange", 1, 0, 0), 0, "tile"),
    ("no tile of level 0", _no_tile("exchange", 0, 1), 256, "tile"),
    ("no tile of level 1", _no_tile("exchange", 1, 0), 0, "tile"),
    ("entry bundle", _bundle("exchange", 17), 17, "bundle"),
    ("entry in the database", _entry("exchange", 257), 257, "opening"),
    ("entry of the first tile", _entry("exchange", 3), 3, "opening"),
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


def test_dispute_where_a_tile_is_missing(large: AuditWorld, tmp_path: Path) -> None:
    """Without all tiles their root cannot be asked: the two answers that agree decide."""
    hub = large.served()
    _bundle("exchange", 17)(hub)
    _no_tile("exchange", 0, 1)(hub)
    expected = [("exchange", 17, "bundle"), ("exchange", 256, "tile")]
    assert found(audit(hub, large, tmp_path)) == expected


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


CHECKPOINTS: list[tuple[str, Callable[[ServedLog], str]]] = [
    ("garbage", lambda log: log.checkpoint[1:]),
    ("another size", lambda log: log.checkpoint.replace("\n9\n", "\n8\n")),
    ("Ed25519 alone", lambda log: one_signature(log.checkpoint, 0)),
    ("ML-DSA-44 alone", lambda log: one_signature(log.checkpoint, 1)),
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


class _Failing(FakeHub):
    """A hub whose openings fail with an error."""

    error: Exception = HubUnreachable("the line is cut")

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> OpeningsPage:
        """Fail."""
        await super().openings(log, start, end, generation)
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
        (Problem("not-your-desk"), Problem),
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


def test_openings_that_were_not_asked_for_are_passed_over(
    story: AuditWorld, tmp_path: Path
) -> None:
    """A page with openings of other leaves neither helps nor stops the audit."""

    class Talkative(FakeHub):
        async def openings(
            self, log: str, start: int, end: int, generation: int = 1
        ) -> OpeningsPage:
            page = await super().openings(log, start, end, generation)
            stray = Opening(index=10_000, entry=b"{}")
            return OpeningsPage(openings=(*page.openings, stray))

    hub = story.served()
    talkative = Talkative(hub.logs, hub.files)
    talkative.page_max = 4
    assert found(audit(talkative, story, tmp_path)) == []
