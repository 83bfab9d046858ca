"""A hub with its online key, a minority of governors, a hostile member: entry, rule, and what happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from keys.repository import TrustSigner
from schemas.entries import FileVersion
from tests.unit.audit.fake_hub import FakeHub
from tests.unit.audit.governing import (
    LOOSE,
    Turning,
    extended,
    govern,
    grace,
    log_operation,
    other_node_key,
    publish_claim,
    publish_council,
    publish_garbage,
    publish_member,
    publish_old,
    publish_rules,
    publish_snapshot_of,
    published,
    revoke,
    rotate,
    with_group,
)
from tests.unit.audit.world import AuditWorld, audit, found

NOT_SIGNED = "targets is not signed as it must be"
STRANGER = "member-ly is not signed as it must be"


@pytest.fixture
def governed(story: AuditWorld) -> AuditWorld:
    """An honest exchange: council and Libya's file have their second version, governors are known."""
    govern(story)
    return story


@dataclass(frozen=True)
class Lie:
    """A directory that nobody may take.

    Args:
        tell: publishes it; gives the entry.
        says: what the finding says.
        signed: by role of the files that were read, whose signatures counted.
    """

    name: str
    tell: Callable[[AuditWorld], int]
    says: str
    signed: dict[str, tuple[str, ...]]


def _by_former(world: AuditWorld) -> int:
    former, current = rotate(world), world.governors
    world.governors = [*former, current[2]]
    try:
        return publish_council(world, grace(1))
    finally:
        world.governors = current


def _first_root_again(world: AuditWorld) -> int:
    first = world.root()
    rotate(world)
    return published(world, root=first)


def _new_root_by(count: int) -> Callable[[AuditWorld], int]:
    def tell(world: AuditWorld) -> int:
        before = world.governors
        world.change_root([TrustSigner.generate() for _ in before], predecessors=count)
        return publish_council(world)

    return tell


def _mixed(world: AuditWorld) -> int:
    publish_member(world, "tn", revoke("cd" * 32))
    return publish_old(world, ".member-ly.json")


def _without_libya(world: AuditWorld) -> int:
    del world.current[f"metadata/{world.versions.members['ly']}.member-ly.json"]
    return published(world)


def _another_member_key(world: AuditWorld) -> int:
    world.member_keys = {**world.member_keys, "ly": TrustSigner.generate()}
    return publish_council(world, signing=2)


LIES = [
    Lie(
        "two of five governors sign a council",
        lambda w: publish_council(w, grace(1), signing=2),
        NOT_SIGNED,
        {"targets": ("dz", "ly")},
    ),
    Lie(
        "the hub alone signs a council",
        lambda w: publish_council(w, grace(1), signing=0),
        NOT_SIGNED,
        {"targets": ()},
    ),
    Lie(
        "rules loosened by k - 1",
        lambda w: publish_rules(w, LOOSE, 2),
        NOT_SIGNED,
        {"targets": ("dz", "ly")},
    ),
    Lie(
        "a group extended by k - 1",
        lambda w: publish_council(w, extended, signing=2),
        NOT_SIGNED,
        {"targets": ("dz", "ly")},
    ),
    Lie(
        "another member's key by k - 1", _another_member_key, NOT_SIGNED, {"targets": ("dz", "ly")}
    ),
    Lie("governors who were replaced", _by_former, NOT_SIGNED, {"targets": ("ml",)}),
    Lie(
        "new governors by themselves",
        _new_root_by(0),
        "root is not signed as it must be",
        {"root": ()},
    ),
    Lie(
        "new governors by k - 1",
        _new_root_by(2),
        "root is not signed as it must be",
        {"root": ("dz", "ly")},
    ),
    Lie("the first root again", _first_root_again, "root version 1 does not follow version 2", {}),
    Lie(
        "the snapshot before",
        lambda w: publish_snapshot_of(w, 2),
        "snapshot version 2 does not follow version 3",
        {},
    ),
    Lie(
        "a snapshot that jumps",
        lambda w: published(w, snapshot=w.snapshot(version=10**6)),
        "snapshot version 1000000 does not follow version 3",
        {},
    ),
    Lie(
        "council and rules rolled back by the hub",
        lambda w: publish_old(w, ".targets.json"),
        "targets version 1 does not follow version 2",
        {"targets": ("dz", "ly", "ml")},
    ),
    Lie(
        "a member's file rolled back by the hub",
        lambda w: publish_old(w, ".member-ly.json"),
        "member-ly version 1 does not follow version 2",
        {"member-ly": ("ly",)},
    ),
    Lie(
        "parts of two directories mixed",
        _mixed,
        "member-ly version 1 does not follow version 2",
        {"member-ly": ("ly",)},
    ),
    Lie(
        "a version skipped",
        lambda w: publish_member(w, "ly", version=9),
        "member-ly version 9 does not follow version 2",
        {"member-ly": ("ly",)},
    ),
    Lie("a file that is none", publish_garbage, "member-ly is not TUF metadata", {}),
    Lie("a member left out", _without_libya, "the files of ly are omitted", {}),
    Lie(
        "a desk's key swapped by the hub",
        lambda w: publish_member(w, "ly", other_node_key, signer=TrustSigner.generate()),
        STRANGER,
        {"member-ly": ()},
    ),
    Lie(
        "one member signs another's file",
        lambda w: publish_member(w, "ly", other_node_key, signer=w.member_keys["eg"]),
        STRANGER,
        {"member-ly": ()},
    ),
    Lie(
        "a member grants itself a function",
        publish_claim,
        r"members/ly.json is not well-formed: \$.desks.main.functions",
        {"member-ly": ("ly",)},
    ),
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)
def test_a_void_directory_is_named_with_who_signed_it(
    governed: AuditWorld, tmp_path: Path, lie: Lie
) -> None:
    """One finding at its entry says what is wrong; the report says whose signatures it had."""
    index = lie.tell(governed)
    report = audit(governed.served(), governed, tmp_path)
    assert found(report) == [("directory", index, "directory")]
    (finding,) = report.findings
    assert re.search(lie.says, finding.detail), finding.detail
    (void,) = report.changes.void
    assert (void.index, void.rule, void.detail) == (index, "directory", finding.detail)
    holders = {
        file.role: tuple(sorted(s.member or "-" for s in file.signers)) for file in void.signed
    }
    assert holders == lie.signed
    assert index not in [change.index for change in report.changes.listed]


