"""The default council and the names with it: members, groups, ceilings are facts, and checked as such."""

from __future__ import annotations

from collections import Counter

import pytest

from keys.default_council import classification_names, default_council, desk_names
from schemas.bulletin.vocabularies import Classification, DeskFunction, Tlp
from schemas.directory import Council, Names
from schemas.errors import ParseError
from tests.exchange.trust_world import EXCHANGE, STATES, TrustWorld

ARAB = ("dz", "eg", "ly", "ma", "mr", "tn")
MAGHREB = ("dz", "ly", "ma", "mr", "tn")
ORGANISATIONS = ("auc", "eu", "un")
STATE_DESKS = {
    "border_guard": (DeskFunction.BORDER_GUARD,),
    "customs": (DeskFunction.CUSTOMS,),
    "experts": (DeskFunction.EXPERT_COMMITTEE,),
    "judicial": (DeskFunction.JUDICIAL,),
    "main": (DeskFunction.MAIN,),
    "police": (DeskFunction.POLICE,),
}
OBSERVER = {"observer": (DeskFunction.OBSERVER,)}


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    """An exchange to take keys and files from; the tests here do not change it."""
    return TrustWorld.fresh()


@pytest.fixture(scope="module")
def council(world: TrustWorld) -> Council:
    """The default council of that exchange."""
    return default_council(EXCHANGE, world.hub, world.logs)


def test_the_members_are_nine_states_and_three_observers(council: Council) -> None:
    """The nine states of the Tripoli conference; the AU Commission, the UN and the EU."""
    assert sorted(council.members) == sorted([*STATES, *ORGANISATIONS])
    kinds = {name: member.kind for name, member in council.members.items()}
    assert kinds == dict.fromkeys(STATES, "state") | dict.fromkeys(ORGANISATIONS, "organisation")
    assert [name for name, member in council.members.items() if member.suspended] == []


def test_every_state_has_the_six_desks(council: Council) -> None:
    """Main, border guard, customs, police, judicial, experts: each has its one function."""
    desks = {state: council.members[state].desks for state in STATES}
    assert desks == dict.fromkeys(STATES, STATE_DESKS)


def test_organisations_observe_and_one_of_them_audits(council: Council) -> None:
    """No organisation has a working desk; the African Union Commission alone has an auditor."""
    audit = {"audit": (DeskFunction.AUDITOR, DeskFunction.OBSERVER)}
    desks = {name: council.members[name].desks for name in ORGANISATIONS}
    assert desks == {"auc": audit | OBSERVER, "eu": OBSERVER, "un": OBSERVER}


def test_states_receive_everything_and_observers_what_is_green(council: Council) -> None:
    """Ceilings are by member: red and secret, or green and unclassified."""
    found = {name: (m.ceiling.tlp, m.ceiling.classification) for name, m in council.members.items()}
    states = dict.fromkeys(STATES, (Tlp.RED, Classification.SECRET))
    observers = dict.fromkeys(ORGANISATIONS, (Tlp.GREEN, Classification.UNCLASSIFIED))
    assert found == states | observers


def test_the_groups_have_their_true_members(council: Council) -> None:
    """Each grouping has those of the nine that belong to it; all are groupings without an end."""
    assert {name: group.members for name, group in council.groups.items()} == {
        "african_union": STATES,
        "arab_league": ARAB,
        "arab_maghreb_union": MAGHREB,
        "border_guards": STATES,
        "cen_sad": tuple(state for state in STATES if state != "dz"),
        "committee_of_experts": STATES,
        "council_of_arab_interior_ministers": ARAB,
        "customs_network": STATES,
        "exercise": STATES,
        "five_plus_five": MAGHREB,
        "judicial_network": STATES,
        "police_network": STATES,
        "tripoli": STATES,
    }
    assert {group.kind for group in council.groups.values()} == {"grouping"}


