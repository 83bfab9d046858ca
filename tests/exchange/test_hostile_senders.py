"""What only a recipient can see: the hub takes it, the recipient's node rejects it and says why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from broker.db import reading
from broker.hub.tables import slot
from schemas.acknowledgements import Acknowledgement, Result
from schemas.envelope import Envelope
from schemas.loader import dump_json, parse
from schemas.receipts import Receipt
from tests.exchange.acting import envelope_id, submit, verified
from tests.exchange.hostile_sealing import (
    CASES,
    RECIPIENT,
    SENDER,
    STRANGER,
    STRICT,
    Case,
    bulletin,
    releaser,
    seal,
)
from tests.exchange.live import LiveHub, now, run
from tests.exchange.nodes import LiveNode, live_exchange, wait_for

Sent = dict[str, tuple[Envelope, Receipt]]
Scene = tuple[LiveHub, LiveNode, Sent]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A hub and Tunisia's node, to which everything hostile was sent; the senders act by hand."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    with live_exchange(folder, "tn") as (hub, nodes):
        member, unit = STRICT.split("/")
        file = hub.member_files[member]
        people = {"release": (releaser(hub).public,), "release_threshold": 1}
        desk = file.desks[unit].model_copy(update=people)
        hub.member_files[member] = file.model_copy(update={"desks": {**file.desks, unit: desk}})
        hub.publish(hub.signed_member(member, 2, now() + timedelta(days=300)))
        hub.ledger.catch_up()
        run(hub.announce(STRANGER))
        sent = {}
        for case in CASES:
            envelope = case.make(hub)
            sent[case.name] = (envelope, run(submit(hub, envelope)))
        yield hub, nodes["tn"], sent


def _answers(hub: LiveHub, sender: str, envelope: Envelope) -> list[Acknowledgement]:
    """What the sender is shown of its recipient's answers."""

    async def ask() -> list[Acknowledgement]:
        async with hub.client(sender) as client:
            status = await client.status(sender, envelope_id(envelope))
        (recipient,) = status.recipients
        return [
            parse(Acknowledgement, each.statement.payload, 10**6)
            for each in recipient.acknowledgements
        ]

    answers: list[Acknowledgement] = run(ask())
    return answers


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_only_a_recipient_sees_is_rejected_by_it(scene: Scene, case: Case) -> None:
    """Accepted and logged by the hub; answered once, `rejected`, with the reason; nobody is shown it."""
    hub, node, sent = scene
    envelope, receipt = sent[case.name]
    assert verified(hub, receipt).entry.type == "envelope.accepted"
    wait_for(lambda: bool(_answers(hub, case.sender, envelope)))
    (answer,) = _answers(hub, case.sender, envelope)
    assert (answer.result, answer.reason) == (Result.REJECTED, case.reason)
    with reading(hub.ledger.engine) as connection:
        query = select(slot.c.desk, slot.c.answered).where(slot.c.entry_index == receipt.index)
        assert [tuple(row) for row in connection.execute(query)] == [(RECIPIENT, 1)]
    assert node.inbox() == []


def test_an_honest_envelope_made_the_same_way_is_delivered(scene: Scene) -> None:
    """The crafting itself is not what was rejected; and after all that the node goes on."""
    hub, node, _ = scene
    outgoing = bulletin(hub)
    envelope = seal(hub, outgoing)
    run(submit(hub, envelope))
    wait_for(lambda: bool(_answers(hub, SENDER, envelope)))
    assert [answer.result for answer in _answers(hub, SENDER, envelope)] == [Result.DELIVERED]
    assert [each["id"] for each in node.inbox()] == [outgoing.bulletin_id]
    shown = node.call("GET", f"/inbox/{SENDER}/{outgoing.bulletin_id}").json()
    assert dump_json(shown["bulletin"]["title"]) == b'{"en":"hostile"}'
