"""The life of a bulletin between real nodes and a real hub: withdrawn, corrected, kept apart, sent again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from broker.client import HubClient
from broker.db import reading
from broker.node import tables
from broker.node.home import Home, open_home
from broker.tlog.receipt import LogVerifier, verify_receipt
from keys.dsse import sign_statement
from keys.envelope import parse_header
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.bulletin.vocabularies import Kind
from schemas.entries import EnvelopeAccepted
from schemas.envelope import Header
from schemas.loader import dump_json, parse
from schemas.problems import PROBLEM_BYTES_MAX
from schemas.receipts import Receipt
from schemas.statements import PayloadType, Statement
from tests.exchange.live import EXCHANGE, PASSPHRASE, LiveHub, new_id, now, run
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

Exchange = tuple[LiveHub, dict[str, LiveNode]]
QUIET_SECONDS = 1.5
"""Several passes of an outbox: what it would do by itself it has done by then."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A hub with the nodes of Libya and Tunisia; Niger and Algeria act by hand."""
    with live_exchange(tmp_path_factory.mktemp("life"), "ly", "tn") as running:
        yield running


def withdrawal(original: str, desk: str = "ly/main") -> tuple[str, bytes]:
    """A withdrawal's id and bytes."""
    return document(
        desk, "withdrawn", Kind.WITHDRAWAL, withdraws=original, reason={"en": "It was wrong."}
    )


def hand_in(node: LiveNode, content: bytes, *to: str, **query: Any) -> Any:
    """Hand in a bulletin with any query."""
    return node.call("POST", "/bulletins", content=content, params={"to": list(to), **query})


def sent(nodes: dict[str, LiveNode], marker: str, *to: str, state: str = "delivered") -> str:
    """A bulletin of ly/main that stands in a state with all its recipients."""
    bulletin_id, content = document("ly/main", marker)
    assert hand_in(nodes["ly"], content, *to).status_code == 202
    wait_for(lambda: nodes["ly"].states(bulletin_id) == dict.fromkeys(to, state))
    return bulletin_id


def view(node: LiveNode, bulletin_id: str) -> dict[str, Any]:
    """All that a node shows of an own bulletin."""
    shown: dict[str, Any] = node.call("GET", f"/bulletins/{bulletin_id}").json()
    return shown


def last_step(node: LiveNode, bulletin_id: str, desk: str = "tn/main") -> tuple[str, str | None]:
    """State and reason of a delivery."""
    [steps] = [
        each["steps"] for each in view(node, bulletin_id)["recipients"] if each["desk"] == desk
    ]
    return steps[-1]["state"], steps[-1].get("reason")


def receipts(node: LiveNode, bulletin_id: str) -> list[Receipt]:
    """Of every accepted envelope of a bulletin."""
    return [
        parse(Receipt, dump_json(each["receipt"]), PROBLEM_BYTES_MAX)
        for each in view(node, bulletin_id)["envelopes"]
        if each["state"] != "refused" and "receipt" in each
    ]


def headers(hub: LiveHub, node: LiveNode, bulletin_id: str) -> list[Header]:
    """The headers that the hub logged for a bulletin."""
    log = LogVerifier.from_keys(hub.invitation.logs.exchange)
    found = []
    for receipt in receipts(node, bulletin_id):
        entry = verify_receipt(receipt, log).entry
        assert isinstance(entry, EnvelopeAccepted)
        payload = Statement.model_construct(
            payload_type=PayloadType.ENVELOPE, payload=entry.header, signatures=()
        )
        found.append(parse_header(payload))
    return found


def test_withdrawn_before_it_was_sent(exchange: Exchange) -> None:
    """A desk without key: the bulletin never leaves, and nobody is told of a withdrawal."""
    hub, nodes = exchange
    bulletin_id = sent(nodes, "waits for Chad", "td/main", state="waiting")
    size = hub.ledger.heads()[1].size
    taken_back, content = withdrawal(bulletin_id)
    assert hand_in(nodes["ly"], content).json()["recipients"] == []
    assert last_step(nodes["ly"], bulletin_id, "td/main") == ("withdrawn", "unsent")
    run(hub.announce("td/main"))
    time.sleep(QUIET_SECONDS)
    assert hub.ledger.heads()[1].size == size
    assert view(nodes["ly"], bulletin_id)["withdrawn_by"] == taken_back


