"""Proposals made, read, signed and put together; and what nobody may be asked to sign."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from tuf.api.metadata import Metadata

from keys.ceremony import read_member_request, write_member_request
from keys.directory_files import make_directory_file, open_directory, read_directory_file
from keys.directory_files import write_directory_file as write_directory
from keys.endorsing import assemble, collect, sign_proposal
from keys.history import DirectoryHistory
from keys.proposal_reading import read_proposal
from keys.proposals import (
    Governors,
    NewRoot,
    council_files,
    propose_council,
    propose_first,
    propose_joining,
    propose_member,
)
from keys.repository import TrustSigner
from keys.tuf_files import TrustFileMissing
from schemas.errors import ConfigurationError, VerificationError
from tests.exchange.trust_world import START, YEAR, TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange with a directory in force."""
    world = TrustWorld.fresh()
    world.publish()
    return world


def fetch(world: TrustWorld) -> Callable[[str, int], bytes]:
    """Give the world's files, as a hub would."""

    def get(name: str, _size_bytes_max: int) -> bytes:
        if name not in world.files:
            raise TrustFileMissing(name)
        return world.files[name]

    return get


def in_force(world: TrustWorld) -> Any:
    """The directory in force, as it is carried by hand."""
    directory = world.history().newest.directory
    assert directory is not None
    return open_directory(
        make_directory_file(directory, fetch(world), world.initial_root), world.initial_root
    )


def signatures(world: TrustWorld, data: bytes, signers: list[TrustSigner]) -> list[bytes]:
    """Everyone's signature files."""
    read = read_proposal(data, world.initial_root)
    return [sign_proposal(read, signer) for signer in signers]


def published(world: TrustWorld, files: dict[str, bytes]) -> DirectoryHistory:
    """What a history makes of finished files."""
    world.put(files)
    world.versions.root += sum(name.endswith(".root.json") for name in files)
    world.publish()
    return world.history()


def test_a_directory_travels_in_one_file(world: TrustWorld) -> None:
    """What was written from verified files is read back from the trust root alone."""
    directory = world.history().newest.directory
    assert directory is not None
    data = write_directory(directory, fetch(world), world.initial_root)
    assert read_directory_file(data, world.initial_root).directory.files == directory.files


def test_a_directory_of_others_is_refused(world: TrustWorld) -> None:
    """A directory file that descends from another root says so."""
    other = TrustWorld()
    other.publish()
    directory = other.history().newest.directory
    assert directory is not None
    with pytest.raises(VerificationError):
        read_directory_file(
            write_directory(directory, fetch(other), other.initial_root), world.initial_root
        )


def test_the_council_changes_by_a_threshold(world: TrustWorld) -> None:
    """Three of five signatures make targets that a history takes, with the new ceiling."""
    base = in_force(world)
    council = base.directory.council
    member = council.members["auc"].model_copy(update={"suspended": True})
    files = council_files(base.directory)
    changed = council.model_copy(update={"members": {**council.members, "auc": member}})
    data = propose_council(
        type(files)(changed, files.policy_text, files.schema_text), base, (), START + YEAR, START
    )
    read = read_proposal(data, world.initial_root)
    assert read.after is not None
    assert read.before is not None
    assert (
        read.before.council.members["auc"].suspended,
        read.after.council.members["auc"].suspended,
    ) == (False, True)
    signed = signatures(world, data, world.governors[:3])
    with pytest.raises(ConfigurationError, match="2 of the governors have signed targets"):
        assemble(read, signed[:2])
    newest = published(world, assemble(read, signed)).newest
    assert newest.directory is not None
    assert newest.directory.council.members["auc"].suspended is True


def test_two_of_five_governors_change(world: TrustWorld) -> None:
    """A new root needs three of the old and three of the new; the new ones sign the targets."""
    base = in_force(world)
    newcomers = [TrustSigner.generate(), TrustSigner.generate()]
    keys = tuple(g.public_key for g in (*world.governors[:3], *newcomers))
    root = NewRoot(Governors(keys, 3))
    data = propose_council(council_files(base.directory), base, (), START + YEAR, START, root=root)
    read = read_proposal(data, world.initial_root)
    with pytest.raises(ConfigurationError, match="governors until now have signed root"):
        assemble(read, signatures(world, data, [world.governors[0], *newcomers]))
    with pytest.raises(ConfigurationError, match="nothing in this proposal"):
        assemble(read, signatures(world, data, [TrustSigner.generate()]))
    files = assemble(read, signatures(world, data, [*world.governors[:3], *newcomers]))
    newest = published(world, files).newest
    assert newest.directory is not None
    assert set(newest.directory.root.roles["targets"].keyids) == {key.keyid for key in keys}


