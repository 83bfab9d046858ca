"""Attachments in the exchange log: stored once, and before an envelope that names them is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.audit.exchange import DirectoryLimits, ExchangeAudit
from broker.audit.leaves import OpenedLeaf
from broker.audit.rules import Findings
from broker.tlog.merkle import leaf_hash
from schemas.entries import AttachmentStored
from schemas.envelope import AttachmentRef
from tests.unit.audit.forging import Case, statement_of
from tests.unit.audit.world import AuditWorld, LoggedEntry, audit, audit_exchange_log, found, new_id

ONE, TWO, NONE = ("1" * 64, 100), ("2" * 64, 200), ("3" * 64, 300)


def _store(world: AuditWorld, sha256: str, size: int) -> int:
    """Log an attachment as stored."""
    entry = AttachmentStored(
        type="attachment.stored",
        at=world.now,
        sha256=sha256,
        size=size,
        directory_size=len(world.entries),
    )
    return world.append(entry, None)


def _send(world: AuditWorld, *named: tuple[str, int]) -> int:
    """Log an accepted envelope that names attachments."""
    refs = tuple(AttachmentRef(id=new_id(), sha256=sha256, size=size) for sha256, size in named)
    keys = {ref.id: bytes(32) for ref in refs}
    statement = world.envelope("ly/main", "tn/main", attachments=refs, attachment_keys=keys)
    return world.accept(statement)


@pytest.fixture
def stored(story: AuditWorld) -> AuditWorld:
    """The story, with two attachments stored at 9 and 10, both sent at 11."""
    _store(story, *ONE)
    story.later(seconds=10)
    _store(story, *TWO)
    story.later(seconds=10)
    _send(story, ONE, TWO)
    return story


def test_attachments_in_their_order_are_sound(stored: AuditWorld, tmp_path: Path) -> None:
    """Stored before, by whomever, and named as often as they like."""
    _send(stored, TWO)
    _send(stored, ONE, ONE)
    report = audit(stored.served(), stored, tmp_path)
    assert found(report) == []
    assert report.counts is not None
    assert report.counts.entries["attachment.stored"] == 2
    assert report.counts.unjudged == 0


def _garbled(world: AuditWorld) -> None:
    """Log what names no size."""
    entry = b'{"type":"attachment.stored","at":"2026-11-24T22:00:00Z","directory_size":1}'
    world.exchange_entries.append(LoggedEntry(bytes(32), entry, None))


CASES: list[tuple[str, Case, int, str]] = [
    ("never stored", lambda w: _send(w, ONE, NONE), 12, "accepted-attachments"),
    ("two never stored", lambda w: _send(w, NONE, ("4" * 64, 1)), 12, "accepted-attachments"),
    ("stored after", lambda w: [_send(w, NONE), _store(w, *NONE)], 12, "accepted-attachments"),
    ("of another size", lambda w: _send(w, (ONE[0], 101)), 12, "accepted-attachments"),
    ("of two sizes", lambda w: _send(w, ONE, (ONE[0], 101)), 12, "accepted-attachments"),
    (
        "of two sizes, the right one last",
        lambda w: _send(w, (ONE[0], 99), ONE),
        12,
        "accepted-attachments",
    ),
    ("stored twice", lambda w: _store(w, *ONE), 12, "attachment-twice"),
    ("stored twice, in two sizes", lambda w: _store(w, ONE[0], 5), 12, "attachment-twice"),
    (
        "stored by somebody's statement",
        lambda w: w.append(_entry(w), statement_of(w, 2)),
        12,
        "statement",
    ),
    ("not well-formed", _garbled, 12, "entry"),
    ("of no bytes", lambda w: w.alter(9, size=0), 9, "entry"),
]


def _entry(world: AuditWorld) -> AttachmentStored:
    index = _store(world, *NONE)
    return AttachmentStored.model_validate_json(world.exchange_entries.pop(index).entry)


@pytest.mark.parametrize(
    ("case", "index", "rule"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_one_wrong_attachment_is_one_finding(
    stored: AuditWorld, case: Case, index: int, rule: str
) -> None:
    """What a hub may not log is found where it stands, and nothing else is."""
    case(stored)
    assert found(audit_exchange_log(stored)[0]) == [("exchange", index, rule)]


def _audited_without(world: AuditWorld, hidden: int) -> list[tuple[str, int | None, str]]:
    """Findings where one leaf does not open."""
    findings, history = Findings(), world.known()
    limits = DirectoryLimits(len(world.entries), [])
    origin = world.exchange_log.origin
    checked = ExchangeAudit(world.exchange, origin, history, limits, None, world.now, findings)
    for index, logged in enumerate(world.exchange_entries):
        if index == hidden:
            checked.skip(index)
        else:
            leaf = leaf_hash(logged.data)
            opened = OpenedLeaf(index, leaf, logged.entry, logged.statement)
            checked.add(checked.examine(opened))
    return found(findings)


def test_behind_a_leaf_that_does_not_open(stored: AuditWorld) -> None:
    """It may have stored what is missing, which is reported as such; a wrong size is wrong all the same."""
    _send(stored, (TWO[0], 201))
    assert _audited_without(stored, 9) == [("exchange", 12, "accepted-attachments")]
    assert _audited_without(stored, 12) == []
    _send(stored, NONE)
    assert _audited_without(stored, 9) == [("exchange", 12, "accepted-attachments")]
