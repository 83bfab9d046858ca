"""Directories that are void: each leaves the one before in force."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tuf.api.metadata import Metadata, MetaFile, Snapshot

from keys.derivation import sha256_hex
from keys.history import DirectoryHistory, Finding
from keys.repository import TrustSigner
from schemas.directory import Council, MemberFile
from schemas.entries import FileVersion
from schemas.errors import VerificationError
from schemas.limits import INTEGER_MAX
from tests.exchange.trust_world import START, TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose first directory is in force."""
    world = TrustWorld.fresh()
    world.publish()
    return world


def revoke(keyid: str) -> Callable[[MemberFile], MemberFile]:
    """A change of a member's file that others can see."""
    return lambda file: file.model_copy(update={"revoked": (keyid,)})


def _void(world: TrustWorld, history: DirectoryHistory) -> Finding:
    """Read on to one void directory."""
    before = history.newest
    (finding,) = world.feed(history)
    assert finding.rule == "directory-invalid"
    assert finding.index == history.size - 1
    assert history.newest.publication == before.publication
    assert history.newest.highest == before.highest
    return finding


@pytest.mark.parametrize("jump", [2, 3, INTEGER_MAX - 1])
def test_a_snapshot_version_is_not_skipped(world: TrustWorld, jump: int) -> None:
    """The online key alone cannot jump to a version after which nothing fits any more."""
    history = world.history()
    world.publish(snapshot=world.snapshot(version=1 + jump))
    assert "snapshot" in _void(world, history).detail
    world.publish(snapshot=world.snapshot(version=2))
    assert world.rules(history) == []


def test_a_snapshot_is_not_rolled_back(world: TrustWorld) -> None:
    """An older snapshot, though rightly signed, does not bring back what was revoked."""
    old = (
        world.root(),
        FileVersion(version=1, sha256=sha256_hex(world.files["metadata/1.snapshot.json"])),
    )
    world.change_member("ly", revoke("0" * 64))
    world.publish()
    history = world.history()
    world.publish(*old)
    assert "snapshot version 1 does not follow version 2" in _void(world, history).detail


@pytest.mark.parametrize("version", [1, 3, INTEGER_MAX])
def test_a_member_file_is_the_same_or_the_next(world: TrustWorld, version: int) -> None:
    """A member's file of the same version with other bytes, or of a later one, is void."""
    history = world.history()
    world.change_member("ly", revoke("0" * 64), version=version)
    world.publish()
    assert "member-ly" in _void(world, history).detail


def test_a_stolen_member_file_is_not_rolled_back(world: TrustWorld) -> None:
    """The online key alone cannot bring back the member file before a revocation."""
    stolen = dict(world.current)
    world.change_member("ly", revoke("0" * 64))
    world.publish()
    history = world.history()
    world.current = stolen
    world.publish()
    assert "member-ly version 1 does not follow version 2" in _void(world, history).detail


@pytest.mark.parametrize("version", [1, 3])
def test_targets_are_the_same_or_the_next(world: TrustWorld, version: int) -> None:
    """The council's files neither change under one version nor skip one."""
    history = world.history()
    world.change_council(lambda c: c.model_copy(update={"grace_seconds": 1}), version=version)
    world.publish()
    assert "targets" in _void(world, history).detail


def test_each_root_is_an_entry_of_its_own(world: TrustWorld) -> None:
    """Root 3 does not follow root 1, though the chain of signatures is whole."""
    history = world.history()
    world.change_root()
    world.change_root()
    world.publish()
    assert "root version 3 does not follow version 1" in _void(world, history).detail


def test_a_new_root_comes_into_force(world: TrustWorld) -> None:
    """Governors change by a root that old and new have signed."""
    world.change_root([TrustSigner.generate() for _ in range(5)])
    world.change_council()
    world.publish()
    assert world.state().highest["root"].version == 2


def test_a_root_by_the_new_governors_alone_is_void(world: TrustWorld) -> None:
    """A root that the old governors did not sign changes nothing."""
    history = world.history()
    world.change_root([TrustSigner.generate() for _ in range(5)], predecessors=0)
    world.change_council()
    world.publish()
    assert "root is not signed" in _void(world, history).detail


def test_a_root_is_not_replaced_under_its_version(world: TrustWorld) -> None:
    """Another root of a version that was in force is void, whoever signed it."""
    world.change_root()
    world.publish()
    history = world.history()
    world.versions.root = 1
    world.change_root(expires=START + timedelta(days=1))
    world.publish()
    assert "root version 2 does not follow version 2" in _void(world, history).detail


