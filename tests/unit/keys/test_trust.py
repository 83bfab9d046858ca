"""Reading directories out of TUF files: what is read again, what the snapshot must say, what waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tuf.api.metadata import (
    MetaFile,
)

from keys.derivation import sha256_hex
from keys.repository import TrustSigner
from keys.trust import load_directory
from keys.tuf_files import TrustFileMissing
from schemas.entries import FileVersion
from schemas.errors import VerificationError
from schemas.limits import TRUST_FILE_BYTES_MAX
from tests.exchange.trust_crafting import (
    honest_meta,
    load,
    publish_snapshot,
)
from tests.exchange.trust_world import TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose files are signed, and not yet published."""
    return TrustWorld.fresh()


# The whole.


def test_a_directory_is_read_whole(world: TrustWorld) -> None:
    """Council, rules, schema and all ten members' files are those that were signed."""
    directory = load(world)
    assert directory.council == world.council
    assert directory.policy_text == world.policy_text
    assert directory.schema_text == world.schema_text
    assert directory.members == world.member_files
    assert directory.versions["targets"] == 1
    assert directory.versions["member-ly"] == 1
    assert len(directory.members) == 10


def test_the_same_directory_is_not_read_again(world: TrustWorld) -> None:
    """Where root and snapshot are those known, nothing is fetched."""
    snapshot = world.snapshot()
    known = load_directory(world.initial_root, world.fetch, world.root(), snapshot)
    world.fetched.clear()
    again = load_directory(world.initial_root, world.fetch, world.root(), snapshot, known)
    assert again is known
    assert world.fetched == []


def test_only_what_changed_is_fetched_again(world: TrustWorld) -> None:
    """One member's new file costs a snapshot and that member's two files."""
    known = load(world)
    world.change_member("ly")
    world.fetched.clear()
    directory = load(world, known)
    file = directory.member_parts["ly"].file_sha256
    expected = [
        "metadata/2.snapshot.json",
        "metadata/2.member-ly.json",
        f"targets/members/{file}.ly.json",
    ]
    assert world.fetched == expected
    assert directory.member_parts["tn"] is known.member_parts["tn"]
    assert directory.council_part is known.council_part


def test_unchanged_files_are_verified_anew_under_new_keys(world: TrustWorld) -> None:
    """A member's old file is void once the council delegates to another key of that member."""
    known = load(world)
    world.member_keys["ly"] = TrustSigner.generate()
    world.change_council()
    with pytest.raises(VerificationError, match="member-ly is not signed"):
        load(world, known)


def test_the_council_is_verified_anew_under_a_new_root(world: TrustWorld) -> None:
    """What the former governors signed is void once others are in their place."""
    known = load(world)
    world.change_root([TrustSigner.generate() for _ in range(5)])
    with pytest.raises(VerificationError, match="targets is not signed"):
        load(world, known)


def test_a_member_may_join_later(world: TrustWorld) -> None:
    """A council member without a file is allowed, and has no desks."""
    for name in [name for name in world.current if "member-td" in name]:
        del world.current[name]
    directory = load(world)
    assert "td" not in directory.members
    assert "td" in directory.council.members


# The snapshot.


@pytest.mark.parametrize("name", ["targets.json", "member-ly.json"])
@pytest.mark.parametrize(
    "strip",
    [
        lambda file: MetaFile(file.version),
        lambda file: MetaFile(file.version, file.length),
        lambda file: MetaFile(file.version, None, file.hashes),
        lambda file: MetaFile(file.version, file.length, {**file.hashes, "sha512": "0" * 128}),
        lambda file: MetaFile(file.version, file.length, {"md5": "0" * 32}),
        lambda file: MetaFile(file.version, file.length, {"sha256": file.hashes["sha256"].upper()}),
    ],
    ids=["version-only", "no-hashes", "no-length", "another-hash-too", "md5", "upper-case"],
)
def test_a_snapshot_commits_to_every_file(
    world: TrustWorld, name: str, strip: Callable[[MetaFile], MetaFile]
) -> None:
    """Version alone would let two member files of one version both pass."""
    meta = honest_meta(world)
    meta[name] = strip(meta[name])
    snapshot = publish_snapshot(world, meta)
    with pytest.raises(VerificationError) as caught:
        load_directory(world.initial_root, world.fetch, world.root(), snapshot)
    assert not isinstance(caught.value, TrustFileMissing)


def test_two_member_files_of_one_version_are_told_apart(world: TrustWorld) -> None:
    """The file that the snapshot does not commit to is not taken, though the member signed both."""
    snapshot = world.snapshot()
    world.change_member("ly", lambda f: f.model_copy(update={"revoked": ("0" * 64,)}), version=1)
    with pytest.raises(TrustFileMissing, match="not the file that is committed to"):
        load_directory(world.initial_root, world.fetch, world.root(), snapshot)


