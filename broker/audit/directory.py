"""The directory log, entry by entry: folded into the history by which the exchange log is judged.

Pure; may import `keys` and `schemas`. `verify` feeds it every settled leaf and the trust files it asks for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from broker.audit.changes import ChangeLog
from broker.audit.leaves import OpenedLeaf
from broker.audit.order import EntryTimes
from broker.audit.remarks import GovernanceWatch, LapseWatch, RateWatch, Remark
from broker.audit.rules import RULES, Findings
from broker.audit.seen import Seen
from broker.policy.admission import rules_of
from broker.tlog.quorum_times import QuorumTimes
from keys.directory import Directory
from keys.dsse import pae_sha256
from keys.history import DirectoryHistory
from keys.history import Finding as HistoryFinding
from schemas.directory import Invitation, Logs
from schemas.entries import DeskSealingKey, DirectoryLogEntry, parse_directory_entry
from schemas.errors import ConfigurationError, ParseError

_HISTORY_RULES: Final = {
    "entry-invalid": "entry",
    "directory-invalid": "directory",
    "statement-signature": "signature",
    "wrong-exchange": "sealing-key-exchange",
}
"""The history's words where an audit has its own; all others are the same."""


@dataclass(frozen=True, slots=True)
class ExchangeHead:
    """The exchange log as the directory entry at `index` names it; `root` is 32 bytes."""

    index: int
    size: int
    root: bytes


