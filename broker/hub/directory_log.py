"""What the hub writes into the directory log: sealing keys, its own operations, and how any entry gets there.

May import `keys` and the hub's own rooms; routes hand works to the ledger, `publications` logs directories.
Each entry is tried on a copy of the directory's history first, so that the hub logs nothing that is void.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import insert, select

from broker.hub.ledger import Answer, Batch
from broker.hub.stored import read_trust_file
from broker.hub.tables import sealing_key
from broker.tlog.merkle import leaf_hash
from keys.dsse import pae_sha256
from keys.sealing import check_sealing_key
from keys.tuf_files import TrustFileMissing
from schemas.entries import DeskSealingKey, HubOperated
from schemas.errors import Problem, VerificationError
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse, parse_part
from schemas.scalars import Message
from schemas.sealing_keys import SealingKey
from schemas.statements import Statement


def append_entry(batch: Batch, entry: Message, statement: Statement | None = None) -> int:
    """Log an entry if a copy of the history takes it without a finding.

    Returns:
        Its index.

    Raises:
        Problem: the word of the finding; `directory-invalid` where a file is missing.
    """
    data = dump_json(entry)
    trial = batch.trial.copy()
    try:
        findings = trial.apply(
            batch.directory.next_index,
            leaf_hash(data).hex(),
            data,
            statement,
            lambda name, limit: read_trust_file(batch.connection, name, limit),
        )
    except TrustFileMissing as missing:
        raise Problem("directory-invalid", str(missing)) from missing
    if findings:
        raise Problem(findings[0].rule, findings[0].detail)
    batch.trial = trial
    return batch.directory.append(data, None, None if statement is None else dump_json(statement))


@dataclass(frozen=True, slots=True)
class AnnounceSealingKey:
    """Log the sealing key of a desk's next epoch."""

    statement: Statement
    payload: SealingKey

    @classmethod
    def read(cls, data: bytes, caller: str, exchange: str) -> AnnounceSealingKey:
        """Parse a statement that `caller` hands in, and seal a test message to its key.

        Raises:
            ParseError: not a sealing key.
            Problem: `not-your-desk`, `wrong-exchange`, `sealing-key-unusable`.
        """
        statement = parse(Statement, data, STATEMENT_BYTES_MAX)
        payload = parse_part(SealingKey, "payload", statement.payload, STATEMENT_BYTES_MAX)
        if payload.desk != caller:
            raise Problem("not-your-desk", f"{caller} hands in what {payload.desk} signed")
        if payload.exchange != exchange:
            raise Problem("wrong-exchange")
        try:
            check_sealing_key(payload.public_key)
        except VerificationError as error:
            raise Problem("sealing-key-unusable", str(error)) from error
        return cls(statement, payload)

    def apply(self, batch: Batch) -> Answer:
        """Log the key, unless it is logged already.

        Raises:
            Problem: `sealing-key-unusable` where it has lapsed, or what the history says against it.
        """
        keyid = pae_sha256(self.statement)
        logged = select(sealing_key.c.entry_index).where(sealing_key.c.keyid == keyid)
        if batch.connection.execute(logged).first() is None:
            if self.payload.not_after <= batch.at:
                raise Problem("sealing-key-unusable", "the sealing key has lapsed")
            entry = DeskSealingKey(
                type="desk.sealing_key",
                at=batch.at,
                exchange_log=batch.exchange.head.tree,
                pae=keyid,
            )
            index = append_entry(batch, entry, self.statement)
            row = {
                "keyid": keyid,
                "desk": self.payload.desk,
                "epoch": self.payload.epoch,
                "entry_index": index,
            }
            batch.connection.execute(insert(sealing_key), row)
        return lambda _committed: keyid


@dataclass(frozen=True, slots=True)
class Operate:
    """Log an operation of the hub's operator."""

    operation: Literal["start", "configuration", "purge", "restore"]

    def apply(self, batch: Batch) -> Answer:
        """Log it."""
        entry = HubOperated(
            type="hub.operated",
            at=batch.at,
            exchange_log=batch.exchange.head.tree,
            operation=self.operation,
        )
        index = append_entry(batch, entry)
        return lambda _committed: index
