"""What council and members may say: their files, their delegations, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    SuccinctRoles,
    TargetFile,
)

from keys.derivation import sha256_hex
from keys.repository import TrustSigner
from schemas.errors import VerificationError
from schemas.loader import dump_json
from tests.exchange.trust_crafting import (
    load,
    member_targets,
    targets_of,
)
from tests.exchange.trust_world import TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose files are signed, and not yet published."""
    return TrustWorld.fresh()


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
