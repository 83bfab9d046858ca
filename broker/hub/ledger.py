"""The ledger: the two logs and everything that must change with them, in one transaction.

May import `broker.db`, `keys`, `broker.tlog` and the hub's tables; the sequencer feeds it, `load` uses it
offline. `Ledger.commit` is the commit point: what it returned is on the disk, whatever happens next.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from broker.db import reading, writing
from broker.hub.logbook import Head, LogWriter, LostRace, Prover, read_head
from broker.hub.tables import entry, nonce, trust_file
from broker.tlog.note import NoteSigner
from keys.history import DirectoryHistory, DirectoryState
from keys.tuf_files import TrustFileMissing
from schemas.errors import Problem
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.statements import Statement

_DISK_FAILED: Final = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
)
"""Primary result codes after which the database is not to be believed."""

Answer = Callable[["Committed"], Any]
"""Builds the answer to one work once the tree that proves it is known."""


class Work(Protocol):
    """Something to be written: checks first, then writes, or raises Problem having written nothing."""

    def apply(self, batch: Batch) -> Answer:
        """Write within the batch's transaction."""


@dataclass(frozen=True, slots=True)
class Signers:
    """The hub's keys for its two logs: Ed25519 first, ML-DSA-44 second."""

    directory: tuple[NoteSigner, ...]
    exchange: tuple[NoteSigner, ...]


class Batch:
    """The open transaction, as works see it."""

    def __init__(self, connection: Connection, history: DirectoryHistory, now: int) -> None:
        self.connection = connection
        self.state = history.newest
        # What the history will be once this batch is committed; works of the directory log move it.
        self.trial = history
        self.exchange = LogWriter(connection, read_head(connection, "exchange"))
        self.directory = LogWriter(connection, read_head(connection, "directory"))
        # The logs never run backwards, even when the clock does.
        self.at_unix = max(now, self.exchange.head.at, self.directory.head.at)

    @property
    def at(self) -> datetime:
        """The time that this batch's entries carry."""
        return datetime.fromtimestamp(self.at_unix, UTC)

    @property
    def directory_size(self) -> int:
        """The directory log's committed size, by which this batch's exchange entries are judged."""
        return self.directory.head.size


@dataclass(frozen=True, slots=True)
class Committed:
    """What a batch made: a view of the database after it, and proofs within its tree."""

    connection: Connection
    prover: Prover


class Ledger:
    """Both logs, their keys, and the directory's history.

    Args:
        engine: the hub's database, migrated.
        signers: the log keys.
        history: empty; it is brought up to the database's directory log here.
        now_unix: seconds since 1970.
    """

    def __init__(
        self,
        engine: Engine,
        signers: Signers,
        history: DirectoryHistory,
        now_unix: Callable[[], int],
    ) -> None:
        self.engine = engine
        self.signers = signers
        self._history = history
        self._now_unix = now_unix
        self._lock = threading.Lock()
        self._halted = ""
        with reading(engine) as connection:
            self._catch_up(connection)

    @property
    def state(self) -> DirectoryState:
        """The newest directory state known."""
        return self._history.newest

    @property
    def halted(self) -> str:
        """Why the hub signs nothing; empty when it works."""
        return self._halted

    def heads(self) -> tuple[Head, Head]:
        """The committed heads: directory, exchange."""
        with reading(self.engine) as connection:
            return read_head(connection, "directory"), read_head(connection, "exchange")

    def commit(self, works: Sequence[Work], nonces: Sequence[tuple[str, int]] = ()) -> list[Any]:
        """Write a batch; this is the commit point.

        1. Begin; no other process writes from here on.
        2. Catch up with a directory that another process published.
        3. Let each work check and write; one that raises Problem has written nothing.
        4. Grow the trees, sign the checkpoints, swap both heads.
        5. Commit: the disk has it. A crash before this line loses the batch, and nobody was answered;
           a crash after it loses nothing, and who asks again gets the same receipt.
        6. Fold what the directory log gained, build the answers.

        Args:
            works: at most `BATCH_ENVELOPES_MAX`.
            nonces: (nonce, expiry in seconds since 1970) of requests, to be remembered.

        Returns:
            For each work its answer, or the Problem that it raised.

        Raises:
            Problem: `busy` when the database refused (nothing was written), `hub-halted` when the
                disk failed and what it holds is uncertain.
        """
        if self._halted:
            raise Problem("hub-halted", self._halted)
        with self._lock:
            try:
                return self._commit(works, nonces)
            except LostRace as error:
                raise Problem("busy", str(error)) from error
            except IntegrityError:
                # No state of the disk: one of the works is at fault, and trying again would not help.
                raise
            except DBAPIError as error:
                raise self._database_failed(error) from error

    def _commit(self, works: Sequence[Work], nonces: Sequence[tuple[str, int]]) -> list[Any]:
        results: list[Any] = []
        with writing(self.engine) as connection:
            self._catch_up(connection)
            batch = Batch(connection, self._history, self._now_unix())
            for work in works:
                try:
                    results.append(work.apply(batch))
                except Problem as problem:
                    results.append(problem)
            batch.directory.close(self.signers.directory, batch.at_unix)
            exchange = batch.exchange.close(self.signers.exchange, batch.at_unix)
            self._remember(connection, nonces, batch.at_unix)
        with reading(self.engine) as connection:
            self._catch_up(connection)
            committed = Committed(connection, Prover.of(connection, exchange))
            return [_finish(result, committed) for result in results]

    def _remember(
        self, connection: Connection, nonces: Sequence[tuple[str, int]], at_unix: int
    ) -> None:
        if nonces:
            rows = [{"nonce": value, "expires": expires} for value, expires in nonces]
            connection.execute(insert(nonce).prefix_with("OR IGNORE"), rows)
        connection.execute(delete(nonce).where(nonce.c.expires < at_unix))

    def catch_up(self) -> None:
        """Fold directory entries that another process wrote."""
        with self._lock, reading(self.engine) as connection:
            self._catch_up(connection)

    def _catch_up(self, connection: Connection) -> None:
        known = self._history.newest.size
        if read_head(connection, "directory").size == known:
            return
        query = (
            select(entry)
            .where(entry.c.log == "directory", entry.c.entry_index >= known)
            .order_by(entry.c.entry_index)
        )
        for row in connection.execute(query):
            statement = None if row.statement is None else read_statement(row.statement)
            self._history.apply(
                row.entry_index,
                row.leaf.hex(),
                row.entry,
                statement,
                lambda name, limit: read_trust_file(connection, name, limit),
            )

    def _database_failed(self, error: DBAPIError) -> Problem:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _DISK_FAILED:
            # After a failed fsync nobody knows what the disk holds: going on could fork the log.
            self._halted = "the disk failed; restart the hub once it is sound"
            return Problem("hub-halted", self._halted)
        return Problem("busy", "the database did not take the batch; nothing was written")


def _finish(result: Any, committed: Committed) -> Any:
    return result if isinstance(result, Problem) else result(committed)


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
