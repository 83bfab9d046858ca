"""A verified directory as its readers see it: grants, keys, revocations, expiry, groups."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.bulletin.vocabularies import DeskFunction, Tlp
from schemas.directory import Council, Group, MemberFile
from schemas.errors import Problem
from tests.exchange.trust_world import START, DeskSecrets, TrustWorld

SECOND = timedelta(seconds=1)


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose first directory is in force."""
    world = TrustWorld.fresh()
    world.publish()
    return world


def _grant(world: TrustWorld, member: str, unit: str, *functions: DeskFunction) -> None:
    def change(council: Council) -> Council:
        seat = council.members[member]
        seat = seat.model_copy(update={"desks": {**seat.desks, unit: functions}})
        return council.model_copy(update={"members": {**council.members, member: seat}})

    world.change_council(change)
    world.publish()


def _declare(
    world: TrustWorld, desk: str, secrets: DeskSecrets, release_threshold: int = 0
) -> None:
    member, _, unit = desk.partition("/")
    world.desks[desk] = secrets

    def change(file: MemberFile) -> MemberFile:
        desks = {**file.desks, unit: secrets.declare(desk, release_threshold)}
        return file.model_copy(update={"desks": desks})

    world.change_member(member, change)
    world.publish()


def _revoke(world: TrustWorld, member: str, *keyids: str) -> None:
    revoked = {"revoked": tuple(sorted(keyids))}
    world.change_member(member, lambda file: file.model_copy(update=revoked))
    world.publish()


def test_a_desk_has_its_members_keys_and_the_councils_grants(world: TrustWorld) -> None:
    """A state's main desk shows node and request key, function and ceiling."""
    secrets = world.desks["ly/main"]
    view = world.directory().desk("ly/main", START)
    assert view is not None
    assert secrets.node is not None
    assert view.node is not None
    assert view.node.key == secrets.node.public
    assert view.node_keyid == secrets.node.keyid(world.exchange)
    assert view.request_key == secrets.request.public
    assert view.request_keyid == secrets.request.keyid(world.exchange)
    assert view.functions == {DeskFunction.MAIN}
    assert view.ceiling.tlp is Tlp.RED
    assert (view.id, view.member, view.kind) == ("ly/main", "ly", "state")


def test_an_auditor_desk_has_a_request_key_only(world: TrustWorld) -> None:
    """The African Union Commission's desk audits, and cannot send or receive."""
    view = world.directory().desk("auc/audit", START)
    assert view is not None
    assert view.functions == {DeskFunction.AUDITOR, DeskFunction.OBSERVER}
    assert view.node is None
    assert view.request_key == world.desks["auc/audit"].request.public
    assert view.ceiling.tlp is Tlp.GREEN


def test_all_desks_are_listed_in_order(world: TrustWorld) -> None:
    """The desks are those of nine states and one auditor, sorted."""
    desks = world.directory().desks()
    assert desks == tuple(sorted(world.desks))
    assert len(desks) == 19


def test_a_desk_without_a_grant_does_not_exist(world: TrustWorld) -> None:
    """A member cannot make itself a desk, let alone a function, in its own file."""
    secrets = world.make_desk()
    _declare(world, "tn/audit", secrets)
    directory = world.directory()
    assert "audit" in directory.members["tn"].desks
    assert directory.desk("tn/audit", START) is None
    assert "tn/audit" not in directory.desks()
    assert directory.desk_by_request_keyid(secrets.request.keyid(world.exchange)) is None


def test_a_grant_makes_the_declared_desk_exist(world: TrustWorld) -> None:
    """The same desk exists once the council grants it something, and has exactly that."""
    _declare(world, "tn/customs", world.make_desk())
    _grant(world, "tn", "customs", DeskFunction.CUSTOMS)
    view = world.directory().desk("tn/customs", START)
    assert view is not None
    assert view.functions == {DeskFunction.CUSTOMS}


