"""The auditor against a real hub: sound after honest work, and each audited table is missed when altered.

The audited tables are those that both logs are served from. What else a hub's database holds is watched by
others: slots, bodies and places by recipients, who verify them against the signed header and the log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.audit.report import AuditReport
from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from broker.tlog.receipt import LogVerifier, verify_receipt
from schemas.acknowledgements import AcknowledgedItem, Result
from schemas.bulletin.vocabularies import Kind
from schemas.directory import Council
from schemas.entries import EnvelopeAccepted
from schemas.errors import Problem
from schemas.loader import dump_json, load_json
from schemas.receipts import Receipt
from tests.exchange.hostile_trust import YEAR, Hostile
from tests.exchange.live import LiveHub, live_hub, now, run

HOLDERS = ("dz", "ly", "ml", "ne", "tn")
"""Which member holds the key of each governor."""

AUDITED = {"entry", "tile", "log_head", "trust_file"}


@dataclass(frozen=True)
class Alteration:
    """One thing that somebody with the hub's disk may do, and what the auditor says of it."""

    table: str
    sql: str
    log: str
    index: int | None
    rule: str


ALTERATIONS = [
    Alteration("entry", "UPDATE entry SET entry = CAST(replace(entry, '\"at\":\"20', '\"at\":\"10') AS BLOB) WHERE log = 'exchange' AND entry_index = 2", "exchange", 2, "opening"),
    Alteration("entry", "UPDATE entry SET salt = zeroblob(32) WHERE log = 'exchange' AND entry_index = 1", "exchange", 1, "opening"),
    Alteration("entry", "UPDATE entry SET statement = (SELECT statement FROM entry WHERE log = 'exchange' AND entry_index = 0) WHERE log = 'exchange' AND entry_index = 3", "exchange", 3, "statement"),
    Alteration("entry", "UPDATE entry SET statement = NULL WHERE log = 'exchange' AND entry_index = 2", "exchange", 2, "statement"),
    Alteration("entry", "UPDATE entry SET entry = CAST(replace(entry, '\"at\":\"20', '\"at\":\"10') AS BLOB) WHERE log = 'directory' AND entry_index = 1", "directory", 1, "opening"),
    Alteration("entry", "DELETE FROM entry WHERE log = 'exchange' AND entry_index = 2", "exchange", 2, "opening-missing"),
    Alteration("tile", "UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE log = 'exchange' AND level = 0", "exchange", 0, "tile"),
    Alteration("tile", "UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE log = 'directory' AND level = 0", "directory", 0, "tile"),
    Alteration("log_head", "UPDATE log_head SET checkpoint = replace(checkpoint, char(10) || size || char(10), char(10) || (size - 1) || char(10)) WHERE log = 'exchange'", "exchange", None, "checkpoint"),
    Alteration("log_head", "UPDATE log_head SET size = size - 1 WHERE log = 'exchange'", "exchange", None, "tile"),
    Alteration("trust_file", "UPDATE trust_file SET data = CAST(replace(data, 'green', 'amber') AS BLOB) WHERE name LIKE '%.council.json'", "directory", 0, "trust-file-missing"),
    Alteration("trust_file", "DELETE FROM trust_file WHERE name LIKE '%member-td.json'", "directory", 0, "trust-file-missing"),
]  # fmt: skip


async def _audit(hub: LiveHub, folder: Path) -> AuditReport:
    async with hub.client("auc/audit") as client:
        return await verify_exchange(client, hub.invitation, SeenStore(folder), now)


