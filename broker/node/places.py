"""Places: the numbers between a sender and a recipient, by which nothing goes missing unseen.

May import `broker.db`'s connections and the node's tables; `inbox` and `outbox` note what their receipts
told, `sync` looks for gaps once nothing more is waiting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.sqlite import insert

from broker.node import tables
from broker.node.alarms.book import AlarmKind, clear_alarms, raise_alarm
from schemas.errors import Problem
from schemas.receipts import Place

EXPIRED: Final = "expired"
"""Why nothing came to a place: its envelope expired before this desk had it."""

PURGED: Final = "purged"
"""Why nothing came to a place: its envelope was destroyed under an order of the council."""

RESTORED: Final = "restored"
"""Why nothing stands at a place: this desk sent its envelope after the backup that it was restored from."""


def note_places(
    connection: Connection,
    holder: str,
    sender: str,
    origin: str,
    index: int,
    told: Iterable[Place],
    explained: str | None = None,
) -> None:
    """Note the places that a verified receipt told to an own desk.

    Args:
        connection: the transaction in which the envelope itself is stored or settled.
        holder: the own desk that was told.
        sender: of the envelope.
        origin: of the log.
        index: of the envelope's entry.
        told: the numbers, one for each recipient that concerns the holder.
        explained: why nothing came there; None where the envelope itself is stored or settled.

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
        new = insert(tables.place).values(**pair, n=place.n, entry_index=index, explained=explained)
        if explained is None:
            # What comes after all is held, whatever explained its absence before.
            key = [column.name for column in tables.place.primary_key]
            new = new.on_conflict_do_update(index_elements=key, set_={"explained": None})
        else:
            new = new.on_conflict_do_nothing()
        connection.execute(new)


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


def check_places(
    connection: Connection,
    holder: str,
    now: datetime,
    coming: Collection[tuple[str, str, int]] = (),
) -> tuple[str, ...]:
    """Look for numbers that are neither held nor explained: an alarm for each pair of desks.

    The alarm of a pair that has no gap any more is cleared.

    Args:
        connection: a writing transaction.
        holder: an own desk, to which nothing more is waiting now.
        now: UTC, whole seconds.
        coming: sender, origin and place of envelopes to the holder that wait for their attachments.

    Returns:
        The subjects of the alarms: `sender > recipient`.
    """
    column = tables.place.c
    pairs = connection.execute(
        select(
            column.sender,
            column.recipient,
            column.origin,
            func.count().label("known"),
            func.max(column.n).label("last"),
        )
        .where(column.holder == holder)
        .group_by(column.sender, column.recipient, column.origin)
    ).all()
    gaps: dict[str, str] = {}
    for row in pairs:
        pair = (row.sender, row.origin)
        near = {n for *of, n in coming if row.recipient == holder and tuple(of) == pair}
        missing = max(row.last, *near, 0) - row.known - len(near)
        if missing > 0:
            # The same text while the gap is the same: an acknowledged alarm is not raised anew.
            text = f"in {row.origin} {missing} of the places up to the last are missing"
            gaps[f"{row.sender} > {row.recipient}"] = text
    whole = {f"{row.sender} > {row.recipient}" for row in pairs} - gaps.keys()
    clear_alarms(connection, AlarmKind.GAP, whole, now)
    for subject, text in gaps.items():
        raise_alarm(connection, AlarmKind.GAP, subject, text, now)
    return tuple(gaps)
