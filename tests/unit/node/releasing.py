"""The people of a desk that demands a release, and what they do at its node.

The tests of releases share it.
"""

from __future__ import annotations

import pytest

from broker.db import reading
from broker.node.outbox.releases import Draft, Signed, find_waiting, list_waiting, sign
from keys.dsse import sign_statement
from keys.signing import SigningIdentity
from schemas.errors import Problem
from schemas.statements import PayloadType, Statement
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld

DESK = "ly/main"


def demand(world: NodeWorld, desk: str, people: int, threshold: int) -> tuple[SigningIdentity, ...]:
    """From now on a desk demands that so many of its people release what it sends."""
    member, _, unit = desk.partition("/")
    identities = world.make_desk(releasers=people).release
    keys = {"release": tuple(each.public for each in identities), "release_threshold": threshold}
    declared = world.member_files[member].desks[unit].model_copy(update=keys)
    world.change_member(
        member,
        lambda file: file.model_copy(update={"desks": {**file.desks, unit: declared}}),
    )
    world.publish()
    return identities


def revoke(world: NodeWorld, person: SigningIdentity) -> None:
    """ly revokes the key of one of its people."""
    keyid = person.keyid(world.exchange)
    world.change_member("ly", lambda file: file.model_copy(update={"revoked": (keyid,)}))
    world.publish()


class People:
    """ly/main's outbox, and the three people of whom two must release what leaves."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.world = bench.world
        self.each = demand(self.world, DESK, 3, 2)

    def draft(self, bulletin_id: str) -> Draft:
        """What waits for them."""
        with reading(self.bench.home.engine) as connection:
            state = self.world.newest
            return find_waiting(connection, DESK, bulletin_id, state, self.world.now).draft

    def statement(self, bulletin_id: str, *signers: int) -> Statement:
        """What some of them signed."""
        identities = [self.each[number] for number in signers]
        payload = self.draft(bulletin_id).payload
        return sign_statement(PayloadType.RELEASE, payload, self.world.exchange, identities)

    def hand_in(self, bulletin_id: str, statement: Statement) -> Signed:
        """The node takes a statement."""
        home, state = self.bench.home, self.world.newest
        return sign(home, DESK, bulletin_id, statement, state, self.world.now)

    def sign(self, bulletin_id: str, *signers: int) -> Signed:
        """Some of them sign."""
        return self.hand_in(bulletin_id, self.statement(bulletin_id, *signers))

    def refused(self, bulletin_id: str, statement: Statement) -> str:
        """Why the node takes no such statement; nothing may change by it."""
        before = self.bench.outgoing(bulletin_id)
        with pytest.raises(Problem) as caught:
            self.hand_in(bulletin_id, statement)
        assert self.bench.outgoing(bulletin_id) == before
        return caught.value.word

    def waiting(self) -> list[tuple[str, int, int]]:
        """What the node lists: bulletin, how many signed, how many must."""
        with reading(self.bench.home.engine) as connection:
            found = list_waiting(connection, DESK, self.world.newest, self.world.now, 100)
        return [(each.row.bulletin_id, len(each.signers), each.needed) for each in found]