def test_withdrawn_before_it_was_read(exchange: Exchange) -> None:
    """The recipient's node was off: the original never reaches its analysts, and the sender sees it."""
    _, nodes = exchange
    nodes["tn"].stop()
    bulletin_id = sent(nodes, "nobody reads this", "tn/main", state="accepted")
    taken_back, content = withdrawal(bulletin_id)
    assert hand_in(nodes["ly"], content).status_code == 202
    wait_for(lambda: nodes["ly"].states(taken_back) == {"tn/main": "accepted"})
    nodes["tn"].start()
    wait_for(lambda: last_step(nodes["ly"], bulletin_id) == ("withdrawn", "unread"))
    wait_for(lambda: nodes["ly"].states(taken_back) == {"tn/main": "delivered"})


def test_withdrawn_after_it_was_read(exchange: Exchange) -> None:
    """The recipient answers that somebody had read it."""
    _, nodes = exchange
    bulletin_id = sent(nodes, "read, then withdrawn", "tn/main")
    assert nodes["tn"].call("GET", f"/inbox/ly/main/{bulletin_id}").status_code == 200
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "read"})
    _, content = withdrawal(bulletin_id)
    assert hand_in(nodes["ly"], content).status_code == 202
    wait_for(lambda: last_step(nodes["ly"], bulletin_id) == ("withdrawn", "read"))


def test_withdrawn_once_and_by_its_sender_alone(exchange: Exchange) -> None:
    """The same again is harmless; another withdrawal, or one of another's bulletin, is refused."""
    hub, nodes = exchange
    bulletin_id = sent(nodes, "withdrawn twice", "tn/main")
    taken_back, content = withdrawal(bulletin_id)
    assert [hand_in(nodes["ly"], content).status_code for _ in range(2)] == [202, 202]
    wait_for(lambda: nodes["ly"].states(taken_back) == {"tn/main": "delivered"})
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "withdrawn"})
    size = hub.ledger.heads()[1].size
    answers = [
        hand_in(nodes["ly"], withdrawal(bulletin_id)[1]),
        hand_in(nodes["ly"], withdrawal(taken_back)[1]),
        hand_in(nodes["tn"], withdrawal(bulletin_id, "tn/main")[1]),
        nodes["ly"].call("POST", f"/bulletins/{bulletin_id}/resend?to=tn/main&confirm=true"),
    ]
    words = [answer.json()["type"].rpartition("/")[2] for answer in answers]
    assert words == ["withdrawn", "original-withdrawal", "original-unknown", "withdrawn"]
    time.sleep(QUIET_SECONDS)
    assert hub.ledger.heads()[1].size == size


def test_corrected(exchange: Exchange) -> None:
    """The correction goes where the original went; each knows of the other; the document is as it was."""
    hub, nodes = exchange
    old = sent(nodes, "a convoy of 30", "tn/main")
    new, content = document("ly/main", "a convoy of 3")
    assert hand_in(nodes["ly"], content, supersedes=old).status_code == 202
    wait_for(lambda: nodes["ly"].states(new) == {"tn/main": "delivered"})
    assert (view(nodes["ly"], old)["superseded_by"], view(nodes["ly"], new)["supersedes"]) == (
        new,
        old,
    )
    assert [header.supersedes for header in headers(hub, nodes["ly"], new)] == [old]
    assert nodes["ly"].call("GET", f"/bulletins/{new}/document").content == content


def test_recipients_who_do_not_learn_of_each_other(exchange: Exchange) -> None:
    """Each header names one desk; all hold one content; so does the withdrawal that follows."""
    hub, nodes = exchange
    run(hub.announce("ne/main", "dz/main"))
    bulletin_id, content = document("ly/main", "for each alone")
    desks = ("dz/main", "ne/main", "tn/main")
    assert hand_in(nodes["ly"], content, *desks, separately=True).status_code == 202
    wait_for(lambda: len(receipts(nodes["ly"], bulletin_id)) == len(desks))
    _assert_apart(headers(hub, nodes["ly"], bulletin_id), desks)
    taken_back, content = withdrawal(bulletin_id)
    assert hand_in(nodes["ly"], content).status_code == 202
    wait_for(lambda: len(receipts(nodes["ly"], taken_back)) == len(desks))
    _assert_apart(headers(hub, nodes["ly"], taken_back), desks)


def _assert_apart(found: list[Header], desks: tuple[str, ...]) -> None:
    assert sorted(header.desks for header in found) == [(desk,) for desk in desks]
    assert len({header.bulletin.content for header in found}) == 1