async def _traffic(hub: LiveHub) -> None:
    log = LogVerifier.from_keys(hub.invitation.logs.exchange)

    async def send(kind: Kind, *recipients: str) -> Receipt:
        async with hub.client("ly/main") as client:
            return await client.submit(
                dump_json(hub.seal(hub.outgoing("ly/main", kind=kind), *recipients))
            )

    first = await send(Kind.THREAT_BULLETIN, "ne/main", "tn/main")
    await send(Kind.THREAT_BULLETIN, "tn/main")
    with pytest.raises(Problem, match="access-denied"):
        await send(Kind.JUDICIAL_REQUEST, "tn/main")
    verified = verify_receipt(first, log)
    assert isinstance(verified.entry, EnvelopeAccepted)
    header = load_json(verified.entry.header, 10**6)
    item = AcknowledgedItem(
        from_="ly/main",
        id=header["id"],
        origin=log.origin,
        index=verified.index,
        leaf=verified.leaf.hex(),
    )
    async with hub.client("tn/main") as client:
        await client.acknowledge(hub.acknowledgement("tn/main", [item]))
        await client.acknowledge(hub.acknowledgement("tn/main", [item], Result.READ))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub with five entries in its exchange log: two accepted, one refused, two answers."""
    with live_hub(tmp_path_factory.mktemp("audited") / "hub") as serving:
        run(serving.announce("ne/main", "tn/main"))
        run(_traffic(serving))
        yield serving


def test_honest_work_has_no_finding(hub: LiveHub, tmp_path: Path) -> None:
    """After honest traffic the auditor finds nothing, and counts what there was."""
    report = run(_audit(hub, tmp_path))
    assert report.findings == ()
    assert report.counts is not None
    assert report.counts.entries == {
        "envelope.accepted": 2,
        "envelope.refused": 1,
        "acknowledgement": 2,
    }
    assert report.counts.undelivered == 2
    assert not report.is_witnessed


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda a: f"{a.table}-{a.log}-{a.rule}")
def test_an_altered_table_is_found(hub: LiveHub, tmp_path: Path, alteration: Alteration) -> None:
    """Whatever is altered in an audited table, the auditor names the log, the index and the rule."""
    path = hub.data / "hub.db"
    with closing(sqlite3.connect(path)) as database, closing(sqlite3.connect(":memory:")) as kept:
        database.backup(kept)
        assert database.execute(alteration.sql).rowcount > 0
        database.commit()
        try:
            report = run(_audit(hub, tmp_path))
        finally:
            kept.backup(database)
    found = {(finding.log, finding.index, finding.rule) for finding in report.findings}
    if alteration.index is None and alteration.rule == "tile":
        # A head that says less than it signed makes the hub withhold what its checkpoint promises.
        assert found
    else:
        assert (alteration.log, alteration.index, alteration.rule) in found


def test_changes_of_the_directory_are_told(tmp_path: Path) -> None:
    """A council, a member's file and a directory that two governors alone signed, through a real hub."""
    with live_hub(tmp_path / "hub") as hub:
        held = dict(zip((g.public_key.keyid for g in hub.governors), HOLDERS, strict=True))
        council = hub.council.model_copy(update={"governors": held})
        texts = hub.rules()
        second = hub.publish(hub.signed_targets(2, *texts, council))
        member = hub.publish(hub.signed_member("ly", 2, now() + YEAR, revoked=("ab" * 32,)))
        hostile = Hostile(hub, hub.governors, dict(hub.files))
        void = hostile.publish(hostile.targets(_grace, signers=hub.governors[:2]))
        report = run(_audit(hub, tmp_path))
    assert [(f.log, f.index, f.rule) for f in report.findings] == [("directory", void, "directory")]
    told = [
        (change.index, [(f.role, f.names) for f in change.signed])
        for change in report.changes.listed
    ]
    assert told[1:] == [
        (second, [("targets", HOLDERS[:3])]),
        (member, [("member-ly", ("ly",))]),
    ]
    (refused,) = report.changes.void
    assert (refused.index, [(f.role, f.names) for f in refused.signed]) == (
        void,
        [("targets", HOLDERS[:2])],
    )
    assert [remark.until for remark in report.remarks] == [second]


def _grace(council: Council) -> Council:
    return council.model_copy(update={"grace_seconds": 1})


def test_every_audited_table_is_altered() -> None:
    """No table that the logs are served from is left out of the alterations."""
    assert {alteration.table for alteration in ALTERATIONS} == AUDITED
