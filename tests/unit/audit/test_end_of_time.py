"""A hub writes and signs times at the end of what a calendar can write: the audit tells of it, and ends."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from broker.tlog.checkpoint import parse_checkpoint_text
from broker.tlog.cosignature import cosigned_message
from broker.tlog.note import Note, NoteSignature, parse_note
from keys.purge_orders import OrderInForce
from schemas.directory import Names
from schemas.limits import PURGE_DELAY_SECONDS
from schemas.purges import PurgeOrder
from tests.exchange.trust_parties import LogSecrets
from tests.unit.audit.forging import resigned
from tests.unit.audit.world import AuditWorld, audit, found

LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def _signed_at(text: str, log: LogSecrets, at: int) -> str:
    """A log's checkpoint, signed by its own keys at any time."""
    note = parse_note(text)
    ed25519, ml_dsa = note.signatures
    tree = parse_checkpoint_text(note.text)
    message = bytearray(cosigned_message(log.origin, 1, log.origin, 0, tree.size, tree.root))
    where = message.index(struct.pack(">Q", 1))
    message[where : where + 8] = struct.pack(">Q", at)
    raw = MLDSA44PrivateKey.from_seed_bytes(log.ml_dsa_44).sign(bytes(message))
    line = NoteSignature(ml_dsa.name, ml_dsa.key_id, struct.pack(">Q", at) + raw)
    return Note(note.text, (ed25519, line)).render()


def test_a_fork_signed_in_a_year_that_no_calendar_has(story: AuditWorld, tmp_path: Path) -> None:
    """Once it ended the audit before it told of the fork."""
    audit(story.served(), story, tmp_path)
    other = story.copy()
    del other.exchange_entries[8]
    other.accept(other.envelope("ma/main", "ne/main"))
    hub = other.served()
    log = hub.logs["exchange"]
    log.checkpoint = _signed_at(log.checkpoint, log.secrets, 2**62)
    assert found(audit(hub, story, tmp_path)) == [("exchange", None, "checkpoint")]


def test_an_envelope_that_expires_at_the_end_of_time(story: AuditWorld, tmp_path: Path) -> None:
    """Its expiry has no hour after it."""
    story.accept(resigned(story, "ly/main", "tn/main", expires=LAST))
    report = audit(story.served(), story, tmp_path)
    assert found(report) == [("exchange", 9, "accepted-lifetime")]
    assert [each.verdict.what for each in report.evidence] == ["wrongly-accepted"]


def test_an_entry_at_the_end_of_time(story: AuditWorld, tmp_path: Path) -> None:
    """Its deadline cannot be written."""
    story.accept(story.envelope("ly/main", "tn/main"), at=LAST)
    report = audit(story.served(), story, tmp_path)
    rules = {rule for _, index, rule in found(report) if index == 9}
    assert {"at-future", "signature"} <= rules


def test_a_purge_order_published_at_the_end_of_time() -> None:
    """It is due then, and not later."""
    reason = Names(ar="x", fr="x", en="x")
    order = PurgeOrder(origin="x/exchange/1", index=0, leaf="0" * 64, reason=reason, ordered=LAST)
    assert OrderInForce(order, LAST).due == LAST
    early = LAST - timedelta(days=30)
    assert OrderInForce(order, early).due == early + timedelta(seconds=PURGE_DELAY_SECONDS)
