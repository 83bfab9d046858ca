"""The ledger: the two logs and everything that must change with them, in one transaction.

May import `broker.db`, `keys`, `broker.tlog` and the hub's tables; the sequencer feeds it, `load` uses it
offline. `Ledger.commit` is the commit point: what it returned is on the disk, whatever happens next.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection, Dialect, Engine, Insert, bindparam, delete, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from broker.db import reading, writing
from broker.hub.anchor import Anchor
from broker.hub.logbook import Head, LogWriter, LostRace, Prover, read_head, why_behind
from broker.hub.signers import Closed, Signers
from broker.hub.stored import fold_directory
from broker.hub.tables import nonce, signed_beyond
from broker.tlog.checkpoint import parse_checkpoint_text
from broker.tlog.note import parse_note
from keys.history import DirectoryHistory, DirectoryState
from schemas.entries import TreeHead
from schemas.errors import ConfigurationError, Problem

_DISK_FAILED: Final = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
)
"""Primary result codes after which the database is not to be believed."""

# Built once: to build a statement takes SQLAlchemy several times as long as to run it.
_REMEMBER: Final = insert(nonce).prefix_with("OR IGNORE")
_FORGET: Final = delete(nonce).where(nonce.c.expires < bindparam("now"))
_RESTORING: Final = "nothing is signed: docs/operations.md, Restoring a hub"

_STATEMENTS_KEPT_MAX: Final = 64
"""Of `Batch.insert`: one a table and database."""

Found = TypeVar("Found")

Answer = Callable[["Committed"], Any]
"""Builds the answer to one work once the tree that proves it is known."""


class Work(Protocol):
    """Something to be written: checks first, then writes, or raises Problem having written nothing."""

    def apply(self, batch: Batch) -> Answer:
        """Write within the batch's transaction."""


