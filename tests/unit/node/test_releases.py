"""Releases: a desk whose people must agree. What waits, whose signature counts, and what leaves then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from broker.node.home import Home
from broker.node.outbox.checking import Order
from broker.node.outbox.queueing import queue
from broker.node.outbox.sealing import seal_queued
from keys.content import open_body
from keys.derivation import sha256_hex
from keys.dsse import join_statements, sign_statement
from keys.envelope import parse_header
from keys.release import ReleaseDraft, review_release
from keys.signing import SigningIdentity
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem
from schemas.loader import dump_json, load_json, parse
from schemas.release import Release
from schemas.statements import PayloadType, Statement
from tests.unit.node.bench import Bench
from tests.unit.node.releasing import DESK, People, demand, revoke
from tests.unit.node.world import NodeWorld, document, new_id


@pytest.fixture
def people(world: NodeWorld, ly: Home) -> People:
    """ly/main demands a release by two of three people; every desk but ne/main has a sealing key."""
    return People(Bench(world, ly))


def test_a_bulletin_leaves_with_the_last_signature_needed(people: People) -> None:
    """Not without people, not with one of two; with two it is sealed, and carries their release."""
    bench = people.bench
    bulletin = bench.queue("tn/main", "dz/main", "ma/main")
    states = {"dz/main": "unreleased", "ma/main": "unreleased", "tn/main": "unreleased"}
    assert (bench.send(), bench.states(bulletin), bench.envelopes()) == (0, states, [])
    assert len(people.sign(bulletin, 0).signers) == 1
    assert (bench.send(), bench.states(bulletin)) == (0, states)
    assert set(people.sign(bulletin, 2).deliveries.values()) == {"queued"}
    assert (bench.send(), set(bench.states(bulletin).values())) == (1, {"accepted"})
    [row], item = bench.envelopes(), bench.world.items[-1]
    assert item.envelope is not None
    header = parse_header(item.statement)
    body = open_body(row.content_key, bench.world.exchange, header.id, item.envelope.body)
    released = body.sealed_part.release
    assert released is not None
    keyids = [people.each[number].keyid(bench.world.exchange) for number in (0, 2)]
    assert [each.keyid for each in released.signatures] == keyids
    assert set(body.sealed_part.release_salts) == {"dz/main", "ma/main", "tn/main"}


def test_released_while_a_pass_runs(people: People) -> None:
    """The pass's time is older than the release: recipients would reject an envelope older than that."""
    bench = people.bench
    began = bench.world.now
    bench.world.now += timedelta(seconds=2)
    bulletin = bench.queue("tn/main", expires=bench.world.now + timedelta(days=2))
    people.sign(bulletin, 0, 2)
    seal_queued(bench.home, DESK, bench.world.newest, began)
    bench.send()
    assert parse_header(bench.world.items[-1].statement).created == bench.world.now


def test_the_draft_is_what_a_person_can_check(people: People) -> None:
    """The salts name every desk behind a hash; bytes, precedence and end are those that were asked for."""
    bench = people.bench
    until = bench.world.now + timedelta(days=2)
    bulletin = bench.queue(
        "tn/main", "dz/main", "ma/main", precedence=Precedence.FLASH, expires=until
    )
    draft = people.draft(bulletin)
    release = parse(Release, draft.payload, 10**6)
    made = bench.outgoing(bulletin)
    review_release(ReleaseDraft(release, draft.salts, draft.empty_salts), made.document)
    assert (set(draft.salts), len(draft.empty_salts)) == ({"dz/main", "ma/main", "tn/main"}, 1)
    assert (release.precedence, release.expires, release.released) == (
        Precedence.FLASH,
        until,
        bench.world.now,
    )
    assert (release.from_, release.bulletin.sha256) == (DESK, sha256_hex(made.document))


def test_a_person_counts_once(people: People) -> None:
    """However often one signs; and after the release nothing changes any more."""
    bench = people.bench
    bulletin = bench.queue("tn/main")
    for _ in range(3):
        assert len(people.sign(bulletin, 1).signers) == 1
    assert people.waiting() == [(bulletin, 1, 2)]
    last = people.statement(bulletin, 0)
    third = people.statement(bulletin, 2)
    released = people.hand_in(bulletin, last)
    assert people.waiting() == []
    for late in (last, third):
        assert people.hand_in(bulletin, late) == released
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}


def test_two_who_signed_together_are_two(people: People) -> None:
    """One statement may carry both."""
    bulletin = people.bench.queue("tn/main")
    assert people.sign(bulletin, 0, 1).deliveries == {"tn/main": "queued"}