@pytest.mark.parametrize("role", ["member-ly", "targets"])
def test_a_snapshot_lists_the_version_that_the_file_has(world: TrustWorld, role: str) -> None:
    """A snapshot that calls version 1 version 2 is refused: versions decide what is newer."""
    meta = honest_meta(world)
    listed = meta[f"{role}.json"]
    meta[f"{role}.json"] = MetaFile(2, listed.length, listed.hashes)
    world.files[f"metadata/2.{role}.json"] = world.files[f"metadata/1.{role}.json"]
    snapshot = publish_snapshot(world, meta)
    with pytest.raises(VerificationError, match="has the version 1"):
        load_directory(world.initial_root, world.fetch, world.root(), snapshot)


def test_a_snapshot_has_the_version_that_is_named(world: TrustWorld) -> None:
    """Snapshot 1 under the name of snapshot 2 is refused."""
    data = world.files[f"metadata/{world.snapshot().version}.snapshot.json"]
    world.files["metadata/2.snapshot.json"] = data
    named = FileVersion(version=2, sha256=sha256_hex(data))
    with pytest.raises(VerificationError, match="has the version 1"):
        load_directory(world.initial_root, world.fetch, world.root(), named)


@pytest.mark.parametrize("name", ["root.json", "member-xx.json", "ly.json", "other.json"])
def test_a_snapshot_lists_nothing_else(world: TrustWorld, name: str) -> None:
    """Metadata to which nothing is delegated is refused, whoever it speaks for."""
    meta = honest_meta(world)
    meta[name] = meta["member-ly.json"]
    snapshot = publish_snapshot(world, meta)
    with pytest.raises(VerificationError, match="nothing is delegated"):
        load_directory(world.initial_root, world.fetch, world.root(), snapshot)


def test_a_snapshot_without_targets_is_refused(world: TrustWorld) -> None:
    """A directory has a council."""
    meta = honest_meta(world)
    del meta["targets.json"]
    snapshot = publish_snapshot(world, meta)
    with pytest.raises(VerificationError, match="does not list targets"):
        load_directory(world.initial_root, world.fetch, world.root(), snapshot)


def test_a_file_listed_over_the_limit_is_not_fetched(world: TrustWorld) -> None:
    """A size above the limit is refused before a byte of it is asked for."""
    meta = honest_meta(world)
    listed = meta["member-ly.json"]
    meta["member-ly.json"] = MetaFile(1, TRUST_FILE_BYTES_MAX + 1, listed.hashes)
    snapshot = publish_snapshot(world, meta)
    world.fetched.clear()
    with pytest.raises(VerificationError, match="the limit is"):
        load_directory(world.initial_root, world.fetch, world.root(), snapshot)
    assert "metadata/1.member-ly.json" not in world.fetched


def test_a_file_of_another_length_is_refused(world: TrustWorld) -> None:
    """Length and hash must both be right."""
    meta = honest_meta(world)
    listed = meta["member-ly.json"]
    assert listed.length is not None
    meta["member-ly.json"] = MetaFile(1, listed.length + 1, listed.hashes)
    snapshot = publish_snapshot(world, meta)
    with pytest.raises(VerificationError, match="is listed with") as caught:
        load_directory(world.initial_root, world.fetch, world.root(), snapshot)
    assert not isinstance(caught.value, TrustFileMissing)


# Missing and altered files: neither void nor valid.


def _names(world: TrustWorld) -> list[str]:
    load(world)
    return sorted(set(world.fetched))


def test_a_missing_file_is_waited_for(world: TrustWorld) -> None:
    """Whichever file is not there, the directory is neither void nor valid."""
    snapshot = world.snapshot()
    names = _names(world)
    assert len(names) == 1 + 1 + 3 + 2 * 10
    for name in [name for name in names if "snapshot" not in name] + ["metadata/1.snapshot.json"]:
        held = world.files.pop(name)
        with pytest.raises(TrustFileMissing):
            load_directory(world.initial_root, world.fetch, world.root(), snapshot)
        world.files[name] = held


def test_an_altered_file_counts_as_missing(world: TrustWorld) -> None:
    """Garbage in a file's place makes nothing void: else a hub could hold one node back with it."""
    snapshot = world.snapshot()
    _names(world)
    for name in sorted({*world.fetched} - {"metadata/2.snapshot.json"}):
        held = world.files[name]
        world.files[name] = held[:-1] + bytes([held[-1] ^ 1])
        with pytest.raises(TrustFileMissing, match="committed to"):
            load_directory(world.initial_root, world.fetch, world.root(), snapshot)
        world.files[name] = held[:-1]
        with pytest.raises(TrustFileMissing, match="committed to"):
            load_directory(world.initial_root, world.fetch, world.root(), snapshot)
        world.files[name] = held


def test_whatever_fails_on_the_way_counts_as_missing(world: TrustWorld) -> None:
    """A fetch that fails to verify something of its own says nothing about the directory."""

    def fetch(name: str, size_bytes_max: int) -> bytes:
        raise VerificationError(f"{name}: the line is cut at {size_bytes_max}")

    with pytest.raises(TrustFileMissing, match="could not be fetched"):
        load_directory(world.initial_root, fetch, world.root(), world.snapshot())
