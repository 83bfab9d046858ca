"""Expiry at the hub: logged for every envelope, its ciphertext deleted, and a tombstone in its place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from broker.db import reading
from broker.hub import expiry, showing
from broker.hub.expiry import Expire
from broker.hub.tables import party
from keys.dsse import pae_sha256
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Kind
from schemas.entries import EnvelopeExpired, parse_exchange_entry
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.receipts import Receipt
from tests.exchange.acting import answer, envelope_id, item, openings, refusal, submit, verified
from tests.exchange.expiring import (
    DESK,
    LIFE_SECONDS,
    OTHER,
    SENDER,
    body_of,
    end_of,
    expired_entry,
    inbox,
    pass_away,
    short_lived,
    status,
    stored,
)
from tests.exchange.forging import check_whole
from tests.exchange.live import LiveHub, live_hub, new_id, run
from tests.exchange.raw import rows


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub that does not sweep by itself while a test looks, and three desks that can receive."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expiry, "SWEEP_SECONDS", 3600.0)
        with live_hub(tmp_path_factory.mktemp("expiry") / "hub") as hub:
            run(hub.announce(SENDER, OTHER, DESK))
            yield hub


@pytest.fixture
def hub(serving: LiveHub) -> LiveHub:
    """The hub, in whose exchange everything that could expire has done so."""
    pass_away(serving)
    return serving


def test_every_envelope_expires(hub: LiveHub) -> None:
    """Answered or not: one entry that names it, no ciphertext left, and the sender has the proof."""
    sent = short_lived(hub, OTHER, DESK)
    receipt = run(submit(hub, sent))
    run(answer(hub, OTHER, item(hub, sent, receipt)))
    assert run(status(hub, sent)).expired is None
    size = hub.ledger.heads()[1].size
    assert pass_away(hub) == 1
    assert hub.ledger.heads()[1].size == size + 1
    shown = run(status(hub, sent))
    entry = expired_entry(hub, shown.expired)
    assert (entry.from_, entry.id) == (SENDER, envelope_id(sent))
    assert end_of(hub, receipt) <= entry.at.timestamp() <= hub.now_unix()
    assert entry.directory_size == hub.ledger.heads()[0].size
    assert shown.expired is not None
    assert (shown.expired.index, shown.expired.places) == (size, ())
    assert stored(hub, receipt.index) == ([(OTHER, b"", 1), (DESK, b"", 2)], [])
    assert [run(inbox(hub, desk)).items for desk in (OTHER, DESK)] == [(), ()]
    assert run(inbox(hub, since=receipt.index)).items == ()
    for desk in (SENDER, OTHER, DESK):
        assert refusal(body_of(hub, sent, desk)).word == "not-found"
    check_whole(hub)


def test_who_may_open_an_expiry(hub: LiveHub) -> None:
    """Sender, recipients and auditors open the entry; others learn nothing of it."""
    receipt = run(submit(hub, short_lived(hub, OTHER, DESK)))
    size = hub.ledger.heads()[1].size
    pass_away(hub)
    opened = {
        desk: len(run(openings(hub, desk, "exchange", size, size + 1)).openings)
        for desk in (SENDER, OTHER, DESK, "auc/audit", "dz/main")
    }
    assert opened == {SENDER: 1, OTHER: 1, DESK: 1, "auc/audit": 1, "dz/main": 0}
    with reading(hub.ledger.engine) as connection:
        query = select(party.c.desk).where(party.c.entry_index == size).order_by(party.c.desk)
        assert list(connection.execute(query).scalars()) == [SENDER, OTHER, DESK]
    assert receipt.index < size


def test_a_tombstone_explains_an_empty_place(hub: LiveHub) -> None:
    """Who never answered gets the acceptance with its own place, and the expiry; who answered gets none."""
    sent = short_lived(hub, OTHER, DESK)
    receipt = run(submit(hub, sent))
    run(answer(hub, OTHER, item(hub, sent, receipt)))
    size = hub.ledger.heads()[1].size
    pass_away(hub)
    assert run(inbox(hub)).tombstones == ()
    assert run(inbox(hub, OTHER, tombstones=size)).tombstones == ()
    (stone,) = run(inbox(hub, tombstones=size)).tombstones
    assert pae_sha256(stone.statement) == pae_sha256(sent)
    assert stone.receipt.places == tuple(p for p in receipt.places if p.desk == DESK)
    assert verified(hub, stone.receipt).index == receipt.index
    entry = expired_entry(hub, stone.expired)
    assert (entry.from_, entry.id, stone.expired.index) == (SENDER, envelope_id(sent), size)
    assert run(inbox(hub, tombstones=size + 1)).tombstones == ()
    # A restored node asks for both at once.
    both = run(inbox(hub, since=0, tombstones=size))
    assert (both.items, len(both.tombstones)) == ((), 1)


def test_tombstones_come_in_pages(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ascending by their own entries, at most as many as asked for, and never over the page's size."""
    for _ in range(5):
        run(submit(hub, short_lived(hub, DESK)))
    start = hub.ledger.heads()[1].size
    pass_away(hub)
    expected = list(range(start, start + 5))

    def page(index: int, limit: int) -> list[int]:
        found = run(inbox(hub, tombstones=index, limit=limit)).tombstones
        return [stone.expired.index for stone in found]

    assert page(start, 100) == expected
    assert page(start, 2) == expected[:2]
    assert page(start + 2, 2) == expected[2:4]
    assert page(0, 100)[-5:] == expected
    monkeypatch.setattr(showing, "PAGE_BYTES_MAX", 1)
    assert page(start + 1, 100) == expected[1:2]


