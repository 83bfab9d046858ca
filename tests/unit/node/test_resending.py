"""Sending again: a person may; the machine does once, and never what was opened before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from broker.db import writing
from broker.node.home import Home
from broker.node.outbox.answers import ask_again
from broker.node.outbox.checking import Order
from broker.node.outbox.deliveries import DeliveryKey
from broker.node.outbox.drafts import outgoing_of
from broker.node.outbox.queueing import queue
from broker.node.outbox.resending import resend
from keys.envelope import parse_header
from keys.release import draft_release, sign_release
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import parse
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld, document, new_id


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox; every desk but ne/main has a sealing key."""
    return Bench(world, ly)


def again(bench: Bench, bulletin: str, to: str = "tn/main", **how: Any) -> None:
    """A person sends a bulletin again."""
    key = DeliveryKey("ly/main", bulletin, to)
    resend(bench.home, key, bench.world.newest, bench.world.now, **how)


def refused(bench: Bench, bulletin: str, to: str = "tn/main", **how: Any) -> Problem:
    """Why it is not sent again; no step may be noted."""
    before = bench.states(bulletin)
    with pytest.raises(Problem) as caught:
        again(bench, bulletin, to, **how)
    assert bench.states(bulletin) == before
    return caught.value


def answer(bench: Bench, result: Result, **more: Any) -> None:
    """tn/main answers the newest envelope, and the sender hears of it."""
    bench.world.log_answer(bench.world.answer("tn/main", newest(bench), result, **more))
    bench.world.later(minutes=3)
    bench.ask()


def newest(bench: Bench) -> int:
    """The index of the newest envelope."""
    return max(index for index, item in enumerate(bench.world.items) if item.envelope)


def cannot_open(bench: Bench) -> None:
    """tn/main cannot open the newest envelope."""
    answer(bench, Result.REJECTED, reason="cannot_open")


def asked_again(bench: Bench) -> None:
    """The status of every envelope is asked once more, as the log's news make a node do."""
    with writing(bench.home.engine) as connection:
        ids = [row.envelope_id for row in bench.envelopes()]
        ask_again(connection, "ly/main", ids, bench.world.now)
    bench.ask()


def sent(bench: Bench, *to: str, **changed: Any) -> str:
    """A bulletin that was accepted."""
    bulletin = bench.queue(*(to or ("tn/main",)), **changed)
    bench.send()
    return bulletin


def test_after_the_second_cannot_open_a_person_decides(bench: Bench) -> None:
    """Once by itself, then never again until somebody says so; then it is a new envelope, once."""
    bulletin = sent(bench)
    cannot_open(bench)
    bench.send()
    assert len(bench.accepted(bulletin)) == 2
    cannot_open(bench)
    for _ in range(3):
        bench.world.later(hours=1)
        bench.send()
    assert (bench.states(bulletin), len(bench.accepted(bulletin))) == ({"tn/main": "rejected"}, 2)
    again(bench, bulletin)
    assert (bench.states(bulletin), bench.reasons(bulletin)) == (
        {"tn/main": "queued"},
        {"tn/main": "resent"},
    )
    bench.send()
    assert len(bench.accepted(bulletin)) == 3
    cannot_open(bench)
    bench.send()
    assert (bench.states(bulletin), len(bench.accepted(bulletin))) == ({"tn/main": "rejected"}, 3)


def test_all_envelopes_hold_one_content(bench: Bench) -> None:
    """The hub would refuse another; the recipient shows it once."""
    bulletin = sent(bench)
    cannot_open(bench)
    bench.send()
    cannot_open(bench)
    again(bench, bulletin)
    bench.send()
    headers = [parse_header(item.statement) for item in bench.world.items if item.envelope]
    assert len({header.bulletin.content for header in headers}) == 1
    assert len({header.id for header in headers}) == 3


