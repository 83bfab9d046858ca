"""Who must have signed what: thresholds, one key under two names, and the change of governors."""

from __future__ import annotations

import secrets

import pytest
from securesystemslib.signer import CryptoSigner, Key, SSlibKey
from tuf.api.metadata import (
    Metadata,
    Role,
    Root,
)

from keys.derivation import sha256_hex
from keys.repository import TrustSigner, sign_member
from keys.trust import load_directory
from schemas.directory import IdentityKey, MemberFile
from schemas.entries import FileVersion
from schemas.errors import VerificationError
from schemas.limits import ROOT_ROTATIONS_MAX
from tests.exchange.trust_crafting import (
    load,
    targets_of,
)
from tests.exchange.trust_world import TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose files are signed, and not yet published."""
    return TrustWorld.fresh()


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
        CryptoSigner.generate_rsa().public_key,
        SSlibKey("x" * 64, "ed25519", "ed25519", {"public": "AB" * 32}),
        SSlibKey("x" * 64, "ml-dsa", "ml-dsa-65/1", {"public": "no PEM"}),
    ],
    ids=["rsa", "upper-case", "no-pem"],
)
def test_other_keys_are_refused(world: TrustWorld, key: Key) -> None:
    """A root takes Ed25519 keys in one spelling, ML-DSA and ECDSA keys that load, no others."""
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


@pytest.mark.parametrize(("count", "taken"), [(370, True), (400, False)])
def test_a_members_file_has_a_limit(world: TrustWorld, count: int, taken: bool) -> None:
    """Every reader keeps every version of it: one that is too large makes the directory void."""
    keys = [
        IdentityKey(ed25519=secrets.token_bytes(32), ml_dsa_65=secrets.token_bytes(1952))
        for _ in range(count)
    ]

    def enlarged(file: MemberFile) -> MemberFile:
        main = file.desks["main"]
        many = {
            f"desk{start}": main.model_copy(
                update={"node": None, "request": secrets.token_bytes(32), "release": part}
            )
            for start in range(0, count, 16)
            for part in [tuple(keys[start : start + 16])]
        }
        return file.model_copy(update={"desks": file.desks | many})

    world.change_member("ly", enlarged)
    if taken:
        assert len(load(world).members["ly"].desks) > 20
    else:
        with pytest.raises(VerificationError, match="has more than 1048576 bytes"):
            load(world)