def test_parts_of_two_directories_are_not_mixed(world: TrustWorld) -> None:
    """A new snapshot that lists one member's old file beside the other's new one is void."""
    old = world.current["metadata/1.member-ly.json"]
    world.change_member("ly", revoke("0" * 64))
    world.change_member("tn", revoke("1" * 64))
    world.publish()
    history = world.history()
    del world.current["metadata/2.member-ly.json"]
    world.current["metadata/1.member-ly.json"] = old
    world.publish()
    assert "member-ly version 1" in _void(world, history).detail


def test_a_member_file_is_not_left_out(world: TrustWorld) -> None:
    """A hub cannot make a member disappear by not listing its file."""
    history = world.history()
    del world.current["metadata/1.member-ly.json"]
    world.publish()
    assert _void(world, history).detail == "the files of ly are omitted"


def test_a_member_leaves_with_the_council_only(world: TrustWorld) -> None:
    """Once the council has removed a member, its file must go, and its version stays known."""

    def without(council: Council) -> Council:
        members = {m: seat for m, seat in council.members.items() if m != "auc"}
        return council.model_copy(update={"members": members})

    history = world.history()
    before = world.council
    key = world.member_keys.pop("auc")
    world.change_council(without)
    world.publish()
    assert "nothing is delegated" in _void(world, history).detail
    del world.current["metadata/1.member-auc.json"]
    world.versions.snapshot = 1
    world.publish()
    assert world.rules(history) == []
    assert history.newest.highest["member-auc"].version == 1
    world.member_keys["auc"] = key
    world.change_council(lambda _: before)
    world.change_member("auc", version=3)
    world.publish()
    assert "member-auc version 3 does not follow version 1" in _void(world, history).detail


def test_a_snapshot_without_hashes_is_void(world: TrustWorld) -> None:
    """Two member files of one version both passed a snapshot that lists versions alone."""
    history = world.history()
    name = "metadata/1.snapshot.json"
    payload = Metadata[Snapshot].from_bytes(world.files[name]).signed
    payload.version = 2
    payload.meta["member-ly.json"] = MetaFile(1)
    metadata = Metadata(payload)
    metadata.sign(world.online)
    data = world.files["metadata/2.snapshot.json"] = metadata.to_bytes()
    world.publish(snapshot=FileVersion(version=2, sha256=sha256_hex(data)))
    assert "member-ly is not listed with its length and its SHA-256" in _void(world, history).detail


def test_two_of_five_governors_change_nothing(world: TrustWorld) -> None:
    """New rules that two governors signed are void; with the third they are in force."""
    history = world.history()
    world.policy_text = "// anything goes\n"
    world.change_council(signing=2)
    world.publish()
    assert "targets is not signed" in _void(world, history).detail
    world.versions.targets, world.versions.snapshot = 1, 1
    world.change_council(signing=3)
    world.publish()
    assert world.rules(history) == []


def test_another_exchanges_directory_is_void(world: TrustWorld) -> None:
    """The directory of an exercise cannot come into force here."""
    history = DirectoryHistory("another-exchange", world.initial_root, world.directory_log.origin)
    assert [finding.rule for finding in world.feed(history)] == ["directory-invalid"]
    assert history.newest.directory is None


def test_a_trust_root_must_be_signed(world: TrustWorld) -> None:
    """A history does not begin with a root that nobody signed."""
    with pytest.raises(VerificationError, match="TUF metadata"):
        DirectoryHistory(world.exchange, b"{}", world.directory_log.origin)


def test_a_first_directory_starts_at_version_one() -> None:
    """The first snapshot ever is number 1: a hub cannot begin at the last number there is."""
    world = TrustWorld.fresh()
    world.publish(snapshot=world.snapshot(version=INTEGER_MAX))
    history = world.empty_history()
    assert world.rules(history) == ["directory-invalid"]


def test_an_expired_directory_comes_into_force_and_counts_as_expired(world: TrustWorld) -> None:
    """Expiry is judged at the entry's `at`, not by the wall clock, and does not void the entry."""
    lapsed = START + timedelta(days=1)
    world.change_council(expires=lapsed)
    world.later(days=1)
    world.publish()
    directory = world.directory()
    assert directory.council_expired(world.now)
    assert not directory.council_expired(START)


def test_a_void_directory_is_never_taken(world: TrustWorld) -> None:
    """A header cannot name an entry that never was in force."""
    history = world.history()
    world.publish(snapshot=world.snapshot(version=7))
    _void(world, history)
    assert not history.newest.acceptable(world.ref(1), world.now, {"ly"})
