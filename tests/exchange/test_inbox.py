"""Inboxes, bodies and status: who is shown what, in which order, and until when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from broker.db import writing
from broker.hub import showing
from broker.hub.tables import slot
from broker.tlog.receipt import LogVerifier, verify_receipt
from keys.dsse import pae_sha256, sign_statement
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem
from schemas.limits import INLINE_BYTES_MAX
from schemas.loader import load_json
from schemas.receipts import InboxItem, InboxPage
from schemas.statements import PayloadType
from tests.exchange.acting import answer, envelope_id, item, submit
from tests.exchange.live import LiveHub, live_hub, new_id, run

DESK = "tn/main"
ORDER = (
    Precedence.ROUTINE,
    Precedence.FLASH,
    Precedence.PRIORITY,
    Precedence.FLASH,
    Precedence.IMMEDIATE,
)
"""As they are sent; flash comes first, and of two the one that was logged first."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub, and three desks that can receive."""
    with live_hub(tmp_path_factory.mktemp("inbox") / "hub") as serving:
        run(serving.announce("ly/main", "ne/main", DESK))
        yield serving


@pytest.fixture
def hub(serving: LiveHub) -> LiveHub:
    """The hub, all of whose inboxes are empty: whatever waited counts as answered."""
    with writing(serving.ledger.engine) as connection:
        connection.execute(update(slot).values(answered=1))
    return serving


async def inbox(hub: LiveHub, desk: str = DESK, limit: int = 100, **query: Any) -> InboxPage:
    """One page of an inbox."""
    async with hub.client(desk) as client:
        return await client.inbox(desk, limit=limit, **query)


def indexes(page: InboxPage) -> list[int]:
    """The log indexes of a page, in its order."""
    return [shown.receipt.index for shown in page.items]


def _sent(hub: LiveHub) -> list[int]:
    """Send one of each of ORDER; gives their indexes as they were sent."""
    outgoing = [hub.outgoing("ly/main", precedence=precedence) for precedence in ORDER]
    return [run(submit(hub, hub.seal(each, DESK))).index for each in outgoing]


def _sorted(sent: list[int]) -> list[int]:
    """The same as an inbox shows them."""
    return [sent[1], sent[3], sent[4], sent[2], sent[0]]