def _two_of_one_version(world: AuditWorld) -> FakeHub:
    name = "metadata/2.member-ly.json"
    first = {name: world.files[name]}
    publish_member(world, "ly", revoke("cd" * 32), version=2)
    return Turning(world.served(), first)


def test_two_member_files_of_one_version(governed: AuditWorld, tmp_path: Path) -> None:
    """Both rightly signed, the second is void; a hub that serves one alone withholds the other."""
    hub = _two_of_one_version(governed)
    index = len(governed.entries) - 1
    report = audit(hub, governed, tmp_path)
    assert found(report) == [("directory", index, "directory")]
    assert "member-ly version 2 does not follow version 2" in report.findings[0].detail
    (void,) = report.changes.void
    assert [signer.member for file in void.signed for signer in file.signers] == ["ly"]
    one = audit(governed.served(), governed, tmp_path)
    assert found(one) == [("directory", 19, "trust-file-missing")]


@pytest.mark.parametrize("ending", [".council.json", ".policy.cedar", ".ly.json"])
def test_a_tampered_target(governed: AuditWorld, tmp_path: Path, ending: str) -> None:
    """Other bytes than were signed make no directory: the entry, and the file that is withheld."""
    index = publish_council(governed, grace(7))
    publish_member(governed, "ly", revoke("cd" * 32))
    hub = governed.served()
    name = [name for name in hub.files if name.endswith(ending)][-1]
    hub.files[name] = hub.files[name].replace(b"{", b"[", 1)
    report = audit(hub, governed, tmp_path)
    ((log, where, rule),) = found(report)
    wanted = {".council.json": index, ".policy.cedar": 0, ".ly.json": index + 1}[ending]
    assert (log, where, rule) == ("directory", wanted, "trust-file-missing")
    assert name in report.findings[0].detail


def test_an_old_directory_size_revived(governed: AuditWorld, tmp_path: Path) -> None:
    """What a hub judges by the directory before a revocation is found, though sizes never fall."""
    old, size = governed.known().newest.in_force, len(governed.entries)
    publish_member(governed, "ly", revoke("cd" * 32))
    # Logged in one moment with that directory, as far as the log shows.
    governed.accept(governed.envelope("ly/main", "tn/main", directory=old), directory_size=size)
    log_operation(governed)
    index = governed.accept(
        governed.envelope("ly/main", "tn/main", directory=old), directory_size=size
    )
    report = audit(governed.served(), governed, tmp_path)
    assert found(report) == [("exchange", index, "directory-size-stale")]
    assert "an old directory is revived" in report.findings[0].detail


def test_a_group_silently_extended_is_told_in_words(governed: AuditWorld, tmp_path: Path) -> None:
    """k governors may do it: no finding; the report says who signed it, who joined, and what it opens."""
    index = publish_council(
        governed, lambda council: with_group(council, "exercise", lambda members: (*members, "un"))
    )
    report = audit(governed.served(), governed, tmp_path)
    assert found(report) == []
    change = report.changes.listed[-1]
    assert change.index == index
    assert [(file.role, file.names) for file in change.signed] == [("targets", ("dz", "ly", "ml"))]
    title = governed.council.groups["exercise"].names.en
    assert [each.text for each in change.report.changes] == [f"{title} (exercise): un joined"]
    effects = change.report.effects
    assert {effect.change for effect in effects} == {"opened"}
    assert all("exercise-participants" in effect.by for effect in effects)
    assert all("un/observer" in (*each.senders, *each.recipients) for each in effects)


def test_rules_that_k_governors_loosen_are_told_in_words(
    governed: AuditWorld, tmp_path: Path
) -> None:
    """Which rules went and came, the lines of the text, and what desks may now send."""
    index = publish_rules(governed, LOOSE)
    report = audit(governed.served(), governed, tmp_path)
    assert found(report) == []
    change = report.changes.listed[-1]
    assert change.index == index
    told = [each.text for each in change.report.changes]
    assert any(text.startswith("new rule everything") for text in told)
    assert any(text.startswith("the rule no-function-no-bulletin is taken away") for text in told)
    assert [text.path for text in change.report.texts] == ["policy.cedar"]
    assert {effect.change for effect in change.report.effects} == {"opened"}


def test_a_swapped_root_that_is_served_to_the_auditor_alone(
    governed: AuditWorld, tmp_path: Path
) -> None:
    """A directory whose root has the right version and another hash is no directory."""
    other = FileVersion(version=1, sha256="0" * 64)
    index = published(governed, root=other)
    report = audit(governed.served(), governed, tmp_path)
    assert found(report) == [("directory", index, "directory")]


def test_an_expired_snapshot_binds_nobody(governed: AuditWorld, tmp_path: Path) -> None:
    """The hub's own dates are for its freshness; what the log fixed stays in force."""
    governed.later(days=200)
    governed.expires = governed.now - timedelta(days=1)
    published(governed)
    assert found(audit(governed.served(), governed, tmp_path)) == []
