"""Evidence that a hub would rather hide: behind void directories, a flood; and what an honest one logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from broker.evidence import verify_evidence
from schemas.bulletin.vocabularies import Kind
from schemas.entries import HubOperated
from schemas.errors import VerificationError
from schemas.limits import EVIDENCE_ENTRIES_MAX
from schemas.loader import dump_json, to_plain
from schemas.receipts import OpeningsPage
from schemas.scalars import encode_base64
from tests.exchange.trust_world import Logged, TrustWorld
from tests.unit.audit.fake_hub import FakeHub
from tests.unit.audit.world import AuditWorld, audit
from tests.unit.broker.bundle_forging import Forger


def _accept_wrongly(world: AuditWorld) -> None:
    world.accept(world.envelope("ly/main", "tn/main", kind=Kind.JUDICIAL_REQUEST))


def _wrong(world: AuditWorld, data: Path) -> bytes:
    _accept_wrongly(world)
    (written,) = audit(world.served(), world, data).evidence
    return written.data


def _jump(world: AuditWorld) -> None:
    world.versions.snapshot += 5
    world.publish()


def _rolled_back(world: AuditWorld) -> None:
    old = dict(world.current)
    world.change_member("tn")
    world.publish()
    world.current = old
    world.publish()


def _unsigned_council(world: AuditWorld) -> None:
    world.change_council(signing=2)
    world.publish()


def _omitted(world: AuditWorld) -> None:
    del world.current[next(name for name in world.current if name.endswith("member-tn.json"))]
    world.publish()


def _no_entry(world: AuditWorld) -> None:
    world.entries.append(Logged(b"{}", None))


def _backwards(world: AuditWorld) -> None:
    world.now -= timedelta(days=1)
    world.change_member("tn")
    world.publish()
    world.now += timedelta(days=1)


@pytest.mark.parametrize(
    "hide", [_jump, _rolled_back, _unsigned_council, _omitted, _no_entry, _backwards]
)
def test_a_void_directory_hides_nothing(
    story: AuditWorld, tmp_path: Path, hide: Callable[[AuditWorld], None]
) -> None:
    """What a hub logs behind the directory in force, and does not count, takes no evidence away."""
    hide(story)
    history = story.empty_history()
    assert story.feed(history)
    story._history = history
    _accept_wrongly(story)
    report = audit(story.served(), story, tmp_path)
    assert [each.verdict.what for each in report.evidence] == ["wrongly-accepted"]
    (written,) = report.evidence
    assert verify_evidence(written.data, story.initial_root) == written.verdict


@pytest.mark.parametrize("withheld", [False, True])
def test_an_earlier_directory_convicts_nobody(
    story: AuditWorld, tmp_path: Path, *, withheld: bool
) -> None:
    """What a later one permits was accepted rightly; nor is that void whose files are kept back."""
    (data := tmp_path / "wrong").mkdir()
    plain = json.loads(_wrong(story.copy(), data))
    before = len(story.entries) - 1
    files = dict(story.files)
    story.desks["ly/main"] = story.make_desk()
    story.change_member("ly", lambda _: story.declare("ly"))
    story.publish()
    statement = story.envelope("ly/main", "tn/main")
    index = story.accept(statement)
    assert audit(story.served(), story, tmp_path).is_sound
    forged = Forger(story).evidence(index, range(before, len(story.entries)))
    given = files if withheld else story.files
    plain["proof"] |= json.loads(dump_json(forged)) | {
        "statement": to_plain(statement),
        "files": {name: encode_base64(data) for name, data in given.items()},
    }
    with pytest.raises(VerificationError, match="not there" if withheld else "another directory"):
        verify_evidence(json.dumps(plain).encode(), story.initial_root)


@pytest.mark.parametrize(("flood", "shown"), [(EVIDENCE_ENTRIES_MAX - 30, True), (6_000, False)])
def test_a_flood_of_directory_entries_holds_no_audit_up(
    story: AuditWorld, tmp_path: Path, flood: int, shown: bool
) -> None:
    """Each tile is asked for once; what is too much for a file stays a finding, and a few are tried."""
    entry = HubOperated(
        type="hub.operated", at=story.now, exchange_log=story.exchange_head(), operation="start"
    )
    for _ in range(flood):
        TrustWorld.log(story, entry)
    for _ in range(20):
        _accept_wrongly(story)
    served = story.served()

    class Counting(FakeHub):
        asked = 0

        async def openings(
            self, log: str, start: int, end: int, generation: int = 1
        ) -> OpeningsPage:
            self.asked += 1
            return await super().openings(log, start, end, generation)

    hub = Counting(served.logs, served.files)
    report = audit(hub, story, tmp_path)
    assert report.findings_by_rule == {"accepted-access-denied": 20}
    assert [each.verdict.what for each in report.evidence] == ["wrongly-accepted"] * (
        3 if shown else 0
    )
    for each in report.evidence:
        assert verify_evidence(each.data, story.initial_root) == each.verdict
    tiles = flood // 256 + 2
    assert hub.asked <= (5 if shown else 2) * tiles
