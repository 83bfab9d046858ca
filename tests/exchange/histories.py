"""A whole exchange in one process and on a moved clock: a real hub and real nodes, and a line that breaks.

Nothing is served on sockets: calls go straight into the hub's application. What a history needs is founded
once and copied. May import the live hub; `test_histories` plays with it.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx
from sqlalchemy import Engine, event, select

from broker.audit.pipeline import How
from broker.audit.report import AuditReport
from broker.audit.seen import SeenStore
from broker.audit.verify import HOW, verify_exchange
from broker.client import HubClient
from broker.db import reading, writing
from broker.hub.app import create_app
from broker.hub.attachment_files import AttachmentFiles
from broker.hub.directory_log import Operate
from broker.hub.renewal import renew
from broker.hub.setup import open_ledger
from broker.node import tables
from broker.node.backup import backup_node, restore_node
from broker.node.follow_store import NodeFollowStore
from broker.node.home import Home, load_invitation, open_home
from broker.node.inbox.received import Summary, list_received, mark_read
from broker.node.line import Line, open_line
from broker.node.outbox.checking import Order
from broker.node.outbox.deliveries import deliveries_of
from broker.node.outbox.queueing import queue
from broker.node.pacing import Pace
from broker.node.setup import init_node, join_node
from broker.node.sync import Sync
from broker.node.witness_keys import WITNESS_FILE
from broker.settings import Listen, NodeSettings
from schemas.bulletin.vocabularies import Precedence
from schemas.directory import Invitation, Witnesses, WitnessKey, WitnessKeyFile
from schemas.loader import dump_json, parse
from tests.exchange.live import CHEAP, EXCHANGE, PASSPHRASE, LiveHub, now

MEMBERS: Final = ("ly", "ne", "tn")
UNHURRIED: Final = Pace(long_poll_seconds=0)
FIRST_DAYS: Final = 2
"""Since the sealing keys were announced: a node that lost its own may announce another at once."""


class Killed(BaseException):
    """A process ended as by kill -9: nothing catches it, and only the disk is left."""


@dataclass
class Cut:
    """What befalls a call: the n-th from now, before the hub had it or after it had done its work."""

    at: int
    after: bool
    how: Callable[[], BaseException]


Forward = Callable[[httpx.Request], Awaitable[httpx.Response]]
Lie = Callable[[httpx.Request, Forward], Awaitable[httpx.Response]]
"""What somebody on the line, or the hub itself, makes of a call."""


class Wire(httpx.AsyncBaseTransport):
    """The line between nodes and hub; it breaks where it is told to, and lies as it is told to."""

    def __init__(self) -> None:
        self.cut: Cut | None = None
        self.lie: Lie | None = None
        self.hub: httpx.AsyncBaseTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one call, or lose it."""
        cut, breaks = self.cut, False
        if cut is not None:
            breaks = cut.at == 0
            cut.at -= 1
        if self.hub is None or (breaks and cut is not None and not cut.after):
            raise cut.how() if cut is not None and breaks else httpx.ConnectError("away")
        forward = self.hub.handle_async_request
        answer = await (forward(request) if self.lie is None else self.lie(request, forward))
        if breaks and cut is not None:
            raise cut.how()
        return answer


def without_fsync(engine: Engine) -> None:
    """Histories kill processes, never the power: they need no disk."""

    def on_connect(raw: Any, _record: Any) -> None:
        raw.execute("PRAGMA synchronous = OFF")

    engine.dispose()
    event.listen(engine, "connect", on_connect)


@dataclass(frozen=True)
class Founded:
    """What every history is copied from."""

    hub: LiveHub
    folder: Path
    early: Path
    """Where each node was saved before it had a sealing key."""
    members: tuple[str, ...]
    """Who has a node: those that take part, then those that the council has not admitted."""


