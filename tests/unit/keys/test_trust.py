"""Reading directories out of TUF files: what is refused, what waits, what is read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, Key, SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
)

from keys.derivation import sha256_hex
from keys.directory import Directory
from keys.repository import TrustSigner, sign_member, tuf_key
from keys.trust import load_directory
from keys.tuf_files import TrustFileMissing
from schemas.entries import FileVersion
from schemas.errors import BaridError, VerificationError
from schemas.limits import ROOT_ROTATIONS_MAX, TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json
from tests.exchange.trust_world import TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose files are signed, and not yet published."""
    return TrustWorld()


def load(world: TrustWorld, known: Directory | None = None) -> Directory:
    """Read the newest files of a world."""
    return load_directory(world.initial_root, world.fetch, world.root(), world.snapshot(), known)


def targets_of(world: TrustWorld) -> Targets:
    """The newest targets payload, to be changed and signed again."""
    name = f"metadata/{world.versions.targets}.targets.json"
    payload = Metadata[Targets].from_bytes(world.files[name]).signed
    payload.version += 1
    world.versions.targets += 1
    return payload


def member_targets(world: TrustWorld, member: str) -> Targets:
    """The newest payload of a member, with the next version."""
    name = f"metadata/{world.versions.members[member]}.member-{member}.json"
    payload = Metadata[Targets].from_bytes(world.files[name]).signed
    payload.version += 1
    world.versions.members[member] += 1
    return payload


def publish_snapshot(world: TrustWorld, meta: dict[str, MetaFile]) -> FileVersion:
    """Sign a snapshot that lists exactly this."""
    world.versions.snapshot += 1
    payload = Snapshot(version=world.versions.snapshot, expires=world.expires, meta=meta)
    data = Metadata(payload)
    data.sign(world.online)
    name = f"metadata/{payload.version}.snapshot.json"
    world.files[name] = data.to_bytes()
    return FileVersion(version=payload.version, sha256=sha256_hex(world.files[name]))


def honest_meta(world: TrustWorld) -> dict[str, MetaFile]:
    """What an honest snapshot lists."""
    listed = world.snapshot()
    data = world.files[f"metadata/{listed.version}.snapshot.json"]
    return Metadata[Snapshot].from_bytes(data).signed.meta


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


# Signatures.


@pytest.mark.parametrize("role", ["root", "targets"])
def test_two_of_five_governors_are_too_few(world: TrustWorld, role: str) -> None:
    """The council's signature takes three governors, for the root and for the targets."""
    if role == "root":
        payload = Metadata[Root].from_bytes(world.initial_root).signed
        metadata = Metadata(payload)
        for governor in world.governors[:2]:
            metadata.sign(governor, append=True)
        world.initial_root = metadata.to_bytes()
        root = FileVersion(version=1, sha256=sha256_hex(world.initial_root))
        with pytest.raises(VerificationError, match="root is not signed"):
            load_directory(world.initial_root, world.fetch, root, world.snapshot())
    else:
        world.change_council(signing=2)
        with pytest.raises(VerificationError, match="targets is not signed"):
            load(world)


def test_two_governors_and_a_stranger_are_too_few(world: TrustWorld) -> None:
    """Only governors' keys count towards the threshold."""
    stranger = TrustSigner.generate()
    world.craft("targets", targets_of(world), *world.governors[:2], stranger)
    with pytest.raises(VerificationError, match="targets is not signed"):
        load(world)


