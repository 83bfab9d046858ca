"""The outcome of an audit: findings first, then the trees that were verified, then what they hold.

Pure; may import `schemas`. The command line shows it, `to_json` is what other programs read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from broker.audit.changes import DirectoryChanges
from broker.audit.checkpoints import Signed
from broker.audit.evidence import Written
from broker.audit.exchange import ExchangeCounts
from broker.audit.purges import Purged
from broker.audit.remarks import Remark
from broker.audit.rules import Finding
from broker.audit.seen import SeenLog
from broker.audit.statistics import Lateness, Statistics
from broker.audit.witnesses import WitnessReport
from broker.tlog.checkpoint import Checkpoint
from schemas.directory import ClosedLogs, Names
from schemas.loader import dump_json, to_plain
from schemas.scalars import format_time

REPORT_VERSION = 1


@dataclass(frozen=True, slots=True)
class AuditedLog:
    """A log as it was audited: the tree, its signed checkpoint as evidence, and what was seen before."""

    checkpoint: Checkpoint
    note: str
    seen_size: int
    seen_note: str | None

    def to_plain(self) -> dict[str, Any]:
        """The log as plain JSON values."""
        plain: dict[str, Any] = {
            "origin": self.checkpoint.origin,
            "size": self.checkpoint.size,
            "root": self.checkpoint.root.hex(),
            "checkpoint": self.note,
            "seen_size": self.seen_size,
        }
        return plain if self.seen_note is None else {**plain, "seen_checkpoint": self.seen_note}


def audited(told: Signed | None, seen: SeenLog | None) -> AuditedLog | None:
    """One log for the report; None where its checkpoint did not verify."""
    if told is None:
        return None
    size, note = (0, None) if seen is None else (seen.size, seen.note)
    return AuditedLog(told.checkpoint, told.text, size, note)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found.

    `findings` lists the first of each rule, `findings_by_rule` counts all. A log is None if its checkpoint
    did not verify, `counts` if the exchange log could not be read for that. `witnesses` is what the
    council names; `none` means that no one but this auditor watches for a hub with two faces. `changes` are
    the directories that were published, `remarks` what people should look at though it breaks no rule. Logs
    and counts are those of the newest generation; `closed` says how those before it ended. `resumed` entries
    of the exchange log had been examined by an earlier audit. `lateness` is by the deadlines of the council
    in force, `names` are its members'. `evidence` shows others those findings that can be shown. `purged` are
    the openings that were destroyed under an order. `trees_only`: no entry of the exchange log was opened.
    """

    exchange: str
    at: datetime
    findings: tuple[Finding, ...]
    findings_by_rule: Counter[str]
    directory: AuditedLog | None
    exchange_log: AuditedLog | None
    directory_entries: Counter[str]
    changes: DirectoryChanges
    remarks: tuple[Remark, ...]
    counts: ExchangeCounts | None
    witnesses: WitnessReport
    seconds: float
    statistics: Statistics | None = None
    lateness: Lateness | None = None
    names: Mapping[str, Names] = field(default_factory=dict)
    closed: tuple[ClosedLogs, ...] = ()
    resumed: int = 0
    evidence: tuple[Written, ...] = ()
    trees_only: bool = False
    purged: tuple[Purged, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def is_witnessed(self) -> bool:
        """Whether the council names witnesses."""
        return bool(self.witnesses.named)

    def to_plain(self) -> dict[str, Any]:
        """The report as plain JSON values, findings first."""
        logs = {"directory": self.directory, "exchange": self.exchange_log}
        plain = {
            "v": REPORT_VERSION,
            "findings": [asdict(finding) for finding in self.findings],
            "findings_by_rule": dict(sorted(self.findings_by_rule.items())),
            "exchange": self.exchange,
            "at": format_time(self.at),
            "logs": {name: log.to_plain() for name, log in logs.items() if log is not None},
            "witnesses": self.witnesses.to_plain() if self.is_witnessed else "none",
            "witnessed": self.is_witnessed,
            "directory_changes": self.changes.to_plain(),
            "remarks": [remark.to_plain() for remark in self.remarks],
            "directory_entries": dict(sorted(self.directory_entries.items())),
            "milliseconds": round(self.seconds * 1000),
            "closed_logs": [to_plain(each) for each in self.closed],
            "resumed": self.resumed,
            "trees_only": self.trees_only,
            "purged": [each.to_plain() for each in self.purged],
            "evidence": [each.to_plain() for each in self.evidence],
        }
        if self.counts is not None:
            plain["counts"] = self.counts.to_plain()
        if self.statistics is not None:
            plain["figures"] = self.statistics.to_plain()
        if self.lateness is not None:
            plain["late"] = self.lateness.to_plain()
        plain["names"] = {member: to_plain(names) for member, names in self.names.items()}
        return plain

    def to_json(self) -> bytes:
        """The report as compact JSON, without a newline."""
        return dump_json(self.to_plain())
