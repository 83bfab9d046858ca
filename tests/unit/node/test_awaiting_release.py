"""People are told that a bulletin waits for them: they are not at the screen."""

from __future__ import annotations

import pytest

from broker.db import reading
from broker.node.alarms.conditions import Failing, find_conditions
from broker.node.alarms.kinds import AlarmKind
from broker.node.home import Home
from schemas.bulletin.vocabularies import Precedence
from tests.unit.node.bench import Bench
from tests.unit.node.releasing import People
from tests.unit.node.world import NodeWorld


@pytest.fixture
def people(world: NodeWorld, ly: Home) -> People:
    """The people of ly/main, two of whom must release what leaves."""
    return People(Bench(world, ly))


def waiting(people: People) -> dict[AlarmKind, list[str]]:
    """The subjects of both kinds of alarms."""
    home, line = people.bench.home, people.world.line(people.bench.home)[0]
    with reading(home.engine) as connection:
        found = find_conditions(connection, home, line, Failing(), people.world.now)
    kinds = (AlarmKind.AWAITING_RELEASE_URGENT, AlarmKind.AWAITING_RELEASE)
    return {kind: list(found.causes[kind]) for kind in kinds}


def test_a_flash_that_waits_for_its_release_is_urgent(people: People) -> None:
    """A flash is critical at once, a routine bulletin serious; both are over once they are released."""
    flash = people.bench.queue("tn/main", "dz/main", precedence=Precedence.FLASH)
    routine = people.bench.queue("tn/main")
    assert waiting(people) == {
        AlarmKind.AWAITING_RELEASE_URGENT: [f"ly/main {flash}"],
        AlarmKind.AWAITING_RELEASE: [f"ly/main {routine}"],
    }
    for bulletin_id in (flash, routine):
        people.sign(bulletin_id, 0, 1)
    assert waiting(people) == {
        AlarmKind.AWAITING_RELEASE_URGENT: [],
        AlarmKind.AWAITING_RELEASE: [],
    }
