"""What breaks no rule and people should look at: from which entry on it holds, and until when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root

from broker.audit import remarks as remarks_module
from broker.audit.remarks import Remark
from broker.audit.report import AuditReport
from keys.repository import Governance, TrustSigner, sign_root
from schemas.limits import PUBLICATIONS_PER_HOUR_MAX
from tests.unit.audit.governing import (
    attributed,
    govern,
    log_operation,
    publish_council,
    publish_member,
    published,
)
from tests.unit.audit.world import AuditWorld, audit, found


@pytest.fixture
def governed(story: AuditWorld) -> AuditWorld:
    """An honest exchange whose council says whose the governors' keys are."""
    govern(story)
    return story


def _audited(world: AuditWorld, data: Path) -> AuditReport:
    report = audit(world.served(), world, data)
    assert found(report) == []
    assert report.is_sound
    return report


def _holding(report: AuditReport) -> list[tuple[str, int | None]]:
    return [(each.word, each.since) for each in report.remarks if each.until is None]


def _shared_key(world: AuditWorld) -> int:
    held = {**world.council.governors, world.governors[1].public_key.keyid: "dz"}
    return publish_council(world, lambda c: c.model_copy(update={"governors": held}))


def _unnamed_key(world: AuditWorld) -> int:
    held = dict(list(world.council.governors.items())[1:])
    return publish_council(world, lambda c: c.model_copy(update={"governors": held}))


def _threshold(world: AuditWorld, threshold: int, online: bytes | None = None) -> int:
    keys = tuple(governor.public_key for governor in world.governors)
    world.versions.root += 1
    governance = Governance(keys, threshold, tuple(world.governors[:3]))
    signed = sign_root(
        world.versions.root,
        governance,
        online or world.online.public,
        world.expires,
        world.governors[:3],
    )
    world.put(signed)
    return published(world)


def _online_governor(world: AuditWorld) -> int:
    world.online = world.governors[0]
    return _threshold(world, 3)


def _other_roots(world: AuditWorld) -> int:
    """One governor signs council and access rules, and no root any more."""
    payload = Metadata[Root].from_bytes(world.initial_root).signed
    payload.version = world.versions.root = 2
    payload.roles["root"].keyids = [g.public_key.keyid for g in world.governors[:4]]
    world.craft("root", payload, *world.governors[:3])
    return published(world)


GOVERNANCE: list[tuple[str, Callable[[AuditWorld], int], str, str]] = [
    ("one state with two keys", _shared_key, "governor-twice", "dz holds 2 of 5 governors' keys"),
    ("a key of nobody", _unnamed_key, "governor-unknown", "does not say whose 1 governors' keys"),
    ("two of five", lambda w: _threshold(w, 2), "no-majority", "2 of 5 governors sign the root"),
    ("other keys for the root", _other_roots, "governors-differ", "are others than those"),
    ("the hub is a governor", _online_governor, "online-governor", "the hub's online key is one"),
]


@pytest.mark.parametrize(
    ("change", "word", "says"), [case[1:] for case in GOVERNANCE], ids=[c[0] for c in GOVERNANCE]
)
def test_how_an_exchange_is_governed_is_remarked(
    governed: AuditWorld, tmp_path: Path, change: Callable[[AuditWorld], int], word: str, says: str
) -> None:
    """k of n may do it, so that it is no finding; it is said from its entry on."""
    assert _holding(_audited(governed, tmp_path)) == []
    index = change(governed)
    report = _audited(governed, tmp_path)
    assert set(_holding(report)) == {(word, index)}
    assert says in next(each.text for each in report.remarks if each.word == word)


def test_a_majority_is_more_than_half(governed: AuditWorld, tmp_path: Path) -> None:
    """Three of six are none, three of five are one."""
    governed.change_root([*governed.governors, TrustSigner.generate()])
    held = {**governed.council.governors, governed.governors[5].public_key.keyid: "eg"}
    index = publish_council(governed, lambda c: c.model_copy(update={"governors": held}))
    assert ("no-majority", index) in _holding(_audited(governed, tmp_path))


def test_what_was_mended_is_still_told(governed: AuditWorld, tmp_path: Path) -> None:
    """A remark that no longer holds says until which entry it did."""
    since = _shared_key(governed)
    until = publish_council(governed, attributed(governed))
    report = _audited(governed, tmp_path)
    past = [(each.word, each.since, each.until) for each in report.remarks]
    # Before the fixture's council nobody knew the governors.
    assert past == [("governor-unknown", 0, until - 2), ("governor-twice", since, until)]


