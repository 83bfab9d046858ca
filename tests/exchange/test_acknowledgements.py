"""Acknowledgements: taken whole or not at all, and only of what the desk was sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from broker.hub.acknowledgements import ANSWERS_MAX
from keys.dsse import pae_sha256, sign_statement
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.errors import Problem
from schemas.loader import dump_json, load_json, to_plain
from schemas.receipts import EnvelopeStatus
from schemas.scalars import format_time
from schemas.statements import PayloadType, Statement
from tests.exchange.acting import acknowledge, answer, envelope_id, item, refusal, submit, verified
from tests.exchange.live import EXCHANGE, LiveHub, new_id, now, run
from tests.exchange.raw import http, rows, send, word

Items = list[AcknowledgedItem]


@pytest.fixture(scope="module")
def sent(hub: LiveHub) -> Items:
    """Three envelopes of ly/main to tn/main and ne/main, as an answer names them."""
    found = []
    for _ in range(3):
        envelope = hub.seal(hub.outgoing("ly/main"), "ne/main", "tn/main")
        found.append(item(hub, envelope, run(submit(hub, envelope))))
    return found


def _signed(hub: LiveHub, fields: dict[str, Any], signer: str = "tn/main") -> Statement:
    """A statement with any payload."""
    payload = dump_json(fields)
    identity = hub.desks[signer].node
    return sign_statement(PayloadType.ACKNOWLEDGEMENT, payload, EXCHANGE, [identity])


def _fields(named: Items, **changes: Any) -> dict[str, Any]:
    plain = [to_plain(each) for each in named]
    fields = {
        "v": 1,
        "exchange": EXCHANGE,
        "desk": "tn/main",
        "at": format_time(now()),
        "result": "delivered",
    }
    return fields | {"items": plain} | changes


def _wrong(problem: Problem) -> list[dict[str, Any]]:
    """The items that a refusal lists, each of which says why."""
    assert problem.word == "acknowledgement-items"
    items: Any = problem.extensions["items"]
    assert all(listed["why"] for listed in items)
    return [{name: value for name, value in listed.items() if name != "why"} for listed in items]


def test_accepted(hub: LiveHub, sent: Items) -> None:
    """One statement answers several envelopes: one entry, with a receipt that verifies."""
    before = rows(hub)
    statement = hub.acknowledgement("tn/main", sent)
    receipt = run(acknowledge(hub, "tn/main", statement))
    entry = verified(hub, receipt).entry
    assert entry.type == "acknowledgement"
    assert (entry.statement, entry.pae) == (statement.payload, pae_sha256(statement))
    assert receipt.places == ()
    added = {
        name: count - before[name] for name, count in rows(hub).items() if count != before[name]
    }
    assert added == {"entry": 1, "acknowledgement": 1, "answer": 3, "party": 2}


def test_repeated(hub: LiveHub, sent: Items) -> None:
    """The same statement again has the same entry, and nothing is written."""
    statement = hub.acknowledgement("ne/main", sent[:1])
    first = run(acknowledge(hub, "ne/main", statement))
    before = rows(hub)
    again = run(acknowledge(hub, "ne/main", statement))
    assert (again.index, again.entry, again.salt) == (first.index, first.entry, first.salt)
    assert rows(hub) == before


def _wrong_leaf(named: AcknowledgedItem, _hub: LiveHub) -> AcknowledgedItem:
    return named.model_copy(update={"leaf": "0" * 64})


def _wrong_index(named: AcknowledgedItem, _hub: LiveHub) -> AcknowledgedItem:
    return named.model_copy(update={"index": named.index + 1000})


def _wrong_origin(named: AcknowledgedItem, _hub: LiveHub) -> AcknowledgedItem:
    return named.model_copy(update={"origin": f"{EXCHANGE}/exchange/2"})


def _wrong_id(named: AcknowledgedItem, _hub: LiveHub) -> AcknowledgedItem:
    return named.model_copy(update={"id": new_id()})


def _of_another_desk(_named: AcknowledgedItem, hub: LiveHub) -> AcknowledgedItem:
    envelope = hub.seal(hub.outgoing("ly/main"), "ne/main")
    return item(hub, envelope, run(submit(hub, envelope)))


def _a_refused_one(named: AcknowledgedItem, hub: LiveHub) -> AcknowledgedItem:
    envelope = hub.seal(hub.outgoing("ly/main", withdraws=new_id()), "tn/main")
    receipt = refusal(submit(hub, envelope)).extensions["receipt"]
    index: int = receipt["index"]
    return named.model_copy(update={"id": envelope_id(envelope), "index": index})


def _listed(problem: Problem) -> list[dict[str, Any]]:
    """The items that a refusal lists, each without its `why`, which must be a sentence."""
    listed = problem.extensions["items"]
    assert [each["why"] for each in listed if " " not in each["why"]] == []
    return [{name: each[name] for name in each if name != "why"} for each in listed]


WRONG = [_wrong_leaf, _wrong_index, _wrong_origin, _wrong_id, _of_another_desk, _a_refused_one]


@pytest.mark.parametrize("spoil", WRONG, ids=lambda spoil: spoil.__name__.strip("_"))
def test_wrong_items(
    hub: LiveHub, sent: Items, spoil: Callable[[AcknowledgedItem, LiveHub], AcknowledgedItem]
) -> None:
    """The wrong items are listed, exactly they, and nothing is written for the right ones beside them."""
    wrong = spoil(sent[1], hub)
    before = rows(hub)
    items = [sent[0], wrong, sent[2]]
    assert _wrong(refusal(answer(hub, "tn/main", *items))) == [to_plain(wrong)]
    assert rows(hub) == before


def test_all_wrong_items_are_listed(hub: LiveHub, sent: Items) -> None:
    """Several wrong items come in the statement's order."""
    items = [_wrong_leaf(sent[2], hub), sent[0], _wrong_id(sent[1], hub)]
    problem = refusal(answer(hub, "tn/main", *items))
    assert _wrong(problem) == [to_plain(items[0]), to_plain(items[2])]