def test_one_key_under_three_names_signs_once(world: TrustWorld) -> None:
    """A root that lists one governor's key under several names is refused, though TUF counts names."""
    payload = Metadata[Root].from_bytes(world.initial_root).signed
    signer = world.governors[0]
    names = ["a" * 64, "b" * 64, "c" * 64]
    aliases = [SSlibKey(name, "ed25519", "ed25519", signer.public_key.keyval) for name in names]
    online = world.online.public_key
    payload.keys = {key.keyid: key for key in (*aliases, online)}
    payload.roles["root"] = payload.roles["targets"] = Role(names, 3)
    metadata = Metadata(payload)
    private = signer._private_key
    for alias in aliases:
        metadata.sign(CryptoSigner(private, alias), append=True)
    data = metadata.to_bytes()
    root = FileVersion(version=1, sha256=sha256_hex(data))
    with pytest.raises(VerificationError, match="under two names"):
        load_directory(data, world.fetch, root, world.snapshot())


@pytest.mark.parametrize(
    "key",
    [
        CryptoSigner.generate_ecdsa().public_key,
        SSlibKey("x" * 64, "ed25519", "ed25519", {"public": "AB" * 32}),
        SSlibKey("x" * 64, "ml-dsa", "ml-dsa-65/1", {"public": "no PEM"}),
    ],
    ids=["ecdsa", "upper-case", "no-pem"],
)
def test_other_keys_are_refused(world: TrustWorld, key: Key) -> None:
    """A root takes Ed25519 keys in one spelling and ML-DSA keys that load, no others."""
    payload = Metadata[Root].from_bytes(world.initial_root).signed
    payload.add_key(key, "root")
    metadata = Metadata(payload)
    for governor in world.governors[:3]:
        metadata.sign(governor, append=True)
    data = metadata.to_bytes()
    root = FileVersion(version=1, sha256=sha256_hex(data))
    with pytest.raises(VerificationError, match="TUF key"):
        load_directory(data, world.fetch, root, world.snapshot())


def test_a_member_may_sign_with_ml_dsa(world: TrustWorld) -> None:
    """A member's ML-DSA key speaks for its file as an Ed25519 key does."""
    signer = CryptoSigner.generate_mldsa()
    targets = targets_of(world)
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    targets.delegations.keys[signer.public_key.keyid] = signer.public_key
    targets.delegations.roles["member-ly"].keyids = [signer.public_key.keyid]
    world.craft("targets", targets, *world.governors[:3])
    world.versions.members["ly"] = 2
    world.put(sign_member(2, world.member_files["ly"], [signer], world.expires))
    assert load(world).versions["member-ly"] == 2


def test_a_snapshot_by_another_key_is_refused(world: TrustWorld) -> None:
    """Only the hub's online key signs snapshots, not even a governor's."""
    snapshot = world.snapshot(signer=world.governors[0])
    with pytest.raises(VerificationError, match="snapshot is not signed"):
        load_directory(world.initial_root, world.fetch, world.root(), snapshot)


def test_a_file_signed_by_another_member_is_refused(world: TrustWorld) -> None:
    """Tunisia's key cannot speak for Libya."""
    world.change_member("ly", signer=world.member_keys["tn"])
    with pytest.raises(VerificationError, match="member-ly is not signed"):
        load(world)


# Root rotation: who signs the second root, and whether it is taken.

ROTATIONS: list[tuple[str, list[int], list[int], bool]] = [
    ("three old and three new sign", [0, 1, 2], [5, 6, 7], True),
    ("the new alone", [], [5, 6, 7], False),
    ("the old alone", [0, 1, 2], [], False),
    ("two old and three new", [0, 1], [5, 6, 7], False),
    ("three old and two new", [0, 1, 2], [5, 6], False),
    ("governors of both count for both", [0, 3, 4], [5], True),
    ("a governor who stays counts for both, not twice", [3, 4], [5], False),
]


