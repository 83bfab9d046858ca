"""One case of the crash table: a hub fails at one call, starts again; all it told is held against its log.

`test_crash_table` runs it for each call there is. What the hub handed out before and after is kept here, by
those who got it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

from broker.audit.report import AuditReport
from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from broker.client import HubClient
from broker.hub.anchor import ANCHOR_VARIABLE, Anchored
from broker.hub.logbook import LogName
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.merkle import root
from broker.tlog.note import Note, parse_note
from broker.tlog.receipt import LogVerifier, verify_receipt
from broker.tlog.tiles import append, reader_from_tiles
from schemas.directory import Witnesses, WitnessKey
from schemas.envelope import Envelope
from schemas.errors import HubUnreachable, Problem
from schemas.loader import dump_json, parse
from schemas.receipts import Receipt
from schemas.statements import Statement
from tests.exchange.acting import item
from tests.exchange.live import EXCHANGE, LiveHub, now, run
from tests.faults.failing_calls import PASSING, Call, Disk, Fault, read_journal
from tests.faults.failing_hub import Spawner

START_SECONDS = 30

Result = TypeVar("Result")

WITNESSES = ("ly", "tn")
LOGS: tuple[LogName, LogName] = ("directory", "exchange")


class SmallHub(LiveHub):
    """Three states of one desk each: what is tested is the disk, and not the exchange's size."""

    seats: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **dict.fromkeys(("dz", "ly", "tn"), ("main",)),
        "auc": ("audit",),
    }