def test_a_network_is_the_desks_of_its_function(council: Council) -> None:
    """Whoever writes to a network reaches its desks; every other group means the main desks."""
    functions = {name: group.function for name, group in council.groups.items()}
    others = {name: f for name, f in functions.items() if f is not DeskFunction.MAIN}
    assert others == {
        "border_guards": DeskFunction.BORDER_GUARD,
        "committee_of_experts": DeskFunction.EXPERT_COMMITTEE,
        "customs_network": DeskFunction.CUSTOMS,
        "judicial_network": DeskFunction.JUDICIAL,
        "police_network": DeskFunction.POLICE,
    }


def test_no_group_has_a_member_without_a_desk_for_it(council: Council) -> None:
    """Every member of a group has a desk that the group stands for, so that no group is empty."""
    without = [
        (name, member)
        for name, group in council.groups.items()
        for member in group.members
        if all(group.function not in f for f in council.members[member].desks.values())
    ]
    assert without == []


def test_the_default_deadlines_are_the_protocols(world: TrustWorld, council: Council) -> None:
    """15 minutes, 1, 6 and 24 hours; a day of grace; no witnesses, hence a test exchange."""
    deadlines = council.deadlines_seconds
    hours = [deadlines.immediate, deadlines.priority, deadlines.routine]
    assert deadlines.flash == 15 * 60
    assert hours == [3600, 6 * 3600, 24 * 3600]
    assert council.grace_seconds == 24 * 3600
    assert (council.test, council.witnesses) == (True, "none")
    with pytest.raises(ParseError, match="test exchange"):
        default_council(EXCHANGE, world.hub, world.logs, test=False)


def test_members_and_groups_are_named_in_three_languages(council: Council) -> None:
    """Each language is in its own script, and no two members or groups have the same name."""
    for named in (council.members, council.groups):
        check_names([entry.names for entry in named.values()])


def test_every_desk_of_the_council_has_names(council: Council) -> None:
    """All desks that the council grants, in three languages; no two are called the same."""
    names = [desk_names(m, unit) for m, member in council.members.items() for unit in member.desks]
    check_names([name for name in names if name])
    assert names.count(None) == 0


def test_every_state_names_the_four_levels() -> None:
    """Four names a state, no two the same in a language, or people take one level for another."""
    for state in STATES:
        names = classification_names(state)
        assert list(names) == list(Classification)
        check_names(list(names.values()))


def test_sourced_names_are_those_of_the_source() -> None:
    """Algeria's ordinance 21-09, the marks that Mali's prime minister listed, Tunisia's word for customs."""
    algeria, mali = classification_names("dz"), classification_names("ml")
    assert [name.ar for name in algeria.values()] == [
        "غير مصنف",
        "توزيع محدود",
        "واجب الكتمان",
        "سري",
    ]
    assert mali[Classification.SECRET].fr == "Secret-défense"
    customs = desk_names("tn", "customs")
    assert customs is not None
    assert customs.ar == "الديوانة التونسية"


def test_who_is_not_in_the_data_has_no_names() -> None:
    """A new member, a new desk, and the levels of an organisation, which receives nothing classified."""
    assert [desk_names("fr", "main"), desk_names("tn", "harbour")] == [None, None]
    assert [classification_names("fr"), classification_names("un")] == [{}, {}]


def test_the_data_cannot_be_changed_through_an_answer() -> None:
    """What a caller does with its names does not reach the next caller."""
    classification_names("tn").clear()
    assert len(classification_names("tn")) == len(Classification)


def check_names(names: list[Names]) -> None:
    """Arabic in Arabic script, French and English not; no name twice in any language."""
    for name in names:
        scripts = [
            any("\u0600" <= c <= "\u06ff" for c in text) for text in (name.ar, name.fr, name.en)
        ]
        assert scripts == [True, False, False]
    for language in ("ar", "fr", "en"):
        counted = Counter(getattr(name, language) for name in names)
        assert [text for text, count in counted.items() if count > 1] == []