@pytest.mark.parametrize(
    ("old", "new", "taken"), [row[1:] for row in ROTATIONS], ids=[row[0] for row in ROTATIONS]
)
def test_root_rotation(world: TrustWorld, old: list[int], new: list[int], taken: bool) -> None:
    """Three of five governors change: the next root needs three of the old and three of the new."""
    everybody = [*world.governors, *(TrustSigner.generate() for _ in range(3))]
    world.governors = everybody[3:]
    keyids = [governor.public_key.keyid for governor in world.governors]
    payload = Metadata[Root].from_bytes(world.initial_root).signed
    payload.version = 2
    payload.keys = {g.public_key.keyid: g.public_key for g in (*world.governors, world.online)}
    payload.roles["root"] = payload.roles["targets"] = Role(keyids, 3)
    world.versions.root = 2
    world.craft("root", payload, *(everybody[i] for i in (*old, *new)))
    world.change_council()
    if taken:
        assert load(world).versions["root"] == 2
    else:
        with pytest.raises(VerificationError, match="root is not signed"):
            load(world)


def test_a_chain_of_roots_is_walked(world: TrustWorld) -> None:
    """From the first root, each next one is verified up to the one that is named."""
    for _ in range(3):
        world.change_root([TrustSigner.generate() for _ in range(5)])
    world.change_council()
    world.fetched.clear()
    assert load(world).versions["root"] == 4
    assert world.fetched[:3] == [f"metadata/{n}.root.json" for n in (2, 3, 4)]


def test_a_root_cannot_be_skipped(world: TrustWorld) -> None:
    """Root 3 in the place of root 2 is refused: nobody vouches for it."""
    world.change_root([TrustSigner.generate() for _ in range(5)])
    world.change_root([TrustSigner.generate() for _ in range(5)])
    world.files["metadata/2.root.json"] = world.files["metadata/3.root.json"]
    with pytest.raises(VerificationError, match=r"2\.root\.json has the version 3"):
        load(world)


def test_a_root_older_than_the_trusted_one_is_refused(world: TrustWorld) -> None:
    """Whoever trusts root 2 cannot be led back to root 1."""
    old, snapshot = world.root(), world.snapshot()
    world.change_root()
    trusted = world.files["metadata/2.root.json"]
    with pytest.raises(VerificationError, match="cannot be reached"):
        load_directory(trusted, world.fetch, old, snapshot)


def test_another_root_of_the_trusted_version_is_refused(world: TrustWorld) -> None:
    """A root of the same version with other bytes is not the trusted one."""
    root = FileVersion(version=1, sha256="0" * 64)
    with pytest.raises(VerificationError, match="another one than the trusted root"):
        load_directory(world.initial_root, world.fetch, root, world.snapshot())


def test_the_walk_along_roots_has_an_end(world: TrustWorld) -> None:
    """A root number far away is refused before anything is fetched."""
    root = FileVersion(version=ROOT_ROTATIONS_MAX + 2, sha256="0" * 64)
    snapshot = world.snapshot()
    world.fetched.clear()
    with pytest.raises(VerificationError, match="cannot be reached"):
        load_directory(world.initial_root, world.fetch, root, snapshot)
    assert world.fetched == []


def test_a_root_without_consistent_snapshots_is_refused(world: TrustWorld) -> None:
    """File names must carry version or hash, else two files could share a name."""
    payload = Metadata[Root].from_bytes(world.initial_root).signed
    payload.version, payload.consistent_snapshot = 2, False
    world.versions.root = 2
    world.craft("root", payload, *world.governors[:3])
    with pytest.raises(VerificationError, match="consistent"):
        load(world)


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


# What the council and the members may say.


@pytest.mark.parametrize("path", ["policy.cedar", "council.json"])
def test_the_council_lists_its_three_files(world: TrustWorld, path: str) -> None:
    """A missing council file is refused."""
    targets = targets_of(world)
    del targets.targets[path]
    world.craft("targets", targets, *world.governors[:3])
    with pytest.raises(VerificationError, match="and nothing else"):
        load(world)


def test_the_council_lists_nothing_else(world: TrustWorld) -> None:
    """Governors cannot put a file in a member's place."""
    targets = targets_of(world)
    targets.targets["members/ly.json"] = targets.targets["council.json"]
    world.craft("targets", targets, *world.governors[:3])
    with pytest.raises(VerificationError, match="and nothing else"):
        load(world)