class Node:
    """One member's node, with its main desk."""

    def __init__(self, exchange: History, member: str) -> None:
        self.exchange = exchange
        self.member = member
        self.desk = f"{member}/main"
        self.data = exchange.folder / member
        self.open()

    def open(self) -> None:
        """Start the process: all that it knows is on its disk."""
        self.home: Home = open_home(self.data, PASSPHRASE)
        without_fsync(self.home.engine)
        store = NodeFollowStore(self.home.engine)
        invitation = load_invitation(self.data, EXCHANGE)
        self.line: Line = open_line(self.home, invitation, store, self.exchange.clock)
        for client in (*self.line.clients.values(), self.line.reader):
            self.exchange.connect(client)
        self.sync = Sync(self.home, self.line, self.exchange.clock, UNHURRIED)

    def close(self) -> None:
        """The process is gone."""
        self.home.close()

    def reopen(self) -> None:
        """Crash and start again."""
        self.close()
        self.open()

    async def work(self) -> None:
        """Do once what the node's loops do for ever."""
        steps: dict[str, Callable[[], Awaitable[object]]] = {
            "logs": self.sync._follow,
            "outbox": self.sync._send(self.desk),
            "inbox": self.sync._fetch(self.desk),
            "answers": self.sync._answer(self.desk),
        }
        for name, step in steps.items():
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - as the loop itself does
                await self.sync._note_failure(f"{self.desk} {name}", error)

    async def look_around(self) -> None:
        """Do once what the alarms' loop does for ever: deadlines, and what is wrong for a while."""
        await self.sync.rounds.go()

    def alarms(self) -> dict[str, str]:
        """Every alarm by its kind, with its text."""
        with reading(self.home.engine) as connection:
            return {row.kind: row.text for row in connection.execute(select(tables.alarm))}

    def hand_in(
        self, document: bytes, to: tuple[str, ...], precedence: Precedence = Precedence.ROUTINE
    ) -> None:
        """An agency's bulletin is taken into the outbox."""
        order = Order(self.desk, document, to, precedence=precedence)
        queue(self.home, order, self.line.state, self.exchange.clock())

    def shown(self) -> list[Summary]:
        """What an analyst sees."""
        with reading(self.home.engine) as connection:
            return list(list_received(connection, self.desk, unread=False, after=None, limit=1000))

    def read(self, sender: str, bulletin_id: str) -> bool:
        """An analyst opens a bulletin."""
        with writing(self.home.engine) as connection:
            return mark_read(connection, self.desk, sender, bulletin_id, self.exchange.clock())

    def states(self, bulletin_id: str) -> dict[str, tuple[str, str | None]]:
        """Where an own bulletin stands with each recipient, and why; nothing where it is not known."""
        with reading(self.home.engine) as connection:
            found = deliveries_of(connection, self.desk, bulletin_id)
        return {each.recipient: (str(each.state), each.steps[-1].reason) for each in found}

    def backup(self, archive: Path) -> None:
        """Save it, as `barid node backup` does."""
        backup_node(self.home, archive, self.exchange.clock())

    def restore(self, archive: Path) -> None:
        """The machine is lost; a new one starts from a backup."""
        self.close()
        shutil.rmtree(self.data)
        restore_node(archive, self.data, PASSPHRASE, self.exchange.clock())
        self.open()