def altered(people: People, bulletin: str, **changed: Any) -> Statement:
    """Person 0 signs a release that differs from the draft."""
    release = load_json(people.draft(bulletin).payload, 10**6) | changed
    exchange = people.world.exchange
    return sign_statement(PayloadType.RELEASE, dump_json(release), exchange, [people.each[0]])


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("another desk's person", "not-released"),
        ("the node itself", "not-released"),
        ("one of them and a stranger", "not-released"),
        ("a spoiled signature", "not-released"),
        ("another type", "not-released"),
        ("another precedence", "release-differs"),
        ("other recipients", "release-differs"),
        ("the bulletin before", "release-differs"),
    ],
)
def test_what_does_not_count(people: People, wrong: str, expected: str) -> None:
    """Only a person of this desk, over exactly what waits; everything else changes nothing."""
    world = people.world
    bulletin = people.bench.queue("tn/main")
    payload, exchange = people.draft(bulletin).payload, world.exchange
    stranger = demand(world, "tn/main", 1, 1)[0]
    node = people.bench.home.desks[DESK].node
    signed = people.statement(bulletin, 0)
    spoiled = signed.signatures[0].model_copy(update={"sig": bytes(3373)})

    def by(*identities: SigningIdentity, kind: PayloadType = PayloadType.RELEASE) -> Statement:
        return sign_statement(kind, payload, exchange, identities)

    person = people.each[0]
    made: dict[str, Callable[[], Statement]] = {
        "another desk's person": lambda: by(stranger),
        "the node itself": lambda: by(node),
        "one of them and a stranger": lambda: by(person, stranger),
        "a spoiled signature": lambda: signed.model_copy(update={"signatures": (spoiled,)}),
        "another type": lambda: by(person, kind=PayloadType.ENVELOPE),
        "another precedence": lambda: altered(people, bulletin, precedence="flash"),
        "other recipients": lambda: altered(people, bulletin, recipients=["0" * 64]),
        "the bulletin before": lambda: people.statement(people.bench.queue("tn/main"), 0),
    }
    assert people.refused(bulletin, made[wrong]()) == expected
    people.sign(bulletin, 1)
    assert people.bench.states(bulletin) == {"tn/main": "unreleased"}


def test_who_was_revoked_after_signing_does_not_count(people: People) -> None:
    """One signed and was revoked: two others are needed, and the release carries their signatures alone."""
    bench = people.bench
    bulletin = bench.queue("tn/main")
    first = people.statement(bulletin, 0)
    people.hand_in(bulletin, first)
    revoke(bench.world, people.each[0])
    assert people.waiting() == [(bulletin, 0, 2)]
    assert people.refused(bulletin, first) == "not-released"
    assert len(people.sign(bulletin, 1).signers) == 1
    signed = people.sign(bulletin, 2)
    assert signed.deliveries == {"tn/main": "queued"}
    keyids = tuple(people.each[number].keyid(bench.world.exchange) for number in (1, 2))
    assert signed.signers == keyids


def test_a_release_whose_signer_was_revoked_does_not_leave(people: People) -> None:
    """The desk that waited for a key would reject it: the node does not send it."""
    bench = people.bench
    bulletin = bench.queue("tn/main", "ne/main")
    people.sign(bulletin, 0, 1)
    bench.send()
    assert bench.states(bulletin) == {"ne/main": "waiting", "tn/main": "accepted"}
    revoke(bench.world, people.each[1])
    bench.world.announce_for_all_but()
    bench.send()
    assert bench.states(bulletin) == {"ne/main": "refused", "tn/main": "accepted"}
    assert bench.reasons(bulletin)["ne/main"] == "not-released"
    assert bench.accepted(bulletin) == [("tn/main",)]


def test_a_desk_that_begins_to_demand_a_release(world: NodeWorld, ly: Home) -> None:
    """What was queued before and has not left would be rejected: it does not leave."""
    bench = Bench(world, ly)
    bulletin = bench.queue("tn/main")
    demand(world, DESK, 2, 2)
    assert (bench.send(), bench.states(bulletin)) == (0, {"tn/main": "refused"})


def test_an_expired_member_file_waits(people: People) -> None:
    """None of the desk's keys counts until the file is renewed: what was released is not given up."""
    bench = people.bench
    bulletin = bench.queue("ne/main")
    people.sign(bulletin, 0, 1)
    bench.world.change_member("ly", expires=bench.world.now)
    bench.world.publish()
    bench.send()
    assert bench.states(bulletin) == {"ne/main": "waiting"}


def test_a_withdrawal_acts_once_people_released_it(people: People) -> None:
    """Until then the original goes on leaving; then those who got it hear of it, and no others."""
    bench = people.bench
    original = bench.queue("tn/main", "ne/main", "dz/main")
    people.sign(original, 0, 1)
    taken_back = bench.withdraw(original)
    assert set(bench.states(taken_back).values()) == {"unreleased"}
    bench.send()
    assert bench.outgoing(original).withdrawn is None
    assert bench.accepted(original) == [("dz/main", "tn/main")]
    people.sign(taken_back, 1)
    assert bench.outgoing(original).withdrawn is None
    people.sign(taken_back, 2)
    assert bench.outgoing(original).withdrawn is not None
    bench.world.announce_for_all_but()
    bench.send()
    assert bench.accepted(original) == [("dz/main", "tn/main")]
    assert bench.accepted(taken_back) == [("dz/main", "tn/main")]
    assert bench.states(taken_back)["ne/main"] == "refused"


