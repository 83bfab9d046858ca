"""What a hub may neither accept nor refuse: one wrong envelope, one finding, at its index, by its rule."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.bulletin.vocabularies import Kind
from tests.unit.audit.forging import (
    Case,
    accepted,
    envelope_to_nobody,
    late_envelope,
    recipients,
    repeat_place,
    resigned,
    statement_of,
)
from tests.unit.audit.world import AuditWorld, audit_exchange_log, found, new_id

ACCEPTED: list[tuple[str, Case, int, str]] = [
    ("the same envelope twice", lambda w: w.accept(statement_of(w, 2)), 9, "envelope-twice"),
    (
        "an id that was refused",
        lambda w: w.refuse(statement_of(w, 4), "access-denied"),
        9,
        "envelope-twice",
    ),
    (
        "another exchange",
        lambda w: w.accept(resigned(w, "ly/main", "tn/main", exchange="other-exchange")),
        9,
        "accepted-wrong-exchange",
    ),
    (
        "a directory of the past",
        lambda w: w.accept(late_envelope(w)),
        9,
        "accepted-stale-directory",
    ),
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
    (
        "a desk that is none",
        lambda w: w.accept(envelope_to_nobody(w)),
        9,
        "accepted-unknown-recipient",
    ),
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
        lambda w: w.alter(2, recipients=recipients(w, 2, policies=("all-are-welcome",))),
        2,
        "policies",
    ),
    (
        "other recipients",
        lambda w: w.alter(2, recipients=recipients(w, 2, desk="ma/main")),
        2,
        "recipients",
    ),
    ("fewer recipients", lambda w: w.alter(8, recipients=recipients(w, 8)[:1]), 8, "recipients"),
    ("one place for two", repeat_place, 8, "place-twice"),
    (
        "a place from before",
        lambda w: w.alter(6, recipients=recipients(w, 6, place=accepted(w, 2).recipients[0].place)),
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
        "withdraws a withdrawal",
        lambda w: [
            w.accept(w.envelope("ly/main", "tn/main", bulletin_id=(original := new_id()))),
            w.accept(
                w.envelope("ly/main", "tn/main", bulletin_id=(of := new_id()), withdraws=original)
            ),
            w.accept(w.envelope("ly/main", "tn/main", withdraws=of)),
        ],
        11,
        "accepted-original-withdrawal",
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


CASES = [*ACCEPTED, *REFUSED]


@pytest.mark.parametrize(
    ("case", "index", "rule"),
    [case[1:] for case in CASES],
    ids=[f"{rule}: {name}" for name, _, _, rule in CASES],
)
def test_one_wrong_envelope_is_one_finding(
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
    ("unknown-recipient", lambda w: w.refuse(envelope_to_nobody(w), "unknown-recipient")),
    (
        "wrong-exchange",
        lambda w: w.refuse(
            resigned(w, "ly/main", "tn/main", exchange="other-exchange"), "wrong-exchange"
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