class Prepared:
    """A hub with an anchor, two desks with keys and two witnesses, at rest; and what will be handed in.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.disk = folder / "prepared"
        (self.disk / "elsewhere").mkdir(parents=True)
        self.witnesses = {
            member: MlDsa44CosignatureSigner(f"{EXCHANGE}/witness/{member}", bytes([n]) * 32)
            for n, member in enumerate(WITNESSES)
        }
        keys = {
            member: WitnessKey(name=each.key.name, ml_dsa_44=each.key.public)
            for member, each in self.witnesses.items()
        }
        before = os.environ.get(ANCHOR_VARIABLE)
        os.environ[ANCHOR_VARIABLE] = str(self.disk / "elsewhere" / "anchor.json")
        try:
            self.hub = SmallHub(self.disk / "hub", witnesses=Witnesses(quorum=2, keys=keys))
            self.hub.start()
            run(self.hub.announce("ly/main", "tn/main"))
            self.hub.stop()
        finally:
            del os.environ[ANCHOR_VARIABLE]
            if before is not None:
                os.environ[ANCHOR_VARIABLE] = before
        self.envelopes = {
            name: self._seal(sender, recipient)
            for name, sender, recipient in (
                ("first", "ly/main", "tn/main"),
                ("second", "tn/main", "ly/main"),
                ("third", "ly/main", "tn/main"),
                ("fourth", "tn/main", "ly/main"),
            )
        }
        self.key = self.hub.sealing_statement("dz/main")
        self.verifiers = {
            "directory": LogVerifier.from_keys(self.hub.invitation.logs.directory),
            "exchange": LogVerifier.from_keys(self.hub.invitation.logs.exchange),
        }

    def _seal(self, sender: str, recipient: str) -> Envelope:
        return self.hub.seal(self.hub.outgoing(sender), recipient)


@dataclass
class Told:
    """All that left the hub: receipts by what they answer, and each tree that it signed, by log and size."""

    receipts: dict[str, Receipt] = field(default_factory=dict)
    again: list[tuple[str, Receipt]] = field(default_factory=list)
    trees: set[tuple[LogName, int, bytes]] = field(default_factory=set)

    def receipt(self, name: str, receipt: Receipt) -> None:
        """Keep a receipt; the same question has the same answer for good."""
        known = self.receipts.setdefault(name, receipt)
        assert (known.index, known.entry, known.salt) == (
            receipt.index,
            receipt.entry,
            receipt.salt,
        )
        self.again.append((name, receipt))


class Case:
    """A copy of the prepared hub, of which one process fails, and another goes on.

    Args:
        prepared: what it is a copy of.
        spawner: starts its processes.
        folder: of all cases; it is emptied.
    """

    def __init__(self, prepared: Prepared, spawner: Spawner, folder: Path) -> None:
        self.prepared, self.hub = prepared, prepared.hub
        self.told = Told()
        self._spawner = spawner
        shutil.rmtree(folder, ignore_errors=True)
        self.disk = folder / "disk"
        self.journal = folder / "journal"
        self.said = folder / "said"
        self._seen = folder / "seen"
        self._seen.mkdir(parents=True)
        shutil.copytree(prepared.disk, self.disk)
        self._process_id = 0

    def fail(self, fault: Fault | None = None, at: int = 0) -> list[Call]:
        """Serve a round that fails at a call; gives the calls that were made.

        With a fault that is a power cut the disk holds afterwards what it had been told to keep.
        """
        self._start(fault, at, often=True)
        if self._answers():
            run(self._calling(self._round))
        self.kill()
        calls = list(read_journal(self.journal))
        if fault is not None and fault.is_power_cut:
            self.cut_power()
        return calls

    def go_on(self) -> AuditReport:
        """Start again, have everything accepted, and hold all that was ever told against the whole log."""
        self._start()
        try:
            assert self._answers(), self.words()
            report: AuditReport = run(self._calling(self._finish))
            return report
        finally:
            self.kill()

    def seen(self) -> dict[str, bytes]:
        """What the folder holds: name → content."""
        return {
            str(path): path.read_bytes()
            for path in self._files()
            if not path.name.endswith(PASSING)
        }

    def words(self) -> str:
        """What its processes said, for who looks into a failure."""
        return self.said.read_text() if self.said.exists() else ""

    def _files(self) -> list[Path]:
        return [path for path in self.disk.rglob("*") if path.is_file()]

    def replayed(self) -> Disk:
        """The disk as the journal says that it was written."""
        disk = Disk(self.prepared.disk, self.disk)
        disk.follow(read_journal(self.journal))
        return disk

    def cut_power(self) -> None:
        """Leave on the disk what it had been told to keep."""
        kept = self.replayed().kept()
        for path in self._files():
            if str(path) not in kept:
                path.unlink()
        for name, content in kept.items():
            Path(name).write_bytes(content)

    def kill(self) -> None:
        """End the process, if it has not ended."""
        if self._process_id and self._spawner.ended(self._process_id) is None:
            os.kill(self._process_id, signal.SIGKILL)
            while self._spawner.ended(self._process_id) is None:
                time.sleep(0.002)
        self._process_id = 0

    def _start(self, fault: Fault | None = None, at: int = 0, *, often: bool = False) -> None:
        self._process_id = self._spawner.start(self.disk, fault, at, often=often)

    def _answers(self) -> bool:
        """Wait until it serves, or has ended."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.hub.port)) == 0:
                    return True
            if self._is_over():
                return False
            time.sleep(0.005)
        raise TimeoutError(self.words())

    def _is_over(self) -> bool:
        stat = Path(f"/proc/{self._process_id}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"

    async def _calling(self, what: Callable[[], Awaitable[Result]]) -> Result:
        """Call with one client for each desk, and close them."""
        self._clients: dict[str, HubClient] = {}
        try:
            return await what()
        finally:
            for each in self._clients.values():
                await each.close()

    def _client(self, desk: str) -> HubClient:
        if desk not in self._clients:
            self._clients[desk] = self.hub.client(desk)
        return self._clients[desk]

    async def _round(self) -> None:
        """Both logs grow, an answer is logged, both are cosigned, and two submit at once."""
        await self._try(self._announce)
        await self._try(partial(self._submit, "first"))
        await self._try(self._acknowledge)
        for log in LOGS:
            await self._try(partial(self._look, log))
            for member in WITNESSES:
                await self._try(partial(self._cosign, log, member))
            await self._try(partial(self._look_witnessed, log))
        both = (partial(self._submit, name) for name in ("second", "third"))
        await asyncio.gather(*(self._try(each) for each in both))

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        if self._is_over():
            return
        try:
            await step()
        except (HubUnreachable, Problem):
            return

    async def _finish(self) -> AuditReport:
        await self._announce()
        for name in self.prepared.envelopes:
            await self._submit(name)
        await self._acknowledge()
        for log in LOGS:
            for member in WITNESSES:
                await self._cosign(log, member)
            await self._look_witnessed(log)
            await self._look(log)
        await self._receive()
        client, store = self._client("auc/audit"), SeenStore(self._seen)
        report = await verify_exchange(client, self.hub.invitation, store, now)
        self._check()
        return report

    async def _announce(self) -> None:
        await self._client("dz/main").publish_sealing_key("dz/main", self.prepared.key)

    async def _submit(self, name: str) -> None:
        envelope = self.prepared.envelopes[name]
        sender = "ly/main" if name in {"first", "third"} else "tn/main"
        self._receipt(name, await self._client(sender).submit(dump_json(envelope)))

    async def _acknowledge(self) -> None:
        if "first" not in self.told.receipts:
            return
        statement = self._answer(self.told.receipts["first"])
        self._receipt("answer", await self._client("tn/main").acknowledge(statement))

    def _answer(self, receipt: Receipt) -> Statement:
        if not hasattr(self, "_answered"):
            told = item(self.hub, self.prepared.envelopes["first"], receipt)
            self._answered = self.hub.acknowledgement("tn/main", [told])
        return self._answered

    async def _look(self, log: LogName) -> None:
        self._tree(log, await self._client("ly/main").checkpoint(log, 1))

    async def _cosign(self, log: LogName, member: str) -> None:
        client = self._client(f"{member}/main")
        text = await client.to_cosign(log, 1) or ""
        self._tree(log, text)
        note = parse_note(text)
        line = self.prepared.witnesses[member].sign(note.text, self.hub.now_unix())
        others = tuple(each for each in note.signatures if each.name != line.name)
        await client.cosign(log, 1, Note(note.text, (*others, line)).render())

    async def _look_witnessed(self, log: LogName) -> None:
        self._tree(log, await self._client("ly/main").witnessed(log, 1) or "")

    async def _receive(self) -> None:
        """Each desk gets whatever was sent to it, byte for byte."""
        for desk, names in (("tn/main", ("first", "third")), ("ly/main", ("second", "fourth"))):
            page = await self._client(desk).inbox(desk, limit=100, since=0)
            got = {each.receipt.index: (each.statement.payload, each.body) for each in page.items}
            sent = [self.prepared.envelopes[name] for name in names]
            indexes = [self.told.receipts[name].index for name in names]
            assert got == {
                index: (each.payload, each.body) for index, each in zip(indexes, sent, strict=True)
            }

    def _receipt(self, name: str, receipt: Receipt) -> None:
        self.told.receipt(name, receipt)
        found = verify_receipt(receipt, self.prepared.verifiers["exchange"])
        self.told.trees.add(("exchange", found.checkpoint.size, found.checkpoint.root))

    def _tree(self, log: LogName, text: str) -> None:
        found = self.prepared.verifiers[log].open(text, both=True)
        self.told.trees.add((log, found.size, found.root))

    def _check(self) -> None:
        """What was told is there: every tree is a beginning of its log, every receipt stands in it."""
        anchored = parse(Anchored, (self.disk / "elsewhere" / "anchor.json").read_bytes(), 10_000)
        for log, each in anchored.logs.items():
            self.told.trees.add((log, each.head.size, bytes.fromhex(each.head.root)))
        leaves = {log: self._leaves(log) for log in LOGS}
        assert {(each[0], each[1]): each[2] for each in self.told.trees} == {
            (log, size): _root(leaves[log][:size]) for log, size, _ in self.told.trees
        }
        assert len({each[:2] for each in self.told.trees}) == len(self.told.trees)
        for name, receipt in self.told.again:
            found = verify_receipt(receipt, self.prepared.verifiers["exchange"])
            assert leaves["exchange"][receipt.index] == found.leaf, name
        indexes = {receipt.index for receipt in self.told.receipts.values()}
        assert indexes == set(range(len(leaves["exchange"])))

    def _leaves(self, log: str) -> list[bytes]:
        database = sqlite3.connect(f"file:{self.disk / 'hub' / 'hub.db'}?mode=ro", uri=True)
        try:
            query = "SELECT leaf FROM entry WHERE log = ? ORDER BY entry_index"
            return [row[0] for row in database.execute(query, (log,))]
        finally:
            database.close()


def _root(leaves: Sequence[bytes]) -> bytes:
    tiles = append(0, lambda _level, _index: b"", list(leaves)).tiles
    read = reader_from_tiles(lambda level, index: tiles.get((level, index), b""), len(leaves))
    return root(len(leaves), read)
