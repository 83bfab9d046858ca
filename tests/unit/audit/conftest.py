"""Worlds for the auditor's tests: one empty, one with a story in which everything is as it should be."""

from __future__ import annotations

import pytest

from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Kind
from tests.unit.audit.world import AuditWorld

_TEMPLATES: dict[str, AuditWorld] = {}


def _story() -> AuditWorld:
    """Envelopes accepted and refused, answers, a new directory; entries 0 to 8, ten seconds apart."""
    world = AuditWorld()
    world.accept(world.envelope("ly/main", "tn/main", "dz/main"))
    world.later(seconds=10)
    world.acknowledge("tn/main", 0, Result.DELIVERED)
    world.later(seconds=10)
    world.accept(world.envelope("tn/main", "ly/main"))
    world.later(seconds=10)
    world.acknowledge("tn/main", 0, Result.READ)
    world.later(seconds=10)
    judicial = world.envelope("ly/main", "tn/main", kind=Kind.JUDICIAL_REQUEST)
    world.refuse(judicial, "access-denied")
    world.later(seconds=10)
    world.acknowledge("dz/main", 0, Result.REJECTED, reason="padding")
    world.later(seconds=10)
    before = world.known().newest.in_force
    world.change_member("ly")
    world.publish()
    world.accept(world.envelope("tn/main", "dz/main", directory=before))
    world.later(seconds=10)
    request = world.envelope("ly/judicial", "tn/judicial", kind=Kind.JUDICIAL_REQUEST)
    world.accept(request)
    world.later(seconds=10)
    world.accept(world.envelope("ma/main", "ml/main", "mr/main"))
    return world


def _template(name: str) -> AuditWorld:
    if name not in _TEMPLATES:
        _TEMPLATES[name] = _story() if name == "story" else AuditWorld()
    return _TEMPLATES[name].copy()


@pytest.fixture
def world() -> AuditWorld:
    """A world in which nothing was sent yet."""
    return _template("empty")


@pytest.fixture
def story() -> AuditWorld:
    """A world with an honest exchange log of 9 entries, of which 2, 4 and 6 to 8 nobody answered."""
    return _template("story")
