"""The times of entries: they never run backwards, never lie ahead, and never behind what was seen already.

Pure; may import `broker.tlog` and `schemas`. The audits of both logs feed it each entry's `at`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from broker.audit.rules import Findings, LogName
from broker.audit.seen import SeenLog
from broker.tlog.quorum_times import QuorumTimes, misdated
from schemas.limits import CLOCK_TOLERANCE_SECONDS
from schemas.scalars import format_time

CLOCK_TOLERANCE: Final = timedelta(seconds=CLOCK_TOLERANCE_SECONDS)
"""How far clocks may differ (the protocol, "Two logs")."""


class EntryTimes:
    """Checks the `at` of each entry of one log, in order.

    Args:
        seen: what this auditor verified before: later entries cannot be older than that moment.
        now: the auditor's clock.
    """

    def __init__(
        self, log: LogName, seen: SeenLog | None, now: datetime, findings: Findings
    ) -> None:
        self._log: LogName = log
        self._seen = seen
        self._now = now
        self._findings = findings
        # The newest is verified once the council is known, which stands in the directory log itself.
        self._quorums: QuorumTimes | None = None
        self._unheld: list[tuple[int, datetime]] = []
        self._before: datetime | None = None

    def check(self, index: int, at: datetime) -> bool:
        """Check one entry's time; one finding at the most. False if it runs backwards."""
        before, self._before = self._before, at
        if before is not None and at < before:
            self._report(index, "at-decreasing", f"{format_time(at)} after {format_time(before)}")
            return False
        if at > self._now + CLOCK_TOLERANCE:
            self._report(index, "at-future", f"{format_time(at)} is yet to come")
        elif self._is_backdated(index, at):
            self._report(index, "at-backdated", f"{format_time(at)} had passed without this entry")
        elif self._quorums is None:
            self._unheld.append((index, at))
        else:
            self._hold(index, at, self._quorums)
        return True

    def hold(self, quorums: QuorumTimes) -> None:
        """Hold all entries, those that were checked before and those that follow, against quorums."""
        self._quorums = quorums
        for index, at in self._unheld:
            self._hold(index, at, quorums)
        self._unheld.clear()

    def _hold(self, index: int, at: datetime, quorums: QuorumTimes) -> None:
        why = misdated(at, quorums.between(index)) if quorums.times else None
        if why is not None:
            self._report(index, "at-quorum", why)

    def _is_backdated(self, index: int, at: datetime) -> bool:
        seen = self._seen
        return seen is not None and index >= seen.size and at < seen.at - CLOCK_TOLERANCE

    def _report(self, index: int, rule: str, detail: str) -> None:
        self._findings.add(self._log, index, rule, detail)