def _other_path(role: DelegatedRole) -> None:
    role.paths = ["members/tn.json"]


def _more_paths(role: DelegatedRole) -> None:
    role.paths = ["members/ly.json", "members/tn.json"]


def _pattern(role: DelegatedRole) -> None:
    role.paths = ["members/*.json"]


def _prefixes(role: DelegatedRole) -> None:
    role.paths, role.path_hash_prefixes = None, ["0"]


def _open_ended(role: DelegatedRole) -> None:
    role.terminating = False


@pytest.mark.parametrize(
    "change", [_other_path, _more_paths, _pattern, _prefixes, _open_ended], ids=lambda f: f.__name__
)
def test_a_delegation_is_for_one_path_and_ends_there(
    world: TrustWorld, change: Callable[[DelegatedRole], None]
) -> None:
    """A member's role reaches its own file alone."""
    targets = targets_of(world)
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    change(targets.delegations.roles["member-ly"])
    world.craft("targets", targets, *world.governors[:3])
    with pytest.raises(VerificationError, match=r"ends at members/ly\.json"):
        load(world)


@pytest.mark.parametrize("name", ["member-xx", "ly", "member-"])
def test_a_delegation_is_for_a_member(world: TrustWorld, name: str) -> None:
    """A role for somebody whom the council does not name is refused."""
    targets = targets_of(world)
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    keyid = world.member_keys["ly"].public_key.keyid
    path = f"members/{name.removeprefix('member-')}.json"
    targets.delegations.roles[name] = DelegatedRole(
        name, [keyid], 1, terminating=True, paths=[path]
    )
    world.craft("targets", targets, *world.governors[:3])
    with pytest.raises(VerificationError, match="is not a member's"):
        load(world)


def test_bins_are_no_delegations(world: TrustWorld) -> None:
    """TUF's hash bins name no member, and are refused."""
    targets = targets_of(world)
    key = world.member_keys["ly"].public_key
    targets.delegations = Delegations(
        {key.keyid: key}, succinct_roles=SuccinctRoles([key.keyid], 1, 1, "member")
    )
    world.craft("targets", targets, *world.governors[:3])
    with pytest.raises(VerificationError, match="each member's role"):
        load(world)


def test_a_delegation_whose_threshold_is_not_met_is_refused(world: TrustWorld) -> None:
    """A member with two keys signs with both."""
    second = TrustSigner.generate()
    targets = targets_of(world)
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    targets.delegations.keys[second.public_key.keyid] = second.public_key
    role = targets.delegations.roles["member-ly"]
    role.keyids, role.threshold = [*role.keyids, second.public_key.keyid], 2
    world.craft("targets", targets, *world.governors[:3])
    with pytest.raises(VerificationError, match="member-ly is not signed"):
        load(world)
    payload = member_targets(world, "ly")
    world.craft("member-ly", payload, world.member_keys["ly"], second)
    assert load(world).versions["member-ly"] == 2


def test_a_members_key_under_two_names_signs_once(world: TrustWorld) -> None:
    """Two names of one key do not make two of a member's keys."""
    key = world.member_keys["ly"].public_key
    alias = SSlibKey("a" * 64, "ed25519", "ed25519", key.keyval)
    targets = targets_of(world)
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    targets.delegations.keys[alias.keyid] = alias
    role = targets.delegations.roles["member-ly"]
    role.keyids, role.threshold = [key.keyid, alias.keyid], 2
    world.craft("targets", targets, *world.governors[:3])
    with pytest.raises(VerificationError, match="under two names"):
        load(world)


def test_a_member_lists_its_own_file_alone(world: TrustWorld) -> None:
    """A member's metadata that lists another member's file is refused."""
    payload = member_targets(world, "ly")
    payload.targets["members/tn.json"] = payload.targets["members/ly.json"]
    world.craft("member-ly", payload, world.member_keys["ly"])
    with pytest.raises(VerificationError, match="alone"):
        load(world)


