"""Releases: enough people, every signature good, and every member that of the envelope."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from keys.derivation import sha256_hex
from keys.dsse import join_statements, sign_statement
from keys.envelope import parse_header
from keys.release import (
    ReleaseDraft,
    draft_release,
    recipient_hash,
    review_release,
    sign_release,
    verify_release,
)
from keys.signing import VerifyingIdentity
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import Header
from schemas.errors import ParseError, Problem, VerificationError
from schemas.loader import dump_json, parse
from schemas.release import Release
from schemas.statements import PayloadType, Statement

if TYPE_CHECKING:
    from tests.unit.keys.conftest import Traffic

OTHER_ID = "019ab8a0-0000-7000-8000-0000000000ff"


@pytest.fixture(scope="module")
def draft(traffic: Traffic) -> ReleaseDraft:
    """A release of the bulletin to its three desks."""
    return traffic.draft()


@pytest.fixture(scope="module")
def header(traffic: Traffic) -> Header:
    """The header of the bulletin's envelope."""
    return parse_header(traffic.envelope())


@pytest.fixture(scope="module")
def statement(traffic: Traffic, draft: ReleaseDraft) -> Statement:
    """The release signed by two of three people."""
    return sign_release(draft.release, traffic.people[:2])


class Check:
    """Verifies a release with one thing changed."""

    def __init__(
        self, traffic: Traffic, draft: ReleaseDraft, header: Header, statement: Statement
    ) -> None:
        self.people = [VerifyingIdentity.from_key(person.public) for person in traffic.people]
        self.traffic, self.header, self.statement = traffic, header, statement
        self.salts: Mapping[str, bytes] = draft.salts

    def __call__(self, **changes: Any) -> Release | None:
        """What verification returns."""
        arguments: dict[str, Any] = {
            "statement": self.statement,
            "header": self.header,
            "bulletin_json": self.traffic.outgoing.bulletin_json,
            "release_salts": self.salts,
            "identities": self.people,
            "threshold": 2,
        }
        return verify_release(**{**arguments, **changes})

    def problem(self, **changes: Any) -> str:
        """The word that is answered."""
        with pytest.raises(Problem) as caught:
            self(**changes)
        return caught.value.word

    def signed(self, **members: Any) -> Statement:
        """The release with other members, signed by two people."""
        value = json.loads(self.statement.payload)
        value = {k: v for k, v in {**value, **members}.items() if v is not None}
        return sign_statement(
            PayloadType.RELEASE,
            json.dumps(value).encode(),
            self.traffic.exchange,
            self.traffic.people[:2],
        )


@pytest.fixture
def check(traffic: Traffic, draft: ReleaseDraft, header: Header, statement: Statement) -> Check:
    """Everything right."""
    return Check(traffic, draft, header, statement)


def test_a_release_of_enough_people_verifies(check: Check, draft: ReleaseDraft) -> None:
    """Two of three signed what travels."""
    assert check() == draft.release
    assert check(threshold=1) == draft.release


def test_a_desk_without_threshold_needs_no_release(check: Check) -> None:
    """With m = 0 the node sends alone, and a release left over from before harms nothing."""
    assert check(statement=None, threshold=0, release_salts={}) is None
    assert check(identities=[], threshold=0) is None


def test_a_missing_release_is_not_released(check: Check) -> None:
    """A desk that demands a release cannot send without."""
    assert check.problem(statement=None) == "not-released"


def test_too_few_people_are_not_enough(check: Check) -> None:
    """Two signatures of three demanded are too few."""
    assert check.problem(threshold=3) == "not-released"


def test_one_person_does_not_count_twice(check: Check, traffic: Traffic) -> None:
    """The same identity in the list twice, or signing twice, is one person."""
    once = sign_release(traffic.draft().release, traffic.people[:1])
    assert check.problem(statement=join_statements([once, once])) == "not-released"
    assert check.problem(statement=once, identities=[check.people[0]] * 2) == "not-released"
    value = json.loads(dump_json(once))
    value["signatures"] *= 2
    with pytest.raises(ParseError):
        parse(Statement, json.dumps(value).encode(), 1 << 20)


