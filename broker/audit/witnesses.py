"""What the witnesses of the exchange say: the newest quorum on each log, held against what was audited.

May import `broker.tlog` and the auditor's own rooms; `verify` asks it before and after it rebuilds a tree.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from broker.audit.growth import Growth
from broker.audit.rules import Finding, Findings, LogName
from broker.tlog.quorum import Quorum, Witnessed
from broker.tlog.receipt import LogVerifier
from schemas.directory import Council
from schemas.errors import ParseError, VerificationError
from schemas.scalars import format_time

QUORUM_AGE: Final = timedelta(hours=1)
"""Witnesses cosign anew every ten minutes: a quorum that is older is a finding."""


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """Who cosigns, and what a quorum vouches for.

    Args:
        named: the members whose nodes are witnesses, sorted; empty in a test exchange without any.
        quorum: how many of them must cosign.
        logs: the newest quorum on each log; a log that has none is missing.
    """

    named: tuple[str, ...]
    quorum: int
    logs: dict[str, Witnessed]

    def to_plain(self) -> dict[str, Any]:
        """The report as plain JSON values; `checkpoint` is the note with all lines, as evidence."""
        return {
            "named": list(self.named),
            "quorum": self.quorum,
            "logs": {
                log: {
                    "size": found.checkpoint.size,
                    "at": format_time(found.at),
                    "members": list(found.members),
                    "checkpoint": found.text,
                }
                for log, found in self.logs.items()
            },
        }


class WitnessAudit:
    """Holds what witnesses cosigned against the trees.

    Args:
        logs: the keys of both logs.
        shown: by log, the note that the hub shows as witnessed; a log of which it shows none is missing.
        now: the auditor's clock.
        findings: where what is wrong goes.
    """

    def __init__(
        self,
        logs: dict[LogName, LogVerifier],
        shown: dict[LogName, str],
        now: datetime,
        findings: Findings,
    ) -> None:
        self._logs = logs
        self._shown = shown
        self._now = now
        self._findings = findings

    def shown(self, log: LogName) -> str | None:
        """The note that the hub shows as witnessed, if the log signed it."""
        text = self._shown.get(log)
        try:
            self._logs[log].open(text or "", both=True)
        except (ParseError, VerificationError):
            return None
        return text

    def expect(self, log: LogName, size: int, growth: Growth, *, is_lost: bool = False) -> None:
        """Have a tree of `size` leaves compared, while it is rebuilt, with what was cosigned.

        Where `is_lost`, the end of the log may be gone by the council's word; what is left may not differ.
        """
        try:
            told = self._logs[log].open(self._shown.get(log, ""), both=True)
        except (ParseError, VerificationError):
            # Whether there has to be one is known once the council is: `report` says so.
            return
        if told.size > size:
            if is_lost:
                return
            detail = f"witnesses cosigned {told.size} entries, where {size} are shown"
            self._findings.add(log, None, "log-shrank", detail)
            return
        detail = f"at {told.size} entries it has another root than the witnesses cosigned"
        growth.expect(told.size, told.root, Finding(log, None, "log-forked", detail))

    def quorums(self, council: Council | None) -> dict[LogName, Witnessed]:
        """The newest quorum on each log that the council's witnesses made; what is no quorum is left out."""
        quorum = None if council is None else Quorum.of(council)
        found: dict[LogName, Witnessed] = {}
        if quorum is None:
            return found
        for log, text in self._shown.items():
            with suppress(ParseError, VerificationError):
                # `report` says what is wrong with it.
                found[log] = quorum.open(text, self._logs[log])
        return found

    def report(self, council: Council | None) -> WitnessReport:
        """Judge the quorums by the council in force, which has to have been audited before."""
        quorum = None if council is None else Quorum.of(council)
        if quorum is None:
            return WitnessReport((), 0, {})
        found: dict[str, Witnessed] = {}
        for log, verifier in self._logs.items():
            try:
                if log not in self._shown:
                    raise VerificationError("the hub shows no checkpoint that a quorum cosigned")
                found[log] = quorum.open(self._shown[log], verifier)
            except (ParseError, VerificationError) as error:
                self._findings.add(log, None, "unwitnessed", str(error))
                continue
            age = self._now - found[log].at
            if age > QUORUM_AGE:
                detail = f"the newest quorum is of {format_time(found[log].at)}"
                self._findings.add(log, None, "quorum-old", detail)
        return WitnessReport(tuple(sorted(quorum.verifiers)), quorum.threshold, found)
