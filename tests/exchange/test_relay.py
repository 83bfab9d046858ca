"""The hub as its members meet it: what it relays, what it refuses, and what each leaves behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broker.hub import relay
from broker.tlog.receipt import LogVerifier, verify_receipt
from keys.envelope import Outgoing
from schemas.bulletin.vocabularies import Kind
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.loader import dump_json, load_json
from schemas.receipts import Receipt
from schemas.scalars import format_time
from tests.exchange.live import LiveHub, new_id, now, run
from tests.exchange.raw import rows


async def _submit(hub: LiveHub, envelope: Envelope | bytes, caller: str = "ly/main") -> Receipt:
    data = envelope if isinstance(envelope, bytes) else dump_json(envelope)
    async with hub.client(caller) as client:
        return await client.submit(data)


def _verified(hub: LiveHub, receipt: Receipt) -> Any:
    return verify_receipt(receipt, LogVerifier.from_keys(hub.invitation.logs.exchange))


def _refusal(hub: LiveHub, envelope: Envelope | bytes, caller: str = "ly/main") -> Problem:
    with pytest.raises(Problem) as caught:
        run(_submit(hub, envelope, caller))
    return caught.value


def test_a_receipt_proves_the_entry(hub: LiveHub) -> None:
    """An accepted envelope's receipt verifies, and its places count from 1 for each recipient."""
    receipt = run(_submit(hub, hub.seal(hub.outgoing("ly/main"), "ne/main", "tn/main")))
    entry = _verified(hub, receipt).entry
    assert entry.type == "envelope.accepted"
    assert [place.desk for place in receipt.places] == ["ne/main", "tn/main"]


def test_submitting_twice_is_harmless(hub: LiveHub) -> None:
    """The same bytes get the receipt of the same entry, and nothing is written."""
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
    first = run(_submit(hub, envelope))
    before = rows(hub)
    again = run(_submit(hub, envelope))
    assert (again.index, again.entry, again.salt) == (first.index, first.entry, first.salt)
    assert rows(hub) == before


def test_what_is_known_is_answered_before_freshness(hub: LiveHub) -> None:
    """An envelope that has become too old to be accepted still gets its receipt again."""
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
    first = run(_submit(hub, envelope))
    hub.clock_offset_seconds = 48 * 3600
    try:
        assert run(_submit(hub, envelope)).index == first.index
    finally:
        hub.clock_offset_seconds = 0


def test_damaged_bytes_are_replaced(hub: LiveHub) -> None:
    """Submitting again mends a body that rotted in the hub's database."""
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
    receipt = run(_submit(hub, envelope))
    with hub.ledger.engine.connect() as connection:
        connection.exec_driver_sql(
            "UPDATE body SET ciphertext = x'00' WHERE entry_index = ?", (receipt.index,)
        )
        connection.exec_driver_sql("COMMIT")
    run(_submit(hub, envelope))

    async def body() -> bytes:
        async with hub.client("tn/main") as client:
            header = load_json(envelope.payload, 10**6)
            return await client.body("ly/main", header["id"])

    assert run(body()) == envelope.body


def _outgoing(hub: LiveHub, *recipients: str, **changes: Any) -> Envelope:
    return hub.seal(hub.outgoing("ly/main", **changes), *recipients)


def test_a_refusal_is_repeated_not_logged_again(hub: LiveHub) -> None:
    """The same refused bytes get the same refusal with the same entry; the id is burnt."""
    outgoing = hub.outgoing("ly/main", kind=Kind.JUDICIAL_REQUEST)
    envelope_id = new_id()
    envelope = hub.seal(outgoing, "tn/main", envelope_id=envelope_id)
    first = _refusal(hub, envelope)
    before = rows(hub)
    again = _refusal(hub, envelope)
    assert again.word == first.word
    assert again.extensions["policies"] == first.extensions["policies"]
    assert again.extensions["receipt"]["index"] == first.extensions["receipt"]["index"]
    allowed = hub.seal(hub.outgoing("ly/main"), "tn/main", envelope_id=envelope_id)
    assert _refusal(hub, allowed).word == "id-taken"
    assert rows(hub) == before


def test_a_refusal_names_the_rules(hub: LiveHub) -> None:
    """The refused sender reads which recipient and which rules."""
    envelope = hub.seal(hub.outgoing("ne/judicial", kind=Kind.JUDICIAL_REQUEST), "tn/main")
    problem = _refusal(hub, envelope, "ne/judicial")
    assert problem.extensions["desk"] == "tn/main"
    assert problem.extensions["policies"] == ["judicial-requests-to-judicial-desks-only"]


def test_all_recipients_or_none(hub: LiveHub) -> None:
    """One forbidden recipient keeps a bulletin from all of them."""
    envelope = hub.seal(
        hub.outgoing("ne/judicial", kind=Kind.JUDICIAL_REQUEST), "tn/judicial", "tn/main"
    )

    async def waiting() -> int:
        async with hub.client("tn/judicial") as client:
            return len((await client.inbox("tn/judicial", limit=100)).items)

    before = run(waiting())
    assert _refusal(hub, envelope, "ne/judicial").word == "access-denied"
    assert run(waiting()) == before


def test_nobody_submits_for_another(hub: LiveHub) -> None:
    """An envelope handed in by another desk is refused before it is looked at."""
    envelope = hub.seal(hub.outgoing("ly/main"), "ne/main")
    before = rows(hub)
    assert _refusal(hub, envelope, "tn/main").word == "not-sender"
    assert rows(hub) == before