def test_a_foreign_signature_is_not_taken(check: Check, traffic: Traffic) -> None:
    """The node's identity, or another desk's person, is none of the desk's people."""
    release = traffic.draft().release
    with_node = sign_release(release, (traffic.people[0], traffic.node))
    assert check.problem(statement=with_node) == "not-released"
    extra = sign_release(release, (*traffic.people[:2], traffic.node))
    assert check.problem(statement=extra) == "not-released"


def test_an_extra_bad_signature_spoils_enough_good_ones(check: Check, traffic: Traffic) -> None:
    """Every signature must be valid, also one more than demanded."""
    signed = sign_release(traffic.draft().release, traffic.people)
    value = json.loads(dump_json(signed))
    value["signatures"][2]["sig"] = value["signatures"][0]["sig"]
    spoiled = parse(Statement, json.dumps(value).encode(), 1 << 20)
    assert check.problem(statement=spoiled) == "not-released"


def test_a_statement_of_another_type_is_no_release(check: Check, traffic: Traffic) -> None:
    """People's signatures under another type release nothing."""
    other = sign_statement(
        PayloadType.ACKNOWLEDGEMENT,
        check.statement.payload,
        traffic.exchange,
        traffic.people[:2],
    )
    assert check.problem(statement=other) == "not-released"


def test_a_signed_payload_that_is_no_release_releases_nothing(check: Check) -> None:
    """A payload that does not parse counts as none."""
    assert check.problem(statement=check.signed(more=1)) == "not-released"
    assert check.problem(statement=check.signed(recipients=["a" * 64] * 3)) == "not-released"


@pytest.mark.parametrize(
    "members",
    [
        {"exchange": "barid-exercise"},
        {"bulletin": {"id": OTHER_ID, "sha256": "x"}},
        {"bulletin": {"id": "x", "sha256": "a" * 64}},
        {"from": "tn/customs"},
        {"precedence": "flash"},
        {"expires": "2026-11-30T23:59:59Z"},
        {"released": "2026-11-24T22:00:01Z"},
        {"supersedes": OTHER_ID},
        {"withdraws": OTHER_ID},
    ],
    ids=lambda members: next(iter(members)),
)
def test_a_release_for_something_else_differs(check: Check, members: dict[str, Any]) -> None:
    """Exchange, bulletin, bytes, sender, precedence, times, supersedes and withdraws must agree."""
    if "bulletin" in members:
        real = json.loads(check.statement.payload)["bulletin"]
        given = members["bulletin"]
        members = {"bulletin": {k: real[k] if v == "x" else v for k, v in given.items()}}
    assert check.problem(statement=check.signed(**members)) == "release-differs"


def test_times_may_be_wider_than_the_envelopes(check: Check) -> None:
    """A release made earlier, and valid for longer, covers the envelope."""
    wider = check.signed(expires="2027-01-01T00:00:00Z", released="2026-11-01T00:00:00Z")
    assert check(statement=wider) is not None


def test_other_bytes_than_those_released_differ(check: Check) -> None:
    """One more space in the bulletin, and it was not released."""
    other = check.traffic.outgoing.bulletin_json + b" "
    assert check.problem(bulletin_json=other) == "release-differs"


@pytest.mark.parametrize("word", ["supersedes", "withdraws"])
def test_a_header_that_supersedes_or_withdraws_alone_differs(check: Check, word: str) -> None:
    """A node alone cannot turn a released bulletin into a withdrawal."""
    header = check.header.model_copy(update={word: OTHER_ID})
    assert check.problem(header=header) == "release-differs"


def test_a_desk_added_after_the_release_is_refused(check: Check, traffic: Traffic) -> None:
    """Released to two desks, sent to three: the third learns that it was not released to."""
    draft = traffic.draft(*traffic.desks[:2])
    signed = sign_release(draft.release, traffic.people[:2])
    salts = {**draft.salts, traffic.desks[2]: draft.empty_salts[0] if draft.empty_salts else b""}
    assert check.problem(statement=signed, release_salts=salts) == "release-differs"
    assert check.problem(statement=signed, release_salts=draft.salts) == "release-differs"


def test_a_salt_of_another_desk_does_not_help(check: Check, traffic: Traffic) -> None:
    """A hash is of salt and desk: neither an empty name's salt nor a neighbour's fits."""
    one, two, _ = traffic.desks
    swapped = {**check.salts, one: check.salts[two], two: check.salts[one]}
    assert check.problem(release_salts=swapped) == "release-differs"