@pytest.mark.parametrize("result", [Result.DELIVERED, Result.READ])
def test_who_had_it_gets_it_again_only_if_confirmed(bench: Bench, result: Result) -> None:
    """Somebody who stole the desk's node might be asking: its people are called first."""
    bulletin = sent(bench)
    answer(bench, Result.DELIVERED)
    if result is Result.READ:
        answer(bench, Result.READ)
    problem = refused(bench, bulletin)
    assert (problem.word, problem.detail.startswith("confirm:")) == ("bad-parameter", True)
    again(bench, bulletin, confirmed=True)
    bench.send()
    assert len(bench.accepted(bulletin)) == 2
    assert bench.states(bulletin) == {"tn/main": "accepted"}


def test_who_had_it_and_cannot_open_it_any_more_is_an_alarm(bench: Bench) -> None:
    """Nothing is sealed, the delivery stays as it was, and a person is told whom to call; once."""
    bulletin = sent(bench)
    answer(bench, Result.DELIVERED)
    for _ in range(2):
        bench.world.log_answer(
            bench.world.answer("tn/main", 0, Result.REJECTED, reason="cannot_open")
        )
        asked_again(bench)
        bench.send()
    assert (bench.states(bulletin), len(bench.accepted(bulletin))) == ({"tn/main": "delivered"}, 1)
    assert "tn/main opened this bulletin" in bench.alarms()["rejected"]


def test_an_old_answer_says_nothing_of_what_was_sent_again(bench: Bench) -> None:
    """The first envelope's `delivered` is not taken for the second's; the second's is."""
    bulletin = sent(bench)
    answer(bench, Result.DELIVERED)
    again(bench, bulletin, confirmed=True)
    bench.send()
    asked_again(bench)
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    answer(bench, Result.DELIVERED)
    assert bench.states(bulletin) == {"tn/main": "delivered"}


def test_what_expired_is_sent_again_with_another_life(bench: Bench) -> None:
    """The new envelope lives 30 days, or until the moment that a person names; the others stay expired."""
    bulletin = sent(bench, "tn/main", "dz/main", expires=bench.world.now + timedelta(days=1))
    bench.world.later(days=2)
    bench.follow()
    bench.send()
    assert bench.states(bulletin) == {"dz/main": "expired", "tn/main": "expired"}
    until = bench.world.now + timedelta(days=3)
    again(bench, bulletin, expires=until)
    bench.send()
    assert bench.states(bulletin) == {"dz/main": "expired", "tn/main": "accepted"}
    assert parse_header(bench.world.items[newest(bench)].statement).expires == until
    again(bench, bulletin, "dz/main")
    bench.send()
    assert bench.states(bulletin) == {"dz/main": "accepted", "tn/main": "accepted"}


def test_one_envelopes_longer_life_is_not_the_others(bench: Bench) -> None:
    """What was accepted for another desk expires when its own envelope does."""
    bulletin = sent(bench, "tn/main", "dz/main", expires=bench.world.now + timedelta(days=1))
    cannot_open(bench)
    bench.send()
    cannot_open(bench)
    again(bench, bulletin, expires=bench.world.now + timedelta(days=9))
    bench.send()
    bench.world.later(days=2)
    bench.send()
    assert bench.states(bulletin) == {"dz/main": "expired", "tn/main": "accepted"}


def test_what_the_hub_refused_is_sent_again_once_the_rules_permit(bench: Bench) -> None:
    """They are asked anew."""
    bulletin = bench.queue("tn/main")
    bench.sender._seal()
    sealed = parse(Envelope, bench.envelopes()[0].sealed, ENVELOPE_BYTES_MAX)
    bench.client.refusals = [bench.world.refuse(sealed, "access-denied")]
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "refused"}
    again(bench, bulletin)
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    cannot_open(bench)
    bench.world.policy_text += (
        '@id("not-to-tn")\nforbid (principal, action, resource == Desk::"tn/main");\n'
    )
    bench.world.change_council()
    bench.world.publish()
    bench.send()
    assert refused(bench, bulletin).word == "access-denied"


