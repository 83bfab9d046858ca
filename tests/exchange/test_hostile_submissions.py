"""What hostile members and strangers submit: each is refused with its word, and leaves what it must alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest

from keys.signing import identity_keyid
from schemas.entries import EnvelopeRefused
from schemas.envelope import Envelope
from schemas.errors import PROBLEMS, Finality
from schemas.loader import dump_json, parse
from schemas.receipts import Receipt
from tests.exchange.acting import envelope_id, submit, verified
from tests.exchange.hostile_claims import CLAIMS, SMALL_ORDER, weakened
from tests.exchange.hostile_crafting import Call, Row, call_of, honest, signed
from tests.exchange.hostile_requests import REQUESTS
from tests.exchange.hostile_texts import TEXTS
from tests.exchange.live import EXCHANGE, LiveHub, new_id, now, run
from tests.exchange.raw import bare, http, problem, rows, word

ROWS: Final = (*TEXTS, *CLAIMS, *REQUESTS)


@pytest.fixture(scope="module")
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    """One connection for all; Mauritania revoked a node's keys, Chad and Morocco declared weak ones."""
    node = hub.desks["mr/main"].node.public
    expires = now() + timedelta(days=300)
    hub.publish(hub.signed_member("mr", 2, expires, (identity_keyid(EXCHANGE, node),)))
    weak_identity = weakened(hub.desks["ma/main"].node.public)
    _redeclare(hub, "td", "judicial", request=SMALL_ORDER)
    _redeclare(hub, "ma", "main", node=weak_identity)
    hub.ledger.catch_up()
    with http(hub) as opened:
        yield opened


def _redeclare(hub: LiveHub, member: str, unit: str, **changes: Any) -> None:
    """A member signs what its own tools would refuse to sign."""
    file = hub.member_files[member]
    desk = file.desks[unit].model_copy(update=changes)
    hub.member_files[member] = file.model_copy(update={"desks": {**file.desks, unit: desk}})
    hub.publish(hub.signed_member(member, 2, now() + timedelta(days=300)))


def _send(client: httpx.Client, call: Call) -> httpx.Response:
    headers = [*call.headers.items(), *call.further]
    return client.request(call.method, call.target, content=call.body, headers=headers)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_is_hostile_is_refused(hub: LiveHub, client: httpx.Client, row: Row) -> None:
    """It has its problem; an authenticated final refusal leaves one entry with proof, all else nothing."""
    call = call_of(hub, row)
    before = rows(hub)
    answer = _send(client, call)
    assert (word(answer), answer.status_code) == (row.word, PROBLEMS[row.word].status)
    added = {table: n - before[table] for table, n in rows(hub).items() if n != before[table]}
    if PROBLEMS[row.word].finality is not Finality.FINAL:
        assert added == {}
        assert "receipt" not in problem(answer)
        return
    assert added == {"entry": 1, "envelope": 1, "party": 1}
    receipt = parse(Receipt, dump_json(problem(answer)["receipt"]), 10**6)
    entry = verified(hub, receipt).entry
    assert isinstance(entry, EnvelopeRefused)
    assert entry.problem == row.word
    again = _send(client, call_of(hub, Row(row.name, row.word, lambda _h: call.body, row.caller)))
    assert problem(again)["receipt"]["index"] == receipt.index
    assert {
        table: n - before[table] for table, n in rows(hub).items() if n != before[table]
    } == added


def test_the_table_is_wide_enough() -> None:
    """At least 60 submissions, none twice, and at least 25 kinds of problems."""
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60
    assert len({row.word for row in ROWS}) >= 25


def test_a_length_that_is_too_short_ends_the_envelope(hub: LiveHub, client: httpx.Client) -> None:
    """What is read is what was announced: it is not what was digested, and the rest is no request."""
    call = signed(hub, honest(hub))
    before = rows(hub)
    fields = {**call.headers, "Host": "hub", "Content-Length": str(len(call.body) - 20)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    answer = bare(hub, f"POST {call.target} HTTP/1.1\r\n{lines}\r\n".encode() + call.body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"201 Created" not in answer
    assert rows(hub) == before
    assert _send(client, signed(hub, honest(hub))).status_code == httpx.codes.CREATED


def test_ids_that_another_took_first_hurt_nobody(hub: LiveHub) -> None:
    """Who learned of others' ids may use them first: their owner sends all the same."""
    bulletin_id, id_ = new_id(), new_id()

    def envelope(sender: str) -> Envelope:
        outgoing = hub.outgoing(sender, bulletin_id=bulletin_id)
        return hub.seal(outgoing, "tn/main", envelope_id=id_)

    thief, owner = envelope("ne/main"), envelope("ly/main")
    first, second = run(submit(hub, thief)), run(submit(hub, owner))
    assert [verified(hub, each).entry.type for each in (first, second)] == ["envelope.accepted"] * 2
    own = run(submit(hub, hub.seal(hub.outgoing("ly/main", supersedes=bulletin_id), "tn/main")))
    assert own.index == second.index + 1
    assert run(submit(hub, thief)).index == first.index
    assert (envelope_id(thief), envelope_id(owner)) == (id_, id_)