def test_a_member_delegates_nothing(world: TrustWorld) -> None:
    """A member's metadata that delegates further is refused."""
    payload = member_targets(world, "ly")
    payload.delegations = Delegations({}, roles={})
    world.craft("member-ly", payload, world.member_keys["ly"])
    with pytest.raises(VerificationError, match="delegates nothing"):
        load(world)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"member": "tn"}, "is the file of tn"),
        ({"exchange": "another-exchange"}, "belongs to another-exchange"),
    ],
)
def test_a_file_is_of_its_member_and_exchange(
    world: TrustWorld, update: dict[str, str], message: str
) -> None:
    """Another member's file, or one of another exchange, is refused under this member's key."""
    data = dump_json(world.member_files["ly"].model_copy(update=update))
    payload = member_targets(world, "ly")
    payload.targets = {"members/ly.json": TargetFile.from_data("members/ly.json", data)}
    world.files[f"targets/members/{sha256_hex(data)}.ly.json"] = data
    world.craft("member-ly", payload, world.member_keys["ly"])
    with pytest.raises(VerificationError, match=message):
        load(world)


def test_a_member_cannot_list_anothers_key(world: TrustWorld) -> None:
    """A request key in two members' files would make its owner's requests ambiguous."""
    stolen = world.member_files["ly"].desks["main"].request
    desk = world.member_files["tn"].desks["main"].model_copy(update={"request": stolen})

    world.change_member("tn", lambda f: f.model_copy(update={"desks": {**f.desks, "main": desk}}))
    with pytest.raises(VerificationError, match="ly and tn have a key in common"):
        load(world)


@pytest.mark.parametrize("path", ["policy.cedar", "council.json", "members/ly.json"])
def test_target_files_are_well_formed(world: TrustWorld, path: str) -> None:
    """Signed nonsense is refused with the path of the file."""
    data = b"\xff{"
    sha256 = sha256_hex(data)
    if path == "members/ly.json":
        payload, role = member_targets(world, "ly"), "member-ly"
        world.files[f"targets/members/{sha256}.ly.json"] = data
        signers = [world.member_keys["ly"]]
    else:
        payload, role = targets_of(world), "targets"
        world.files[f"targets/{sha256}.{path}"] = data
        signers = world.governors[:3]
    payload.targets[path] = TargetFile.from_data(path, data)
    world.craft(role, payload, *signers)
    with pytest.raises(VerificationError, match=path):
        load(world)


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


# Strange bytes.


def test_a_double_name_is_refused(world: TrustWorld) -> None:
    """JSON with two equal names is refused, though tuf would keep the last of them."""
    name = "metadata/1.member-ly.json"
    doubled = world.files[name].replace(b"{", b'{"x":1,"x":1,', 1)
    assert Metadata[Targets].from_bytes(doubled).signed.version == 1
    world.put({name: doubled})
    with pytest.raises(VerificationError, match="not TUF metadata"):
        load(world)


def test_metadata_of_another_type_is_refused(world: TrustWorld) -> None:
    """A snapshot, rightly signed, is not targets metadata."""
    payload = Snapshot(version=2, expires=world.expires)
    world.craft("member-ly", payload, world.member_keys["ly"])
    with pytest.raises(VerificationError, match="is not targets metadata"):
        load(world)


def test_a_version_is_a_number(world: TrustWorld) -> None:
    """`true` is no version, though Python takes it for 1."""
    name = "metadata/1.member-ly.json"
    signed = json.loads(world.files[name])["signed"] | {"version": True}
    world.put({name: resign(signed, [world.member_keys["ly"]])})
    with pytest.raises(VerificationError, match="is not targets metadata"):
        load(world)


def resign(signed: Any, signers: list[TrustSigner]) -> bytes:
    """Sign any JSON value, as python-tuf itself never would."""
    message = str(encode_canonical(signed)).encode()
    signatures = [signer.sign(message).to_dict() for signer in signers]
    return json.dumps({"signatures": signatures, "signed": signed}).encode()