def test_past_remarks_without_end_are_not_kept(
    governed: AuditWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their number is bounded."""
    monkeypatch.setattr(remarks_module, "PAST_REMARKS_MAX", 2)
    for _ in range(3):
        _shared_key(governed)
        publish_council(governed, attributed(governed))
    assert len(_audited(governed, tmp_path).remarks) == 2


def _changed(world: AuditWorld, member: str, count: int, **apart: int) -> int:
    """Publish a member's file so often; gives the entry of the last."""
    index = 0
    for _ in range(count):
        index = publish_member(world, member)
        world.later(**apart)
    return index


def test_a_member_that_publishes_without_end_is_remarked(
    governed: AuditWorld, tmp_path: Path
) -> None:
    """More changes of one file in an hour than a member's desks may publish, from the first too many on."""
    _changed(governed, "tn", PUBLICATIONS_PER_HOUR_MAX, minutes=1)
    assert _holding(_audited(governed, tmp_path)) == []
    index = _changed(governed, "tn", 1, minutes=1)
    _changed(governed, "tn", 2, minutes=1)
    report = _audited(governed, tmp_path)
    assert _holding(report) == [("published-often", index)]
    (text,) = [each.text for each in report.remarks if each.until is None]
    assert text == "the file of tn changed more than 12 times in an hour, at 3 entries"


def test_what_a_member_publishes_over_hours_is_not_remarked(
    governed: AuditWorld, tmp_path: Path
) -> None:
    """As many changes as the rate allows, for longer than an hour."""
    _changed(governed, "tn", 3 * PUBLICATIONS_PER_HOUR_MAX, minutes=5)
    assert _holding(_audited(governed, tmp_path)) == []


def test_members_are_counted_apart(governed: AuditWorld, tmp_path: Path) -> None:
    """Ten changes each of two files are no flood."""
    for member in ("tn", "ly"):
        _changed(governed, member, 10, seconds=1)
    assert _holding(_audited(governed, tmp_path)) == []


def test_a_hub_that_renews_without_end_is_remarked(governed: AuditWorld, tmp_path: Path) -> None:
    """Its snapshot alone, again and again."""
    for _ in range(PUBLICATIONS_PER_HOUR_MAX + 1):
        published(governed)
    (remark,) = [each for each in _audited(governed, tmp_path).remarks if each.until is None]
    assert (
        remark.text
        == "the hub's snapshot alone changed more than 12 times in an hour, at 1 entries"
    )


def test_a_council_that_lapsed_while_entries_went_on(governed: AuditWorld, tmp_path: Path) -> None:
    """Nodes may go on if people say so: each log tells from which entry on, and how many there were."""
    governed.change_council(expires=governed.now + timedelta(hours=1))
    published(governed)
    governed.later(seconds=3599)
    governed.accept(governed.envelope("ly/main", "tn/main"))
    assert _holding(_audited(governed, tmp_path)) == []
    governed.later(seconds=1)
    first = governed.accept(governed.envelope("ly/main", "tn/main"))
    governed.accept(governed.envelope("ly/main", "dz/main"))
    log_operation(governed)
    entry = len(governed.entries) - 1
    report = _audited(governed, tmp_path)
    lapsed = [(each.log, each.word, each.since) for each in report.remarks if each.until is None]
    assert lapsed == [
        ("directory", "council-lapsed", None),
        ("directory", "logged-while-lapsed", entry),
        ("exchange", "logged-while-lapsed", first),
    ]
    assert report.remarks[-1].text.startswith("2 entries were logged while")
    # A new council ends it.
    governed.change_council()
    published(governed)
    governed.accept(governed.envelope("ly/main", "dz/main"))
    report = _audited(governed, tmp_path)
    assert ("council-lapsed", None) not in _holding(report)
    assert report.remarks[-1].text.startswith("2 entries were logged while")


def test_the_plain_form_leaves_out_what_is_unknown() -> None:
    """No member is null."""
    remark = Remark("directory", "council-lapsed", None, None, "it lapsed")
    assert remark.to_plain() == {"log": "directory", "word": "council-lapsed", "text": "it lapsed"}
