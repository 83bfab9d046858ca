"""Every change of the directory is reported: who signed it, and what it opened or closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.audit import changes as changes_module
from broker.audit.changes import DirectoryChange
from broker.audit.report import AuditReport
from keys.signers import SignedFile
from schemas.entries import FileVersion
from schemas.loader import load_json
from tests.unit.audit.governing import (
    HOLDERS,
    LOOSE,
    govern,
    publish_council,
    publish_member,
    publish_rules,
    published,
    revoke,
    rotate,
    with_seat,
)
from tests.unit.audit.world import AuditWorld, audit, found


@pytest.fixture
def governed(story: AuditWorld) -> AuditWorld:
    """An honest exchange whose council says whose the governors' keys are."""
    govern(story)
    return story


def _sound(world: AuditWorld, data: Path) -> AuditReport:
    report = audit(world.served(), world, data)
    assert found(report) == []
    return report


def _last(world: AuditWorld, data: Path) -> DirectoryChange:
    return _sound(world, data).changes.listed[-1]


def _signed(change: DirectoryChange) -> list[tuple[str, str, tuple[str, ...], int, int]]:
    return [(f.role, f.under, f.names, f.threshold, f.key_count) for f in change.signed]


def test_a_council_names_the_members_whose_governors_signed(
    governed: AuditWorld, tmp_path: Path
) -> None:
    """Entry, time, versions, who signed, what changed, and what desks can exchange no more."""
    governed.later(minutes=7)
    index = publish_council(governed, with_seat("td", suspended=True))
    change = _last(governed, tmp_path)
    assert (change.index, change.at) == (index, governed.now)
    assert change.report.versions == {"targets": (2, 3)}
    assert _signed(change) == [("targets", "after", ("dz", "ly", "ml"), 3, 5)]
    assert [each.text for each in change.report.changes] == [
        "Chad (td) is suspended: none of its keys counts, it neither sends nor receives"
    ]
    assert {effect.change for effect in change.report.effects} == {"closed"}


def test_a_members_file_names_the_members_own_key(governed: AuditWorld, tmp_path: Path) -> None:
    """A member signs alone; nothing that the council decides changes."""
    publish_member(governed, "ly", revoke("ab" * 32))
    change = _last(governed, tmp_path)
    assert change.report.versions == {"member-ly": (2, 3)}
    assert _signed(change) == [("member-ly", "after", ("ly",), 1, 1)]
    assert [s.keyid for s in change.signed[0].signers] == [
        governed.member_keys["ly"].public_key.keyid
    ]
    assert [each.text for each in change.report.changes] == [f"ly revokes its key {'ab' * 32}"]
    assert change.report.effects == ()


def test_a_new_root_names_its_signers_under_the_old_and_under_its_own(
    governed: AuditWorld, tmp_path: Path
) -> None:
    """Governors are replaced by those who were and those who will be: each list is counted apart."""
    former = rotate(governed)
    change = _last(governed, tmp_path)
    assert change.report.versions == {"root": (1, 2), "targets": (2, 3)}
    # Of the old root dz, ly and ml signed; of the new one its first three, two of whom are new.
    assert _signed(change) == [
        ("root", "before", ("dz", "ly", "ml"), 3, 5),
        ("root", "after", ("dz", "ly", "ml"), 3, 5),
        ("targets", "after", ("dz", "ly", "ml"), 3, 5),
    ]
    old, new = change.signed[:2]
    gone = {signer.public_key.keyid for signer in former}
    assert gone <= {signer.keyid for signer in old.signers}
    assert gone.isdisjoint(signer.keyid for signer in new.signers)


def test_a_council_cannot_say_anew_who_signed_the_one_before(
    governed: AuditWorld, tmp_path: Path
) -> None:
    """Under the old root a key is whose the old council said that it is."""
    governed.change_root()
    held = dict.fromkeys((g.public_key.keyid for g in governed.governors), "eg")
    publish_council(governed, lambda council: council.model_copy(update={"governors": held}))
    old, new, council = _last(governed, tmp_path).signed
    assert old.names == ("dz", "ly", "ml")
    assert new.names == council.names == ("eg", "eg", "eg")