def test_by_precedence_then_index(hub: LiveHub) -> None:
    """Flash first, routine last, and within one precedence the oldest first."""
    sent = _sent(hub)
    assert indexes(run(inbox(hub))) == _sorted(sent)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_follow_each_other(hub: LiveHub, limit: int) -> None:
    """However large its pages, an inbox read to its end has each item once, in order."""
    expected = _sorted(_sent(hub))
    found: list[int] = []
    after: str | None = None
    pages = 0
    while pages == 0 or after is not None:
        page = run(inbox(hub, limit=limit, after=after))
        assert len(page.items) <= limit
        found += indexes(page)
        after, pages = page.next, pages + 1
    assert found == expected
    assert pages == -(-len(ORDER) // limit)


def test_a_page_of_large_items_is_cut(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer stays within what a node reads; the rest follows behind its cursor."""
    expected = _sorted(_sent(hub))
    monkeypatch.setattr(showing, "PAGE_BYTES_MAX", 25_000)
    first = run(inbox(hub))
    assert 1 <= len(first.items) < len(ORDER)
    monkeypatch.setattr(showing, "PAGE_BYTES_MAX", 1)
    single = run(inbox(hub, after=first.next))
    assert len(single.items) == 1
    monkeypatch.undo()
    rest = run(inbox(hub, after=single.next))
    assert indexes(first) + indexes(single) + indexes(rest) == expected


def test_a_small_body_comes_along(hub: LiveHub) -> None:
    """Up to the size asked for the body is inline, above it is left out and fetched apart."""
    envelope = hub.seal(hub.outgoing("ly/main"), DESK)
    run(submit(hub, envelope))
    size = len(envelope.body)
    told = [
        run(inbox(hub, inline_bytes=n)).items[0].body for n in (0, size - 1, size, INLINE_BYTES_MAX)
    ]
    assert told == [None, None, envelope.body, envelope.body]

    async def fetched(desk: str) -> bytes:
        async with hub.client(desk) as client:
            return await client.body("ly/main", envelope_id(envelope))

    assert run(fetched(DESK)) == run(fetched("ly/main")) == envelope.body


def test_what_a_recipient_is_shown(hub: LiveHub) -> None:
    """Its own slot, its own place, and a statement without the slots and the body of the others."""
    envelope = hub.seal(hub.outgoing("ly/main"), "ne/main", DESK)
    receipt = run(submit(hub, envelope))
    for desk in ("ne/main", DESK):
        (shown,) = run(inbox(hub, desk)).items
        assert shown.slot == envelope.slots[desk]
        assert shown.receipt.places == tuple(p for p in receipt.places if p.desk == desk)
        assert pae_sha256(shown.statement) == pae_sha256(envelope)
        others = [other for other in ("ne/main", DESK) if other != desk]
        for other in others:
            assert envelope.slots[other] not in _bytes_of(shown)
            hidden = next(p.place_salt for p in receipt.places if p.desk == other)
            assert hidden not in _bytes_of(shown)
    assert run(inbox(hub, "ly/main")).items == ()


def _bytes_of(shown: InboxItem) -> bytes:
    """Every binary value of an item, one after the other."""
    places = b"".join(place.place_salt for place in shown.receipt.places)
    parts = (shown.slot, shown.body or b"", shown.statement.payload, shown.receipt.entry, places)
    return b"".join(parts)


def test_a_sender_among_the_recipients(hub: LiveHub) -> None:
    """A desk that sends to itself too gets, as a recipient, its own place alone: its node takes no other."""
    envelope = hub.seal(hub.outgoing("ly/main"), "ly/main", DESK)
    receipt = run(submit(hub, envelope))
    assert [place.desk for place in receipt.places] == ["ly/main", DESK]
    (shown,) = run(inbox(hub, "ly/main")).items
    assert [place.desk for place in shown.receipt.places] == ["ly/main"]


def test_what_is_answered_leaves(hub: LiveHub) -> None:
    """An answered item is gone for its desk alone; `since` shows it again."""
    first = hub.seal(hub.outgoing("ly/main"), "ne/main", DESK)
    second = hub.seal(hub.outgoing("ly/main"), DESK)
    receipts = [run(submit(hub, envelope)) for envelope in (first, second)]
    run(answer(hub, DESK, item(hub, first, receipts[0])))
    assert indexes(run(inbox(hub))) == [receipts[1].index]
    assert indexes(run(inbox(hub, "ne/main"))) == [receipts[0].index]
    assert indexes(run(inbox(hub, since=receipts[0].index))) == [
        receipts[0].index,
        receipts[1].index,
    ]
    assert indexes(run(inbox(hub, since=receipts[1].index))) == [receipts[1].index]
    assert indexes(run(inbox(hub, since=receipts[1].index + 1))) == []


def test_since_does_not_wait(hub: LiveHub) -> None:
    """A restored node that asks for all of its inbox is answered at once, though nothing is unanswered."""
    envelope = hub.seal(hub.outgoing("ly/main"), DESK)
    receipt = run(submit(hub, envelope))
    run(answer(hub, DESK, item(hub, envelope, receipt)))
    began = time.monotonic()
    assert indexes(run(inbox(hub, since=receipt.index, wait_seconds=5))) == [receipt.index]
    assert time.monotonic() - began < 2


def test_a_long_poll_wakes(hub: LiveHub) -> None:
    """A request that waits is answered as soon as something is relayed, and by nothing else."""
    arriving = hub.seal(hub.outgoing("ly/main"), DESK)
    elsewhere = hub.seal(hub.outgoing("ly/main"), "ne/main")

    async def wait() -> tuple[list[int], int]:
        waiting = asyncio.create_task(inbox(hub, wait_seconds=30))
        await asyncio.sleep(0.3)
        await submit(hub, elsewhere)
        await asyncio.sleep(0.2)
        assert not waiting.done()
        receipt = await submit(hub, arriving)
        async with asyncio.timeout(5):
            return indexes(await waiting), receipt.index

    shown, index = run(wait())
    assert shown == [index]
    # What waits already is told at once.
    began = time.monotonic()
    assert indexes(run(inbox(hub, wait_seconds=30))) == [index]
    assert time.monotonic() - began < 5


def test_many_wait_together(hub: LiveHub) -> None:
    """Every request that waits for one desk is woken."""

    async def wait() -> list[int]:
        waiting = [asyncio.create_task(inbox(hub, wait_seconds=30)) for _ in range(20)]
        await asyncio.sleep(0.6)
        await submit(hub, hub.seal(hub.outgoing("ly/main"), DESK))
        async with asyncio.timeout(10):
            return [len(page.items) for page in await asyncio.gather(*waiting)]

    assert run(wait()) == [1] * 20


def test_a_long_poll_ends(hub: LiveHub) -> None:
    """Where nothing arrives a page without items comes after the time asked for."""
    began = time.monotonic()
    page = run(inbox(hub, wait_seconds=1))
    assert (page.items, page.next) == ((), None)
    assert 0.9 < time.monotonic() - began < 5


def test_strangers_find_nothing(hub: LiveHub) -> None:
    """A desk that is no party learns nothing of an envelope, not even whether there is one."""
    envelope = hub.seal(hub.outgoing("ly/main"), DESK)
    run(submit(hub, envelope))
    refused = hub.seal(hub.outgoing("ly/main", withdraws=new_id()), DESK)
    with pytest.raises(Problem):
        run(submit(hub, refused))

    async def words(desk: str, identity: str) -> tuple[str, str]:
        found = []
        async with hub.client(desk) as client:
            for call in (client.body, client.status):
                try:
                    await call("ly/main", identity)
                    found.append("shown")
                except Problem as problem:
                    found.append(problem.word)
        return found[0], found[1]

    there, nowhere = envelope_id(envelope), new_id()
    assert run(words("ne/main", there)) == run(words("ne/main", nowhere))
    assert run(words("ne/main", there)) == ("not-found", "not-your-desk")
    # An auditor reads proofs, not bulletins; a recipient its ciphertext, not what the others answered.
    assert run(words("auc/audit", there)) == ("not-found", "not-your-desk")
    assert run(words(DESK, there)) == ("shown", "not-your-desk")
    assert run(words("ly/main", there)) == ("shown", "shown")
    assert run(words("ly/main", nowhere)) == ("not-found", "not-found")
    assert run(words("ly/main", envelope_id(refused))) == ("not-found", "not-found")
    assert run(words(DESK, envelope_id(refused))) == ("not-found", "not-your-desk")


def test_status_shows_proofs(hub: LiveHub) -> None:
    """Each answer comes with its signed statement and a receipt of its entry; who was silent has none."""
    envelope = hub.seal(hub.outgoing("ly/main"), "ne/main", DESK)
    receipt = run(submit(hub, envelope))
    run(answer(hub, DESK, item(hub, envelope, receipt)))
    run(answer(hub, DESK, item(hub, envelope, receipt), result=Result.READ))

    async def status() -> Any:
        async with hub.client("ly/main") as client:
            return await client.status("ly/main", envelope_id(envelope))

    shown = run(status())
    log = LogVerifier.from_keys(hub.invitation.logs.exchange)
    assert verify_receipt(shown.receipt, log).index == receipt.index
    assert [place.desk for place in shown.receipt.places] == ["ne/main", DESK]
    assert [(r.desk, len(r.acknowledgements)) for r in shown.recipients] == [
        ("ne/main", 0),
        (DESK, 2),
    ]
    for proof, result in zip(
        shown.recipients[1].acknowledgements, ("delivered", "read"), strict=True
    ):
        verified = verify_receipt(proof.receipt, log)
        assert verified.entry.type == "acknowledgement"
        assert verified.entry.statement == proof.statement.payload
        assert load_json(proof.statement.payload, 10**6)["result"] == result
        expected = sign_statement(
            PayloadType.ACKNOWLEDGEMENT,
            proof.statement.payload,
            "tripoli-test",
            [hub.desks[DESK].node],
        )
        assert pae_sha256(expected) == pae_sha256(proof.statement) == verified.entry.pae