class DirectoryAudit:
    """Folds the directory log and checks what its entries promise.

    Args:
        invitation: the trust root, and the logs that the council must name.
        seen: what this auditor verified before; None at its first audit.
        now: the auditor's clock.
    """

    def __init__(
        self, invitation: Invitation, seen: Seen | None, now: datetime, findings: Findings
    ) -> None:
        # Of logs that were closed before this auditor came the invitation tells the ends alone.
        self._logs = None if invitation.logs.previous else invitation.logs
        self._seen = seen
        self._now = now
        self._findings = findings
        self._times = EntryTimes(
            "directory", None if seen is None else seen.directory, now, findings
        )
        self._stopped = False
        self.history = DirectoryHistory(
            invitation.exchange, invitation.root, invitation.logs.first_directory_origin
        )
        self.heads: list[ExchangeHead] = []
        self.counts: Counter[str] = Counter()
        self.changes = ChangeLog(invitation.root)
        self._governance, self._rates = GovernanceWatch(), RateWatch()
        self._lapses = LapseWatch("directory")

    def expect(self, logs: Logs, seen: Seen | None) -> None:
        """Say which logs the council has to name, and what was verified of them before."""
        self._logs, self._seen = logs, seen
        self._times = EntryTimes(
            "directory", None if seen is None else seen.directory, self._now, self._findings
        )

    def begin(self, logs: Logs, seen: Seen | None) -> None:
        """Go on with the directory log of the next generation."""
        self.history.begin(logs.directory.origin)
        self.expect(logs, seen)
        self.heads = []

    def hold_times(self, quorums: QuorumTimes) -> None:
        """Hold the times of this generation's entries against the quorums that this auditor saw."""
        self._times.hold(quorums)

    def remarks(self) -> tuple[Remark, ...]:
        """What breaks no rule, and people should look at."""
        governance = self._governance.remarks(self._now)
        return (*governance, *self._lapses.remarks(), *self._rates.remarks())

    def skip(self) -> None:
        """Take note of a leaf that did not open: nothing behind it can be judged."""
        self._stopped = True

    def add(self, leaf: OpenedLeaf, fetch: Callable[[str, int], bytes]) -> None:
        """Check the next entry.

        1. Its time and its view of the exchange log do not run backwards.
        2. Folded into the history, it breaks no rule of directories and sealing keys.
        3. A directory that came into force names the logs that are audited, and its rules load.
        4. What was published is kept for the report: what it changed and who signed it, or why it is void.

        Args:
            fetch: gives a trust file by name, up to a size in bytes.

        Raises:
            TrustFileMissing: nothing was changed; `give_up` goes on without the file.
        """
        before = self.history.newest.directory
        read: dict[str, bytes] = {}

        def reading(name: str, size_bytes_max: int) -> bytes:
            read[name] = fetch(name, size_bytes_max)
            return read[name]

        folded = () if self._stopped else self._fold(leaf, reading)
        in_order = self._check_promises(leaf)
        for finding in folded:
            # The history finds the same again, in the words of its own.
            if in_order or finding.rule != "entry-invalid":
                rule = _HISTORY_RULES.get(finding.rule, finding.rule)
                rule = rule if rule in RULES else "directory"
                self._report(leaf.index, rule, finding.detail)
                at = self.history.newest.last_at
                if finding.rule == "directory-invalid" and at is not None:
                    said = (rule, finding.detail)
                    self.changes.was_void(before, leaf.index, at, said, read)
        if not self._stopped:
            self._keep_in_force(leaf.index, before, read)

    def _keep_in_force(
        self, index: int, before: Directory | None, files: Mapping[str, bytes]
    ) -> None:
        """Look at the directory in force after an entry, and at what is new if that entry published it."""
        newest = self.history.newest
        directory, since = newest.directory, newest.in_force_since
        if directory is not None and since is not None and directory is not before:
            self._check_directory(index, directory)
            roles = self.changes.came_into_force(before, directory, index, since, files)
            self._governance.look(index, directory)
            if before is not None:
                self._rates.published(index, since, roles)
                before.forget_views()
        if newest.last_at is not None:
            self._lapses.logged(index, newest.last_at, directory)

    def give_up(self, leaf: OpenedLeaf, detail: str) -> None:
        """Go on without a trust file that the hub does not serve."""
        self._report(leaf.index, "trust-file-missing", detail)
        self._stopped = True
        self._check_promises(leaf)

    def _fold(
        self, leaf: OpenedLeaf, fetch: Callable[[str, int], bytes]
    ) -> tuple[HistoryFinding, ...]:
        fault = _announcement_fault(leaf)
        if fault is not None:
            # What the key was, and what it revoked, is not known: nothing behind it can be judged.
            self._report(leaf.index, "statement", fault)
            self._stopped = True
            return ()
        return self.history.apply(leaf.index, leaf.leaf.hex(), leaf.entry, leaf.statement, fetch)

    def _check_directory(self, index: int, directory: Directory) -> None:
        if self._logs is not None and directory.council.logs != self._logs:
            self._report(index, "directory", "the council names other logs than the invitation")
        try:
            rules_of(directory)
        except ConfigurationError as error:
            self._report(index, "access-rules", str(error))

    def _check_promises(self, leaf: OpenedLeaf) -> bool:
        """Check order; False if the entry has none, or is not well-formed."""
        try:
            entry = parse_directory_entry(leaf.entry)
        except ParseError as error:
            self._report(leaf.index, "entry", str(error))
            return False
        self.counts[entry.type] += 1
        forward = self._times.check(leaf.index, entry.at)
        return self._check_head(leaf.index, entry) and forward

    def _check_head(self, index: int, entry: DirectoryLogEntry) -> bool:
        head = ExchangeHead(index, entry.exchange_log.size, bytes.fromhex(entry.exchange_log.root))
        before = self.heads[-1] if self.heads else None
        if before is not None and head.size < before.size:
            detail = f"{head.size} exchange entries after {before.size}"
            self._report(index, "exchange-head-falls", detail)
            return False
        if before is not None and head.size == before.size and head.root != before.root:
            detail = f"another root at {head.size} entries than entry {before.index} names"
            self._report(index, "exchange-head", detail)
            return False
        due = 0 if self._seen is None else self._seen.exchange_size_due(index)
        if head.size < due:
            detail = f"{head.size} exchange entries where {due} were seen before"
            self._report(index, "exchange-head-stale", detail)
        self.heads.append(head)
        return True

    def _report(self, index: int, rule: str, detail: str) -> None:
        self._findings.add("directory", index, rule, detail)


def _announcement_fault(leaf: OpenedLeaf) -> str | None:
    """Say what is wrong with the statement behind a sealing key; None if it is the one logged."""
    try:
        entry = parse_directory_entry(leaf.entry)
    except ParseError:
        return None
    if not isinstance(entry, DeskSealingKey):
        return None
    if leaf.statement is None:
        return "there is no statement: nobody is shown to have announced this key"
    if pae_sha256(leaf.statement) != entry.pae:
        return "the statement hashes to another `pae` than the entry's"
    return None
