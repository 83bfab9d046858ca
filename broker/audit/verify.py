"""The audit: the whole of both logs, downloaded and checked without trusting the hub.

May import `keys`, `broker.tlog`, `broker.policy` and the auditor's own rooms; the command line calls
`verify_exchange`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from broker.audit.directory import DirectoryAudit
from broker.audit.exchange import DirectoryLimits, ExchangeAudit
from broker.audit.growth import Growth
from broker.audit.leaves import OpenedLeaf
from broker.audit.reading import LogReader, LogSource, ask
from broker.audit.report import AuditedLog, AuditReport
from broker.audit.rules import Finding, Findings, LogName
from broker.audit.seen import Seen, SeenLog, SeenStore
from broker.audit.tree import RebuiltTile
from broker.audit.witnesses import WitnessAudit
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.receipt import LogVerifier
from keys.trust import TrustFileMissing
from schemas.directory import Council, Invitation
from schemas.errors import HubUnreachable, ParseError, VerificationError

_SNAPSHOT_TRIES_MAX: Final = 8
"""Tries to see both logs at one moment; the directory log moves a few times a day."""

_FATAL: Final = frozenset({"checkpoint", "root", "log-shrank", "log-forked"})
"""After these, what was verified before stays: it is the evidence."""


async def verify_exchange(
    source: LogSource, invitation: Invitation, store: SeenStore, now: Callable[[], datetime]
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
    10. Expiries: each accepted envelope is logged as expired once, after its end and within an hour.

    Args:
        source: the hub, called as an auditor desk.
        invitation: the trust root and the logs' keys.
        store: what was verified before; replaced if both logs grew from it.
        now: the auditor's clock, UTC with whole seconds.

    Returns:
        Every finding, every change of the directory, and what was counted.

    Raises:
        HubUnreachable: the hub did not answer; nothing is said about it.
        Problem: the hub refuses this auditor.
        ConfigurationError: what was verified before cannot be read.
        VerificationError: the invitation's root is none.
    """
    return await _Audit(source, invitation, store, now()).run()


@dataclass(frozen=True, slots=True)
class _Told:
    """A checkpoint whose signatures verified, and its text."""

    checkpoint: Checkpoint
    note: str