class Batch:
    """The open transaction, as works see it.

    Args:
        connection: within the transaction.
        directory: the head of the directory log, up to which `history` goes.
        history: of the directory log.
        now: seconds since 1970.
        works: all that are applied, in this order.
    """

    def __init__(
        self,
        connection: Connection,
        directory: Head,
        history: DirectoryHistory,
        now: int,
        works: Sequence[Work],
    ) -> None:
        self._connection = connection
        self._left: dict[Insert, list[dict[str, Any]]] = {}
        self._found: dict[Callable[[Batch], Any], Any] = {}
        self.works = works
        self.state = history.newest
        # What the history will be once this batch is committed; works of the directory log move it.
        self.trial = history
        self.exchange = LogWriter(connection, read_head(connection, "exchange"))
        self.directory = LogWriter(connection, directory)
        # The logs never run backwards, even when the clock does.
        self.at_unix = max(now, self.exchange.head.at, self.directory.head.at)

    @property
    def connection(self) -> Connection:
        """The transaction's connection: whoever asks it sees all that the works before wrote."""
        self.write_out()
        return self._connection

    def insert(self, statement: Insert, *rows: dict[str, Any]) -> None:
        """Leave rows to be inserted together with those of other works, a statement at a time.

        Args:
            statement: one object for each table, as a module holds it; those first used come first.
            rows: column → value.
        """
        self._left.setdefault(statement, []).extend(rows)

    def write_out(self) -> None:
        """Insert what was left to be inserted."""
        left, self._left = self._left, {}
        for statement, rows in left.items():
            # Past SQLAlchemy, which would take longer to prepare the values than the database to write them.
            text, names = _driver_sql(statement, tuple(rows[0]), self._connection.dialect)
            marked = [tuple(row[name] for name in names) for row in rows] if names else rows
            self._connection.exec_driver_sql(text, marked)

    def once(self, find: Callable[[Batch], Found]) -> Found:
        """What a function finds out for the whole batch: asked when the first work needs it."""
        if find not in self._found:
            self._found[find] = find(self)
        found: Found = self._found[find]
        return found

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
        history: up to the end of the closed directory logs; it is brought up to the database's here.
        now_unix: seconds since 1970.
        anchor: where it is noted what was signed, if in a second place at all.
        closed: by generation.

    Raises:
        ConfigurationError: the anchor cannot be read.
        Problem: `hub-halted`: it cannot be written.
    """

    def __init__(
        self,
        engine: Engine,
        signers: Signers,
        history: DirectoryHistory,
        now_unix: Callable[[], int],
        anchor: Anchor | None = None,
        closed: Mapping[int, Closed] = MappingProxyType({}),
    ) -> None:
        self.engine = engine
        self.closed = closed
        self.anchor = anchor
        self.signers = signers
        self._history = history
        self._now_unix = now_unix
        self._lock = threading.Lock()
        self._halted = ""
        self._is_noted = True
        with reading(engine) as connection:
            self._catch_up(connection)
            why = why_signed_beyond(connection)
            if anchor is not None and not why:
                origins = {origin for each in closed.values() for origin in each.signers.origins}
                why = anchor.why_behind(connection, origins)
            if why:
                self._halted = f"{why}; {_RESTORING}"
        if not self._halted:
            self._note_signed(*self.heads())

    @property
    def state(self) -> DirectoryState:
        """The newest directory state known."""
        return self._history.newest

    @property
    def history(self) -> DirectoryHistory:
        """The directory log as far as it was read; it is asked what would be, and never changed."""
        return self._history

    @property
    def generation(self) -> int:
        """Of the logs that are written."""
        return self.signers.generation

    def engine_of(self, generation: int) -> Engine:
        """The database of a generation's logs. Raises Problem: `not-found`."""
        if generation == self.generation:
            return self.engine
        if generation not in self.closed:
            raise Problem("not-found", "no such generation of this log")
        return self.closed[generation].engine

    def close(self) -> None:
        """Close all databases."""
        for engine in (self.engine, *(each.engine for each in self.closed.values())):
            engine.dispose()

    def take_back(self, write: Callable[[Connection], None]) -> None:
        """Write what members gave back of what this hub had signed before, and read it; nothing is signed.

        Args:
            write: within one transaction.

        Raises:
            Problem: what `write` says; then nothing is written.
        """
        with self._lock:
            with writing(self.engine) as connection:
                write(connection)
            with reading(self.engine) as connection:
                self._catch_up(connection)
                if why := why_signed_beyond(connection):
                    self._halted = self._halted or f"{why}; {_RESTORING}"

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
        3. Let each work check and write; one that raises Problem has written nothing. Rows that all works
           insert alike are written together.
        4. Grow the trees, sign the checkpoints, swap both heads.
        5. Commit: the disk has it. A crash before this line loses the batch, and nobody was answered;
           a crash after it loses nothing, and who asks again gets the same receipt.
        6. Note in the anchor what was signed: a disk that is lost after this is missed.
        7. Fold what the directory log gained, build the answers.

        Args:
            works: at most `BATCH_ENVELOPES_MAX`.
            nonces: (nonce, expiry in seconds since 1970) of requests, to be remembered.

        Returns:
            For each work its answer, or the Problem that it raised.

        Raises:
            Problem: `busy` when the database refused, `disk-full` (nothing was written), `hub-halted`
                when the disk failed and what it holds is uncertain.
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
            directory = self._catch_up(connection)
            batch = Batch(connection, directory, self._history, self._now_unix(), works)
            for work in works:
                try:
                    results.append(work.apply(batch))
                except Problem as problem:
                    results.append(problem)
            batch.write_out()
            signed = batch.directory.close(self.signers.directory, batch.at_unix)
            exchange = batch.exchange.close(self.signers.exchange, batch.at_unix)
            self._remember(connection, nonces, batch.at_unix)
        self._note_signed(signed, exchange)
        with reading(self.engine) as connection:
            if batch.directory.next_index > batch.directory_size:
                self._catch_up(connection)
            committed = Committed(connection, batch.exchange.prover(connection, exchange))
            return [_finish(result, committed) for result in results]

    def _note_signed(self, *heads: Head) -> None:
        if self.anchor is None:
            return
        try:
            self.anchor.write(heads)
        except (OSError, ConfigurationError) as error:
            # What was committed is not lost: it is noted when the hub starts anew, and answered then.
            self._is_noted = False
            self._halted = (
                f"the anchor does not take what was signed: {error}; mend that, and restart"
            )
            raise Problem("hub-halted", self._halted) from error

    def settle(self) -> None:
        """Wait until what was signed so far is noted in the anchor: before that no checkpoint leaves.

        Raises:
            Problem: `hub-halted`: the anchor did not take it.
        """
        if self.anchor is not None:
            with self._lock:
                if not self._is_noted:
                    raise Problem("hub-halted", self._halted)

    def _remember(
        self, connection: Connection, nonces: Sequence[tuple[str, int]], at_unix: int
    ) -> None:
        if nonces:
            rows = [{"nonce": value, "expires": expires} for value, expires in nonces]
            connection.execute(_REMEMBER, rows)
        connection.execute(_FORGET, {"now": at_unix})

    @contextmanager
    def at_one_moment(self) -> Iterator[tuple[Connection, DirectoryHistory]]:
        """Read the database beside the history of the directory log as it stands there.

        Without this a directory may be committed, and its files be there, that is not folded yet.
        """
        with reading(self.engine) as connection:
            with self._lock:
                # The first read fixes what the connection sees; nothing is committed here meanwhile.
                self._catch_up(connection)
                history = self._history.copy()
            yield connection, history

    def catch_up(self) -> None:
        """Fold directory entries that another process wrote."""
        with self._lock, reading(self.engine) as connection:
            self._catch_up(connection)

    def _catch_up(self, connection: Connection) -> Head:
        return fold_directory(connection, self._history)

    def _database_failed(self, error: DBAPIError) -> Problem:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return Problem("disk-full", "the hub's disk has no room; nothing was written")
        if code in _DISK_FAILED:
            # After a failed fsync nobody knows what the disk holds: going on could fork the log.
            self._halted = "the disk failed; restart the hub once it is sound"
            return Problem("hub-halted", self._halted)
        return Problem("busy", "the database did not take the batch; nothing was written")


def why_signed_beyond(connection: Connection) -> str:
    """Why a hub must sign nothing: members showed that it had signed more. Empty where they did not."""
    for row in connection.execute(select(signed_beyond)):
        signed = parse_checkpoint_text(parse_note(row.checkpoint).text)
        tree = TreeHead(size=signed.size, root=signed.root.hex())
        if why := why_behind(connection, row.log, tree):
            return f"members showed a checkpoint of this hub: {why}"
    return ""


@lru_cache(maxsize=_STATEMENTS_KEPT_MAX)
def _driver_sql(
    statement: Insert, columns: tuple[str, ...], dialect: Dialect
) -> tuple[str, tuple[str, ...]]:
    """An insert as the database's driver takes it: its text, and the order of its marks, if they have one."""
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    return str(compiled), tuple(compiled.positiontup or ())


def _finish(result: Any, committed: Committed) -> Any:
    if isinstance(result, Problem):
        return result
    try:
        return result(committed)
    except Problem as problem:
        # Of this work alone: another of the batch may have destroyed the opening that it asks for.
        return problem
