"""What desks do by hand at a live hub: submit, answer, and look at what the hub says.

May import the live hub; the tests of the hub's rooms call it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from broker.tlog.receipt import LogVerifier, VerifiedReceipt, verify_receipt
from schemas.acknowledgements import AcknowledgedItem
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.loader import dump_json, load_json
from schemas.receipts import OpeningsPage, Receipt
from schemas.statements import Statement
from tests.exchange.live import LiveHub, run


def refusal(call: Coroutine[Any, Any, object]) -> Problem:
    """The problem with which a call must end."""
    with pytest.raises(Problem) as caught:
        run(call)
    return caught.value


def verified(hub: LiveHub, receipt: Receipt) -> VerifiedReceipt:
    """A receipt that must verify with the keys of the invitation."""
    return verify_receipt(receipt, LogVerifier.from_keys(hub.invitation.logs.exchange))


def envelope_id(envelope: Envelope) -> str:
    """The id in its header."""
    return str(load_json(envelope.payload, 10**6)["id"])


async def submit(hub: LiveHub, envelope: Envelope) -> Receipt:
    """Hand an envelope in as its sender."""
    sender = load_json(envelope.payload, 10**6)["from"]
    async with hub.client(sender) as client:
        return await client.submit(dump_json(envelope))


def item(hub: LiveHub, envelope: Envelope, receipt: Receipt) -> AcknowledgedItem:
    """How a recipient names an envelope that it answers."""
    header = load_json(envelope.payload, 10**6)
    return AcknowledgedItem(
        from_=header["from"],
        id=header["id"],
        origin=hub.invitation.logs.exchange.origin,
        index=receipt.index,
        leaf=verified(hub, receipt).leaf.hex(),
    )


async def answer(hub: LiveHub, desk: str, *items: AcknowledgedItem, **other: Any) -> Receipt:
    """Acknowledge as a desk."""
    async with hub.client(desk) as client:
        return await client.acknowledge(hub.acknowledgement(desk, list(items), **other))


async def acknowledge(hub: LiveHub, desk: str, statement: Statement) -> Receipt:
    """Hand in a statement of any kind as an acknowledgement."""
    async with hub.client(desk) as client:
        return await client.acknowledge(statement)


async def announce(hub: LiveHub, desk: str, statement: Statement, under: str = "") -> None:
    """Hand in a sealing key as a desk, under its own address or another."""
    async with hub.client(desk) as client:
        await client.publish_sealing_key(under or desk, statement)


async def openings(hub: LiveHub, desk: str, log: str, start: int, end: int) -> OpeningsPage:
    """What a desk is shown behind leaves."""
    async with hub.client(desk) as client:
        return await client.openings(log, start, end)