class Thief:
    """Holds the keys of a node that was stolen, and answers `cannot_open` to all of its past."""

    def __init__(self, hub: LiveHub, node: LiveNode, victim: LiveNode) -> None:
        home = open_home(node.data, PASSPHRASE)
        self.keys = home.desks["tn/main"]
        home.close()
        self.hub = hub
        self.victim = victim
        self.log = LogVerifier.from_keys(hub.invitation.logs.exchange)

    def claim(self, bulletin_id: str) -> None:
        """Say that the newest envelope of a bulletin could not be opened."""
        receipt = receipts(self.victim, bulletin_id)[-1]
        verified = verify_receipt(receipt, self.log)
        assert isinstance(verified.entry, EnvelopeAccepted)
        header = headers(self.hub, self.victim, bulletin_id)[-1]
        item = AcknowledgedItem(
            from_=header.from_,
            id=header.id,
            origin=verified.checkpoint.origin,
            index=verified.index,
            leaf=verified.leaf.hex(),
        )
        payload = Acknowledgement(
            v=1,
            exchange=EXCHANGE,
            desk="tn/main",
            at=now(),
            result=Result.REJECTED,
            reason="cannot_open",
            items=(item,),
        )
        signed = sign_statement(
            PayloadType.ACKNOWLEDGEMENT, dump_json(payload), EXCHANGE, [self.keys.node]
        )
        run(self._hand_in(signed))

    async def _hand_in(self, statement: Statement) -> None:
        clock = self.hub.now_unix
        async with HubClient(self.hub.invitation.hub, EXCHANGE, self.keys.request, clock) as client:
            await client.acknowledge(statement)


def test_a_stolen_node_gets_nothing_of_the_past(exchange: Exchange) -> None:
    """It says that nothing could be opened: the hub logs that, the sender seals nothing, and is warned."""
    hub, nodes = exchange
    past = [sent(nodes, f"of last month {number}", "tn/main") for number in range(3)]
    assert nodes["tn"].call("GET", f"/inbox/ly/main/{past[0]}").status_code == 200
    wait_for(lambda: nodes["ly"].states(past[0]) == {"tn/main": "read"})
    nodes["tn"].stop()
    thief = Thief(hub, nodes["tn"], nodes["ly"])
    size = hub.ledger.heads()[1].size
    for bulletin_id in past:
        thief.claim(bulletin_id)
    home = open_home(nodes["ly"].data, PASSPHRASE)
    wait_for(lambda: _warned_of(home) >= set(past))
    home.close()
    time.sleep(QUIET_SECONDS)
    assert hub.ledger.heads()[1].size == size + len(past)
    assert [len(receipts(nodes["ly"], each)) for each in past] == [1, 1, 1]
    states = [nodes["ly"].states(each)["tn/main"] for each in past]
    assert states == ["read", "delivered", "delivered"]
    refused = nodes["ly"].call("POST", f"/bulletins/{past[0]}/resend?to=tn/main")
    assert (refused.status_code, "confirm" in refused.json()["detail"]) == (400, True)
    nodes["tn"].start()


def _warned_of(home: Home) -> set[str]:
    """The bulletins of which a desk said that it cannot open them any more."""
    with reading(home.engine) as connection:
        subjects = connection.execute(
            select(tables.alarm.c.subject).where(tables.alarm.c.kind == "rejected")
        ).scalars()
        return {subject.split()[1] for subject in subjects}


def test_what_it_never_answered_is_sealed_again_once(exchange: Exchange) -> None:
    """Beyond that a person decides: then it is one new envelope, and the step says so."""
    hub, nodes = exchange
    nodes["tn"].stop()
    waiting = sent(nodes, "while the node was away", "tn/main", state="accepted")
    thief = Thief(hub, nodes["tn"], nodes["ly"])
    thief.claim(waiting)
    wait_for(lambda: len(receipts(nodes["ly"], waiting)) == 2)
    thief.claim(waiting)
    wait_for(lambda: nodes["ly"].states(waiting) == {"tn/main": "rejected"})
    time.sleep(QUIET_SECONDS)
    assert len(receipts(nodes["ly"], waiting)) == 2
    answer = nodes["ly"].call("POST", f"/bulletins/{waiting}/resend?to=tn/main")
    assert answer.status_code == 202
    wait_for(lambda: len(receipts(nodes["ly"], waiting)) == 3)
    steps = view(nodes["ly"], waiting)["recipients"][0]["steps"]
    assert [step.get("reason") for step in steps if step["state"] == "queued"] == [
        None,
        None,
        "resent",
    ]
    nodes["tn"].start()
    wait_for(lambda: nodes["ly"].states(waiting) == {"tn/main": "delivered"})
    assert [each["id"] for each in nodes["tn"].inbox()].count(waiting) == 1


def test_an_unknown_bulletin_has_no_document(exchange: Exchange) -> None:
    """Nor can it be sent again."""
    _, nodes = exchange
    unknown = new_id()
    assert nodes["ly"].call("GET", f"/bulletins/{unknown}/document").status_code == 404
    assert nodes["ly"].call("POST", f"/bulletins/{unknown}/resend?to=tn/main").status_code == 404
