"""Places: the numbers between a sender and a recipient, by which nothing goes missing unseen.

May import `broker.db`'s connections and the node's tables; `inbox` and `outbox` note what their receipts
told, `sync` looks for gaps once nothing more is waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.sqlite import insert

from broker.node import tables
from broker.node.alarms import AlarmKind, raise_alarm
from schemas.errors import Problem
from schemas.receipts import Place


def note_places(
    connection: Connection,
    holder: str,
    sender: str,
    origin: str,
    index: int,
    told: Iterable[Place],
) -> None:
    """Note the places that a verified receipt told to an own desk.

    Args:
        connection: the transaction in which the envelope itself is stored or settled.
        holder: the own desk that was told.
        sender: of the envelope.
        origin: of the log.
        index: of the envelope's entry.
        told: the numbers, one for each recipient that concerns the holder.

    Raises:
        Problem: `place`: the number belongs to another envelope, or does not rise with the log.
    """
    for place in told:
        pair = {
            "holder": holder,
            "sender": sender,
            "recipient": place.desk,
            "origin": origin,
        }
        _check_order(connection, pair, place.n, index)
        connection.execute(
            insert(tables.place)
            .values(**pair, n=place.n, entry_index=index)
            .on_conflict_do_nothing()
        )


def _check_order(connection: Connection, pair: dict[str, str], n: int, index: int) -> None:
    """Numbers rise with the log: the neighbours stand on either side, and a number belongs to one."""
    column = tables.place.c
    near = select(column.n, column.entry_index).filter_by(**pair)
    for row in connection.execute(near.where(column.n.between(n - 1, n + 1))):
        before, same, after = row.n < n, row.n == n, row.n > n
        fits = (
            (before and row.entry_index < index)
            or (same and row.entry_index == index)
            or (after and row.entry_index > index)
        )
        if not fits:
            raise Problem(
                "place",
                f"place {n} from {pair['sender']} to {pair['recipient']} is entry {index}, and place"
                f" {row.n} is entry {row.entry_index}",
            )


def check_places(connection: Connection, holder: str, now: datetime) -> tuple[str, ...]:
    """Look for numbers that are missing, and raise an alarm for each pair of desks.

    Args:
        connection: a writing transaction.
        holder: an own desk, to which nothing more is waiting now.
        now: UTC, whole seconds.

    Returns:
        The subjects of the alarms: `sender > recipient`.
    """
    column = tables.place.c
    pairs = connection.execute(
        select(
            column.sender,
            column.recipient,
            column.origin,
            func.count().label("held"),
            func.max(column.n).label("last"),
        )
        .where(column.holder == holder)
        .group_by(column.sender, column.recipient, column.origin)
        .having(func.max(column.n) != func.count())
    ).all()
    for row in pairs:
        raise_alarm(
            connection,
            AlarmKind.GAP,
            f"{row.sender} > {row.recipient}",
            f"in {row.origin} the places reach {row.last}, and {row.held} are here",
            now,
        )
    return tuple(f"{row.sender} > {row.recipient}" for row in pairs)