def test_a_grant_without_a_declaration_is_no_desk(world: TrustWorld) -> None:
    """What the council grants to a unit that its member never declared does not exist."""
    _grant(world, "tn", "military", DeskFunction.MILITARY)
    assert world.directory().desk("tn/military", START) is None


@pytest.mark.parametrize("desk", ["tn/nowhere", "xx/main", "tn", "", "tn/main/x"])
def test_an_unknown_desk_is_none(world: TrustWorld, desk: str) -> None:
    """A desk that nobody declared is none, however its name looks."""
    assert world.directory().desk(desk, START) is None


def test_the_keys_of_an_expired_member_do_not_count(world: TrustWorld) -> None:
    """At the second of expiry, not before, a member's desks have no keys."""
    lapses = START + timedelta(days=3)
    world.change_member("ne", expires=lapses)
    world.publish()
    directory = world.directory()
    before, after = directory.desk("ne/main", lapses - SECOND), directory.desk("ne/main", lapses)
    assert before is not None
    assert after is not None
    assert before.node is not None
    assert before.request_key is not None
    assert (after.node, after.node_keyid, after.request_key, after.release) == (
        None,
        None,
        None,
        (),
    )
    assert after.functions == before.functions
    other = directory.desk("ly/main", lapses)
    assert other is not None
    assert other.node is not None


def test_a_council_lapses_with_the_earlier_of_root_and_targets(world: TrustWorld) -> None:
    """An expired council is over the grace from the second at which its targets lapse."""
    lapses = START + timedelta(days=2)
    world.change_council(expires=lapses)
    world.publish()
    directory = world.directory()
    assert not directory.council_expired(lapses - SECOND)
    assert directory.council_expired(lapses)


def test_a_root_that_lapses_first_takes_the_council_with_it(world: TrustWorld) -> None:
    """An expired root counts as an expired council."""
    lapses = START + timedelta(days=1)
    world.change_root(expires=lapses)
    world.publish()
    assert world.directory().council_expired(lapses)


def test_a_revoked_node_identity_does_not_count(world: TrustWorld) -> None:
    """A desk whose node identity is revoked can still ask the hub, and cannot sign."""
    node = world.desks["ly/main"].node
    assert node is not None
    _revoke(world, "ly", node.keyid(world.exchange))
    view = world.directory().desk("ly/main", START)
    assert view is not None
    assert (view.node, view.node_keyid) == (None, None)
    assert view.request_key is not None


def test_a_revoked_request_key_finds_no_desk(world: TrustWorld) -> None:
    """A revoked request key belongs to nobody any more."""
    keyid = world.desks["ly/main"].request.keyid(world.exchange)
    assert world.directory().desk_by_request_keyid(keyid) == "ly/main"
    _revoke(world, "ly", keyid)
    directory = world.directory()
    assert directory.desk_by_request_keyid(keyid) is None
    view = directory.desk("ly/main", START)
    assert view is not None
    assert (view.request_key, view.request_keyid) == (None, None)


def test_a_revoked_release_identity_leaves_the_threshold(world: TrustWorld) -> None:
    """Revoking a person's key never lowers the number of signatures that a release needs."""
    secrets = world.make_desk(releasers=2)
    _declare(world, "tn/main", secrets, release_threshold=2)
    view = world.directory().desk("tn/main", START)
    assert view is not None
    assert [i.key for i in view.release] == [i.public for i in secrets.release]
    _revoke(world, "tn", secrets.release[0].keyid(world.exchange))
    view = world.directory().desk("tn/main", START)
    assert view is not None
    assert [i.key for i in view.release] == [secrets.release[1].public]
    assert view.release_threshold == 2


def test_a_revocation_reaches_own_keys_only(world: TrustWorld) -> None:
    """A member that lists another's keyid as revoked changes nothing."""
    node = world.desks["ly/main"].node
    assert node is not None
    _revoke(world, "tn", node.keyid(world.exchange))
    view = world.directory().desk("ly/main", START)
    assert view is not None
    assert view.node is not None