JSON_VALUES = st.recursive(
    st.booleans() | st.integers(-2, 3) | st.text(max_size=3) | st.just("0" * 64),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)

FUZZED = ["root", "snapshot", "targets", "member-ly"]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(found for name, item in inner for found in _paths(item, (*path, name)))]


def _load_replaced(world: TrustWorld, role: str, data: bytes) -> Directory:
    """Read a world in which one file has these bytes, and every file above commits to them."""
    if role == "root":
        root = FileVersion(version=1, sha256=sha256_hex(data))
        return load_directory(data, world.fetch, root, world.snapshot())
    if role == "snapshot":
        number = world.snapshot().version
        world.files[f"metadata/{number}.snapshot.json"] = data
        named = FileVersion(version=number, sha256=sha256_hex(data))
        return load_directory(world.initial_root, world.fetch, world.root(), named)
    world.put({f"metadata/1.{role}.json": data})
    return load(world)


@pytest.mark.parametrize("role", FUZZED)
@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_as_any_file_raise_our_errors_only(role: str, data: bytes) -> None:
    """Random bytes in the place of any metadata end in a BaridError."""
    with pytest.raises(BaridError):
        _load_replaced(WORLD.fresh(), role, data)


@pytest.mark.parametrize("path", ["council.json", "policy.cedar", "members/ly.json"])
@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_as_any_target_raise_our_errors_only(path: str, data: bytes) -> None:
    """Random bytes in the place of any signed target are read as text, or end in a BaridError."""
    world = WORLD.fresh()
    sha256 = sha256_hex(data)
    parent, _, name = path.rpartition("/")
    world.files[f"targets/{parent + '/' if parent else ''}{sha256}.{name}"] = data
    member = path.startswith("members/")
    payload = member_targets(world, "ly") if member else targets_of(world)
    payload.targets[path] = TargetFile.from_data(path, data)
    signers = [world.member_keys["ly"]] if member else world.governors[:3]
    world.craft("member-ly" if member else "targets", payload, *signers)
    try:
        directory = load(world)
    except BaridError:
        return
    assert directory.policy_text.encode() == data


@pytest.mark.parametrize("role", FUZZED)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_signed_nonsense_raises_our_errors_only(role: str, data: st.DataObject) -> None:
    """Any value in any place of rightly signed metadata is read, or ends in a BaridError."""
    world = WORLD.fresh()
    number = world.snapshot().version if role == "snapshot" else 1
    signed = json.loads(world.files[f"metadata/{number}.{role}.json"])["signed"]
    path = data.draw(st.sampled_from([p for p in _paths(signed) if p]))
    target = signed
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = data.draw(JSON_VALUES)
    signers = {
        "root": world.governors[:3],
        "targets": world.governors[:3],
        "snapshot": [world.online],
        "member-ly": [world.member_keys["ly"]],
    }
    try:
        _load_replaced(world, role, resign(signed, signers[role]))
    except BaridError:
        return


class _Template:
    """One world's keys and files, copied for each example: drawing keys anew would take longer."""

    def __init__(self) -> None:
        self._world: TrustWorld | None = None

    def fresh(self) -> TrustWorld:
        """Give a world that may be changed."""
        self._world = self._world or TrustWorld()
        copy = TrustWorld.__new__(TrustWorld)
        copy.__dict__ |= self._world.__dict__
        copy.files, copy.current = dict(self._world.files), dict(self._world.current)
        copy.versions = type(self._world.versions)(members=dict(self._world.versions.members))
        copy.fetched = []
        return copy


WORLD = _Template()


def test_keys_load_from_their_raw_form() -> None:
    """The TUF form of a raw key is that of its signer."""
    signer = TrustSigner.generate()
    assert tuf_key(signer.public) == signer.public_key
