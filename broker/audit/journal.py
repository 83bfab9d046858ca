"""The auditor's journal: entries that were examined, so that the next audit goes on behind them.

May import SQLAlchemy, `broker.db`, `schemas` and the auditor's own rooms; `verify` reads it before it asks
the hub, and adds to it while nothing is found. It holds what was read, how it was judged and by which
directory log; every audit folds it again, and holds leaves and that log against the roots signed now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError

from broker.audit.examining import Examined, Verdict, subject_of
from broker.db import open_sqlite, reading, settle, writing
from schemas.entries import ENTRY_BYTES_MAX, parse_exchange_entry
from schemas.errors import ConfigurationError
from schemas.loader import dump_json, parse

JOURNAL_FILE: Final = "examined.2.db"
"""Its number is that of its form: a journal of another form is not read, and the whole log is."""

_VERDICT_BYTES_MAX: Final = 2 * ENTRY_BYTES_MAX
_ROWS_AT_ONCE: Final = 1024

metadata = MetaData()

examined = Table(
    "examined",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("entry_index", BigInteger, primary_key=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("verdict", LargeBinary),
)

judged_by = Table(
    "judged_by",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("checkpoint", Text, nullable=False),
)
"""By the exchange log's origin: the directory log's newest checkpoint when its entries were judged."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry as the journal keeps it: its exact bytes, its leaf hash, and how it was judged.

    Of what was ordered to be destroyed the leaf alone is kept.
    """

    index: int
    leaf: bytes
    entry: bytes
    verdict: Verdict | None

    @property
    def is_destroyed(self) -> bool:
        """Whether nothing but the leaf is left of it."""
        return not self.entry

    def examined(self) -> Examined:
        """What examining it had given. Raises ParseError: it is damaged."""
        parsed = parse_exchange_entry(self.entry)
        return Examined(self.index, self.leaf, parsed, subject_of(parsed), verdict=self.verdict)


class Journal:
    """The journal in an auditor's data directory; made when it is first written.

    Args:
        data: the directory.

    Raises:
        ConfigurationError: the file is no journal.
    """

    def __init__(self, data: Path) -> None:
        self._path = data / JOURNAL_FILE
        self._opened: Engine | None = None

    def size(self, origin: str) -> int:
        """How many entries of a log it holds, from the first on."""
        if not self._path.exists():
            return 0
        with reading(self._engine()) as connection:
            mine = select(func.count()).where(examined.c.origin == origin)
            return int(connection.execute(mine).scalar_one())

    def judged_by(self, origin: str) -> str | None:
        """The checkpoint of the directory log by which the entries of a log were judged, if there are any."""
        if not self._path.exists():
            return None
        with reading(self._engine()) as connection:
            mine = select(judged_by.c.checkpoint).where(judged_by.c.origin == origin)
            note: str | None = connection.execute(mine).scalar()
            return note

    def read(self, origin: str, size: int) -> Iterator[Kept]:
        """The first entries of a log, in order."""
        query = (
            select(examined)
            .where(examined.c.origin == origin, examined.c.entry_index < size)
            .order_by(examined.c.entry_index)
        )
        with reading(self._engine()) as connection:
            found = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
            for row in found:
                verdict = None
                if row.verdict is not None:
                    verdict = parse(Verdict, row.verdict, _VERDICT_BYTES_MAX)
                yield Kept(row.entry_index, row.leaf, row.entry, verdict)

    def add(self, origin: str, entries: Sequence[Kept], directory: str) -> None:
        """Keep the entries that follow, all or nothing.

        Args:
            origin: of the exchange log.
            entries: as they were judged.
            directory: the checkpoint of the directory log that judged them; it grew from the one before.
        """
        rows = [
            {
                "origin": origin,
                "entry_index": each.index,
                "leaf": each.leaf,
                "entry": each.entry,
                "verdict": None if each.verdict is None else dump_json(each.verdict),
            }
            for each in entries
        ]
        if rows:
            with writing(self._engine()) as connection:
                connection.execute(insert(examined), rows)
                connection.execute(delete(judged_by).where(judged_by.c.origin == origin))
                connection.execute(insert(judged_by), {"origin": origin, "checkpoint": directory})

    def cut(self, origin: str, size: int) -> None:
        """Forget what stands behind the first entries of a log."""
        if self._path.exists():
            behind = (examined.c.origin == origin) & (examined.c.entry_index >= size)
            with writing(self._engine()) as connection:
                connection.execute(delete(examined).where(behind))

    def forget(self, origin: str, indexes: Sequence[int]) -> None:
        """Destroy all but the leaves of some entries, as the hub was ordered to."""
        if not indexes or not self._path.exists():
            return
        whole = func.length(examined.c.entry) > 0
        mine = (examined.c.origin == origin) & examined.c.entry_index.in_(indexes) & whole
        with writing(self._engine()) as connection:
            emptied = connection.execute(
                update(examined).where(mine).values(entry=b"", verdict=None)
            )
        if emptied.rowcount:
            settle(self._engine())

    def clear(self) -> None:
        """Forget all of it."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.dispose()
            self._opened = None

    def _engine(self) -> Engine:
        if self._opened is None:
            engine = open_sqlite(self._path)
            try:
                metadata.create_all(engine)
            except DatabaseError as error:
                raise ConfigurationError(
                    f"{self._path} is no journal of an audit: delete it, and the whole log is read again"
                ) from error
            self._opened = engine
        return self._opened


def damaged_journal() -> ConfigurationError:
    """What to say where it cannot be read back."""
    return ConfigurationError(
        "the journal of earlier audits is damaged: `barid audit verify --full` begins anew"
    )