def test_salts_of_desks_outside_the_envelope_do_not_travel(check: Check) -> None:
    """A salt too many would name a desk released to: it is refused."""
    more = {**check.salts, "ne/main": bytes(32)}
    assert check.problem(release_salts=more) == "release-differs"


def test_a_release_fits_an_envelope_to_some_of_its_desks(check: Check, traffic: Traffic) -> None:
    """Released to three, sent to one: the envelope carries one salt."""
    desk = traffic.desks[0]
    header = check.header.model_copy(update={"recipients": check.header.recipients[:1]})
    assert check(header=header, release_salts={desk: check.salts[desk]}) is not None


@pytest.mark.parametrize(("desks", "hashes"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (17, 32)])
def test_recipients_are_filled_to_a_power_of_two(traffic: Traffic, desks: int, hashes: int) -> None:
    """Empty names hide how many desks there are; every salt is another."""
    draft = traffic.draft(*(f"tn/unit{number}" for number in range(desks)))
    assert len(draft.release.recipients) == hashes
    salts = [*draft.salts.values(), *draft.empty_salts]
    assert len(set(salts)) == hashes
    review_release(draft, traffic.outgoing.bulletin_json)


def test_the_recipient_hash_is_that_of_the_protocol() -> None:
    """SHA-256 of label, 00, salt and desk."""
    salt = bytes(range(32))
    assert recipient_hash(salt, "ly/main") == sha256_hex(b"barid/v1/release\x00", salt, b"ly/main")


def test_a_release_needs_named_desks(traffic: Traffic) -> None:
    """No desk, one twice, and an empty name are refused."""
    for desks in ([], ["ly/main", "ly/main"], ["ly/main", ""]):
        with pytest.raises(ParseError):
            draft_release(traffic.outgoing, traffic.exchange, desks, traffic.created)


def test_the_reviewer_sees_other_bytes_and_hidden_desks(traffic: Traffic) -> None:
    """A node that shows another bulletin, or adds a desk unseen, is caught before anyone signs."""
    draft = traffic.draft()
    bulletin = traffic.outgoing.bulletin_json
    review_release(draft, bulletin)
    with pytest.raises(VerificationError):
        review_release(draft, bulletin + b" ")
    hidden = ReleaseDraft(
        draft.release,
        {desk: salt for desk, salt in draft.salts.items() if desk != traffic.desks[0]},
        draft.empty_salts,
    )
    renamed = ReleaseDraft(
        draft.release,
        {("ne/main" if desk == traffic.desks[0] else desk): s for desk, s in draft.salts.items()},
        draft.empty_salts,
    )
    as_empty = ReleaseDraft(draft.release, hidden.salts, (*draft.empty_salts, bytes(32)))
    nameless = ReleaseDraft(draft.release, {**draft.salts, "": draft.empty_salts[0]}, ())
    for tampered in (hidden, renamed, as_empty, nameless):
        with pytest.raises(VerificationError):
            review_release(tampered, bulletin)


def test_a_release_carries_what_the_bulletin_says(traffic: Traffic) -> None:
    """Precedence, expiry and the bulletin withdrawn come from the outgoing bulletin."""
    outgoing = replace(traffic.outgoing, precedence=Precedence.FLASH, withdraws=OTHER_ID)
    released = traffic.created - timedelta(hours=1)
    release = draft_release(outgoing, traffic.exchange, traffic.desks, released).release
    assert release.precedence is Precedence.FLASH
    assert release.withdraws == OTHER_ID
    assert release.supersedes is None
    assert (release.expires, release.released) == (outgoing.expires, released)
    assert b"supersedes" not in dump_json(release)


def test_a_tampered_release_is_not_released(check: Check) -> None:
    """The signed bytes with another precedence: no signature verifies."""
    value = json.loads(dump_json(check.statement))
    payload = base64.b64decode(value["payload"]).replace(b"priority", b"flash")
    value["payload"] = base64.b64encode(payload).decode()
    tampered = parse(Statement, json.dumps(value).encode(), 1 << 20)
    assert check.problem(statement=tampered) == "not-released"