@pytest.mark.parametrize("state", ["queued", "waiting", "accepted"])
def test_what_is_on_its_way_is_not_sent_again(bench: Bench, state: str) -> None:
    """There is nothing to mend."""
    to = "ne/main" if state == "waiting" else "tn/main"
    bulletin = bench.queue(to)
    if state != "queued":
        bench.send()
    assert bench.states(bulletin) == {to: state}
    problem = refused(bench, bulletin, to, confirmed=True)
    assert (problem.word, state in problem.detail) == ("bad-parameter", True)


def test_what_was_rejected_for_a_fault_is_corrected_instead(bench: Bench) -> None:
    """The same bulletin would be rejected again."""
    bulletin = sent(bench)
    answer(bench, Result.REJECTED, reason="bulletin-invalid")
    problem = refused(bench, bulletin, confirmed=True)
    assert (problem.word, "bulletin-invalid" in problem.detail) == ("bad-parameter", True)


def test_what_was_withdrawn_is_not_sent_again(bench: Bench) -> None:
    """Not even by a person who confirms."""
    bulletin = sent(bench)
    answer(bench, Result.DELIVERED)
    bench.withdraw(bulletin)
    assert refused(bench, bulletin, confirmed=True).word == "withdrawn"


def test_who_was_not_a_recipient_does_not_become_one(bench: Bench) -> None:
    """Nor is there anything to send of an unknown bulletin."""
    bulletin = sent(bench)
    assert refused(bench, bulletin, "dz/main").word == "bad-parameter"
    assert refused(bench, new_id()).word == "not-found"


@pytest.mark.parametrize("days", [-1, 0, 31])
def test_another_expiry_lies_ahead_and_within_30_days(bench: Bench, days: int) -> None:
    """An envelope lives at most 30 days."""
    bulletin = sent(bench, expires=bench.world.now + timedelta(hours=1))
    bench.world.later(hours=2)
    bench.send()
    until = bench.world.now + timedelta(days=days)
    assert refused(bench, bulletin, expires=until).word == "bad-parameter"


def test_others_who_wait_are_not_cut_short(bench: Bench) -> None:
    """An expiry before the bulletin's own would end it for a desk that waits for its key."""
    bulletin = sent(bench, "tn/main", "ne/main")
    cannot_open(bench)
    bench.send()
    cannot_open(bench)
    until = bench.world.now + timedelta(days=1)
    assert refused(bench, bulletin, expires=until).word == "bad-parameter"


def test_it_is_not_sent_again_beyond_what_people_released(bench: Bench) -> None:
    """A release has an end: the node alone cannot carry it further."""
    world = bench.world
    keys = world.make_desk(releasers=1)
    declared = {
        "release": tuple(person.public for person in keys.release),
        "release_threshold": 1,
    }
    desk = world.member_files["ly"].desks["main"].model_copy(update=declared)
    world.change_member(
        "ly", lambda file: file.model_copy(update={"desks": {**file.desks, "main": desk}})
    )
    world.publish()
    until: datetime = world.now + timedelta(days=1)
    content = document("ly/main")
    outgoing = outgoing_of(content, Precedence.ROUTINE, until, bytes(32))
    draft = draft_release(outgoing, world.exchange, ("tn/main",), world.now)
    order = Order(
        "ly/main",
        content,
        ("tn/main",),
        expires=until,
        release=sign_release(draft.release, keys.release),
        release_salts=draft.salts,
    )
    bulletin = queue(bench.home, order, world.newest, world.now).bulletin_id
    bench.send()
    cannot_open(bench)
    bench.send()
    cannot_open(bench)
    later = world.now + timedelta(days=2)
    assert refused(bench, bulletin, expires=later).word == "release-differs"
    again(bench, bulletin)
    bench.send()
    assert len(bench.accepted(bulletin)) == 3
