"""Who signed a trust file: only signatures that verify count, under the keys that are asked for."""

from __future__ import annotations

import pytest
from tuf.api.metadata import Metadata, Root, Signature, Targets

from keys.repository import TrustSigner
from keys.signers import Signer, signers_of, who_signed, who_tried
from schemas.errors import VerificationError
from tests.exchange.trust_world import TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose first directory is in force."""
    world = TrustWorld.fresh()
    world.publish()
    return world


def _targets(world: TrustWorld) -> bytes:
    return world.files[f"metadata/{world.versions.targets}.targets.json"]


def _keyids(signers: list[TrustSigner]) -> list[str]:
    return sorted(signer.public_key.keyid for signer in signers)


def test_signatures_that_do_not_verify_do_not_count(world: TrustWorld) -> None:
    """A signature that was altered, one by a stranger, and one under another's name are none."""
    metadata = Metadata[Targets].from_bytes(_targets(world))
    first, second, third = (governor.public_key.keyid for governor in world.governors[:3])
    signature = metadata.signatures[first].signature
    metadata.signatures[first].signature = f"{int(signature[0], 16) ^ 1:x}{signature[1:]}"
    metadata.signatures[second] = Signature(second, metadata.signatures[third].signature)
    metadata.sign(TrustSigner.generate(), append=True)
    keys = {governor.public_key.keyid: governor.public_key for governor in world.governors}
    assert signers_of(metadata.to_bytes(), keys) == (third,)


def test_what_is_no_metadata_has_no_signers(world: TrustWorld) -> None:
    """Neither bytes nor truncated files."""
    for data in (b"", b"{}", _targets(world)[:-1]):
        with pytest.raises(VerificationError, match="no TUF metadata"):
            signers_of(data, {})


def test_a_council_is_signed_under_its_own_root(world: TrustWorld) -> None:
    """Who signs, how many must, of how many; nobody is named whom the council does not name."""
    (file,) = who_signed("targets", _targets(world), None, world.directory())
    assert [signer.keyid for signer in file.signers] == _keyids(world.governors[:3])
    assert {signer.member for signer in file.signers} == {None}
    assert (file.under, file.threshold, file.key_count) == ("after", 3, 5)


def test_a_new_root_is_counted_under_both(world: TrustWorld) -> None:
    """All five governors are new: the three of before count under the old root alone."""
    before = world.directory()
    old = world.governors
    world.change_root([TrustSigner.generate() for _ in range(5)])
    world.change_council()
    world.publish()
    data = world.files["metadata/2.root.json"]
    was, will = who_signed("root", data, before, world.directory())
    assert (was.under, [s.keyid for s in was.signers]) == ("before", _keyids(old[:3]))
    assert (will.under, [s.keyid for s in will.signers]) == ("after", _keyids(world.governors[:3]))


def test_a_members_file_is_signed_by_the_member(world: TrustWorld) -> None:
    """The key is the one that the council delegates to."""
    data = world.files["metadata/1.member-ly.json"]
    (file,) = who_signed("member-ly", data, None, world.directory())
    assert file.signers == (Signer(world.member_keys["ly"].public_key.keyid, "ly"),)
    assert file.names == ("ly",)


def test_nothing_is_said_of_roles_to_which_nothing_is_delegated(world: TrustWorld) -> None:
    """A stranger's role, the hub's, and a member's before there is a council."""
    directory = world.directory()
    data = world.files["metadata/1.member-ly.json"]
    for role in ("member-zz", "snapshot", "ly"):
        with pytest.raises(VerificationError, match="nothing is delegated"):
            who_tried(role, data, directory.root, directory.council_part)
    with pytest.raises(VerificationError, match="nothing is delegated"):
        who_tried("member-ly", data, directory.root, None)


def test_a_root_counts_keys_of_its_role_alone(world: TrustWorld) -> None:
    """The hub's online key stands in the root, and signs no root."""
    root = Metadata[Root].from_bytes(world.initial_root)
    root.sign(world.online, append=True)
    file = who_tried("root", root.to_bytes(), root.signed, None)
    assert [signer.keyid for signer in file.signers] == _keyids(world.governors[:3])
