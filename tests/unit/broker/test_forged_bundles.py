"""Bundles that claim more than was so: by a hub with its logs' keys, a desk, and witnesses of other days."""

from __future__ import annotations

from datetime import timedelta

import pytest

from broker.bundles import VerifiedBundle, verify_bundle
from schemas.bundle import Bundle
from schemas.errors import VerificationError
from schemas.loader import dump_json
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
    found = _verify(world, Forger(world, "dz", "eg").bundle(sealed, index, [last], None))
    assert found.exchange.witnesses == ("dz", "eg")
    with pytest.raises(VerificationError, match="1 witnesses cosigned"):
        _verify(world, Forger(world, "dz").bundle(sealed, index, [last], None))


def test_witnesses_of_other_days(world: AuditWorld) -> None:
    """Those of a later council do; those that the council has replaced, or none as in the first, do not."""
    sealed = envelope(world, "ly/main", "tn/main", world.identity("ly/main"), world.now)
    index, judging = world.accept(statement_of(sealed)), len(world.entries) - 1
    later = _named(world, "dz", "ma", "tn")
    found = _verify(world, Forger(world, "ma", "tn").bundle(sealed, index, [judging], later))
    assert found.exchange.witnesses == ("ma", "tn")
    sealed = envelope(world, "ly/main", "tn/main", world.identity("ly/main"), world.now)
    index = world.accept(statement_of(sealed))
    for earlier in (0, judging):
        bundle = Forger(world, "dz", "eg").bundle(sealed, index, [later], earlier)
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
        bundle = Forger(world, "dz", "eg").bundle(sealed, index, [last], None)
        if at == world.now:
            assert _verify(world, bundle).entry.at == at
        else:
            with pytest.raises(VerificationError, match="an earlier time than a directory entry"):
                _verify(world, bundle)
    assert then < world.now - timedelta(days=29)
