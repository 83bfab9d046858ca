"""The exchange log, entry by entry: order, sizes, statements; then what each entry is about.

Pure; may import `keys` and `schemas`. `verify` feeds it every settled leaf, tests feed it their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from broker.audit.acknowledgements import AcknowledgementAudit
from broker.audit.attachments import AttachmentAudit
from broker.audit.envelopes import EnvelopeAudit
from broker.audit.examining import Examined, Verdict, examine
from broker.audit.expiries import ExpiryAudit
from broker.audit.leaves import OpenedLeaf
from broker.audit.order import EntryTimes
from broker.audit.purges import PurgeAudit
from broker.audit.remarks import LapseWatch, Remark
from broker.audit.rules import Findings
from broker.audit.seen import Seen
from broker.audit.statistics import Lateness, Statistics, lateness
from broker.tlog.quorum_times import QuorumTimes
from keys.directory import Directory
from keys.history import DirectoryHistory, DirectoryState
from schemas.acknowledgements import Acknowledgement
from schemas.directory import Deadlines
from schemas.entries import (
    AcknowledgementEntry,
    AttachmentStored,
    EnvelopeAccepted,
    EnvelopeExpired,
    EnvelopeRefused,
    OpeningPurged,
)
from schemas.envelope import Header
from schemas.errors import VerificationError
from schemas.scalars import member_of


@dataclass(frozen=True, slots=True)
class ExchangeCounts:
    """What the exchange log holds, by the protocol's words.

    `acknowledged` counts items by result, `undelivered` recipients of accepted envelopes who never answered,
    `unjudged` entries that did not open or whose directory is not known, `destroyed` those whose opening is
    gone under an order.
    """

    entries: Counter[str]
    envelopes_by_member: Counter[str]
    recipients: int
    refused: Counter[str]
    acknowledged: Counter[str]
    undelivered: int
    unjudged: int
    destroyed: int = 0

    def to_plain(self) -> dict[str, Any]:
        """The counts as plain JSON values."""
        return {
            "entries": dict(sorted(self.entries.items())),
            "envelopes_by_member": dict(sorted(self.envelopes_by_member.items())),
            "recipients": self.recipients,
            "refused": dict(sorted(self.refused.items())),
            "acknowledged": dict(sorted(self.acknowledged.items())),
            "undelivered": self.undelivered,
            "unjudged": self.unjudged,
            "destroyed": self.destroyed,
        }


@dataclass(frozen=True, slots=True)
class DirectoryLimits:
    """What bounds the `directory_size` of entries.

    `size` is the directory log's; `heads` are (exchange size, directory index), both ascending: entries
    below that exchange size were logged before that directory entry.
    """

    size: int
    heads: Sequence[tuple[int, int]]


class ExchangeAudit:
    """Checks the entries of the exchange log in order.

    Args:
        exchange: the exchange's name.
        origin: of the exchange log.
        history: the directory log, folded.
        limits: what bounds each entry's `directory_size`.
        seen: what this auditor verified before; None at its first audit.
        now: the auditor's clock.
    """

    def __init__(
        self,
        exchange: str,
        origin: str,
        history: DirectoryHistory,
        limits: DirectoryLimits,
        seen: Seen | None,
        now: datetime,
        findings: Findings,
    ) -> None:
        self._exchange = exchange
        self._history = history
        self._limits = limits
        self._seen = seen
        self._findings = findings
        self._now = now
        self._times = EntryTimes("exchange", None if seen is None else seen.exchange, now, findings)
        self._next_head = 0
        self._directory_size = 0
        self._unopened: set[int] = set()
        self._envelopes = EnvelopeAudit(findings)
        self._answers = AcknowledgementAudit(origin, self._envelopes, self._unopened, findings)
        self._attachments = AttachmentAudit(self._unopened, findings)
        self._expiries = ExpiryAudit(self._envelopes, self._unopened, findings)
        self._purges = PurgeAudit(findings)
        self.newest: datetime | None = None
        """The time of the newest entry."""
        self._lapses = LapseWatch("exchange")
        self._in_use: Directory | None = None
        self._entries: Counter[str] = Counter()
        self._by_member: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._acknowledged: Counter[str] = Counter()
        self._unjudged = 0
        self._destroyed = 0
        self.statistics = Statistics()

    def hold_times(self, quorums: QuorumTimes) -> None:
        """Hold the times of all entries against the quorums on this log that the auditor saw."""
        self._times.hold(quorums)

    def hold_purges(self, purges: PurgeAudit) -> None:
        """Have what is said to be destroyed judged with that of the other logs."""
        self._purges = purges

    def follow(self, former: ExchangeAudit, *, is_whole: bool) -> None:
        """Begin behind a closed log: the ids, contents and recipients that it fixed stay so.

        Args:
            former: of the closed log, at its end.
            is_whole: whether every entry of it was there; what is not known is not held against the hub.
        """
        self._envelopes.follow(former._envelopes, is_whole=is_whole)

    def begin_unknowing(self) -> None:
        """Begin behind closed logs that were not audited: what they fixed is not known."""
        self._envelopes.is_whole = False

    def skip(self, index: int, *, is_destroyed: bool = False) -> None:
        """Take note of a leaf that did not open.

        Args:
            is_destroyed: as the council ordered: what it fixed is not known, and not held against the hub.
        """
        self._unopened.add(index)
        if is_destroyed:
            self._destroyed += 1
            self._envelopes.is_whole = False
        else:
            self._unjudged += 1

    def examine(self, leaf: OpenedLeaf) -> Examined:
        """Examine an entry in this process."""
        return examine(leaf, self._exchange, self._history)

    def add(self, found: Examined) -> None:
        """Check the next entry: its form, time and size, its statement, then what it is about."""
        index, entry = found.index, found.entry
        if entry is None:
            self._report(index, "entry", found.form_fault)
            self.skip(index)
            return
        self._entries[entry.type] += 1
        # Step 5 of the audit.
        self._times.check(index, entry.at)
        self.newest = entry.at
        state = self._state_at(index, entry.directory_size)
        self._lapses.logged(index, entry.at, self._use(state))
        # Step 6; the signature of an envelope is verified where it is admitted, below.
        verdict = self._verdict(found, state)
        match entry, found.subject:
            # Step 7.
            case EnvelopeAccepted(), Header() as header:
                self._by_member[member_of(header.from_)] += 1
                self.statistics.accepted(entry.at, header)
                self._envelopes.check_accepted(index, found.leaf, entry, header, verdict)
                self._attachments.check_named(index, header)
            # Step 8.
            case EnvelopeRefused(), Header() as header:
                self._refused[entry.problem] += 1
                self.statistics.was_refused(entry, header)
                self._envelopes.check_refused(index, entry, header, verdict)
            # Step 9.
            case AcknowledgementEntry(), Acknowledgement() as answer:
                self._acknowledged[answer.result.value] += len(answer.items)
                self._check_answer(index, entry, answer, verdict)
            case AttachmentStored(), None:
                self._attachments.check_stored(index, entry)
            # Step 10.
            case EnvelopeExpired(), None:
                self._expiries.check(index, entry)
            case OpeningPurged(), None:
                if state is None:
                    self._unjudged += 1
                else:
                    self._purges.check(index, entry, state)

    def finish(self) -> None:
        """Report, once every leaf was checked or skipped, what the log should say and does not."""
        if self.newest is not None:
            self._expiries.finish(self.newest)

    def _check_answer(
        self,
        index: int,
        entry: AcknowledgementEntry,
        answer: Acknowledgement,
        verdict: Verdict | None,
    ) -> None:
        if verdict is not None and verdict.word:
            self._report(index, "signature", verdict.detail)
        if answer.exchange != self._exchange:
            self._report(index, "acknowledgement-item", "it was signed for another exchange")
            return
        fault = answer.time_fault(entry.at)
        if fault is not None:
            self._report(index, "acknowledgement-at", fault)
        self._answers.check(index, entry.pae, answer)

    def _verdict(self, found: Examined, state: DirectoryState | None) -> Verdict | None:
        """What the entry is judged by; None if the statement is not its own or the directory unknown."""
        if found.statement_fault is not None:
            self._report(found.index, "statement", found.statement_fault)
            return None
        if found.subject is not None and state is None:
            self._unjudged += 1
            return None
        return found.verdict

    def _state_at(self, index: int, directory_size: int) -> DirectoryState | None:
        """Check an entry's `directory_size`; the directory in force there, if it is known.

        1. It is no more than the directory log had when the entry was logged.
        2. It does not fall.
        3. It is at least what the directory log shows at this entry, and what this auditor had verified
           before the entry was logged: an old directory is not revived.
        """
        limit = self._limit(index)
        if directory_size > limit:
            detail = f"it names {directory_size} directory entries where there were {limit}"
            self._report(index, "directory-size-beyond", detail)
            return None
        before, self._directory_size = self._directory_size, directory_size
        if directory_size < before:
            detail = f"{directory_size} directory entries after {before}"
            self._report(index, "directory-size-falls", detail)
            return None
        stale = self._staleness(index, directory_size)
        if stale is not None:
            self._report(index, "directory-size-stale", stale)
        if directory_size > self._history.newest.size:
            return None
        return self._history.at(directory_size)

    def _staleness(self, index: int, directory_size: int) -> str | None:
        due = 0 if self._seen is None else self._seen.directory_size_due(index)
        if directory_size < due:
            return f"{directory_size} directory entries where {due} were seen before"
        if directory_size <= self._history.newest.size:
            try:
                self._history.judging(directory_size, index)
            except VerificationError as error:
                return str(error)
        return None

    def _use(self, state: DirectoryState | None) -> Directory | None:
        """Go over to a directory; `directory_size` never falls, so that nobody asks the one before again."""
        directory = None if state is None else state.directory
        if directory is not None and directory is not self._in_use:
            if self._in_use is not None:
                self._in_use.forget_views()
            self._in_use = directory
        return directory

    def _limit(self, index: int) -> int:
        heads = self._limits.heads
        while self._next_head < len(heads) and heads[self._next_head][0] <= index:
            self._next_head += 1
        return heads[self._next_head][1] if self._next_head < len(heads) else self._limits.size

    def remarks(self) -> tuple[Remark, ...]:
        """What breaks no rule, and people should look at."""
        return self._lapses.remarks()

    def lateness(self, deadlines: Deadlines) -> Lateness:
        """What was not answered by the council's deadlines."""
        return lateness(self._envelopes.accepted.items(), deadlines, self._now)

    def counts(self) -> ExchangeCounts:
        """What was counted so far."""
        envelopes = self._envelopes.accepted.values()
        return ExchangeCounts(
            entries=self._entries,
            envelopes_by_member=self._by_member,
            recipients=sum(len(envelope.answers) for envelope in envelopes),
            refused=self._refused,
            acknowledged=self._acknowledged,
            undelivered=sum(list(e.answers.values()).count(None) for e in envelopes),
            unjudged=self._unjudged,
            destroyed=self._destroyed,
        )

    def _report(self, index: int, rule: str, detail: str) -> None:
        self._findings.add("exchange", index, rule, detail)


def audit_entries(audit: ExchangeAudit, leaves: Iterable[OpenedLeaf | int]) -> ExchangeCounts:
    """Check a sequence of entries; an index stands for a leaf that did not open."""
    for leaf in leaves:
        if isinstance(leaf, int):
            audit.skip(leaf)
        else:
            audit.add(audit.examine(leaf))
    audit.finish()
    return audit.counts()
