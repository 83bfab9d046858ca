"""The default council: its members, groups, ceilings and deadlines are facts, and checked as such."""

from __future__ import annotations

import pytest

from keys.default_council import default_council
from schemas.bulletin.vocabularies import Classification, DeskFunction, Tlp
from schemas.errors import ParseError
from tests.exchange.trust_world import EXCHANGE, STATES, TrustWorld

ARAB = ("dz", "eg", "ly", "ma", "mr", "tn")
MAGHREB = ("dz", "ly", "ma", "mr", "tn")


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    """An exchange to take keys and files from; the tests here do not change it."""
    return TrustWorld.fresh()


def test_the_default_council_has_nine_states_and_one_observer(world: TrustWorld) -> None:
    """Nine states with a main and a judicial desk, and the African Union Commission's auditor."""
    council = default_council(EXCHANGE, world.hub, world.logs)
    assert sorted(council.members) == sorted([*STATES, "auc"])
    for state in STATES:
        member = council.members[state]
        assert member.kind == "state"
        expected = {"main": (DeskFunction.MAIN,), "judicial": (DeskFunction.JUDICIAL,)}
        assert member.desks == expected
        assert (member.ceiling.tlp, member.ceiling.classification) == (
            Tlp.RED,
            Classification.SECRET,
        )
    observer = council.members["auc"]
    assert observer.kind == "organisation"
    assert observer.desks == {"audit": (DeskFunction.AUDITOR, DeskFunction.OBSERVER)}
    assert (observer.ceiling.tlp, observer.ceiling.classification) == (
        Tlp.GREEN,
        Classification.UNCLASSIFIED,
    )


def test_the_default_groups_have_their_true_members(world: TrustWorld) -> None:
    """Each grouping has those of the nine that belong to it."""
    council = default_council(EXCHANGE, world.hub, world.logs)
    assert {name: group.members for name, group in council.groups.items()} == {
        "african_union": STATES,
        "arab_league": ARAB,
        "arab_maghreb_union": MAGHREB,
        "cen_sad": tuple(state for state in STATES if state != "dz"),
        "council_of_arab_interior_ministers": ARAB,
        "five_plus_five": MAGHREB,
        "tripoli": STATES,
    }


def test_the_default_deadlines_are_the_protocols(world: TrustWorld) -> None:
    """15 minutes, 1, 6 and 24 hours; a day of grace; no witnesses, hence a test exchange."""
    council = default_council(EXCHANGE, world.hub, world.logs)
    deadlines = council.deadlines_seconds
    hours = [deadlines.immediate, deadlines.priority, deadlines.routine]
    assert deadlines.flash == 15 * 60
    assert hours == [3600, 6 * 3600, 24 * 3600]
    assert council.grace_seconds == 24 * 3600
    assert (council.test, council.witnesses) == (True, "none")
    with pytest.raises(ParseError, match="test exchange"):
        default_council(EXCHANGE, world.hub, world.logs, test=False)


def test_every_name_is_given_in_three_languages(world: TrustWorld) -> None:
    """Arabic names are in Arabic script, and no two members or groups have the same name."""
    council = default_council(EXCHANGE, world.hub, world.logs)
    for named in (council.members, council.groups):
        names = [entry.names for entry in named.values()]
        assert all(any("\u0600" <= c <= "\u06ff" for c in name.ar) for name in names)
        assert len({(n.ar, n.fr, n.en) for n in names}) == len(names)
