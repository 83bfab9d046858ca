"""What a hub may not log in the exchange log: one wrong entry, one finding, at its index, by its rule."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keys.dsse import sign_statement
from keys.signing import SigningIdentity
from schemas.acknowledgements import Acknowledgement, Result
from schemas.bulletin.vocabularies import Kind
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType
from tests.unit.audit.forging import (
    Case,
    forge_header,
    forge_signature,
    give_statement,
    log_answer_of_another_type,
    other_signature,
    prolonged,
    statement_of,
    swap_entries,
)
from tests.unit.audit.world import AuditWorld, LoggedEntry, audit_exchange_log, found, new_id

ORDER: list[tuple[str, Case, int, str]] = [
    ("earlier time", lambda w: w.alter(8, at=w.now - timedelta(seconds=25)), 8, "at-decreasing"),
    ("swapped entries", swap_entries, 8, "at-decreasing"),
    ("time to come", lambda w: w.alter(8, at=w.now + timedelta(minutes=6)), 8, "at-future"),
    ("smaller directory", lambda w: w.alter(8, directory_size=1), 8, "directory-size-falls"),
    ("larger directory", lambda w: w.alter(8, directory_size=21), 8, "directory-size-beyond"),
    (
        "a directory that came later",
        lambda w: [w.accept(w.envelope("ly/main", "tn/main"), directory_size=21), w.publish()],
        9,
        "directory-size-beyond",
    ),
    (
        "no JSON",
        lambda w: w.exchange_entries.append(LoggedEntry(bytes(32), b"{", None)),
        9,
        "entry",
    ),
    ("no header", lambda w: w.alter(8, header=b"{}"), 8, "entry"),
]


STATEMENTS: list[tuple[str, Case, int, str]] = [
    ("absent", lambda w: give_statement(w, 2, None), 2, "statement"),
    ("absent from a refusal", lambda w: give_statement(w, 4, None), 4, "statement"),
    ("absent from an answer", lambda w: give_statement(w, 5, None), 5, "statement"),
    ("another one", lambda w: give_statement(w, 2, statement_of(w, 6)), 2, "statement"),
    (
        "altered payload",
        lambda w: give_statement(w, 2, statement_of(w, 2).model_copy(update={"payload": b"{}"})),
        2,
        "statement",
    ),
    (
        "another type",
        lambda w: give_statement(
            w, 2, statement_of(w, 2).model_copy(update={"payload_type": PayloadType.RELEASE})
        ),
        2,
        "statement",
    ),
    (
        "altered signature",
        lambda w: give_statement(w, 2, other_signature(statement_of(w, 2))),
        2,
        "statement",
    ),
    ("another header", lambda w: w.alter(2, header=prolonged(w)), 2, "statement"),
    ("a statement of another kind, signed", log_answer_of_another_type, 9, "statement"),
    ("another hash", lambda w: w.alter(2, pae="0" * 64), 2, "statement"),
    ("another hash of signatures", lambda w: w.alter(2, signatures="0" * 64), 2, "statement"),
    ("forged header", forge_header, 2, "signature"),
    ("forged signature", forge_signature, 2, "signature"),
    (
        "another desk's signature",
        lambda w: w.accept(w.envelope("ly/main", "tn/main", signer=w.identity("dz/main"))),
        9,
        "signature",
    ),
    (
        "a stranger's refused envelope",
        lambda w: w.refuse(
            w.envelope(
                "ly/main", "tn/main", kind=Kind.JUDICIAL_REQUEST, signer=SigningIdentity.generate()
            ),
            "access-denied",
        ),
        9,
        "signature",
    ),
    (
        "a stranger's answer",
        lambda w: w.acknowledge("dz/main", 6, Result.DELIVERED, signer=SigningIdentity.generate()),
        9,
        "signature",
    ),
]


ANSWERS: list[tuple[str, Case, int, str]] = [
    ("logged twice", lambda w: w.log_answer(statement_of(w, 5)), 9, "acknowledgement-twice"),
    (
        "another leaf",
        lambda w: w.acknowledge("dz/main", 6, Result.DELIVERED, item={"leaf": "0" * 64}),
        9,
        "acknowledgement-item",
    ),
    (
        "another desk's envelope",
        lambda w: w.acknowledge("ma/main", 6, Result.DELIVERED),
        9,
        "acknowledgement-item",
    ),
    (
        "another sender",
        lambda w: w.acknowledge("dz/main", 6, Result.DELIVERED, item={"from_": "ly/main"}),
        9,
        "acknowledgement-item",
    ),
    (
        "another id",
        lambda w: w.acknowledge("dz/main", 6, Result.DELIVERED, item={"id": new_id()}),
        9,
        "acknowledgement-item",
    ),
    (
        "another log",
        lambda w: w.acknowledge("dz/main", 6, Result.DELIVERED, item={"origin": "elsewhere"}),
        9,
        "acknowledgement-item",
    ),
    (
        "another exchange",
        lambda w: w.acknowledge("dz/main", 6, Result.DELIVERED, exchange="other-exchange"),
        9,
        "acknowledgement-item",
    ),
    (
        "a refused envelope",
        lambda w: w.acknowledge("tn/main", 4, Result.DELIVERED),
        9,
        "acknowledgement-item",
    ),
    (
        "what comes later",
        lambda w: [
            w.acknowledge("dz/main", 6, Result.DELIVERED, item={"index": 10}),
            w.accept(w.envelope("tn/main", "dz/main")),
        ],
        9,
        "acknowledgement-item",
    ),
    (
        "read before delivered",
        lambda w: w.acknowledge("dz/main", 6, Result.READ),
        9,
        "acknowledgement-order",
    ),
    (
        "delivered after rejected",
        lambda w: w.acknowledge("dz/main", 0, Result.DELIVERED),
        9,
        "acknowledgement-order",
    ),
    (
        "rejected after read",
        lambda w: w.acknowledge("tn/main", 0, Result.REJECTED, reason="padding"),
        9,
        "acknowledgement-order",
    ),
    (
        "withdrawn by its recipient",
        lambda w: w.acknowledge("dz/main", 6, Result.WITHDRAWN, reason="unread"),
        9,
        "acknowledgement-order",
    ),
    (
        "signed days before",
        lambda w: w.acknowledge("dz/main", 6, Result.DELIVERED, at=w.now - timedelta(hours=25)),
        9,
        "acknowledgement-at",
    ),
    (
        "rejected for no known reason",
        lambda w: w.acknowledge("dz/main", 6, Result.REJECTED, reason="nonsense"),
        9,
        "acknowledgement-reason",
    ),
    (
        "rejected for what is the hub's fault",
        lambda w: w.acknowledge("dz/main", 6, Result.REJECTED, reason="slot-hash"),
        9,
        "acknowledgement-reason",
    ),
    (
        "rejected for what is nobody's fault",
        lambda w: w.acknowledge("dz/main", 6, Result.REJECTED, reason="commitment"),
        9,
        "acknowledgement-reason",
    ),
    (
        "withdrawn for no known reason",
        lambda w: [
            w.accept(w.envelope("ly/main", "tn/main", bulletin_id=(original := new_id()))),
            w.accept(w.envelope("ly/main", "tn/main", withdraws=original)),
            w.acknowledge("tn/main", 9, Result.WITHDRAWN, reason="padding"),
        ],
        11,
        "acknowledgement-reason",
    ),
]


CASES = [*ORDER, *STATEMENTS, *ANSWERS]


@pytest.mark.parametrize(
    ("case", "index", "rule"),
    [case[1:] for case in CASES],
    ids=[f"{rule}: {name}" for name, _, _, rule in CASES],
)
def test_one_wrong_entry_is_one_finding(
    story: AuditWorld, case: Case, index: int, rule: str
) -> None:
    """A hub that logs one thing wrongly, and signs it, is found out once, there, for that."""
    case(story)
    findings, _ = audit_exchange_log(story)
    assert found(findings) == [("exchange", index, rule)]


def test_one_answer_to_many_is_one_finding(world: AuditWorld) -> None:
    """However many items of an acknowledgement are wrong, each rule is reported once."""
    first = world.accept(world.envelope("ly/main", "tn/main"))
    second = world.accept(world.envelope("ly/main", "dz/main"))
    third = world.accept(world.envelope("ly/main", "ma/main"))
    answers = [
        world.answer("tn/main", index, Result.DELIVERED, world.identity("tn/main"))
        for index in (first, second, third)
    ]
    payloads = [parse(Acknowledgement, answer.payload, 1_000_000) for answer in answers]
    together = payloads[0].model_copy(update={"items": tuple(p.items[0] for p in payloads)})
    signed = sign_statement(
        PayloadType.ACKNOWLEDGEMENT,
        dump_json(together),
        world.exchange,
        [world.identity("tn/main")],
    )
    index = world.log_answer(signed)
    findings, counts = audit_exchange_log(world)
    assert found(findings) == [("exchange", index, "acknowledgement-item")]
    assert counts.undelivered == 2
