"""Four eyes on a real hub: two of three people release, a node alone gets nowhere, and a release lasts."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from broker.db import reading
from broker.node import tables
from broker.node.home import open_home
from broker.node.outbox import addressing, checking, queueing
from broker.node.outbox.drafts import outgoing_of
from broker.node.setup import Releasers
from keys.dsse import sign_statement
from keys.envelope import Outgoing, parse_header
from keys.release import draft_release, sign_release
from keys.signing import SigningIdentity
from schemas.bulletin.vocabularies import Kind
from schemas.envelope import Header
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType, Statement
from tests.exchange.live import EXCHANGE, PASSPHRASE, LiveHub, now, run
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

PEOPLE = tuple(SigningIdentity.generate() for _ in range(3))
STRANGERS = tuple(SigningIdentity.generate() for _ in range(2))

Exchange = tuple[LiveHub, dict[str, LiveNode]]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A hub with the nodes of Libya, which demands two of three people, and of Tunisia."""
    folder = tmp_path_factory.mktemp("releases")
    keys = tuple(person.public for person in PEOPLE)
    releasers = {"ly": {"main": Releasers(keys, 2)}}
    with live_exchange(folder, "ly", "tn", releasers=releasers) as running:
        yield running


def send(ly: LiveNode, *to: str, **changed: Any) -> str:
    """Libya hands a bulletin in; gives its id."""
    bulletin_id, content = document("ly/main", "a secret route", **changed)
    answer = ly.send(content, *to)
    assert answer.status_code == 202, answer.text
    return bulletin_id


def to_sign(ly: LiveNode, bulletin_id: str) -> bytes:
    """The release that waits for people."""
    shown = ly.call("GET", f"/releases/{bulletin_id}").json()
    return base64.b64decode(shown["payload"])


def sign(ly: LiveNode, bulletin_id: str, *people: SigningIdentity) -> int:
    """Some people sign and hand in; gives the status of the answer."""
    payload = to_sign(ly, bulletin_id)
    statement = sign_statement(PayloadType.RELEASE, payload, EXCHANGE, people)
    answer = ly.call("POST", f"/releases/{bulletin_id}", content=dump_json(statement))
    return answer.status_code


def arrived(node: LiveNode, bulletin_id: str) -> bool:
    """Whether a bulletin is in the inbox."""
    return bulletin_id in {each["id"] for each in node.inbox()}


def reason(ly: LiveNode, bulletin_id: str) -> str | None:
    """Why it stands where it does with its only recipient."""
    [recipient] = ly.call("GET", f"/bulletins/{bulletin_id}").json()["recipients"]
    why: str | None = recipient["steps"][-1].get("reason")
    return why


def test_two_of_three_release(exchange: Exchange) -> None:
    """With one signature, or one person twice, nothing leaves; with two it is delivered."""
    _, nodes = exchange
    ly, tn = nodes["ly"], nodes["tn"]
    first, second = send(ly, "tn/main"), send(ly, "tn/main")
    for person in (PEOPLE[0], PEOPLE[0]):
        assert sign(ly, first, person) == 200
    assert sign(ly, first, *STRANGERS) == 422
    assert sign(ly, second, PEOPLE[0]) == 200
    assert sign(ly, second, PEOPLE[2]) == 200
    wait_for(lambda: ly.states(second) == {"tn/main": "delivered"})
    assert arrived(tn, second)
    assert (ly.states(first), arrived(tn, first)) == ({"tn/main": "unreleased"}, False)


def test_a_withdrawal_is_released_too(exchange: Exchange) -> None:
    """Until then the bulletin stands; then its recipient confirms."""
    _, nodes = exchange
    ly = nodes["ly"]
    original = send(ly, "tn/main")
    assert sign(ly, original, *PEOPLE[:2]) == 200
    wait_for(lambda: ly.states(original) == {"tn/main": "delivered"})
    taken_back, content = document("ly/main", "withdrawn", Kind.WITHDRAWAL, withdraws=original)
    ly.call("POST", "/bulletins", content=content)
    assert sign(ly, taken_back, PEOPLE[1]) == 200
    assert ly.states(taken_back) == {"tn/main": "unreleased"}
    assert ly.states(original) == {"tn/main": "delivered"}
    assert sign(ly, taken_back, PEOPLE[2]) == 200
    wait_for(lambda: ly.states(original) == {"tn/main": "withdrawn"})