def test_a_sender_cannot_answer_for_its_recipients(hub: LiveHub, sent: Items) -> None:
    """Nor a stranger: neither was sent the envelope."""
    for desk in ("ly/main", "dz/judicial"):
        problem = refusal(answer(hub, desk, *sent[:1]))
        assert problem.word == "acknowledgement-items"


def test_another_desks_signature(hub: LiveHub, sent: Items) -> None:
    """A statement of tn/main that ne/main signed is nobody's."""
    before = rows(hub)
    fields = _fields(sent, at="2026-01-01T00:00:00Z")
    statement = _signed(hub, fields, signer="ne/main")
    assert refusal(acknowledge(hub, "tn/main", statement)).word == "statement-signature"
    half = _signed(hub, fields)
    (signature,) = half.signatures
    for sig in (signature.sig[:64] + bytes(3309), bytes(64) + signature.sig[64:]):
        broken = half.model_copy(
            update={"signatures": (signature.model_copy(update={"sig": sig}),)}
        )
        assert refusal(acknowledge(hub, "tn/main", broken)).word == "statement-signature"
    assert rows(hub) == before


def test_another_kind_of_statement(hub: LiveHub, sent: Items) -> None:
    """The same payload signed as a release answers nothing."""
    payload = dump_json(_fields(sent))
    node = hub.desks["tn/main"].node
    statement = sign_statement(PayloadType.RELEASE, payload, EXCHANGE, [node])
    assert refusal(acknowledge(hub, "tn/main", statement)).word == "statement-signature"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (None, {"result": "read"}),
        ({"result": "delivered"}, {"result": "rejected", "reason": "padding"}),
        ({"result": "rejected", "reason": "padding"}, {"result": "delivered"}),
        ({"result": "rejected", "reason": "padding"}, {"result": "read"}),
        (None, {"result": "withdrawn", "reason": "unread"}),
        (None, {"result": "rejected", "reason": "inclusion"}),
        (None, {"result": "rejected", "reason": "mood"}),
    ],
    ids=[
        "read before delivered",
        "rejected after delivered",
        "delivered after rejected",
        "read after rejected",
        "withdrawn though it was not",
        "rejected for the hub's fault",
        "rejected for no fault at all",
    ],
)
def test_answers_that_cannot_be(
    hub: LiveHub, first: dict[str, str] | None, then: dict[str, str]
) -> None:
    """What contradicts an earlier answer, or blames nobody's fault on the sender, is not logged."""
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
    named = item(hub, envelope, run(submit(hub, envelope)))
    if first is not None:
        run(acknowledge(hub, "tn/main", _signed(hub, _fields([named], **first))))
    before = rows(hub)
    problem = refusal(acknowledge(hub, "tn/main", _signed(hub, _fields([named], **then))))
    assert _wrong(problem) == [to_plain(named)]
    assert rows(hub) == before


@pytest.mark.parametrize("hours", [-25, 25])
def test_an_answer_of_another_day(hub: LiveHub, sent: Items, hours: int) -> None:
    """Signed over a day ago, or for tomorrow, it is refused, and may be signed anew."""
    before = rows(hub)
    at = format_time(now() + timedelta(hours=hours))
    problem = refusal(acknowledge(hub, "tn/main", _signed(hub, _fields(sent, at=at))))
    assert problem.word == "created-skew"
    assert rows(hub) == before


def test_handed_in_by_another(hub: LiveHub, sent: Items) -> None:
    """Only the desk itself hands its answers in, even where the signature is its own."""
    before = rows(hub)
    statement = hub.acknowledgement("tn/main", sent, Result.READ)
    assert refusal(acknowledge(hub, "ne/main", statement)).word == "not-your-desk"
    assert rows(hub) == before


