"""Every change of the directory is reported: who signed it, and what it opened or closed."""

from __future__ import annotations

from pathlib import Path

from broker.policy.rules import default_texts
from schemas.directory import Council
from tests.unit.audit.world import AuditWorld, audit


def _governed(world: AuditWorld) -> None:
    """The council says whose the governors' keys are, with the rules that are shipped."""
    members = ("dz", "ly", "ml", "ne", "tn")
    held = dict(zip((g.public_key.keyid for g in world.governors), members, strict=True))
    world.policy_text, world.schema_text = default_texts()
    world.change_council(lambda council: council.model_copy(update={"governors": held}))
    world.publish()


def _suspended(council: Council) -> Council:
    """A state of the standing mechanism is suspended."""
    seat = council.members["td"].model_copy(update={"suspended": True})
    return council.model_copy(update={"members": {**council.members, "td": seat}})


def test_changes_are_told_with_their_signers(story: AuditWorld, tmp_path: Path) -> None:
    """A council's change names the members whose governors signed; a member's file its own key."""
    _governed(story)
    story.change_council(_suspended)
    council_entry = len(story.entries)
    story.publish()
    story.change_member("ly", lambda file: file.model_copy(update={"revoked": ("ab" * 32,)}))
    story.publish()
    story.publish()
    report = audit(story.served(), story, tmp_path)
    council, member, renewal = report.changes[-3:]
    assert council.index == council_entry
    assert council.signers == {"targets": ("dz", "ly", "ml")}
    assert any("Chad" in change.text for change in council.report.changes)
    closed = [effect for effect in council.report.effects if effect.change == "closed"]
    assert closed
    assert member.signers == {"member-ly": (story.member_keys["ly"].public_key.keyid,)}
    assert [change.text for change in member.report.changes] == [f"ly revokes its key {'ab' * 32}"]
    assert renewal.is_renewal
    plain = report.to_plain()
    assert [each["index"] for each in plain["directory_changes"]][-2:] == [
        council.index,
        member.index,
    ]
    assert plain["directory_renewals"] >= 1


def test_a_root_names_those_before_and_after(story: AuditWorld, tmp_path: Path) -> None:
    """New governors are signed in by the old ones: both stand in the report."""
    _governed(story)
    story.change_root()
    story.publish()
    changes = audit(story.served(), story, tmp_path).changes
    change = [each for each in changes if "root" in each.signers][-1]
    assert set(change.signers["root"]) >= {"dz", "ly", "ml"}


def test_what_people_should_look_at(story: AuditWorld, tmp_path: Path) -> None:
    """Governors of nobody, one state with two keys, and a council that lapsed are remarked, not found."""
    before = audit(story.served(), story, tmp_path)
    assert any("does not say whose 5" in remark for remark in before.remarks)
    held = dict.fromkeys((g.public_key.keyid for g in story.governors), "tn")
    story.change_council(lambda council: council.model_copy(update={"governors": held}))
    story.publish()
    after = audit(story.served(), story, tmp_path)
    assert "tn holds 5 governors' keys" in after.remarks
    assert after.is_sound