@pytest.mark.parametrize("kind", ["a bulletin", "a withdrawal"])
@pytest.mark.parametrize("forged", [0, 1])
def test_a_node_alone_gets_nowhere(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, kind: str, forged: int
) -> None:
    """A stolen node that skips its own checks is accepted by the hub, and rejected by the recipient.

    It has no person's key: it leaves the release out, or signs one with keys of its own.
    """
    _, nodes = exchange
    ly, tn = nodes["ly"], nodes["tn"]
    original = send(ly, "tn/main")
    sign(ly, original, *PEOPLE[:2])
    wait_for(lambda: ly.states(original) == {"tn/main": "delivered"})
    monkeypatch.setattr(queueing, "needs_people", lambda *_: False)
    monkeypatch.setattr(checking, "needs_people", lambda *_: False)
    monkeypatch.setattr(queueing, "check_released", lambda *_: None)
    monkeypatch.setattr(addressing, "check_released", lambda *_: None)
    if forged:
        monkeypatch.setattr(addressing, "outgoing_of", lambda *each: forge(outgoing_of(*each)))
    stolen, content = document("ly/main", "of a thief")
    query = {"to": ["tn/main"]}
    if kind == "a withdrawal":
        stolen, content = document("ly/main", "x", Kind.WITHDRAWAL, withdraws=original)
        query = {}
    assert ly.call("POST", "/bulletins", content=content, params=query).status_code == 202
    wait_for(lambda: ly.states(stolen) == {"tn/main": "rejected"})
    assert reason(ly, stolen) == "not-released"
    assert not arrived(tn, stolen)
    shown = tn.call("GET", f"/inbox/ly/main/{original}").json()
    assert shown["marks"] == {}
    assert shown["bulletin"]["title"] == {"en": "a secret route"}


def forge(outgoing: Outgoing) -> Outgoing:
    """A release as a thief of the node would make it: all of it is right but whose signatures it carries."""
    released = now() - timedelta(seconds=2)
    draft = draft_release(outgoing, EXCHANGE, ("tn/main",), released)
    statement = sign_release(draft.release, STRANGERS)
    return replace(outgoing, release=statement, release_salts=dict(draft.salts))


def headers(node: LiveNode, bulletin_id: str) -> list[Header]:
    """Every header of a bulletin that a node made, in their order."""
    home = open_home(node.data, PASSPHRASE)
    sent, envelope = tables.sent_header, tables.outgoing_envelope
    with reading(home.engine) as connection:
        rows = connection.execute(
            select(sent.c.statement)
            .join(envelope, envelope.c.envelope_id == sent.c.envelope_id)
            .where(envelope.c.bulletin_id == bulletin_id)
            .order_by(sent.c.sealed_at)
        ).scalars()
        found = [parse_header(parse(Statement, row, 2 * STATEMENT_BYTES_MAX)) for row in rows]
    home.close()
    return found


def receiving(node: LiveNode) -> set[str]:
    """The desks whose sealing keys a node knows."""
    desks = node.call_node("GET", "/directory").json()["desks"]
    return {each["desk"] for each in desks if each["receives"]}


def test_a_release_lasts(exchange: Exchange) -> None:
    """The directory changes while the hub is away: header and slots are new, people's release stays."""
    hub, nodes = exchange
    ly, tn = nodes["ly"], nodes["tn"]
    run(hub.announce("dz/main"))
    wait_for(lambda: {"dz/main", "tn/main"} <= receiving(ly))
    hub.stop()
    bulletin = send(ly, "tn/main", "dz/main")
    assert sign(ly, bulletin, *PEOPLE[1:]) == 200
    wait_for(lambda: len(headers(ly, bulletin)) == 1)
    # A recipient's file changes: what was sealed before is stale, and never was at the hub.
    hub.publish(hub.signed_member("dz", 2, now() + timedelta(days=300), ("f" * 64,)))
    hub.start()
    wait_for(lambda: ly.states(bulletin) == {"dz/main": "accepted", "tn/main": "delivered"})
    before, after = headers(ly, bulletin)
    assert before.directory != after.directory
    assert (before.id, before.body) == (after.id, after.body)
    assert arrived(tn, bulletin)