class _Audit:
    def __init__(
        self, source: LogSource, invitation: Invitation, store: SeenStore, now: datetime
    ) -> None:
        self._source = source
        self._invitation = invitation
        self._store = store
        self._now = now
        self._findings = Findings()
        self._logs: dict[LogName, LogVerifier] = {
            "directory": LogVerifier.from_keys(invitation.logs.directory),
            "exchange": LogVerifier.from_keys(invitation.logs.exchange),
        }
        self._seen = store.load(self._logs["directory"], self._logs["exchange"])
        self._directory = DirectoryAudit(invitation, self._seen, now, self._findings)

    async def run(self) -> AuditReport:
        started = time.monotonic()
        # Step 0: before the logs are, so that they hold at least what was cosigned.
        self._witnesses = await self._ask_witnesses()
        # Step 1: what the hub signed; `_growth` compares it with what was verified before.
        directory, exchange = await self._checkpoints()
        # Steps 2 to 4, for the directory log.
        if directory is not None:
            await self._audit_directory(directory)
        # Steps 2, 3 and 5 to 10, for the exchange log; and the roots of it that step 4 left open.
        audited = None
        if directory is not None and exchange is not None:
            audited = await self._audit_exchange(directory, exchange)
            if _FATAL.isdisjoint(self._findings.by_rule):
                self._store.save(Seen(self._as_seen(directory), self._as_seen(exchange)))
        witnesses = self._witnesses.report(self._council())
        return AuditReport(
            exchange=self._invitation.exchange,
            at=self._now,
            findings=tuple(self._findings.listed),
            findings_by_rule=self._findings.by_rule,
            directory=self._audited(directory, "directory"),
            exchange_log=self._audited(exchange, "exchange"),
            directory_entries=self._directory.counts,
            changes=self._directory.changes.told(),
            remarks=self._directory.remarks() + (audited.remarks() if audited else ()),
            counts=audited.counts() if audited else None,
            witnesses=witnesses,
            seconds=time.monotonic() - started,
        )

    async def _checkpoints(self) -> tuple[_Told | None, _Told | None]:
        """Both checkpoints of one moment: the directory log did not move around the exchange log's.

        So no entry of either names more of the other than is audited here, and what is logged later
        names at least this much.
        """
        for _ in range(_SNAPSHOT_TRIES_MAX):
            before = await self._checkpoint("directory")
            exchange = await self._checkpoint("exchange")
            if before is None or exchange is None:
                return before, exchange
            after = await self._checkpoint("directory")
            if after is None or before.checkpoint.size == after.checkpoint.size:
                if after is not None and before.checkpoint.root != after.checkpoint.root:
                    detail = f"two roots were signed for {after.checkpoint.size} entries"
                    self._findings.add("directory", None, "log-forked", detail)
                return after, exchange
        raise HubUnreachable("the directory log did not rest long enough to be audited")

    async def _checkpoint(self, log: LogName) -> _Told | None:
        note = await ask(self._source.checkpoint(log, self._invitation.logs.generation))
        try:
            if note is None:
                raise ParseError("the hub serves none")
            return _Told(self._logs[log].open(note, both=True), note)
        except (ParseError, VerificationError) as error:
            self._findings.add(log, None, "checkpoint", str(error))
            return None

    def _growth(self, log: LogName, told: _Told) -> Growth:
        """Expect the root that the hub signed, and the one that this auditor verified before."""
        growth = Growth(self._findings)
        newest = told.checkpoint
        seen = self._seen_of(log)
        if seen is not None and seen.size > newest.size:
            detail = f"{newest.size} entries, where {seen.size} were signed before"
            self._findings.add(log, None, "log-shrank", detail)
        elif seen is not None:
            detail = f"at {seen.size} entries it had another root when it was verified before"
            growth.expect(seen.size, seen.root, Finding(log, None, "log-forked", detail))
        detail = f"the leaves served make another root at {newest.size} entries than the signed one"
        growth.expect(newest.size, newest.root, Finding(log, None, "root", detail))
        self._witnesses.expect(log, newest.size, growth)
        return growth

    async def _audit_directory(self, told: _Told) -> None:
        reader = self._reader("directory", told)
        growth = self._growth("directory", told)
        async for batch in reader.leaves():
            for settled in await reader.settle(batch):  # Step 3.
                growth.add(settled.leaf)  # Step 2.
                if settled.opened is None:
                    self._directory.skip()
                else:
                    await self._fold(settled.opened)  # Step 4.
            await _check_tiles(reader, growth.tree.take_full_tiles())
        await _check_tiles(reader, growth.tree.partial_tiles())
        growth.finish()

    async def _fold(self, leaf: OpenedLeaf) -> None:
        loop = asyncio.get_running_loop()

        def fetch(name: str, size_bytes_max: int) -> bytes:
            # A directory names its files one after the other: its reader waits in a thread of its own.
            call = ask(self._source.trust_file(name))
            data = asyncio.run_coroutine_threadsafe(call, loop).result()
            if data is None or len(data) > size_bytes_max:
                raise TrustFileMissing(f"the hub does not serve {name}, or not as it was signed")
            return data

        try:
            await asyncio.to_thread(self._directory.add, leaf, fetch)
        except TrustFileMissing as missing:
            self._directory.give_up(leaf, str(missing))

    async def _audit_exchange(self, directory: _Told, exchange: _Told) -> ExchangeAudit:
        reader = self._reader("exchange", exchange)
        growth = self._growth("exchange", exchange)
        heads = [head for head in self._directory.heads if head.size <= exchange.checkpoint.size]
        for head in self._directory.heads[len(heads) :]:
            detail = f"it names {head.size} exchange entries of {exchange.checkpoint.size}"
            self._findings.add("directory", head.index, "exchange-head-beyond", detail)
        for head in heads:
            detail = f"the exchange log never had this root at {head.size} entries"
            growth.expect(
                head.size, head.root, Finding("directory", head.index, "exchange-head", detail)
            )
        audit = ExchangeAudit(
            self._invitation.exchange,
            exchange.checkpoint.origin,
            self._directory.history,
            DirectoryLimits(directory.checkpoint.size, [(h.size, h.index) for h in heads]),
            self._seen,
            self._now,
            self._findings,
        )
        async for batch in reader.leaves():
            for index, settled in enumerate(await reader.settle(batch), batch[0].index):  # Step 3.
                growth.add(settled.leaf)  # Step 2.
                if settled.opened is None:
                    audit.skip(index)
                else:
                    audit.add(settled.opened)  # Steps 5 to 10.
            await _check_tiles(reader, growth.tree.take_full_tiles())
        await _check_tiles(reader, growth.tree.partial_tiles())
        growth.finish()
        audit.finish()
        return audit

    def _reader(self, log: LogName, told: _Told) -> LogReader:
        generation = self._invitation.logs.generation
        return LogReader(self._source, log, generation, told.checkpoint, self._findings)

    def _seen_of(self, log: LogName) -> SeenLog | None:
        if self._seen is None:
            return None
        return self._seen.directory if log == "directory" else self._seen.exchange

    def _as_seen(self, told: _Told) -> SeenLog:
        return SeenLog(told.checkpoint.size, told.checkpoint.root, self._now, told.note)

    def _audited(self, told: _Told | None, log: LogName) -> AuditedLog | None:
        if told is None:
            return None
        seen = self._seen_of(log)
        size, note = (0, None) if seen is None else (seen.size, seen.note)
        return AuditedLog(told.checkpoint, told.note, size, note)

    async def _ask_witnesses(self) -> WitnessAudit:
        shown: dict[LogName, str] = {}
        for log in self._logs:
            text = await ask(self._source.witnessed(log, self._invitation.logs.generation))
            if text is not None:
                shown[log] = text
        return WitnessAudit(self._logs, shown, self._now, self._findings)

    def _council(self) -> Council | None:
        directory = self._directory.history.newest.directory
        return None if directory is None else directory.council


async def _check_tiles(reader: LogReader, tiles: list[RebuiltTile]) -> None:
    for tile in tiles:
        await reader.check_tile(tile)