def test_a_governor_of_nobody_is_named_by_its_key(story: AuditWorld, tmp_path: Path) -> None:
    """Where the council does not say whose a key is, its keyid stands in the report."""
    first = _sound(story, tmp_path).changes.listed[0]
    by_role = {file.role: file for file in first.signed}
    keyids = sorted(governor.public_key.keyid for governor in story.governors[:3])
    assert by_role["targets"].names == tuple(keyids)
    assert set(by_role) == {"root", "targets", *(f"member-{m}" for m in story.member_keys)}


def test_renewals_by_the_hub_are_counted(governed: AuditWorld, tmp_path: Path) -> None:
    """A new snapshot alone changes nothing that anybody signed."""
    before = _sound(governed, tmp_path).changes
    for _ in range(3):
        published(governed)
    after = _sound(governed, tmp_path).changes
    assert len(after.listed) == len(before.listed)
    assert (before.renewals, after.renewals) == (0, 3)


def test_the_json_form_has_everything(governed: AuditWorld, tmp_path: Path) -> None:
    """Programs read versions, signers with keys, sentences, lines of the rules, and whole effects."""
    index = publish_rules(governed, LOOSE)
    bad = published(governed, root=FileVersion(version=7, sha256="0" * 64))
    report = audit(governed.served(), governed, tmp_path)
    plain = load_json(report.to_json(), 10**7)["directory_changes"]
    change = plain["listed"][-1]
    keys = sorted(zip((g.public_key.keyid for g in governed.governors[:3]), HOLDERS, strict=False))
    assert (change["index"], change["versions"]) == (index, {"targets": [2, 3]})
    assert change["signed"] == [
        {
            "role": "targets",
            "under": "after",
            "by": [{"key": keyid, "member": member} for keyid, member in keys],
            "needed": 3,
            "of": 5,
        }
    ]
    assert {"area", "subject", "text"} == set(change["changes"][0])
    assert "+" + LOOSE.splitlines()[1] in change["texts"][0]["lines"]
    effect = change["effects"][0]
    assert effect["sentence"].startswith("opened: ")
    assert effect["senders"]
    assert effect["whats"]
    (void,) = plain["void"]
    assert (void["index"], void["rule"], void["signed"]) == (bad, "directory", [])
    assert (plain["void_count"], plain["renewals"], plain["unlisted"]) == (1, 0, {})


def test_a_member_that_publishes_without_end_hides_nothing(
    governed: AuditWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its further changes are counted; those of the council and of other members are listed as ever."""
    monkeypatch.setattr(changes_module, "CHANGES_OF_A_MEMBER_MAX", 3)
    # Of its file's changes the first directory, which is the council's too, does not count.
    for _ in range(5):
        publish_member(governed, "ly")
    council = publish_council(governed)
    other = publish_member(governed, "tn")
    governed.change_member("ly")
    both = publish_member(governed, "ma")
    told = _sound(governed, tmp_path).changes
    assert [change.index for change in told.listed][-3:] == [council, other, both]
    assert told.unlisted == {"ly": 3}


def test_void_directories_without_end_are_counted(
    governed: AuditWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that logs nonsense for ever fills no report."""
    monkeypatch.setattr(changes_module, "FINDINGS_OF_A_RULE_MAX", 2)
    for _ in range(4):
        published(governed, root=FileVersion(version=7, sha256="0" * 64))
    told = audit(governed.served(), governed, tmp_path).changes
    assert (len(told.void), told.void_count) == (2, 4)


def test_rules_that_do_not_load_are_told(governed: AuditWorld, tmp_path: Path) -> None:
    """k governors signed rules that nobody can read: a finding, and what that closes is told all the same."""
    index = publish_rules(governed, "permit everything to everybody")
    report = audit(governed.served(), governed, tmp_path)
    assert found(report) == [("directory", index, "access-rules")]
    change = report.changes.listed[-1]
    assert change.index == index
    assert {effect.change for effect in change.report.effects} == {"closed"}


def test_names_fall_back_to_keys() -> None:
    """A file that nobody signed has no names."""
    assert SignedFile("root", "after", (), 3, 5).names == ()


def test_the_first_directory_is_told_whole(story: AuditWorld, tmp_path: Path) -> None:
    """All that is allowed in it is opened by it."""
    first = _sound(story, tmp_path).changes.listed[0]
    assert first.index == 0
    assert first.report.versions["root"] == (0, 1)
    assert {effect.change for effect in first.report.effects} == {"opened"}
