"""Members that publish while an envelope is on its way: each delays itself, and no lie of a hub anybody."""

from __future__ import annotations

import json

import pytest

from broker.node.home import Home
from schemas.directory import Council, MemberFile
from schemas.errors import Problem
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox; every desk but ne/main has a sealing key."""
    return Bench(world, ly)


def test_a_desk_that_makes_an_envelope_stale_twice_gets_its_own(bench: Bench) -> None:
    """The others are not held up by a member that publishes without end."""
    bulletin = bench.queue("tn/main", "dz/main")
    for _ in range(2):
        _made_stale(bench, "dz")
    bench.send()
    groups = [json.loads(row.desks) for row in bench.envelopes()]
    assert groups == [["dz/main", "tn/main"], ["tn/main"], ["dz/main"]]
    assert [row.state for row in bench.envelopes()] == ["abandoned", "accepted", "accepted"]
    assert bench.states(bulletin) == {"dz/main": "accepted", "tn/main": "accepted"}


def test_a_desk_alone_is_not_split_again(bench: Bench) -> None:
    """However often its member publishes, it has one envelope, and the others have theirs."""
    bulletin = bench.queue("tn/main", "dz/main", "ma/main")
    for member in ("dz", "ma", "dz", "ma", "dz", "dz"):
        _made_stale(bench, member)
    bench.send()
    assert len(bench.envelopes()) == len(bench.accepted(bulletin)) + 2
    assert sorted(bench.accepted(bulletin)) == [("dz/main",), ("ma/main",), ("tn/main",)]


def test_who_made_an_envelope_stale_is_known_after_it_was_given_up(bench: Bench) -> None:
    """Counted for each bulletin and desk, not for each envelope."""
    bulletin = bench.queue("tn/main", "dz/main", "ma/main")
    for member in ("dz", "ma", "ma"):
        _made_stale(bench, member)
    # Now ma/main has its own, and the rest was sealed to as a new envelope.
    bench.client.refusals = [Problem("stale-directory")] * 2
    bench.send()
    bench.world.change_member("dz", _publishes)
    bench.world.publish()
    bench.world.later(minutes=2)
    bench.send()
    assert sorted(bench.accepted(bulletin)) == [("dz/main",), ("ma/main",), ("tn/main",)]


def test_another_council_is_no_desks_fault(bench: Bench) -> None:
    """Where the governors changed something as well, nobody is given an envelope of its own for it."""
    bulletin = bench.queue("tn/main", "dz/main")
    for _ in range(2):
        bench.world.change_council(lambda council: _grace(council, bench.world.versions.targets))
        _made_stale(bench, "dz")
    bench.send()
    assert bench.accepted(bulletin) == [("dz/main", "tn/main")]


def _grace(council: Council, hours: int) -> Council:
    return council.model_copy(update={"grace_seconds": 3600 * hours})


def _made_stale(bench: Bench, member: str) -> None:
    """A member publishes while an envelope is on its way."""
    bench.client.refusals = [Problem("stale-directory")]
    bench.send()
    bench.world.change_member(member, _publishes)
    bench.world.publish()
    bench.world.later(minutes=2)


def _publishes(file: MemberFile) -> MemberFile:
    revoked = (*file.revoked, f"{len(file.revoked):064x}")
    return file.model_copy(update={"revoked": revoked})


def test_a_hub_that_blames_a_desk_splits_nothing(bench: Bench) -> None:
    """Whom it names for a stale header, and how often, changes nothing: the node knows who published."""
    bulletin = bench.queue("tn/main", "dz/main")
    for told in ({"desk": "dz/main"}, {"changed": ["dz"]}, {"desk": "x" * 1000}, {"changed": "dz"}):
        bench.client.refusals = [Problem("stale-directory", **told)]
        bench.send()
        bench.world.later(minutes=2)
    assert [json.loads(row.stale_desks) for row in bench.envelopes()] == [[]]
    bench.send()
    assert bench.accepted(bulletin) == [("dz/main", "tn/main")]