def _suspend(world: TrustWorld, *members: str) -> None:
    """Have the council suspend some members."""

    def change(council: Council) -> Council:
        seats = {m: council.members[m].model_copy(update={"suspended": True}) for m in members}
        return council.model_copy(update={"members": {**council.members, **seats}})

    world.change_council(change)
    world.publish()


def test_a_group_expands_to_the_main_desks_that_can_receive(world: TrustWorld) -> None:
    """Of the League's six members here a suspended one is left out; one with a revoked node waits."""
    expected = ("dz/main", "eg/main", "ly/main", "ma/main", "mr/main", "tn/main")
    assert world.directory().expand_group("arab_league", START) == expected
    node = world.desks["eg/main"].node
    assert node is not None
    _revoke(world, "eg", node.keyid(world.exchange))
    assert world.directory().expand_group("arab_league", START) == expected
    _suspend(world, "ly")
    without = tuple(desk for desk in expected if desk != "ly/main")
    assert world.directory().expand_group("arab_league", START) == without


def test_a_suspended_members_keys_do_not_count(world: TrustWorld) -> None:
    """While it is suspended its desks have neither node identity nor request key, and no sealing key."""
    _suspend(world, "ly")
    directory = world.directory()
    view = directory.desk("ly/main", START)
    assert view is not None
    assert (view.node, view.request_key, view.release, view.receives) == (None, None, (), False)
    other = directory.desk("tn/main", START)
    assert other is not None
    assert other.node is not None


def test_an_unknown_group_is_an_error(world: TrustWorld) -> None:
    """A group that the council does not name is refused with its name."""
    with pytest.raises(Problem, match="no group 'everyone'") as caught:
        world.directory().expand_group("everyone", START)
    assert caught.value.word == "unknown-recipient"


def test_a_group_of_which_nobody_can_receive_is_an_error(world: TrustWorld) -> None:
    """An empty list of recipients never passes for a list."""
    _suspend(world, "dz", "eg", "ly", "ma", "mr", "tn")
    with pytest.raises(Problem, match="can receive"):
        world.directory().expand_group("arab_league", START)


def test_a_group_expands_to_the_desks_of_its_function_until_it_ends(world: TrustWorld) -> None:
    """A joint operation reaches its members' desks of one function, and nobody from its end on."""
    ends = START + timedelta(days=3)

    def change(council: Council) -> Council:
        group = Group(
            names=council.groups["tripoli"].names,
            kind="operation",
            members=("ly", "tn"),
            function=DeskFunction.JUDICIAL,
            until=ends,
        )
        return council.model_copy(update={"groups": {**council.groups, "dune": group}})

    world.change_council(change)
    world.publish()
    directory = world.directory()
    assert directory.expand_group("dune", ends - SECOND) == ("ly/judicial", "tn/judicial")
    with pytest.raises(Problem, match="the joint operation dune has ended") as caught:
        directory.expand_group("dune", ends)
    assert caught.value.word == "unknown-recipient"


def test_directories_are_the_same_for_members_whose_files_did_not_change(world: TrustWorld) -> None:
    """Another member's new file makes no difference to those concerned; their own does."""
    before = world.directory()
    world.change_member("td", lambda file: file.model_copy(update={"revoked": ("0" * 64,)}))
    world.publish()
    after = world.directory()
    assert after.same_for(before, {"ly", "tn"})
    assert not after.same_for(before, {"ly", "td"})


@pytest.mark.parametrize("part", ["council", "policy", "schema"])
def test_directories_differ_for_all_when_the_council_files_do(world: TrustWorld, part: str) -> None:
    """A new council, new rules or a new schema make a difference to everybody."""
    before = world.directory()
    if part == "policy":
        world.policy_text += "// amended\n"
    if part == "schema":
        world.schema_text += "// amended\n"
    grace = {"grace_seconds": 1}
    world.change_council(lambda c: c.model_copy(update=grace) if part == "council" else c)
    world.publish()
    assert not world.directory().same_for(before, {"ly"})
