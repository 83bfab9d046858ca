"""Expiry: what nobody may fetch any more is logged as expired, and its ciphertext deleted.

May import asyncio, SQLAlchemy and the hub's own rooms; the application runs `sweep` while it serves.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, Row, case, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from broker.db import reading
from broker.hub.ledger import Answer, Batch
from broker.hub.sequencer import LAST_RANK, Sequencer
from broker.hub.tables import EXPIRED_UNANSWERED, body, envelope, party, slot
from schemas.entries import EnvelopeExpired
from schemas.errors import BaridError
from schemas.limits import INTEGER_MAX
from schemas.loader import dump_json
from schemas.receipts import SALT_BYTES

SWEEP_SECONDS: Final = 30.0
"""How often the hub looks for what has expired; an auditor allows an hour."""

EXPIRED_PER_BATCH_MAX: Final = 64
"""Envelopes of one work: a submission that shares its batch waits some milliseconds for them."""

_LOG = logging.getLogger("barid.hub")


@dataclass(frozen=True, slots=True)
class Expire:
    """The work of expiry: the envelopes that are due, those whose end is the longest past first.

    Acknowledged or not, each gets an `envelope.expired` entry. In the same transaction its ciphertext goes:
    a crash before the commit leaves all of it for the next sweep, one after it nothing to do.
    """

    def apply(self, batch: Batch) -> Answer:
        """Log and delete at most `EXPIRED_PER_BATCH_MAX`; answers how many there were."""
        due = _due(batch.connection, batch.at_unix, EXPIRED_PER_BATCH_MAX)
        for row in due:
            _expire(batch, row)
        return lambda _committed: len(due)


def _due(connection: Connection, at_unix: int, limit: int) -> list[Row[str, str, int]]:
    """Accepted envelopes that are past their `expires`, as admission counts it, and not logged as such."""
    query = (
        select(envelope.c.sender, envelope.c.id, envelope.c.entry_index)
        .where(
            envelope.c.problem.is_(None),
            envelope.c.expired_index.is_(None),
            envelope.c.expires <= at_unix,
        )
        .order_by(envelope.c.expires, envelope.c.entry_index)
        .limit(limit)
    )
    return list(connection.execute(query))


def _expire(batch: Batch, row: Row[str, str, int]) -> None:
    connection = batch.connection
    logged = EnvelopeExpired(
        type="envelope.expired",
        at=batch.at,
        from_=row.sender,
        id=row.id,
        directory_size=batch.directory_size,
    )
    index = batch.exchange.append(dump_json(logged), secrets.token_bytes(SALT_BYTES), None)
    # Whoever may open the entry of its acceptance may open this one: its sender and its recipients.
    concerned = select(party.c.desk).where(party.c.entry_index == row.entry_index)
    desks = connection.execute(concerned).scalars().all()
    connection.execute(insert(party), [{"desk": desk, "entry_index": index} for desk in desks])
    same = envelope.c.entry_index == row.entry_index
    connection.execute(update(envelope).where(same).values(expired_index=index))
    unanswered = case((slot.c.answered == 0, EXPIRED_UNANSWERED), else_=slot.c.answered)
    connection.execute(
        update(slot)
        .where(slot.c.entry_index == row.entry_index)
        .values(expired_index=index, answered=unanswered, slot=b"")
    )
    connection.execute(delete(body).where(body.c.entry_index == row.entry_index))


def count_due(engine: Engine, at_unix: int) -> int:
    """How many envelopes are past their `expires`, and not logged as such."""
    with reading(engine) as connection:
        return len(_due(connection, at_unix, INTEGER_MAX))


def _is_anything_due(engine: Engine, at_unix: int) -> bool:
    with reading(engine) as connection:
        return bool(_due(connection, at_unix, 1))


async def sweep(engine: Engine, sequencer: Sequencer, now_unix: Callable[[], int]) -> None:
    """Expire what is due, at once and then every `SWEEP_SECONDS`; runs until it is cancelled.

    Where nothing is due nothing is written: an idle hub's disk stays idle.
    """
    while True:
        try:
            while await asyncio.to_thread(_is_anything_due, engine, now_unix()):
                # One after the other: between two of them the sequencer takes whatever else has come.
                await sequencer.submit(Expire(), rank=LAST_RANK)
        except (BaridError, SQLAlchemyError) as error:
            # A task that ended would never expire anything again; what is due stays so.
            _LOG.error("what has expired was not logged: %s", type(error).__name__)
        await asyncio.sleep(SWEEP_SECONDS)
