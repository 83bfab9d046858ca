"""What is stored of the directory log: its entries folded into a history, statements, TUF files.

May import SQLAlchemy, `keys` and the hub's tables; every room that reads the directory's past does so here.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, select

from broker.hub.logbook import Head, read_head
from broker.hub.tables import entry, trust_file
from keys.history import DirectoryHistory
from keys.tuf_files import TrustFileMissing
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.statements import Statement

_ENTRIES_FROM: Final = (
    select(entry)
    .where(entry.c.log == "directory", entry.c.entry_index >= bindparam("known"))
    .order_by(entry.c.entry_index)
)


def fold_directory(connection: Connection, history: DirectoryHistory) -> Head:
    """Fold what a database's directory log has beyond a history into it. Returns the log's head."""
    known, head = history.newest.size, read_head(connection, "directory")
    if head.size == known:
        return head
    for row in connection.execute(_ENTRIES_FROM, {"known": known}):
        statement = None if row.statement is None else read_statement(row.statement)
        history.apply(
            row.entry_index,
            row.leaf.hex(),
            row.entry,
            statement,
            lambda name, limit: read_trust_file(connection, name, limit),
        )
    return head


def read_statement(data: bytes) -> Statement:
    """Read a stored statement."""
    return parse(Statement, data, 2 * STATEMENT_BYTES_MAX)


def read_trust_file(connection: Connection, name: str, size_bytes_max: int) -> bytes:
    """Read a stored TUF file.

    Raises:
        TrustFileMissing: the hub does not have it, or it is over its limit.
    """
    query = select(trust_file.c.data).where(trust_file.c.name == name)
    data: bytes | None = connection.execute(query).scalar()
    if data is None or len(data) > size_bytes_max:
        raise TrustFileMissing(name)
    return data
