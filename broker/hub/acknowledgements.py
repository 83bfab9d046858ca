"""Acknowledgements: a recipient's signed answers, checked against the log and written to it.

May import `keys`, `schemas` and the hub's own rooms; the route hands a statement in, the ledger applies it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from broker.hub.ledger import Answer, Batch
from broker.hub.relay import entry_receipt
from broker.hub.tables import PURGED, acknowledgement, answer, entry, envelope, party, slot
from keys.dsse import pae_sha256, signatures_sha256, verify_statement
from keys.history import DirectoryState
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.entries import AcknowledgementEntry
from schemas.errors import Problem, VerificationError
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX
from schemas.loader import dump_json, parse, parse_part, to_plain
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
        payload = parse_part(
            Acknowledgement, "payload", statement.payload, ACKNOWLEDGEMENT_BYTES_MAX
        )
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
        """Log the acknowledgement, and mark its items as answered.

        1. The same statement again is the same entry.
        2. The desk's node identity signed it, not more than a day ago.
        3. Each item is an envelope accepted for this desk, and may be answered so now.
        4. Write.

        Raises:
            Problem: `statement-signature` or `created-skew` (2), `acknowledgement-items` (3).
        """
        connection = batch.connection
        pae = pae_sha256(self.statement)
        query = select(acknowledgement.c.entry_index).where(acknowledgement.c.pae == pae)
        index = connection.execute(query).scalar()
        if index is None:
            self.check_signature(batch.state, batch.at)
            fault = self.payload.time_fault(batch.at)
            if fault is not None:
                # Not the items' fault: signed anew, with the right time, each of them can be taken.
                raise Problem("created-skew", fault)
            self._check_items(connection, batch.exchange.head.origin)
            index = self._write(batch, pae)
        return lambda committed: entry_receipt(committed.connection, committed.prover, index)

    def _check_items(self, connection: Connection, origin: str) -> None:
        fault = self.payload.reason_fault()
        wrong = []
        for item in self.payload.items:
            why = fault or self._item_fault(connection, origin, item)
            if why is not None:
                wrong.append({**to_plain(item), "why": why})
        if wrong:
            raise Problem("acknowledgement-items", str(wrong[0]["why"]), items=wrong)

    def _item_fault(
        self, connection: Connection, origin: str, item: AcknowledgedItem
    ) -> str | None:
        """Say why an item cannot be acknowledged so; None if it can."""
        desk = self.payload.desk
        bulletin_id = self._bulletin_of(connection, origin, item)
        if bulletin_id is None:
            return f"no envelope that was accepted for {desk} has this index, leaf, sender and id"
        query = select(answer.c.settled).where(
            answer.c.envelope_index == item.index, answer.c.desk == desk
        )
        answers = connection.execute(query.order_by(answer.c.entry_index)).scalars().all()
        if len(answers) >= ANSWERS_MAX:
            return f"{desk} has answered this envelope {ANSWERS_MAX} times"
        settled = [Result(each) for each in answers if each is not None]
        return self.payload.order_fault(
            settled[-1] if settled else None,
            is_withdrawn=self.payload.result is Result.WITHDRAWN
            and is_withdrawn(connection, item.from_, bulletin_id, desk),
        )

    def _bulletin_of(
        self, connection: Connection, origin: str, item: AcknowledgedItem
    ) -> str | None:
        """The bulletin that an item's envelope brought to this desk; None if there is no such envelope."""
        query = (
            select(entry.c.leaf, envelope.c.bulletin_id)
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
        row = connection.execute(query).one_or_none()
        if row is None or (origin, row.leaf.hex()) != (item.origin, item.leaf):
            return None
        return str(row.bulletin_id)

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
            row = {
                "envelope_index": item.index,
                "desk": desk,
                "entry_index": index,
                "settled": self.payload.result if self.payload.settles else None,
            }
            connection.execute(insert(answer), row)
            mine = (slot.c.entry_index == item.index) & (slot.c.desk == desk)
            # Of what was destroyed meanwhile the desk still has to hear.
            waits = slot.c.answered != PURGED
            connection.execute(update(slot).where(mine, waits).values(answered=1))
        return index


def is_withdrawn(connection: Connection, sender: str, bulletin_id: str, desk: str) -> bool:
    """Whether an accepted envelope of this sender to this desk withdraws the bulletin."""
    query = (
        select(slot.c.entry_index)
        .join(envelope, envelope.c.entry_index == slot.c.entry_index)
        .where(
            envelope.c.sender == sender,
            envelope.c.withdraws == bulletin_id,
            slot.c.desk == desk,
        )
    )
    return connection.execute(query.limit(1)).first() is not None