def test_a_late_answer_is_taken(hub: LiveHub) -> None:
    """Who had fetched it in time may answer after its end; it is no empty place any more."""
    sent = short_lived(hub, DESK)
    receipt = run(submit(hub, sent))
    size = hub.ledger.heads()[1].size
    pass_away(hub)
    run(answer(hub, DESK, item(hub, sent, receipt)))
    run(answer(hub, DESK, item(hub, sent, receipt), result=Result.READ))
    shown = run(status(hub, sent))
    assert len(shown.recipients[0].acknowledgements) == 2
    assert expired_entry(hub, shown.expired).id == envelope_id(sent)
    assert run(inbox(hub, tombstones=size)).tombstones == ()
    assert stored(hub, receipt.index) == ([(DESK, b"", 1)], [])


def test_replayed_after_expiry(hub: LiveHub) -> None:
    """The same bytes get the same receipt, nothing is written, and no ciphertext comes back."""
    sent = short_lived(hub, OTHER, DESK)
    receipt = run(submit(hub, sent))
    pass_away(hub)
    before, kept = rows(hub), stored(hub, receipt.index)
    again = run(submit(hub, sent))
    assert (again.index, again.entry, again.salt, again.places) == (
        receipt.index,
        receipt.entry,
        receipt.salt,
        receipt.places,
    )
    assert (rows(hub), stored(hub, receipt.index)) == (before, kept)
    assert refusal(body_of(hub, sent, DESK)).word == "not-found"
    other = short_lived(hub, DESK)
    renamed = hub.seal(hub.outgoing(SENDER), DESK, envelope_id=envelope_id(sent))
    assert refusal(submit(hub, renamed)).word == "id-taken"
    late = refusal(_after(hub, other))
    assert (late.word, "receipt" in late.extensions) == ("lifetime", True)


async def _after(hub: LiveHub, sent: Envelope) -> Receipt:
    """Submit an envelope for the first time once its life is over."""
    hub.clock_offset_seconds += LIFE_SECONDS + 1
    return await submit(hub, sent)


def test_not_before_its_end(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its last second an envelope is served; in the one that `expires` names it is over."""
    sent = short_lived(hub, DESK)
    receipt = run(submit(hub, sent))
    refused = hub.seal(
        hub.outgoing(SENDER, expires=hub.moment() + timedelta(seconds=1), supersedes=new_id()), DESK
    )
    with pytest.raises(Problem):
        run(submit(hub, refused))
    end = end_of(hub, receipt)
    monkeypatch.setattr(hub.ledger, "_now_unix", lambda: end - 1)
    assert hub.ledger.commit([Expire()]) == [0]
    assert len(run(inbox(hub)).items) == 1
    monkeypatch.setattr(hub.ledger, "_now_unix", lambda: end)
    assert hub.ledger.commit([Expire()]) == [1]
    assert run(inbox(hub)).items == ()


def test_a_batch_is_bounded_and_the_oldest_go_first(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are due, one work takes so many, beginning with those that ended first."""
    lives = (50, 20, 40, 10, 30)
    sent = [
        short_lived(hub, DESK, expires=hub.moment() + timedelta(seconds=life)) for life in lives
    ]
    ids = [envelope_id(each) for each in sent]
    for each in sent:
        run(submit(hub, each))
    size = hub.ledger.heads()[1].size
    monkeypatch.setattr(expiry, "EXPIRED_PER_BATCH_MAX", 2)
    hub.clock_offset_seconds += LIFE_SECONDS
    assert [hub.ledger.commit([Expire()])[0] for _ in range(4)] == [2, 2, 1, 0]
    found = run(openings(hub, SENDER, "exchange", size, size + 5)).openings
    named = [parse_exchange_entry(each.entry) for each in found]
    assert [each.id for each in named if isinstance(each, EnvelopeExpired)] == [
        ids[n] for n in (3, 1, 4, 2, 0)
    ]


def test_withdrawals_are_marked(hub: LiveHub) -> None:
    """An original whose withdrawal went to the same desk is marked for it; for no other, nor another's."""
    bulletin = new_id()
    original = short_lived(hub, OTHER, DESK, bulletin_id=bulletin)
    run(submit(hub, original))
    run(submit(hub, short_lived(hub, DESK)))
    withdrawal = short_lived(hub, DESK, withdraws=bulletin, kind=Kind.WITHDRAWAL)
    index = run(submit(hub, withdrawal)).index
    marks = {
        desk: [shown.withdrawn for shown in run(inbox(hub, desk)).items] for desk in (OTHER, DESK)
    }
    assert marks == {OTHER: [False], DESK: [True, False, False]}
    # Expired, a withdrawal has still been made, and an original can still be withdrawn.
    pass_away(hub)
    assert run(submit(hub, short_lived(hub, OTHER, withdraws=bulletin, kind=Kind.WITHDRAWAL)))
    assert stored(hub, index) == ([(DESK, b"", 2)], [])


def test_an_auditor_finds_nothing(hub: LiveHub, tmp_path: Path) -> None:
    """What the hub logs of expiry is sound to an auditor; without it, the auditor says what is missing."""
    run(submit(hub, short_lived(hub, DESK)))
    index = hub.ledger.heads()[1].size - 1
    hub.clock_offset_seconds += 2 * 3600
    run(submit(hub, short_lived(hub, DESK)))

    async def found() -> list[tuple[int | None, str]]:
        async with hub.client("auc/audit") as client:
            report = await verify_exchange(client, hub.invitation, SeenStore(tmp_path), hub.moment)
            return [(finding.index, finding.rule) for finding in report.findings]

    assert run(found()) == [(index, "expired-missing")]
    assert pass_away(hub) == 2
    assert run(found()) == []
