"""An exchange whose council orders what opens log entries to be destroyed: the world of the tests of purges.

May import the worlds of histories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from broker.audit.report import AuditReport
from broker.db import reading
from broker.hub.generations import databases
from broker.hub.retention import Ended, carry_out
from broker.hub.setup import load_repository, open_ledger
from broker.hub.succession import prepare_next
from broker.hub.tables import entry
from keys.repository import CouncilFiles, make_targets, named, signed
from keys.tuf_files import metadata_name
from schemas.directory import Logs, Names
from schemas.limits import PURGE_DELAY_SECONDS
from schemas.purges import PurgeOrder
from tests.exchange.histories import MEMBERS, History
from tests.exchange.live import now
from tests.exchange.nodes import document

REASON = Names(ar="حكم المحكمة", fr="jugement du tribunal", en="judgment of a court")


@dataclass
class Purging:
    """An exchange whose council orders entries to be destroyed."""

    history: History
    orders: list[PurgeOrder] = field(default_factory=list)

    def send(self, member: str, *to: str) -> str:
        """An agency hands in a bulletin, and its node sends it; its id."""
        bulletin_id, content = document(f"{member}/main", "news")
        self.history.nodes[member].hand_in(content, tuple(f"{each}/main" for each in to))
        self.work(member)
        return bulletin_id

    def work(self, *members: str, rounds: int = 1) -> None:
        """Some nodes work, or all."""
        for _ in range(rounds):
            self.history.later(minutes=1)
            for member in members or MEMBERS:
                self.history.work(member)

    @property
    def size(self) -> int:
        """Entries of the exchange log."""
        return self.history.ledger.heads()[1].size

    def order(self, index: int, generation: int | None = None, **changed: Any) -> PurgeOrder:
        """An order to destroy what opens an entry."""
        ledger = self.history.ledger
        of = (entry.c.log == "exchange") & (entry.c.entry_index == index)
        number = generation or ledger.generation
        signers = ledger.signers if number == ledger.generation else ledger.closed[number].signers
        with reading(ledger.engine_of(number)) as connection:
            leaf = connection.execute(select(entry.c.leaf).where(of)).scalar_one()
        fields: dict[str, Any] = {
            "origin": signers.origins[1],
            "index": index,
            "leaf": leaf.hex(),
            "reason": REASON,
            "ordered": self.history.clock(),
        }
        return PurgeOrder(**(fields | changed))

    def signed(self, orders: Sequence[PurgeOrder], logs: Logs | None = None) -> dict[str, bytes]:
        """What the governors sign: these orders, and other logs where they are given."""
        hub, directory = self.history.founded.hub, self.history.ledger.state.directory
        assert directory is not None
        number = directory.versions["targets"] + 1
        # Another grace makes it another council, whatever the orders are.
        changed = {"grace_seconds": 86400 + number, "logs": logs or directory.council.logs}
        council = directory.council.model_copy(update=changed)
        in_order = tuple(sorted(orders, key=lambda order: order.place))
        files = CouncilFiles(council, *hub.rules(), purges=in_order)
        until = now() + timedelta(days=365)
        payload = make_targets(number, files, directory.council_part.delegations, until)
        metadata = {metadata_name("targets", number): signed(payload, hub.governors[:3])}
        return metadata | named(payload, files.targets())

    def load(self, files: dict[str, bytes]) -> None:
        """The operator loads what the governors signed."""
        hub = self.history.founded.hub
        load_repository(self.history.folder / "hub", hub.keystore, files, self.history.clock())
        self.history.ledger.catch_up()

    def command(self, *indexes: int, generation: int | None = None) -> None:
        """The council orders, and time passes until that is due."""
        self.orders += [self.order(index, generation) for index in indexes]
        self.load(self.signed(self.orders))
        self.history.later(seconds=PURGE_DELAY_SECONDS)

    def obey(self) -> Ended:
        """The hub destroys what is due."""
        return carry_out(self.history.ledger, self.history.clock())

    def begin(self) -> Logs:
        """The council closes the logs, and others follow."""
        hub, data = self.history.founded.hub, self.history.folder / "hub"
        self.history._end_hub()
        ledger = open_ledger(data, hub.keystore, self.history.now_unix)
        logs = prepare_next(data, hub.keystore, ledger).logs
        ledger.close()
        load_repository(data, hub.keystore, self.signed(self.orders, logs), self.history.clock())
        self.history.open_hub()
        return logs

    def kinds(self, member: str) -> set[str]:
        """A node's alarms."""
        return set(self.history.nodes[member].alarms())

    def found(self, report: AuditReport) -> set[tuple[int | None, str]]:
        """The findings of an audit, by entry and rule."""
        return {(each.index, each.rule) for each in report.findings}

    def raw(self) -> bytes:
        """All that the hub's databases hold on its disk."""
        files = [
            each.path.with_name(each.path.name + suffix)
            for each in databases(self.history.folder / "hub")
            for suffix in ("", "-wal")
        ]
        return b"".join(file.read_bytes() for file in files if file.exists())

    def rows(self, table: Any, index: int) -> list[Any]:
        """Rows of a table of the hub for an entry of the newest log."""
        query = select(table).where(table.c.entry_index == index)
        if "log" in table.c:
            query = query.where(table.c.log == "exchange")
        with reading(self.history.ledger.engine) as connection:
            return list(connection.execute(query).all())
