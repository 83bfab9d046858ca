"""Expiry in the exchange log: what a hub must write down once an envelope's time is over, and not before."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from broker.audit.exchange import DirectoryLimits, ExchangeAudit
from broker.audit.leaves import OpenedLeaf
from broker.audit.rules import Findings
from broker.tlog.merkle import leaf_hash
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Kind
from tests.unit.audit.forging import Case, give_statement, statement_of
from tests.unit.audit.world import AuditWorld, audit, audit_exchange_log, found, new_id


@pytest.fixture
def ended(world: AuditWorld) -> AuditWorld:
    """Entries 0 and 1, of which the first was answered, ended a minute ago; 2 ends in an hour."""
    first, second, third = (
        world.envelope("ly/main", desk, expires=world.now + timedelta(minutes=minutes))
        for desk, minutes in (("tn/main", 10), ("dz/main", 10), ("ma/main", 71))
    )
    for statement in (first, second, third):
        world.accept(statement)
    world.acknowledge("tn/main", 0, Result.DELIVERED)
    world.later(minutes=11)
    return world


def test_expiries_in_their_time_are_sound(ended: AuditWorld, tmp_path: Path) -> None:
    """Answered or not, each envelope expires; what is answered after that is answered all the same."""
    ended.expire(0)
    ended.expire(1)
    ended.later(minutes=1)
    ended.acknowledge("dz/main", 1, Result.DELIVERED)
    ended.later(days=1)
    ended.expire(2)
    report = audit(ended.served(), ended, tmp_path)
    assert found(report) == []
    assert report.counts is not None
    assert report.counts.entries["envelope.expired"] == 3
    assert report.counts.undelivered == 1


def test_at_its_very_end_an_envelope_expires(world: AuditWorld) -> None:
    """The second that `expires` names is past it, as it is where an envelope is admitted."""
    index = world.accept(
        world.envelope("ly/main", "tn/main", expires=world.now + timedelta(minutes=1))
    )
    world.later(minutes=1)
    world.expire(index)
    assert found(audit_exchange_log(world)[0]) == []


CASES: list[tuple[str, Case, int, str]] = [
    ("of nothing", lambda w: w.expire(0, id=new_id()), 4, "expired-unknown"),
    ("of another desk's", lambda w: w.expire(0, from_="tn/main"), 4, "expired-unknown"),
    (
        "of what was refused",
        lambda w: w.expire(
            w.refuse(w.envelope("ly/main", "tn/main", kind=Kind.JUDICIAL_REQUEST), "access-denied")
        ),
        5,
        "expired-unknown",
    ),
    ("before its end", lambda w: w.expire(2), 4, "expired-early"),
    ("twice", lambda w: [w.expire(0), w.expire(0)], 5, "expired-twice"),
    (
        "signed by somebody",
        lambda w: give_statement(w, w.expire(0), statement_of(w, 0)),
        4,
        "statement",
    ),
    (
        "with a smaller directory",
        lambda w: w.expire(0, directory_size=1),
        4,
        "directory-size-falls",
    ),
]


@pytest.mark.parametrize(
    ("case", "index", "rule"),
    [case[1:] for case in CASES],
    ids=[f"{rule}: {name}" for name, _, _, rule in CASES],
)
def test_one_wrong_expiry_is_one_finding(
    ended: AuditWorld, case: Case, index: int, rule: str
) -> None:
    """A hub that logs an expiry wrongly is found out once, there, for that."""
    case(ended)
    findings, _ = audit_exchange_log(ended)
    assert found(findings) == [("exchange", index, rule)]


def test_missing_expiry_is_found(ended: AuditWorld) -> None:
    """An hour after its end, to the second, nothing is said; once an entry is newer, each is a finding."""
    ended.expire(0)
    ended.later(minutes=59)
    ended.accept(ended.envelope("ly/main", "tn/main"))
    assert found(audit_exchange_log(ended)[0]) == []
    ended.later(seconds=1)
    ended.accept(ended.envelope("ly/main", "tn/main"))
    assert found(audit_exchange_log(ended)[0]) == [("exchange", 1, "expired-missing")]
    ended.expire(1)
    assert found(audit_exchange_log(ended)[0]) == []


def test_what_did_not_open_may_be_the_expiry(ended: AuditWorld) -> None:
    """A leaf that does not open is a finding; of two expiries that are missing it excuses one."""
    ended.later(days=1)
    ended.expire(2)
    findings = Findings()
    limits = DirectoryLimits(len(ended.entries), [])
    checked = ExchangeAudit(
        ended.exchange, ended.exchange_log.origin, ended.known(), limits, None, ended.now, findings
    )
    for index, logged in enumerate(ended.exchange_entries):
        leaf = OpenedLeaf(index, leaf_hash(logged.data), logged.entry, logged.statement)
        checked.add(checked.examine(leaf))
    checked.skip(len(ended.exchange_entries))
    checked.finish()
    assert found(findings) == [("exchange", 1, "expired-missing")]


def test_an_expiry_of_what_did_not_open_is_not_judged(ended: AuditWorld) -> None:
    """Where an acceptance did not open its expiry cannot be called unknown."""
    ended.expire(0)
    findings = Findings()
    limits = DirectoryLimits(len(ended.entries), [])
    checked = ExchangeAudit(
        ended.exchange, ended.exchange_log.origin, ended.known(), limits, None, ended.now, findings
    )
    checked.skip(0)
    for index, logged in list(enumerate(ended.exchange_entries))[1:]:
        leaf = OpenedLeaf(index, leaf_hash(logged.data), logged.entry, logged.statement)
        checked.add(checked.examine(leaf))
    checked.finish()
    assert found(findings) == []
