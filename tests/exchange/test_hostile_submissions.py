"""What hostile members and strangers submit: each is refused with its word, and leaves what it must, no more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import httpx
import pytest

from keys.envelope import Outgoing
from keys.signing import identity_keyid
from schemas.errors import PROBLEMS, Finality
from schemas.loader import dump_json, parse
from schemas.receipts import Receipt
from tests.exchange.acting import submit, verified
from tests.exchange.hostile_claims import CLAIMS, SMALL_ORDER
from tests.exchange.hostile_crafting import Call, Row, call_of
from tests.exchange.hostile_requests import REQUESTS
from tests.exchange.hostile_texts import TEXTS
from tests.exchange.live import EXCHANGE, LiveHub, now, run
from tests.exchange.raw import http, problem, rows, word

ROWS: Final = (*TEXTS, *CLAIMS, *REQUESTS)


@pytest.fixture(scope="module")
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    """One connection for all; Mauritania revoked a node's keys, Chad declared a weak request key."""
    node = hub.desks["mr/main"].node.public
    expires = now() + timedelta(days=300)
    hub.publish(hub.signed_member("mr", 2, expires, (identity_keyid(EXCHANGE, node),)))
    chad = hub.member_files["td"]
    weak = chad.desks["judicial"].model_copy(update={"request": SMALL_ORDER})
    hub.member_files["td"] = chad.model_copy(update={"desks": {**chad.desks, "judicial": weak}})
    hub.publish(hub.signed_member("td", 2, expires))
    hub.ledger.catch_up()
    with http(hub) as opened:
        yield opened


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
    assert (entry.type, entry.problem) == ("envelope.refused", row.word)
    again = _send(client, call_of(hub, Row(row.name, row.word, lambda _h: call.body, row.caller)))
    assert problem(again)["receipt"]["index"] == receipt.index
    assert {table: n - before[table] for table, n in rows(hub).items() if n != before[table]} == added


def test_the_table_is_wide_enough() -> None:
    """At least 60 submissions, none twice, and at least 25 kinds of problems."""
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60
    assert len({row.word for row in ROWS}) >= 25