def test_the_wrong_exchange(hub: LiveHub, sent: Items) -> None:
    """An answer from an exercise does not count here."""
    statement = _signed(hub, _fields(sent, exchange="tripoli-exercise"))
    assert refusal(acknowledge(hub, "tn/main", statement)).word == "wrong-exchange"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("nothing answered", {"items": []}),
        ("delivered with a reason", {"reason": "unread"}),
        ("rejected without one", {"result": "rejected"}),
        ("an unknown result", {"result": "burnt"}),
        ("another version", {"v": 2}),
        ("an unknown member", {"note": "x"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_not_well_formed(hub: LiveHub, sent: Items, name: str, changes: dict[str, Any]) -> None:
    """A payload that breaks its schema is refused before its signature is looked at."""
    statement = _signed(hub, _fields(sent, **changes))
    assert refusal(acknowledge(hub, "tn/main", statement)).word == "schema-violation", name


def test_mixed_senders_or_repeated_items(hub: LiveHub, sent: Items) -> None:
    """A statement answers one sender, and each envelope once."""
    other = hub.seal(hub.outgoing("ne/main"), "tn/main")
    mixed = [sent[0], item(hub, other, run(submit(hub, other)))]
    before = rows(hub)
    for items in (mixed, [sent[0], sent[0]]):
        statement = _signed(hub, _fields(items))
        assert refusal(acknowledge(hub, "tn/main", statement)).word == "schema-violation"
    assert rows(hub) == before


def test_two_signatures_are_one_too_many(hub: LiveHub, sent: Items) -> None:
    """An acknowledgement is signed by its desk's node alone."""
    payload = dump_json(_fields(sent, result="read"))
    identities = [hub.desks["tn/main"].node, hub.desks["ne/main"].node]
    statement = sign_statement(PayloadType.ACKNOWLEDGEMENT, payload, EXCHANGE, identities)
    assert refusal(acknowledge(hub, "tn/main", statement)).word == "statement-signature"


def test_one_recipient_cannot_bury_the_others(hub: LiveHub) -> None:
    """A desk that answers one envelope without end is refused, and the sender still reads every answer."""
    envelope = hub.seal(hub.outgoing("ly/main"), "ne/main", "tn/main")
    named = item(hub, envelope, run(submit(hub, envelope)))
    run(answer(hub, "ne/main", named))
    began = now()
    for number in range(ANSWERS_MAX):
        at = format_time(began - timedelta(seconds=number))
        run(acknowledge(hub, "tn/main", _signed(hub, _fields([named], at=at))))
    problem = refusal(answer(hub, "tn/main", named, result=Result.READ))
    assert _wrong(problem) == [to_plain(named)]

    async def status() -> EnvelopeStatus:
        async with hub.client("ly/main") as client:
            return await client.status("ly/main", named.id)

    shown = run(status())
    counts = {recipient.desk: len(recipient.acknowledgements) for recipient in shown.recipients}
    assert counts == {"ne/main": 1, "tn/main": ANSWERS_MAX}
    for recipient in shown.recipients:
        for proof in recipient.acknowledgements:
            entry = verified(hub, proof.receipt).entry
            assert entry.type == "acknowledgement"
            assert load_json(entry.statement, 10**6)["desk"] == recipient.desk


def test_a_desk_without_a_node_answers_nothing(hub: LiveHub, sent: Items) -> None:
    """An auditor's desk has no node identity, so that no signature of it counts."""
    statement = _signed(hub, _fields(sent, desk="auc/audit"))
    assert refusal(acknowledge(hub, "auc/audit", statement)).word == "statement-signature"


def test_what_is_no_statement(hub: LiveHub) -> None:
    """A payload that is no acknowledgement at all is a problem of the caller, not of the hub."""
    node = hub.desks["tn/main"].node
    statement = sign_statement(PayloadType.ACKNOWLEDGEMENT, b"not json", EXCHANGE, [node])
    with http(hub) as client:
        answered = send(
            client, hub, "tn/main", "POST", "/v1/acknowledgements", dump_json(statement)
        )
    assert (answered.status_code, word(answered)) == (400, "malformed-json")


def test_the_acknowledgement_model_is_what_desks_sign(hub: LiveHub, sent: Items) -> None:
    """The fields written by hand above are those of the schema, so that each refusal is for its cause."""
    payload = _signed(hub, _fields(sent)).payload
    assert Acknowledgement.model_validate_json(payload).items == tuple(sent)


def test_a_wrong_payload_is_told_as_the_payloads(hub: LiveHub, sent: Items) -> None:
    """The path leads from the statement into its payload, and the rule is in plain words."""
    statement = _signed(hub, _fields([sent[0], sent[0]]))
    problem = refusal(acknowledge(hub, "tn/main", statement))
    (error,) = problem.extensions["errors"]
    assert (error["path"], error["rule"]) == ("$.payload → $", "no item comes twice")