def test_a_member_changes_its_own_file(world: TrustWorld) -> None:
    """The member's key alone makes the next version of its file."""
    base = in_force(world)
    file = world.member_files["ly"].model_copy(update={"revoked": ("ab" * 32,)})
    data = propose_member(file, base, START + YEAR, START)
    read = read_proposal(data, world.initial_root)
    with pytest.raises(ConfigurationError, match="nothing in this proposal"):
        sign_proposal(read, world.member_keys["tn"])
    files = assemble(read, [sign_proposal(read, world.member_keys["ly"])])
    newest = published(world, files).newest
    assert newest.directory is not None
    assert newest.directory.members["ly"].revoked == ("ab" * 32,)


def test_a_member_joins_with_two_of_three_keys(world: TrustWorld) -> None:
    """A request that two of three people signed is admitted by the council, and two sign from then on."""
    base = in_force(world)
    people = [TrustSigner.generate() for _ in range(3)]
    file = world.member_files["ly"].model_copy(update={"member": "mt", "desks": {}})
    data = propose_joining(file, [p.public_key for p in people], 2, START + YEAR, START)
    read = read_proposal(data, None)
    signed = [sign_proposal(read, person) for person in people[:2]]
    with pytest.raises(ConfigurationError, match="1 more"):
        assemble(read, signed[:1])
    metadata, target = (assemble(read, signed)[name] for name in sorted(assemble(read, signed)))
    request = read_member_request(
        write_member_request("mt", [p.public_key for p in people], 2, metadata, target)
    )
    council = base.directory.council
    seat = council.members["ly"]
    files = council_files(base.directory)
    changed = council.model_copy(update={"members": {**council.members, "mt": seat}})
    proposal = propose_council(
        type(files)(changed, files.policy_text, files.schema_text),
        base,
        (request,),
        START + YEAR,
        START,
    )
    read = read_proposal(proposal, world.initial_root)
    finished = assemble(read, signatures(world, proposal, world.governors[:3]))
    newest = published(world, finished).newest
    assert newest.directory is not None
    assert "mt" in newest.directory.members


def test_an_exchange_is_founded(world: TrustWorld) -> None:
    """The first proposal has a root that its own governors sign."""
    governors = Governors(tuple(g.public_key for g in world.governors), 3)
    data = propose_first(
        world.council_files, governors, world.online.public, (), START + YEAR, START
    )
    read = read_proposal(data, None)
    files = assemble(read, [sign_proposal(read, g) for g in world.governors[:3]])
    assert {"metadata/1.root.json", "metadata/1.targets.json"} <= files.keys()
    with pytest.raises(ConfigurationError, match="founds a new exchange"):
        read_proposal(data, world.initial_root)


def test_a_signature_is_of_one_proposal(world: TrustWorld) -> None:
    """What was signed for one proposal does not count for another, and a damaged one is named."""
    base = in_force(world)
    first = propose_member(world.member_files["ly"], base, START + YEAR, START)
    second = propose_member(world.member_files["ly"], base, START + 2 * YEAR, START)
    (signed,) = signatures(world, first, [world.member_keys["ly"]])
    with pytest.raises(ConfigurationError, match="for another proposal"):
        collect(read_proposal(second, world.initial_root), [signed])
    damaged = json.loads(signed)
    damaged["signatures"][0]["sig"] = "00" * 64
    with pytest.raises(ConfigurationError, match="does not verify"):
        collect(read_proposal(first, world.initial_root), [json.dumps(damaged).encode()])


def _custom(targets: dict[str, Any]) -> None:
    targets["targets"]["council.json"]["custom"] = {"we also agree": "that one of us pays"}


def _in_delegations(targets: dict[str, Any]) -> None:
    targets["delegations"]["unused"] = "hidden"


def _in_a_role(targets: dict[str, Any]) -> None:
    targets["delegations"]["roles"][0]["unused"] = "hidden"


def _in_a_key(targets: dict[str, Any]) -> None:
    next(iter(targets["delegations"]["keys"].values()))["unused"] = "hidden"


@pytest.mark.parametrize("hide", [_custom, _in_delegations, _in_a_role, _in_a_key])
def test_nothing_within_metadata_is_signed_unseen(
    world: TrustWorld, hide: Callable[[dict[str, Any]], None]
) -> None:
    """TUF lets every part carry more than it knows: people are shown none of that, and sign none of it."""
    base = in_force(world)
    data = propose_council(council_files(base.directory), base, (), START + YEAR, START)
    read_proposal(data, world.initial_root)
    message = json.loads(data)
    metadata = json.loads(base64.b64decode(message["unsigned"]["targets"]))
    hide(metadata["signed"])
    canonical = Metadata.from_bytes(json.dumps(metadata).encode()).to_bytes()
    message["unsigned"]["targets"] = base64.b64encode(canonical).decode()
    with pytest.raises(ConfigurationError, match="says more than TUF knows"):
        read_proposal(json.dumps(message).encode(), world.initial_root)
