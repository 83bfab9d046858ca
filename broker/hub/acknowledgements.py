"""Acknowledgements: a recipient's signed answers, checked against the log and written to it.

May import `keys`, `schemas` and the hub's own rooms; the route hands a statement in, the ledger applies it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from broker.hub.ledger import Answer, Batch
from broker.hub.relay import entry_receipt
from broker.hub.tables import acknowledgement, answer, entry, envelope, party, slot
from keys.dsse import pae_sha256, signatures_sha256, verify_statement
from keys.history import DirectoryState
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement
from schemas.entries import AcknowledgementEntry
from schemas.errors import Problem, VerificationError
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX
from schemas.loader import dump_json, parse, to_plain
from schemas.receipts import SALT_BYTES
from schemas.statements import PayloadType, Statement

ANSWERS_MAX: Final = 16
"""Acknowledgements of one envelope by one desk: delivered and read, and both again after a few restores.
Without a limit one recipient could bury in its own the answers of all others."""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The work of one acknowledgement; all its items are taken, or none."""

    statement: Statement
    payload: Acknowledgement
    exchange: str

    @classmethod
    def read(cls, data: bytes, caller: str, exchange: str) -> Acknowledge:
        """Parse a statement that `caller` hands in.

        Raises:
            ParseError: not an acknowledgement.
            Problem: `not-your-desk`, `wrong-exchange`.
        """
        statement = parse(Statement, data, ACKNOWLEDGEMENT_BYTES_MAX)
        payload = parse(Acknowledgement, statement.payload, ACKNOWLEDGEMENT_BYTES_MAX)
        if payload.desk != caller:
            raise Problem("not-your-desk", f"{caller} hands in what {payload.desk} signed")
        if payload.exchange != exchange:
            raise Problem("wrong-exchange")
        return cls(statement, payload, exchange)

    def check_signature(self, state: DirectoryState, batch_at: Any) -> None:
        """The statement is of the node identity of its desk in the directory in force.

        Raises:
            Problem: `statement-signature`.
        """
        desk = state.directory.desk(self.payload.desk, batch_at) if state.directory else None
        if desk is None or desk.node is None:
            raise Problem("statement-signature", f"{self.payload.desk} has no node identity")
        known = {desk.node.keyid(self.exchange): desk.node}
        try:
            verify_statement(self.statement, PayloadType.ACKNOWLEDGEMENT, known)
        except VerificationError as error:
            raise Problem("statement-signature", str(error)) from error

    def apply(self, batch: Batch) -> Answer:
        """Log the acknowledgement, and mark its items as answered."""
        connection = batch.connection
        pae = pae_sha256(self.statement)
        query = select(acknowledgement.c.entry_index).where(acknowledgement.c.pae == pae)
        index = connection.execute(query).scalar()
        if index is None:
            self.check_signature(batch.state, batch.at)
            self._check_items(connection, batch.exchange.head.origin)
            index = self._write(batch, pae)
        return lambda committed: entry_receipt(committed.connection, committed.prover, index)

    def _check_items(self, connection: Connection, origin: str) -> None:
        full = self._answered_enough(connection)
        wrong = [
            item
            for item in self.payload.items
            if item.index in full or not self._is_mine(connection, origin, item)
        ]
        if wrong:
            raise Problem("acknowledgement-items", items=[to_plain(item) for item in wrong])

    def _answered_enough(self, connection: Connection) -> set[int]:
        indexes = [item.index for item in self.payload.items]
        query = (
            select(answer.c.envelope_index)
            .where(answer.c.desk == self.payload.desk, answer.c.envelope_index.in_(indexes))
            .group_by(answer.c.envelope_index)
            .having(func.count() >= ANSWERS_MAX)
        )
        return set(connection.execute(query).scalars())

    def _is_mine(self, connection: Connection, origin: str, item: AcknowledgedItem) -> bool:
        query = (
            select(entry.c.leaf)
            .join(envelope, envelope.c.entry_index == entry.c.entry_index)
            .join(slot, slot.c.entry_index == entry.c.entry_index)
            .where(
                entry.c.log == "exchange",
                entry.c.entry_index == item.index,
                envelope.c.sender == item.from_,
                envelope.c.id == item.id,
                slot.c.desk == self.payload.desk,
            )
        )
        leaf = connection.execute(query).scalar()
        return origin == item.origin and leaf is not None and leaf.hex() == item.leaf

    def _write(self, batch: Batch, pae: str) -> int:
        connection, desk = batch.connection, self.payload.desk
        logged = AcknowledgementEntry(
            type="acknowledgement",
            at=batch.at,
            pae=pae,
            signatures=signatures_sha256(self.statement),
            statement=self.statement.payload,
            directory_size=batch.directory_size,
        )
        salt = secrets.token_bytes(SALT_BYTES)
        index = batch.exchange.append(dump_json(logged), salt, dump_json(self.statement))
        connection.execute(insert(acknowledgement), {"pae": pae, "entry_index": index})
        parties = sorted({desk, self.payload.items[0].from_})
        connection.execute(insert(party), [{"desk": d, "entry_index": index} for d in parties])
        for item in self.payload.items:
            row = {"envelope_index": item.index, "desk": desk, "entry_index": index}
            connection.execute(insert(answer), row)
            mine = (slot.c.entry_index == item.index) & (slot.c.desk == desk)
            connection.execute(update(slot).where(mine).values(answered=1))
        return index
