"""Bundles that claim more than was so: by a hub with its logs' keys, a desk, and witnesses of other days."""

from __future__ import annotations

from datetime import timedelta

import pytest

from broker.bundles import VerifiedBundle, verify_bundle
from schemas.bundle import Bundle
from schemas.entries import FileVersion
from schemas.errors import VerificationError
from schemas.loader import dump_json
from tests.unit.audit.governing import rotate
from tests.unit.audit.world import AuditWorld
from tests.unit.broker.bundle_forging import Forger, envelope, statement_of, witnesses


def _named(world: AuditWorld, *members: str) -> int:
    """Name witnesses, of whom two must cosign; gives the index of the directory entry."""
    named = witnesses(2, *members)
    world.change_council(lambda council: council.model_copy(update={"witnesses": named}))
    world.publish()
    return len(world.entries) - 1


@pytest.fixture
def world() -> AuditWorld:
    """The first council named no witnesses, the second names three."""
    made = AuditWorld()
    made.later(minutes=1)
    _named(made, "dz", "eg", "ly")
    return made


def _verify(world: AuditWorld, bundle: Bundle) -> VerifiedBundle:
    return verify_bundle(dump_json(bundle), world.initial_root)


def test_an_honest_one(world: AuditWorld) -> None:
    """Two of three cosigned; one is no quorum."""
    sealed = envelope(world, "ly/main", "tn/main", world.identity("ly/main"), world.now)
    index, last = world.accept(statement_of(sealed)), len(world.entries) - 1
    found = _verify(world, Forger(world, "dz", "eg").bundle(sealed, index, last, None))
    assert found.exchange.witnesses == ("dz", "eg")
    with pytest.raises(VerificationError, match="1 witnesses cosigned"):
        _verify(world, Forger(world, "dz").bundle(sealed, index, last, None))


def test_witnesses_of_other_days(world: AuditWorld) -> None:
    """Those of a later council do; those that the council has replaced, or none as in the first, do not."""
    sealed = envelope(world, "ly/main", "tn/main", world.identity("ly/main"), world.now)
    index, judging = world.accept(statement_of(sealed)), len(world.entries) - 1
    later = _named(world, "dz", "ma", "tn")
    found = _verify(world, Forger(world, "ma", "tn").bundle(sealed, index, judging, later))
    assert found.exchange.witnesses == ("ma", "tn")
    sealed = envelope(world, "ly/main", "tn/main", world.identity("ly/main"), world.now)
    index = world.accept(statement_of(sealed))
    for earlier in (0, judging):
        bundle = Forger(world, "dz", "eg").bundle(sealed, index, later, earlier)
        with pytest.raises(VerificationError, match="of an earlier directory"):
            _verify(world, bundle)


def test_an_acceptance_of_before_its_directory(world: AuditWorld) -> None:
    """Hub and sender cannot agree on a day on which the directory that judges it was not there."""
    then = world.now
    world.later(days=30)
    world.change_member("tn")
    world.publish()
    last = len(world.entries) - 1
    for at in (world.now, then):
        sealed = envelope(world, "ly/main", "tn/main", world.identity("ly/main"), at)
        index = world.accept(statement_of(sealed), at=at)
        bundle = Forger(world, "dz", "eg").bundle(sealed, index, last, None)
        if at == world.now:
            assert _verify(world, bundle).entry.at == at
        else:
            with pytest.raises(VerificationError, match="an earlier time than a directory entry"):
                _verify(world, bundle)
    assert then < world.now - timedelta(days=29)


def _relogged(world: AuditWorld, old: dict[str, bytes], root: FileVersion) -> int:
    """The hub logs files of another day once more; gives the index of the directory entry."""
    world.later(minutes=1)
    history = world.known().copy()
    world.current = old
    world.publish(root)
    assert [each.rule for each in world.feed(history)] == ["directory-invalid"]
    world._history = history
    return len(world.entries) - 1


@pytest.mark.parametrize("what", ["a member's key", "the council", "the root"])
def test_a_void_directory(world: AuditWorld, what: str) -> None:
    """A key that was revoked, or a council that was replaced, is not brought back by logging it once more."""
    stolen, old, root = world.identity("ly/main"), dict(world.current), world.root()
    if what == "a member's key":
        world.desks["ly/main"] = world.make_desk()
        world.change_member("ly", lambda _file: world.declare("ly"))
    elif what == "the council":
        world.change_council()
    else:
        rotate(world)
    world.publish()
    again = _relogged(world, old, root)
    sealed = envelope(world, "ly/main", "tn/main", stolen, world.now)
    index = world.accept(statement_of(sealed))
    bundle = Forger(world, "dz", "eg").bundle(sealed, index, again, None)
    with pytest.raises(VerificationError, match="the directory is void"):
        _verify(world, bundle)


def test_behind_a_void_directory(world: AuditWorld) -> None:
    """What was accepted by the directory in force is proved all the same."""
    old = dict(world.current)
    world.change_member("tn")
    world.publish()
    judging = len(world.entries) - 1
    _relogged(world, old, world.root())
    sealed = envelope(world, "ly/main", "tn/main", world.identity("ly/main"), world.now)
    index = world.accept(statement_of(sealed))
    found = _verify(world, Forger(world, "dz", "eg").bundle(sealed, index, judging, None))
    assert found.directory.versions["member-tn"] > 1


def test_an_entry_left_out(world: AuditWorld) -> None:
    """The log is given whole: what revoked the key cannot be passed over."""
    stolen, judging = world.identity("ly/main"), len(world.entries) - 1
    world.desks["ly/main"] = world.make_desk()
    world.change_member("ly", lambda _file: world.declare("ly"))
    world.publish()
    sealed = envelope(world, "ly/main", "tn/main", stolen, world.now)
    index = world.accept(statement_of(sealed))
    bundle = Forger(world, "dz", "eg").bundle(sealed, index, judging, None)
    with pytest.raises(VerificationError, match="another directory was published"):
        _verify(world, bundle)
    log = bundle.directory
    shorter = log.model_copy(update={"entries": log.entries[: judging + 1]})
    with pytest.raises(VerificationError, match="do not reach to the acceptance"):
        _verify(world, bundle.model_copy(update={"directory": shorter}))
