"""The audit: the whole of both logs, downloaded and checked without trusting the hub.

May import `keys`, `broker.tlog`, `broker.policy` and the auditor's own rooms; the command line calls
`verify_exchange`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from broker.audit.checkpoints import Look, Signed
from broker.audit.closing import check_end, first_logs, lost_remark
from broker.audit.directory import DirectoryAudit
from broker.audit.directory_pass import DirectoryPass
from broker.audit.evidence import Gathering, Written
from broker.audit.exchange import DirectoryLimits, ExchangeAudit
from broker.audit.growth import Growth
from broker.audit.judging import expect_judging
from broker.audit.leaves import all_open
from broker.audit.pipeline import ExchangePass, How, check_tree
from broker.audit.purges import PurgeAudit
from broker.audit.reading import LogReader, LogSource, ask, read_witnessed
from broker.audit.remarks import Remark
from broker.audit.report import AuditReport, audited
from broker.audit.rules import Finding, Findings, LogName
from broker.audit.seen import Seen, SeenLog, SeenStore, seen_of
from broker.audit.witnesses import WitnessAudit
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.quorum_times import QuorumTimes
from broker.tlog.receipt import LogVerifier
from keys.trust import TrustFileMissing
from schemas.directory import Council, Invitation, Logs
from schemas.errors import ParseError, VerificationError

_FATAL: Final = frozenset({"checkpoint", "root", "log-shrank", "log-forked"})
"""After these, what was verified before stays: it is the evidence."""

HOW: Final = How()


async def verify_exchange(
    source: LogSource,
    invitation: Invitation,
    store: SeenStore,
    now: Callable[[], datetime],
    how: How = HOW,
) -> AuditReport:
    """Audit an exchange.

    1. Checkpoints of both logs, at one moment; both signature lines; nothing that this auditor verified
       before is missing or different.
    2. Both trees rebuilt from their leaves: tiles and roots are those that the hub serves and signed.
    3. Every leaf opened, and hashed again.
    4. The directory log folded, every directory and sealing key in it judged; the exchange log's size and
       root in each of its entries are those of the exchange log, and never fall. What each directory
       changed, who signed it, or why it is void, is kept.
    5. Exchange entries in order: time and `directory_size` never fall, and the latter is what there was.
    6. Each statement is the one that its entry names, signed by its desk's node identity then in force,
       of refused envelopes too.
    7. Accepted envelopes: directory, times, keys and access rules admitted them, by exactly the policies
       logged; recipients are the header's; no place, id or bulletin was used twice; the attachments
       that it names were stored before, each logged once.
    8. Refused envelopes: the reason is final, and holds.
    9. Acknowledgements: each names accepted envelopes to its desk, and follows from its answers before.
    10. Expiries: each accepted envelope is logged as expired once, after its end and within an hour. Purges:
        what has no opening was ordered to be destroyed, and the log says that it was.
    11. Where the council has closed a log, it ended there; what the hub lost of it is told. Then the logs
        that follow, from 1 on: ids, contents and recipients of the closed ones stay used.

    Where `how.trees_only`, steps 3 and 5 to 10 are left out for the exchange log.

    Args:
        source: the hub, called as an auditor desk.
        invitation: the trust root and the logs' keys.
        store: what was verified before; replaced if both logs grew from it.
        now: the auditor's clock, UTC with whole seconds.
        how: on how many cores, and behind what earlier audits examined.

    Returns:
        Every finding, every change of the directory, and what was counted.

    Raises:
        HubUnreachable: the hub did not answer; nothing is said about it.
        Problem: the hub refuses this auditor.
        ConfigurationError: what was verified before cannot be read.
        VerificationError: the invitation's root is none.
    """
    return await _Audit(source, invitation, store, now(), how).run()


@dataclass
class _Generation:
    """What was audited of one generation of logs."""

    directory: Signed | None = None
    exchange: Signed | None = None
    audit: ExchangeAudit | None = None
    seen: Seen | None = None
    following: Logs | None = None
    resumed: int = 0
    signed: dict[LogName, list[str]] = field(default_factory=dict)


class _Audit:
    def __init__(
        self,
        source: LogSource,
        invitation: Invitation,
        store: SeenStore,
        now: datetime,
        how: How,
    ) -> None:
        self._source = source
        self._invitation = invitation
        self._store = store
        self._now = now
        self._how = how
        self._findings = Findings()
        self._remarks: list[Remark] = []
        self._kept = store.load()
        self._quorums = store.quorums.load()
        self._was_seen = self._kept is None
        self._directory = DirectoryAudit(invitation, None, now, self._findings)
        self._pass = DirectoryPass(source, self._directory, self._findings, how)
        self._purges = PurgeAudit(self._findings)
        self._closed = False
        self._ended_at = 0

    async def run(self) -> AuditReport:
        started = time.monotonic()
        logs = await self._read_closed()
        former: ExchangeAudit | None = None
        while True:
            found = await self._audit(logs, former)
            if found.following is None:
                break
            # Step 11.
            logs, former = found.following, found.audit
        self._end_purges(found)
        if not self._was_seen:
            raise self._store.unusable("it is of none of the logs that the council names")
        self._save(found)
        council = self._council()
        witnesses = self._witnesses.report(council)
        return AuditReport(
            exchange=self._invitation.exchange,
            at=self._now,
            findings=tuple(self._findings.listed),
            findings_by_rule=self._findings.by_rule,
            directory=audited(found.directory, seen_of(found.seen, "directory")),
            exchange_log=audited(found.exchange, seen_of(found.seen, "exchange")),
            directory_entries=self._directory.counts,
            changes=self._directory.changes.told(),
            remarks=(
                *self._directory.remarks(),
                *self._remarks,
                *self._purges.remarks(self._now),
                *(found.audit.remarks() if found.audit else ()),
            ),
            counts=found.audit.counts() if found.audit else None,
            witnesses=witnesses,
            seconds=time.monotonic() - started,
            statistics=found.audit.statistics if found.audit else None,
            lateness=(
                found.audit.lateness(council.deadlines_seconds) if found.audit and council else None
            ),
            names={each: seat.names for each, seat in council.members.items()} if council else {},
            closed=logs.previous,
            purged=self._purges.purged,
            resumed=found.resumed,
            evidence=await self._evidence(found),
            trees_only=self._how.trees_only,
        )

    def _end_purges(self, found: _Generation) -> None:
        """Judge what is gone by all orders, those of later logs too; and forget it here as well."""
        if found.audit is None:
            return
        self._purges.finish(self._directory.history.newest.purges, found.audit.newest)
        if self._how.journal is not None:
            for origin, indexes in self._purges.all_due(self._now).items():
                self._how.journal.forget(origin, indexes)

    async def _evidence(self, found: _Generation) -> tuple[Written, ...]:
        if found.directory is None or found.exchange is None:
            return ()
        newest: dict[LogName, Signed] = {"directory": found.directory, "exchange": found.exchange}
        others: dict[LogName, list[str]] = {}
        for log in newest:
            seen = seen_of(found.seen, log)
            shown = self._witnesses.shown(log)
            others[log] = [*found.signed.get(log, ())]
            if seen is not None:
                others[log].append(seen.note)
            if shown is not None:
                others[log].append(shown)
        gathering = Gathering(
            self._source,
            self._invitation,
            self._directory.history,
            self._pass,
            newest,
            others,
        )
        return await gathering.gather(self._findings.listed)

    def _save(self, found: _Generation) -> None:
        if found.directory is None or found.exchange is None:
            return
        if _FATAL.isdisjoint(self._findings.by_rule):
            self._store.save(Seen(self._as_seen(found.directory), self._as_seen(found.exchange)))
            self._store.quorums.save(self._quorums)
        elif self._how.journal is not None:
            # What was examined is not what is signed: the next audit reads all of it again.
            self._how.journal.clear()

    async def _read_closed(self) -> Logs:
        """Read the directory logs that were closed before this auditor came; gives the logs to audit."""
        logs = self._invitation.logs
        for closed in logs.previous:
            end = closed.directory
            checkpoint = Checkpoint(end.origin, end.size, bytes.fromhex(end.root))
            self._pass.begin(end.origin)
            growth = Growth(self._findings)
            detail = (
                f"the closed log has not the root at {end.size} entries that the council signed"
            )
            growth.expect(end.size, checkpoint.root, Finding("directory", None, "root", detail))
            await self._pass.run(self._reader("directory", checkpoint), checkpoint.size, growth)
            following = await self._following_logs()
            if following is None:
                break
            self._directory.begin(following, None)
        return logs

    async def _audit(self, logs: Logs, former: ExchangeAudit | None) -> _Generation:
        """Audit both logs of a generation."""
        found = _Generation()
        self._verifiers: dict[LogName, LogVerifier] = {
            "directory": LogVerifier.from_keys(logs.directory),
            "exchange": LogVerifier.from_keys(logs.exchange),
        }
        self._generation = logs.generation
        found.seen = self._store.open(self._kept, self._verifiers)
        self._was_seen = self._was_seen or found.seen is not None
        if self._directory.history.generation == logs.generation:
            self._directory.expect(logs, found.seen)
        else:
            self._directory.begin(logs, found.seen)
        self._pass.begin(logs.directory.origin)
        # Step 0: before the logs are, so that they hold at least what was cosigned.
        shown = await read_witnessed(self._source, self._verifiers, logs.generation)
        self._witnesses = WitnessAudit(self._verifiers, shown, self._now, self._findings)
        # Step 1: what the hub signed; `_growth` compares it with what was verified before.
        look = Look(self._source, self._verifiers, logs.generation, self._findings)
        found.directory, found.exchange = await look.both()
        self._closed, found.signed = look.is_closed, look.texts
        # Steps 2 to 4, for the directory log.
        if found.directory is not None:
            growth = self._growth("directory", found.directory, seen_of(found.seen, "directory"))
            tree = found.directory.checkpoint
            found.signed["directory"] += expect_judging(
                self._how.journal,
                logs.exchange.origin,
                self._verifiers["directory"],
                seen_of(found.seen, "directory"),
                tree,
                growth,
                self._findings,
            )
            await self._pass.run(self._reader("directory", tree), tree.size, growth)
        self._note_quorums()
        self._directory.hold_times(self._quorums[logs.directory.origin])
        if self._closed and found.directory is not None and found.exchange is not None:
            found.following = await self._succeeding(logs, found)
        # Steps 2, 3 and 5 to 10, for the exchange log; and the roots of it that step 4 left open.
        if found.directory is not None and found.exchange is not None:
            await self._audit_exchange(found, former)
        return found

    async def _succeeding(self, logs: Logs, found: _Generation) -> Logs | None:
        """Read which logs follow closed ones, and hold their ends against what is here."""
        following = await self._following_logs()
        if following is None or found.directory is None or found.exchange is None:
            return None
        directory, exchange = found.directory.checkpoint, found.exchange.checkpoint
        fault = check_end(logs, following, directory, exchange)
        if fault is not None:
            self._findings.add("directory", None, "log-closed", fault)
        self._remarks += lost_remark(following.previous[-1], exchange.size)
        self._ended_at = following.previous[-1].exchange.size
        return following

    async def _following_logs(self) -> Logs | None:
        generation = self._directory.history.generation + 1
        page = await ask(self._source.openings("directory", 0, 1, generation))
        history = self._directory.history
        try:
            return await self._pass.with_files(lambda fetch: first_logs(page, history, fetch))
        except (ParseError, VerificationError, TrustFileMissing) as error:
            self._findings.add("directory", None, "log-closed", str(error))
            return None

    def _growth(self, log: LogName, told: Signed, seen: SeenLog | None) -> Growth:
        """Expect the root that the hub signed, and the one that this auditor verified before."""
        growth = Growth(self._findings)
        newest = told.checkpoint
        is_lost = self._closed and log == "exchange"
        if seen is not None and seen.size > newest.size:
            if not is_lost or seen.size > self._ended_at:
                detail = f"{newest.size} entries, where {seen.size} were signed before"
                self._findings.add(log, None, "log-shrank", detail)
        elif seen is not None:
            detail = f"at {seen.size} entries it had another root when it was verified before"
            growth.expect(seen.size, seen.root, Finding(log, None, "log-forked", detail))
        detail = f"the leaves served make another root at {newest.size} entries than the signed one"
        growth.expect(newest.size, newest.root, Finding(log, None, "root", detail))
        self._witnesses.expect(log, newest.size, growth, is_lost=is_lost)
        return growth

    async def _audit_exchange(self, found: _Generation, former: ExchangeAudit | None) -> None:
        if found.directory is None or found.exchange is None:
            return
        if self._how.journal is not None and not _FATAL.isdisjoint(self._findings.by_rule):
            # What another directory log judged is judged anew.
            self._how.journal.clear()
        checkpoint = found.exchange.checkpoint
        growth = self._growth("exchange", found.exchange, seen_of(found.seen, "exchange"))
        heads = [head for head in self._directory.heads if head.size <= checkpoint.size]
        for head in self._directory.heads[len(heads) :]:
            if self._closed and head.size <= self._ended_at:
                continue
            detail = f"it names {head.size} exchange entries of {checkpoint.size}"
            self._findings.add("directory", head.index, "exchange-head-beyond", detail)
        for head in heads:
            detail = f"the exchange log never had this root at {head.size} entries"
            growth.expect(
                head.size, head.root, Finding("directory", head.index, "exchange-head", detail)
            )
        orders = self._directory.history.newest.purges
        self._purges.begin(checkpoint.origin, orders, is_closed=self._closed)
        reader = self._reader("exchange", checkpoint)
        if self._how.trees_only:
            await check_tree(self._how, reader, checkpoint.size, growth)
            return
        audit = ExchangeAudit(
            self._invitation.exchange,
            checkpoint.origin,
            self._directory.history,
            DirectoryLimits(found.directory.checkpoint.size, [(h.size, h.index) for h in heads]),
            found.seen,
            self._now,
            self._findings,
        )
        audit.hold_purges(self._purges)
        audit.hold_times(self._quorums[checkpoint.origin])
        if former is not None:
            audit.follow(former, is_whole=not self._remarks)
        elif self._generation > 1:
            audit.begin_unknowing()
        exchange_pass = ExchangePass(
            self._how,
            reader,
            checkpoint.size,
            checkpoint.origin,
            growth,
            audit,
            self._findings,
            self._pass.known(self._invitation),
            self._purges,
            self._now,
            found.directory.text,
        )
        await exchange_pass.run()
        found.audit, found.resumed = audit, exchange_pass.resumed

    def _reader(self, log: LogName, checkpoint: Checkpoint) -> LogReader:
        generation = self._directory.history.generation
        may_be_gone = self._purges.may_be_gone if log == "exchange" else all_open
        return LogReader(self._source, log, generation, checkpoint, self._findings, may_be_gone)

    def _as_seen(self, told: Signed) -> SeenLog:
        return SeenLog(told.checkpoint.size, told.checkpoint.root, self._now, told.text)

    def _note_quorums(self) -> None:
        """Note the newest quorum on each log, as the council that was just audited names its witnesses."""
        newest = self._witnesses.quorums(self._council())
        for log, verifier in self._verifiers.items():
            times = self._quorums.get(verifier.origin, QuorumTimes(()))
            if log in newest:
                times = times.with_quorum(newest[log].checkpoint.size, newest[log].at)
            self._quorums[verifier.origin] = times

    def _council(self) -> Council | None:
        directory = self._directory.history.newest.directory
        return None if directory is None else directory.council
