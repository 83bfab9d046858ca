"""What a hub may not log in the exchange log: one wrong entry, one finding, at its index, by its rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keys.dsse import pae_sha256, sign_statement, signatures_sha256
from keys.signing import SigningIdentity
from schemas.acknowledgements import Acknowledgement, Result
from schemas.bulletin.vocabularies import Kind
from schemas.entries import AcceptedRecipient, EnvelopeAccepted, parse_exchange_entry
from schemas.envelope import Header
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType, Signature, Statement
from tests.unit.audit.world import AuditWorld, LoggedEntry, audit_exchange_log, found, new_id

Case = Callable[[AuditWorld], object]
"""Makes the hub log something wrong."""


def _accepted(world: AuditWorld, index: int) -> EnvelopeAccepted:
    entry = parse_exchange_entry(world.exchange_entries[index].entry)
    assert isinstance(entry, EnvelopeAccepted)
    return entry


def _recipients(world: AuditWorld, index: int, **changed: Any) -> tuple[AcceptedRecipient, ...]:
    """The recipients of an entry, the first of them changed."""
    first, *others = _accepted(world, index).recipients
    return (first.model_copy(update=changed), *others)


def _give_statement(world: AuditWorld, index: int, statement: Statement | None) -> None:
    world.exchange_entries[index] = replace(world.exchange_entries[index], statement=statement)


def _statement(world: AuditWorld, index: int) -> Statement:
    statement = world.exchange_entries[index].statement
    assert statement is not None
    return statement


def _other_signature(statement: Statement) -> Statement:
    (signature,) = statement.signatures
    sig = bytes([signature.sig[0] ^ 1]) + signature.sig[1:]
    return statement.model_copy(update={"signatures": (Signature(keyid=signature.keyid, sig=sig),)})


def _resigned(world: AuditWorld, sender: str, *desks: str, **changed: Any) -> Statement:
    """An envelope whose header was changed before its desk signed it."""
    header = parse(Header, world.envelope(sender, *desks).payload, 1_000_000)
    payload = dump_json(header.model_copy(update=changed))
    identity = world.identity(sender)
    return sign_statement(PayloadType.ENVELOPE, payload, world.exchange, [identity])


def _prolonged(world: AuditWorld) -> bytes:
    """The header of entry 2 with a later end."""
    header = parse(Header, _statement(world, 2).payload, 1_000_000)
    return dump_json(header.model_copy(update={"expires": header.expires + timedelta(hours=1)}))


def _forge_header(world: AuditWorld) -> None:
    payload = _prolonged(world)
    forged = _statement(world, 2).model_copy(update={"payload": payload})
    world.alter(2, header=payload, pae=pae_sha256(forged))
    _give_statement(world, 2, forged)


def _cross_type(world: AuditWorld) -> None:
    identity = world.identity("dz/main")
    answer = world.answer("dz/main", 6, Result.DELIVERED, identity)
    world.log_answer(
        sign_statement(PayloadType.RELEASE, answer.payload, world.exchange, [identity])
    )


def _forge_signature(world: AuditWorld) -> None:
    forged = _other_signature(_statement(world, 2))
    world.alter(2, signatures=signatures_sha256(forged))
    _give_statement(world, 2, forged)


def _swap(world: AuditWorld) -> None:
    entries = world.exchange_entries
    entries[7], entries[8] = entries[8], entries[7]


def _repeat_place(world: AuditWorld) -> None:
    one, two = _accepted(world, 8).recipients
    twice = (one, two.model_copy(update={"place": one.place}))
    world.alter(8, recipients=twice)


def _unknown_desk(world: AuditWorld) -> Statement:
    header = parse(Header, world.envelope("ly/main", "tn/main").payload, 1_000_000)
    (recipient,) = header.recipients
    strangers = (recipient.model_copy(update={"desk": "zz/main"}),)
    return _resigned(world, "ly/main", "tn/main", recipients=strangers)


def _late(world: AuditWorld) -> Statement:
    before = world.known().newest.in_force
    world.change_member("ly")
    world.publish()
    world.later(minutes=11)
    return world.envelope("ly/main", "tn/main", directory=before)


ORDER: list[tuple[str, Case, int, str]] = [
    ("earlier time", lambda w: w.alter(8, at=w.now - timedelta(seconds=25)), 8, "at-decreasing"),
    ("swapped entries", _swap, 8, "at-decreasing"),
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
    ("absent", lambda w: _give_statement(w, 2, None), 2, "statement"),
    ("absent from a refusal", lambda w: _give_statement(w, 4, None), 4, "statement"),
    ("absent from an answer", lambda w: _give_statement(w, 5, None), 5, "statement"),
    ("another one", lambda w: _give_statement(w, 2, _statement(w, 6)), 2, "statement"),
    (
        "altered payload",
        lambda w: _give_statement(w, 2, _statement(w, 2).model_copy(update={"payload": b"{}"})),
        2,
        "statement",
    ),
    (
        "another type",
        lambda w: _give_statement(
            w, 2, _statement(w, 2).model_copy(update={"payload_type": PayloadType.RELEASE})
        ),
        2,
        "statement",
    ),
    (
        "altered signature",
        lambda w: _give_statement(w, 2, _other_signature(_statement(w, 2))),
        2,
        "statement",
    ),
    ("another header", lambda w: w.alter(2, header=_prolonged(w)), 2, "statement"),
    ("a statement of another kind, signed", _cross_type, 9, "statement"),
    ("another hash", lambda w: w.alter(2, pae="0" * 64), 2, "statement"),
    ("another hash of signatures", lambda w: w.alter(2, signatures="0" * 64), 2, "statement"),
    ("forged header", _forge_header, 2, "signature"),
    ("forged signature", _forge_signature, 2, "signature"),
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

ACCEPTED: list[tuple[str, Case, int, str]] = [
    ("the same envelope twice", lambda w: w.accept(_statement(w, 2)), 9, "envelope-twice"),
    (
        "an id that was refused",
        lambda w: w.refuse(_statement(w, 4), "access-denied"),
        9,
        "envelope-twice",
    ),
    (
        "another exchange",
        lambda w: w.accept(_resigned(w, "ly/main", "tn/main", exchange="other-exchange")),
        9,
        "accepted-wrong-exchange",
    ),
    ("a directory of the past", lambda w: w.accept(_late(w)), 9, "accepted-stale-directory"),
    (
        "made two days ago",
        lambda w: w.accept(w.envelope("ly/main", "tn/main", created=w.now - timedelta(days=2))),
        9,
        "accepted-created-skew",
    ),
    (
        "lives too long",
        lambda w: w.accept(w.envelope("ly/main", "tn/main", expires=w.now + timedelta(days=31))),
        9,
        "accepted-lifetime",
    ),
    (
        "expired",
        lambda w: w.accept(w.envelope("ly/main", "tn/main", expires=w.now)),
        9,
        "accepted-lifetime",
    ),
    ("a desk that is none", lambda w: w.accept(_unknown_desk(w)), 9, "accepted-unknown-recipient"),
    (
        "a key that is none",
        lambda w: w.accept(w.envelope("ly/main", "tn/main", keyids={"tn/main": "0" * 64})),
        9,
        "accepted-stale-key",
    ),
    (
        "forbidden by a rule",
        lambda w: w.accept(w.envelope("ly/main", "tn/main", kind=Kind.JUDICIAL_REQUEST)),
        9,
        "accepted-access-denied",
    ),
    (
        "other policies",
        lambda w: w.alter(2, recipients=_recipients(w, 2, policies=("all-are-welcome",))),
        2,
        "policies",
    ),
    (
        "other recipients",
        lambda w: w.alter(2, recipients=_recipients(w, 2, desk="ma/main")),
        2,
        "recipients",
    ),
    ("fewer recipients", lambda w: w.alter(8, recipients=_recipients(w, 8)[:1]), 8, "recipients"),
    ("one place for two", _repeat_place, 8, "place-twice"),
    (
        "a place from before",
        lambda w: w.alter(
            6, recipients=_recipients(w, 6, place=_accepted(w, 2).recipients[0].place)
        ),
        6,
        "place-twice",
    ),
    (
        "two contents of one bulletin",
        lambda w: [
            w.accept(w.envelope("ly/main", "tn/main", bulletin_id=id_, bulletin_json=text))
            for id_ in [new_id()]
            for text in (b"{}", b"[]")
        ],
        10,
        "accepted-bulletin-differs",
    ),
    (
        "withdraws what was never sent",
        lambda w: w.accept(w.envelope("ly/main", "tn/main", withdraws=new_id())),
        9,
        "accepted-original-unknown",
    ),
    (
        "corrects what went elsewhere",
        lambda w: [
            w.accept(w.envelope("ly/main", "tn/main", bulletin_id=(original := new_id()))),
            w.accept(w.envelope("ly/main", "tn/main", "dz/main", supersedes=original)),
        ],
        10,
        "accepted-original-desks",
    ),
]

REFUSED: list[tuple[str, Case, int, str]] = [
    (
        "a word that is none",
        lambda w: w.refuse(w.envelope("ly/main", "tn/main"), "nonsense"),
        9,
        "refusal-word",
    ),
    (
        "a word that is not final",
        lambda w: w.refuse(w.envelope("ly/main", "tn/main"), "stale-key"),
        9,
        "refusal-word",
    ),
    (
        "what the rules permit",
        lambda w: w.refuse(w.envelope("ly/main", "tn/main"), "access-denied"),
        9,
        "refused-permitted",
    ),
    (
        "a life that is not too long",
        lambda w: w.refuse(w.envelope("ly/main", "tn/main"), "lifetime"),
        9,
        "refused-permitted",
    ),
    (
        "a bulletin that is new",
        lambda w: w.refuse(w.envelope("ly/main", "tn/main"), "bulletin-differs"),
        9,
        "refused-permitted",
    ),
    (
        "another reason",
        lambda w: w.refuse(
            w.envelope("ly/main", "tn/main", kind=Kind.JUDICIAL_REQUEST), "lifetime"
        ),
        9,
        "refused-otherwise",
    ),
    (
        "an original that was sent elsewhere",
        lambda w: [
            w.accept(w.envelope("ly/main", "tn/main", bulletin_id=(original := new_id()))),
            w.refuse(w.envelope("ly/main", "dz/main", withdraws=original), "original-unknown"),
        ],
        10,
        "refused-otherwise",
    ),
]

ANSWERS: list[tuple[str, Case, int, str]] = [
    ("logged twice", lambda w: w.log_answer(_statement(w, 5)), 9, "acknowledgement-twice"),
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
        lambda w: w.acknowledge("tn/main", 0, Result.REJECTED, reason="commitment"),
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

CASES = [*ORDER, *STATEMENTS, *ACCEPTED, *REFUSED, *ANSWERS]


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


FOUNDED: list[tuple[str, Case]] = [
    (
        "lifetime",
        lambda w: w.refuse(
            w.envelope("ly/main", "tn/main", expires=w.now + timedelta(days=31)), "lifetime"
        ),
    ),
    ("unknown-recipient", lambda w: w.refuse(_unknown_desk(w), "unknown-recipient")),
    (
        "wrong-exchange",
        lambda w: w.refuse(
            _resigned(w, "ly/main", "tn/main", exchange="other-exchange"), "wrong-exchange"
        ),
    ),
    (
        "original-unknown",
        lambda w: w.refuse(
            w.envelope("ly/main", "tn/main", withdraws=new_id()), "original-unknown"
        ),
    ),
    (
        "original-desks",
        lambda w: [
            w.accept(w.envelope("ly/main", "tn/main", bulletin_id=(original := new_id()))),
            w.refuse(w.envelope("ly/main", "dz/main", withdraws=original), "original-desks"),
        ],
    ),
    (
        "bulletin-differs",
        lambda w: [
            w.accept(w.envelope("ly/main", "tn/main", bulletin_id=(bulletin := new_id()))),
            w.refuse(
                w.envelope("ly/main", "tn/main", bulletin_id=bulletin, bulletin_json=b"[]"),
                "bulletin-differs",
            ),
        ],
    ),
]


@pytest.mark.parametrize("case", [case for _, case in FOUNDED], ids=[name for name, _ in FOUNDED])
def test_refusal_whose_reason_holds_is_sound(story: AuditWorld, case: Case) -> None:
    """A refusal is no finding where its reason holds."""
    case(story)
    findings, _ = audit_exchange_log(story)
    assert found(findings) == []


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