class History:
    """One exchange with a past of its own.

    Args:
        folder: empty; everything of it lies there.
        quorum: all nodes are witnesses, of whom so many must cosign; None in a test exchange.
        began: what it is copied from, where that is another exchange.
    """

    first_days: ClassVar = FIRST_DAYS

    def __init__(
        self, folder: Path, quorum: int | None = None, began: Founded | None = None
    ) -> None:
        # One and the same without a quorum, however it is asked for.
        self.founded = began or (founded() if quorum is None else founded(quorum))
        self.folder = folder
        shutil.copytree(self.founded.folder, folder, dirs_exist_ok=True)
        self.offset_seconds = int(timedelta(days=self.first_days).total_seconds())
        self.wire = Wire()
        self._runner = asyncio.Runner()
        self.open_hub()
        self.frozen = False
        self.later()
        self.nodes = {member: Node(self, member) for member in self.founded.members}

    def now_unix(self) -> int:
        """Everybody's clock."""
        return int(now().timestamp()) + self.offset_seconds

    def clock(self) -> datetime:
        """The same."""
        return datetime.fromtimestamp(self.now_unix(), UTC)

    def later(self, **by: float) -> None:
        """Time passes; the hub renews its timestamp meanwhile, unless it is frozen."""
        self.offset_seconds += int(timedelta(**by).total_seconds())
        if not self.frozen:
            self.run(renew(self.ledger, self._sequencer, self.now_unix))

    def run(self, act: Awaitable[Any]) -> Any:
        """Have something done, and the hub serve meanwhile."""

        async def acting() -> Any:
            return await act

        return self._runner.run(acting())

    def connect(self, client: HubClient) -> None:
        """Put the line in the place of TLS."""
        client._http = httpx.AsyncClient(transport=self.wire, base_url="https://hub.test")

    def open_hub(self) -> None:
        """Start the hub from its disk."""
        hub, data = self.founded.hub, self.folder / "hub"
        self.ledger = open_ledger(data, hub.keystore, self.now_unix)
        without_fsync(self.ledger.engine)
        files = AttachmentFiles.open(data, hub.settings)
        app = create_app(EXCHANGE, self.ledger, files, self.now_unix)
        sequencer = self._sequencer = app.state.hub.sequencer

        async def start() -> None:
            # As the application's lifespan begins; a crash has no orderly end that would need the rest.
            sequencer.start()
            if not self.ledger.halted:
                await sequencer.submit(Operate("start"))

        self.run(start())
        self.wire.hub = httpx.ASGITransport(app)

    def _end_hub(self) -> None:
        # No batch is at hand here: whoever was cut off is gone, and what was committed is on the disk.
        self.wire.hub = None
        self.run(self._sequencer.stop())
        self.ledger.close()

    def crash_hub(self) -> None:
        """Kill it and start it again."""
        self._end_hub()
        self.open_hub()

    def work(self, member: str, cut: Cut | None = None) -> None:
        """One pass of a node's work; if it is killed meanwhile, it starts again from its disk."""
        node, self.wire.cut = self.nodes[member], cut
        try:
            self.run(node.work())
        except Killed:
            node.reopen()
        finally:
            self.wire.cut = None

    def auditor(self) -> HubClient:
        """A client that signs as the auditor's desk."""
        hub = self.founded.hub
        key = hub.desks["auc/audit"].request
        client = HubClient(hub.invitation.hub, EXCHANGE, key, self.now_unix)
        self.connect(client)
        return client

    def audit(
        self, invitation: Invitation | None = None, how: How = HOW, data: Path | None = None
    ) -> AuditReport:
        """What an auditor finds who has the first invitation, or another one; `data` is its folder."""
        invitation = invitation or self.founded.hub.invitation
        store = SeenStore(data or self.folder)
        audit = verify_exchange(self.auditor(), invitation, store, self.clock, how)
        report: AuditReport = self.run(audit)
        return report

    def stop(self) -> None:
        """Everything ends; what lies on the disks stays."""
        for node in self.nodes.values():
            node.close()
        self._end_hub()
        self._runner.close()

    def close(self) -> None:
        """It is over."""
        self.stop()
        shutil.rmtree(self.folder)


@functools.cache
def founded(quorum: int | None = None) -> Founded:
    """An exchange whose nodes have announced their keys; nothing was sent."""
    return found(quorum, LiveHub)


def found(quorum: int | None, make_hub: type[LiveHub], late: tuple[str, ...] = ()) -> Founded:
    """Found an exchange.

    Args:
        quorum: as of a `History`.
        make_hub: who has a seat.
        late: further members whose nodes have the invitation, and for whom nobody speaks yet.
    """
    base = Path(tempfile.mkdtemp(prefix="barid-histories-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    folder, early = base / "founded", base / "early"
    early.mkdir()
    requests, keys = {}, {}
    for member in (*MEMBERS, *late):
        listen = Listen(host="127.0.0.1", port=0)
        settings = NodeSettings(exchange=EXCHANGE, member=member, desks=("main",), listen=listen)
        request = init_node(folder / member, settings, PASSPHRASE, now(), cost=CHEAP)
        if member in late:
            continue
        requests[member] = request.read_bytes()
        if quorum is not None:
            keys[member] = witness_key(folder / member)
    witnesses = None if quorum is None else Witnesses(quorum=quorum, keys=keys)
    hub = make_hub(folder / "hub", requests, witnesses)
    for member in (*MEMBERS, *late):
        join_node(folder / member, dump_json(hub.invitation))
        home = open_home(folder / member, PASSPHRASE)
        backup_node(home, early / member, now())
        home.close()
    hub.start()
    try:
        for member in MEMBERS:
            _announce(hub, folder / member)
    finally:
        hub.stop()
        hub.ledger.engine.dispose()
    return Founded(hub, folder, early, (*MEMBERS, *late))


def witness_key(data: Path) -> WitnessKey:
    """The key with which the node in a directory cosigns, as the council is told it."""
    return parse(WitnessKeyFile, (data / WITNESS_FILE).read_bytes(), 10_000).key


def _announce(hub: LiveHub, data: Path) -> None:
    home = open_home(data, PASSPHRASE)
    line = open_line(home, hub.invitation, NodeFollowStore(home.engine), hub.moment)
    sync = Sync(home, line, hub.moment, UNHURRIED)

    async def follow() -> None:
        await sync._follow()
        await line.close()

    asyncio.run(follow())
    home.close()