def test_a_bulletin_is_withdrawn_once(people: People) -> None:
    """Two withdrawals may wait: whichever is released first counts, and the other cannot be released."""
    bench = people.bench
    original = bench.queue("tn/main")
    people.sign(original, 0, 1)
    bench.send()
    first, second, correction = (
        bench.withdraw(original),
        bench.withdraw(original),
        bench.queue(supersedes=original),
    )
    people.sign(second, 0, 1)
    for late in (first, correction):
        assert people.refused(late, people.statement(late, 0, 1)) == "withdrawn"


def test_what_nobody_released_is_withdrawn_without_people(people: People) -> None:
    """Nothing left, so that nobody has to hear of it; and it cannot be released any more."""
    bench = people.bench
    original = bench.queue("tn/main")
    signed = people.statement(original, 0, 1)
    taken_back = bench.withdraw(original)
    assert (bench.states(original), bench.states(taken_back)) == ({"tn/main": "withdrawn"}, {})
    assert people.refused(original, signed) == "withdrawn"
    assert people.waiting() == []


def test_a_correction_that_nobody_released_is_withdrawn_without_people(people: People) -> None:
    """Also where one desk was left out of it from the beginning."""
    bench = people.bench
    original = bench.queue("tn/main", "dz/main")
    people.sign(original, 0, 1)
    bench.send()
    bench.world.policy_text += (
        '@id("not-to-dz")\nforbid (principal, action, resource == Desk::"dz/main");\n'
    )
    bench.world.change_council()
    bench.world.publish()
    correction = bench.queue(supersedes=original)
    assert bench.states(correction) == {"dz/main": "refused", "tn/main": "unreleased"}
    bench.withdraw(correction)
    assert bench.states(correction) == {"dz/main": "refused", "tn/main": "withdrawn"}


def test_the_rules_are_asked_again_once_it_is_released(people: People) -> None:
    """People decide for the desk; the council's rules stand above them."""
    bench = people.bench
    bulletin = bench.queue("tn/main", "dz/main")
    bench.world.policy_text += (
        '@id("not-to-dz")\nforbid (principal, action, resource == Desk::"dz/main");\n'
    )
    bench.world.change_council()
    bench.world.publish()
    people.sign(bulletin, 0, 1)
    bench.send()
    assert bench.states(bulletin) == {"dz/main": "refused", "tn/main": "accepted"}
    assert bench.reasons(bulletin)["dz/main"] == "access-denied"


def test_what_too_few_released_expires(people: People) -> None:
    """With an alarm; a signature that comes too late is refused, before and after it was noted."""
    bench = people.bench
    bulletin = bench.queue("tn/main", expires=bench.world.now + timedelta(hours=1))
    signed = people.statement(bulletin, 0, 1)
    bench.world.later(hours=1)
    assert people.waiting() == []
    assert people.refused(bulletin, signed) == "lifetime"
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "expired"}
    assert "unreleased" in bench.alarms()["expired-unanswered"]
    assert people.refused(bulletin, signed) == "lifetime"


def test_what_waits_for_nobody_is_not_signed(people: People) -> None:
    """An unknown bulletin, and one that needed no release when it was handed in."""
    bulletin = people.bench.queue("tn/main")
    signed = people.statement(bulletin, 0)
    with pytest.raises(Problem, match="not-found"):
        people.hand_in(new_id(), signed)
    demand(people.world, DESK, 3, 0)
    free = people.bench.queue("tn/main")
    assert people.bench.states(free) == {"tn/main": "queued"}
    assert people.refused(free, signed) == "not-found"


def test_the_most_urgent_is_listed_first(people: People) -> None:
    """Then the oldest."""
    bench = people.bench
    routine, flash, later = (
        bench.queue("tn/main"),
        bench.queue("tn/main", precedence=Precedence.FLASH),
        bench.queue("tn/main"),
    )
    assert [each[0] for each in people.waiting()] == [flash, routine, later]


def test_the_same_again_is_answered_alike(people: People) -> None:
    """Handing the bulletin in once more draws no other draft."""
    bench = people.bench
    bulletin = new_id()
    content = document(DESK, bulletin)
    drafts = set()
    for _ in range(2):
        queue(bench.home, Order(DESK, content, ("tn/main",)), bench.world.newest, bench.world.now)
        drafts.add(people.draft(bulletin).payload)
    assert len(drafts) == 1


def test_statements_are_joined_as_a_person_would(people: People) -> None:
    """What two people signed apart, joined, is what the node keeps."""
    bulletin = people.bench.queue("tn/main")
    first, second = (people.statement(bulletin, number) for number in (0, 1))
    people.hand_in(bulletin, first)
    people.hand_in(bulletin, second)
    assert people.bench.outgoing(bulletin).release == dump_json(join_statements([first, second]))
