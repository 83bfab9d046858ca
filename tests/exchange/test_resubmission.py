"""The same envelope again, with other bytes around what was signed: nobody may spoil what was accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.envelope import SLOT_BYTES, Envelope
from schemas.errors import Problem
from schemas.loader import dump_json
from schemas.receipts import InboxPage
from tests.exchange.acting import envelope_id, refusal, submit
from tests.exchange.live import LiveHub, new_id, run
from tests.exchange.raw import http, rows, send

DESKS = ("ne/main", "tn/main")


def _spoilt_body(envelope: Envelope) -> Envelope:
    return envelope.model_copy(update={"body": bytes(len(envelope.body))})


def _no_body(envelope: Envelope) -> Envelope:
    return envelope.model_copy(update={"body": b""})


def _spoilt_slot(envelope: Envelope) -> Envelope:
    slots = {**envelope.slots, "tn/main": bytes(SLOT_BYTES)}
    return envelope.model_copy(update={"slots": slots})


def _exchanged_slots(envelope: Envelope) -> Envelope:
    slots = {"ne/main": envelope.slots["tn/main"], "tn/main": envelope.slots["ne/main"]}
    return envelope.model_copy(update={"slots": slots})


def _slot_missing(envelope: Envelope) -> Envelope:
    return envelope.model_copy(update={"slots": {"tn/main": envelope.slots["tn/main"]}})


def _slot_for_a_stranger(envelope: Envelope) -> Envelope:
    slots = {**envelope.slots, "dz/judicial": envelope.slots["tn/main"]}
    return envelope.model_copy(update={"slots": slots})


SPOILT = [
    _spoilt_body,
    _no_body,
    _spoilt_slot,
    _exchanged_slots,
    _slot_missing,
    _slot_for_a_stranger,
]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_sender_cannot_spoil_what_was_accepted(
    hub: LiveHub, spoil: Callable[[Envelope], Envelope]
) -> None:
    """The header is known, so the receipt is the same; the stored bytes stay, or the hub would be blamed."""
    envelope = hub.seal(hub.outgoing("ly/main"), *DESKS)
    receipt = run(submit(hub, envelope))
    before = rows(hub)
    assert run(submit(hub, spoil(envelope))).index == receipt.index
    assert rows(hub) == before

    async def shown(desk: str) -> tuple[bytes, InboxPage]:
        async with hub.client(desk) as client:
            page = await client.inbox(desk, limit=100, since=receipt.index)
            return await client.body("ly/main", envelope_id(envelope)), page

    for desk in DESKS:
        body, page = run(shown(desk))
        assert body == envelope.body
        assert [item.slot for item in page.items] == [envelope.slots[desk]]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_spoilt_first_submission_is_not_known(
    hub: LiveHub, spoil: Callable[[Envelope], Envelope]
) -> None:
    """Spoilt at first, it is refused retryably, burns no id, and passes whole."""
    envelope = hub.seal(hub.outgoing("ly/main"), *DESKS)
    before = rows(hub)
    problem = refusal(submit(hub, spoil(envelope)))
    assert problem.word in {"body-hash", "slot-hash", "slots-differ"}
    assert rows(hub) == before
    assert run(submit(hub, envelope)).index >= 0


def _index(problem: Problem) -> int:
    receipt: Any = problem.extensions["receipt"]
    return int(receipt["index"])


def test_a_refusal_is_not_mended_by_other_bytes(hub: LiveHub) -> None:
    """A refused header stays refused, whatever travels with it."""
    envelope = hub.seal(hub.outgoing("ly/main", withdraws=new_id()), *DESKS)
    first = refusal(submit(hub, envelope))
    before = rows(hub)
    again = refusal(submit(hub, _spoilt_body(envelope)))
    assert (again.word, _index(again)) == (
        "original-unknown",
        _index(first),
    )
    assert rows(hub) == before


def test_other_signatures_are_no_other_envelope(hub: LiveHub) -> None:
    """What identifies an envelope is what was signed: with a broken signature it is known all the same."""
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
    receipt = run(submit(hub, envelope))
    (signature,) = envelope.signatures
    broken = signature.model_copy(update={"sig": bytes(len(signature.sig))})
    again = run(submit(hub, envelope.model_copy(update={"signatures": (broken,)})))
    assert (again.index, again.entry) == (receipt.index, receipt.entry)
    with http(hub) as client:
        body = dump_json(envelope)
        assert send(client, hub, "ne/main", "POST", "/v1/envelopes", body).status_code == 403