def test_an_id_is_used_once_and_only_by_its_owner(hub: LiveHub) -> None:
    """Another envelope under a used id is refused with the earlier receipt; another desk's id is free."""
    envelope_id = new_id()
    first = run(_submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main", envelope_id=envelope_id)))
    second = hub.seal(hub.outgoing("ly/main"), "ne/main", envelope_id=envelope_id)
    problem = _refusal(hub, second)
    assert problem.word == "id-taken"
    assert [earlier["index"] for earlier in problem.extensions["earlier"]] == [first.index]
    mine = hub.seal(hub.outgoing("tn/main"), "ne/main", envelope_id=envelope_id)
    assert run(_submit(hub, mine, "tn/main")).index > first.index


def test_one_bulletin_id_has_one_content(hub: LiveHub) -> None:
    """A second content under a bulletin id is refused for good, with the receipts of the first."""
    outgoing: Outgoing = hub.outgoing("ly/main")
    first = run(_submit(hub, hub.seal(outgoing, "tn/main")))
    other = replace(outgoing, bulletin_json=b'{"title":"another"}')
    problem = _refusal(hub, hub.seal(other, "ne/main"))
    assert problem.word == "bulletin-differs"
    assert [earlier["index"] for earlier in problem.extensions["earlier"]] == [first.index]
    same = run(_submit(hub, hub.seal(outgoing, "ne/main")))
    assert same.index > first.index


def test_a_withdrawal_goes_where_the_original_went(hub: LiveHub) -> None:
    """A desk that was never sent the original cannot be told of its withdrawal."""
    outgoing = hub.outgoing("ly/main")
    run(_submit(hub, hub.seal(outgoing, "tn/main")))
    told = hub.outgoing("ly/main", supersedes=outgoing.bulletin_id)
    assert _refusal(hub, hub.seal(told, "ne/main", "tn/main")).word == "original-desks"
    other_sender = hub.outgoing("ne/main", supersedes=outgoing.bulletin_id)
    assert _refusal(hub, hub.seal(other_sender, "tn/main"), "ne/main").word == "original-unknown"
    assert run(_submit(hub, hub.seal(told, "tn/main"))).index > 0


def test_a_withdrawal_is_final(hub: LiveHub) -> None:
    """What withdraws another can itself be neither withdrawn nor superseded."""
    original = hub.outgoing("ly/main")
    withdrawal = hub.outgoing("ly/main", withdraws=original.bulletin_id)
    for sent in (original, withdrawal):
        run(_submit(hub, hub.seal(sent, "tn/main")))
    for word in ("withdraws", "supersedes"):
        again = hub.outgoing("ly/main", **{word: withdrawal.bulletin_id})
        assert _refusal(hub, hub.seal(again, "tn/main")).word == "original-withdrawal"


def test_when_there_is_room_after_too_many_refusals(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desk that was refused too often learns when the next refusal can be logged."""
    monkeypatch.setattr("broker.hub.precedents.REFUSALS_PER_HOUR_MAX", 2)

    def refused() -> Problem:
        envelope = hub.seal(hub.outgoing("ma/main", withdraws=new_id()), "tn/main")
        return _refusal(hub, envelope, "ma/main")

    assert [refused().word, refused().word] == ["original-unknown", "original-unknown"]
    problem = refused()
    assert problem.word == "refusal-rate"
    seconds = problem.extensions["retry_after"]
    assert 3590 <= seconds <= 3600
    assert f"room in {seconds} seconds" in problem.detail


def test_details_write_times_as_the_protocol_does(hub: LiveHub) -> None:
    """Who is refused for a time sees it in RFC 3339, and which limit it broke."""
    created, late = now() - timedelta(hours=25), now() + timedelta(days=31)
    past = now() - timedelta(seconds=5)
    skewed = _refusal(hub, hub.seal(hub.outgoing("ly/main"), "tn/main", created=created))
    long = _refusal(hub, _outgoing(hub, "tn/main", expires=late))
    expired = _refusal(hub, _outgoing(hub, "tn/main", expires=past))
    assert skewed.detail.startswith(f"created {format_time(created)}, now ")
    assert long.detail.startswith(f"expires {format_time(late)}, more than 30 days after created")
    assert expired.detail.startswith(f"expires {format_time(past)}, which is past: now ")
    assert [p.detail for p in (skewed, long, expired) if "+00:00" in p.detail] == []


def test_what_breaks_the_headers_schema_is_told_by_its_place(hub: LiveHub) -> None:
    """A path leads into the payload; sizes of binary are in bytes, and words are ours alone."""
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
    header = load_json(envelope.payload, 10**6) | {"topics": []}
    payload = envelope.model_copy(update={"payload": dump_json(header)})
    (error,) = _refusal(hub, payload).extensions["errors"]
    assert (error["path"], error["rule"]) == ("$.payload → $.topics", "must have at least 1 items")
    short = envelope.model_copy(update={"slots": {"tn/main": b"short"}})
    (error,) = _refusal(hub, short).extensions["errors"]
    assert error["path"] == '$.slots["tn/main"]'
    assert (error["rule"], error["value"]) == ("must have at least 1168 bytes", "5 bytes")


def test_an_entry_that_nobody_could_read_is_not_logged(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An envelope whose log entry would be over the readers' limit is refused, and no place is used up."""
    envelope = hub.seal(hub.outgoing("ly/main"), "ne/main", "tn/main")
    before = rows(hub)
    monkeypatch.setattr(relay, "ENTRY_BYTES_MAX", 1000)
    assert _refusal(hub, envelope).word == "too-large"
    assert rows(hub) == before
    monkeypatch.undo()
    assert run(_submit(hub, envelope)).index > 0
