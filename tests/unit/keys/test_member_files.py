"""A member's own file, changed: who keeps what, and what is not changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keys.member_files import edited, first_file, keyids_of, mute_desks, revoked, with_desks
from keys.signing import RequestSigningKey, SigningIdentity, identity_keyid, request_keyid
from schemas.bulletin.vocabularies import Classification, Topic
from schemas.directory import Council, Desk, MemberFile, Names, Profile
from schemas.errors import ConfigurationError
from schemas.governance import DeskRequest
from tests.exchange.trust_world import EXCHANGE, TrustWorld

AMAL, OMAR, LAYLA = (SigningIdentity.generate().public for _ in range(3))
NAMES = Names(ar="الجمارك", fr="Douanes", en="Customs")
LEVELS = {Classification.SECRET: Names(ar="سري", fr="Secret", en="Secret")}
COUNCIL: Council = TrustWorld.fresh().council


def desk(**changes: Any) -> Desk:
    """A desk with keys of its own."""
    fields: dict[str, Any] = {
        "names": Names(ar="a", fr="a", en="a"),
        "request": RequestSigningKey.generate().public,
        "node": SigningIdentity.generate().public,
        "release": (),
        "release_threshold": 0,
        "bulletin_versions": (1,),
        "profile": Profile(topics=(), area=()),
    }
    return Desk(**(fields | changes))


def asked(member: str = "ne", exchange: str = EXCHANGE, **desks: Desk) -> DeskRequest:
    """What a node asks for."""
    return DeskRequest(v=1, exchange=exchange, member=member, desks=desks)


CUSTOMS = desk(
    names=NAMES,
    release=(AMAL, OMAR),
    release_threshold=2,
    profile=Profile(topics=(Topic.ARMS,), area=("LY", "NE")),
    deputy="ne/main",
)
MAIN = desk()
FILE = first_file([asked(customs=CUSTOMS), asked(main=MAIN)], LEVELS)


def test_the_first_file_has_the_desks_of_all_nodes() -> None:
    """Two nodes asked; nothing is revoked yet, and the levels have their national names."""
    expected = MemberFile(
        v=1,
        exchange=EXCHANGE,
        member="ne",
        desks={"customs": CUSTOMS, "main": MAIN},
        classification_names=LEVELS,
        revoked=(),
    )
    assert expected == FILE


NO_FILE: dict[str, tuple[list[DeskRequest], str]] = {
    "none": ([], "of several members, or there is none"),
    "two members": ([asked(main=MAIN), asked("tn", main=desk())], "of several members"),
    "two exchanges": (
        [asked(main=MAIN), asked(exchange="exercise", police=desk())],
        "of several members",
    ),
    "a desk twice": ([asked(main=MAIN), asked(main=desk())], "ne/main is asked for by two nodes"),
    "a key twice": (
        [asked(main=MAIN), asked(police=desk(request=MAIN.request))],
        "a raw key occurs twice",
    ),
}


@pytest.mark.parametrize("case", NO_FILE)
def test_what_is_no_first_file(case: str) -> None:
    """Requests that do not fit each other are refused, each with its reason."""
    requests, said = NO_FILE[case]
    with pytest.raises(ConfigurationError, match=said):
        first_file(requests, {})


def test_a_desk_is_added_beside_the_others() -> None:
    """A new desk comes as its node asked; the others stay."""
    police = desk()
    file = with_desks(FILE, asked(police=police), COUNCIL)
    assert file.desks == {**FILE.desks, "police": police}
    assert file.model_copy(update={"desks": FILE.desks}) == FILE


def test_a_new_machine_keeps_what_the_member_had_said() -> None:
    """New keys for a desk: its names, profile, deputy and four eyes stay though its node knows none of it."""
    fresh = desk(bulletin_versions=(1, 2))
    file = with_desks(FILE, asked(customs=fresh), COUNCIL)
    changed = {"node": fresh.node, "request": fresh.request, "bulletin_versions": (1, 2)}
    assert file.desks == {"customs": CUSTOMS.model_copy(update=changed), "main": MAIN}


def test_other_people_release_where_the_request_names_them() -> None:
    """Who is named replaces those before, with the threshold that was asked."""
    file = with_desks(FILE, asked(customs=desk(release=(LAYLA,), release_threshold=1)), COUNCIL)
    now = file.desks["customs"]
    assert (now.release, now.release_threshold) == ((LAYLA,), 1)


REFUSED: dict[str, tuple[DeskRequest, str]] = {
    "another member": (asked("tn", main=desk()), "the request is of tn"),
    "another exchange": (asked(exchange="exercise", main=desk()), "in exercise, not of ne"),
    "nothing granted": (asked(harbour=desk()), "the council grants ne/harbour nothing"),
    "another desk's key": (asked(police=desk(node=MAIN.node)), "a raw key occurs twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_desks_that_are_not_added(case: str) -> None:
    """A request that does not fit is refused, with its reason."""
    request, said = REFUSED[case]
    with pytest.raises(ConfigurationError, match=said):
        with_desks(FILE, request, COUNCIL)


def test_a_revoked_desk_has_its_node_and_request_key_revoked() -> None:
    """The keys of its machine; its people, and the other desks, keep theirs."""
    assert CUSTOMS.node is not None
    file = revoked(FILE, ["customs"])
    keyids = [request_keyid(EXCHANGE, CUSTOMS.request), identity_keyid(EXCHANGE, CUSTOMS.node)]
    assert file == FILE.model_copy(update={"revoked": tuple(sorted(keyids))})


def test_revocations_add_up() -> None:
    """Two desks and one person: whatever was revoked before stays so."""
    person = identity_keyid(EXCHANGE, OMAR)
    file = revoked(revoked(FILE, ["customs"]), ["main"], [person])
    every = {*keyids_of(EXCHANGE, CUSTOMS), *keyids_of(EXCHANGE, MAIN)}
    assert set(file.revoked) == every - {identity_keyid(EXCHANGE, AMAL)}


NOT_REVOKED: dict[str, tuple[Callable[[], MemberFile], str]] = {
    "no desk": (lambda: revoked(FILE, ["harbour"]), "which has: customs, main"),
    "nothing named": (lambda: revoked(FILE), "none is named"),
    "revoked already": (lambda: revoked(revoked(FILE, ["main"]), ["main"]), "revoked already"),
    "a mistyped key": (lambda: revoked(FILE, keyids=["ab" * 32]), "no desk of ne has the key abab"),
    "one that is mistyped": (
        lambda: revoked(FILE, ["main"], ["x"]),
        "no desk of ne has the key x",
    ),
}


@pytest.mark.parametrize("case", NOT_REVOKED)
def test_what_is_not_revoked(case: str) -> None:
    """A desk or key that is not there is named: a mistyped key would count on."""
    change, said = NOT_REVOKED[case]
    with pytest.raises(ConfigurationError, match=said):
        change()


@pytest.mark.parametrize("stolen", ["node", "request"])
def test_revoked_keys_are_not_declared_again(stolen: str) -> None:
    """Neither of the two keys of a stolen machine comes back, also beside a fresh one."""
    file = revoked(FILE, ["main"])
    again = desk(**{stolen: getattr(MAIN, stolen)})
    with pytest.raises(ConfigurationError, match="was revoked: have its node make others"):
        with_desks(file, asked(main=again), COUNCIL)


def test_a_revoked_person_does_not_come_with_another_desk() -> None:
    """Whose release key was revoked releases nothing elsewhere; where it stands, it only counts no more."""
    file = revoked(FILE, keyids=[identity_keyid(EXCHANGE, OMAR)])
    with pytest.raises(ConfigurationError, match="was revoked"):
        with_desks(file, asked(main=desk(release=(OMAR,), release_threshold=1)), COUNCIL)
    same = with_desks(file, asked(customs=desk(release=(AMAL, OMAR), release_threshold=2)), COUNCIL)
    assert same.desks["customs"].release == (AMAL, OMAR)


def test_a_desk_without_enough_people_is_mute() -> None:
    """Of two who must release one was revoked: nothing leaves, and it is said."""
    assert mute_desks(FILE) == ()
    assert mute_desks(revoked(FILE, keyids=[identity_keyid(EXCHANGE, OMAR)])) == ("customs",)


def test_an_edited_file() -> None:
    """Names, releasers, a desk that is given up: whatever is no key of the council's is the member's."""
    draft = FILE.model_copy(update={"desks": {"main": MAIN.model_copy(update={"names": NAMES})}})
    assert edited(FILE, draft, COUNCIL) == draft


NOT_EDITED: dict[str, tuple[dict[str, Any], str]] = {
    "another member's": ({"member": "tn"}, "the draft is of tn"),
    "another exchange's": ({"exchange": "exercise"}, "in exercise"),
    "nothing granted": ({"desks": {"harbour": MAIN}}, "the council grants ne/harbour nothing"),
    "nothing changed": ({}, "in force already"),
    "a revocation taken back": ({"revoked": ()}, "what is revoked stays so"),
}


@pytest.mark.parametrize("case", NOT_EDITED)
def test_what_is_not_edited(case: str) -> None:
    """A draft that says more than the member may, or nothing new, is refused."""
    changes, said = NOT_EDITED[case]
    file = revoked(FILE, ["customs"])
    with pytest.raises(ConfigurationError, match=said):
        edited(file, file.model_copy(update=changes), COUNCIL)
