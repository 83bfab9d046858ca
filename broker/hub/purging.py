"""Purging: the openings that the council ordered to be destroyed, destroyed with the entry that says so.

May import asyncio, SQLAlchemy, `keys` and the hub's own rooms; the application runs `keep_purging` while it
serves, `retention` does the same at the operator's command, and `publications` asks whether an order can be
obeyed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, exists, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from broker.db import reading, settle, writing
from broker.hub.directory_log import append_entry
from broker.hub.ledger import Answer, Batch, Ledger
from broker.hub.sequencer import LAST_RANK, Sequencer
from broker.hub.tables import (
    PURGED,
    acknowledgement,
    attachment_owner,
    body,
    entry,
    envelope,
    envelope_attachment,
    party,
    purge,
    slot,
)
from broker.tlog.receipt import exchange_leaf_data
from keys.purge_orders import OrderInForce
from schemas.bulletin.vocabularies import Precedence
from schemas.entries import EnvelopeAccepted, HubOperated, OpeningPurged, parse_exchange_entry
from schemas.errors import BaridError, ParseError
from schemas.limits import RECIPIENTS_MAX
from schemas.loader import dump_json, load_json
from schemas.purges import PurgeOrder
from schemas.receipts import SALT_BYTES

LOOK_SECONDS: Final = 30.0
"""How often the hub looks for orders that are due."""

PURGED_PER_BATCH_MAX: Final = 32
"""Openings of one work: a submission that shares its batch waits some milliseconds for them."""

_PLACES_BYTES_MAX: Final = 80 * RECIPIENTS_MAX

_LOG: Final = logging.getLogger("barid.hub")


def why_impossible(connection: Connection, order: PurgeOrder) -> str:
    """Why an order cannot be obeyed, whatever the hub does; empty where it can, or was.

    Args:
        connection: to the database of the order's log.
        order: as governors sign it.
    """
    row = _entry(connection, order.index)
    if row is None:
        return f"{order.origin} has no entry {order.index} here"
    if row.leaf.hex() != order.leaf:
        return f"entry {order.index} of {order.origin} has another leaf"
    if row.salt is not None and _is_record(row.entry):
        return (
            f"entry {order.index} of {order.origin} says itself what was destroyed, and stays for"
            " good"
        )
    return ""


def _is_record(data: bytes) -> bool:
    try:
        return isinstance(parse_exchange_entry(data), OpeningPurged)
    except ParseError:
        return False


def _entry(connection: Connection, index: int) -> Row[Any] | None:
    mine = (entry.c.log == "exchange") & (entry.c.entry_index == index)
    return connection.execute(select(entry).where(mine)).one_or_none()


def due_orders(ledger: Ledger, at: datetime) -> tuple[OrderInForce, ...]:
    """Orders that are due, can be obeyed, and were not yet; ascending by log and index.

    Where no order is in force the database is not asked.
    """
    orders = ledger.state.purges
    if not orders:
        return ()
    own = ledger.signers.origins[1]
    logs = {each.signers.origins[1]: each.engine for each in ledger.closed.values()}
    logs[own] = ledger.engine
    with reading(ledger.engine) as connection:
        left = _left(connection, orders, at)
    found = []
    for each in left:
        if each.order.origin in logs:
            with reading(logs[each.order.origin]) as connection:
                if not why_impossible(connection, each.order):
                    found.append(each)
    return tuple(found)


def _left(
    connection: Connection, orders: Mapping[tuple[str, int], OrderInForce], at: datetime
) -> list[OrderInForce]:
    logged = select(purge.c.origin, purge.c.entry_index).where(purge.c.purged_index.is_not(None))
    done = {(row.origin, row.entry_index) for row in connection.execute(logged)}
    return [
        orders[place] for place in sorted(orders) if place not in done and orders[place].due <= at
    ]


def next_work(ledger: Ledger, at: datetime) -> Purge | None:
    """The next work to be handed in; None where no order is due.

    What due orders name in closed logs is destroyed here, before the log that is written says so: a crash in
    between leaves an opening that is gone under its order, and the next look logs it.
    """
    due = due_orders(ledger, at)
    if not due:
        return None
    engines = {each.signers.origins[1]: each.engine for each in ledger.closed.values()}
    places = {}
    for each in due:
        engine = engines.get(each.order.origin)
        if engine is not None:
            with writing(engine) as connection:
                places[each.order.place] = _destroy(connection, each.order, None).places
    return Purge(places)


def wipe(ledger: Ledger) -> None:
    """Empty the logs of all databases of what was destroyed; SQLite itself overwrites what it deletes.

    Raises:
        ConfigurationError: somebody reads for too long, or the disk does not take it.
    """
    for engine in (*(each.engine for each in ledger.closed.values()), ledger.engine):
        settle(engine)


async def keep_purging(ledger: Ledger, sequencer: Sequencer, now_unix: Callable[[], int]) -> None:
    """Obey due orders, at once and then every `LOOK_SECONDS`; runs until it is cancelled."""
    is_wiped = True
    while True:
        try:
            at = datetime.fromtimestamp(now_unix(), UTC)
            while not ledger.halted and (work := await asyncio.to_thread(next_work, ledger, at)):
                is_wiped = False
                done: tuple[PurgeOrder, ...] = await sequencer.submit(work, rank=LAST_RANK)
                if not done:
                    break
                for each in done:
                    _LOG.warning(
                        "an opening was destroyed: entry %d of %s", each.index, each.origin
                    )
            if not is_wiped:
                await asyncio.to_thread(wipe, ledger)
                is_wiped = True
        except (BaridError, SQLAlchemyError) as error:
            # A task that ended would never obey again; what is due, or not wiped yet, stays so.
            _LOG.error("an order to destroy was not obeyed to the end: %s", type(error).__name__)
        await asyncio.sleep(LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class _Destroyed:
    """What the log says of a destroyed opening, and to whom."""

    places: tuple[str, ...]
    parties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Purge:
    """The work of purging: what due orders name is destroyed, and logged, in one transaction.

    A crash before the commit leaves all of it for the next round, one after it nothing to do.

    Args:
        closed: what was destroyed in closed logs just before: the places of each entry.
    """

    closed: Mapping[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)

    def apply(self, batch: Batch) -> Answer:
        """Destroy and log at most `PURGED_PER_BATCH_MAX`; answers which orders were carried out."""
        connection, origin = batch.connection, batch.exchange.head.origin
        done: list[PurgeOrder] = []
        for each in _left(connection, batch.state.purges, batch.at):
            order = each.order
            if order.origin == origin and not why_impossible(connection, order):
                found = _destroy(connection, order, batch.exchange.next_index)
            elif order.place in self.closed:
                found = _Destroyed(self.closed[order.place], ())
            else:
                continue
            _log(batch, order, found)
            done.append(order)
            if len(done) == PURGED_PER_BATCH_MAX:
                break
        if done:
            _log_operation(batch)
        return lambda _committed: tuple(done)


def _log(batch: Batch, order: PurgeOrder, destroyed: _Destroyed) -> None:
    directory = batch.state.directory
    listed_in = None if directory is None else directory.purges_sha256
    logged = OpeningPurged(
        type="opening.purged",
        at=batch.at,
        origin=order.origin,
        index=order.index,
        leaf=order.leaf,
        places=destroyed.places,
        order=listed_in or "",
        directory_size=batch.directory_size,
    )
    index = batch.exchange.append(dump_json(logged), secrets.token_bytes(SALT_BYTES), None)
    # Whoever could open what was destroyed may open what says so.
    rows = [{"desk": desk, "entry_index": index} for desk in destroyed.parties]
    if rows:
        batch.connection.execute(insert(party), rows)
    row = {
        "origin": order.origin,
        "entry_index": order.index,
        "places": dump_json(list(destroyed.places)),
        "purged_index": index,
    }
    batch.connection.execute(insert(purge), row)


def _log_operation(batch: Batch) -> None:
    """Tell every member that something was destroyed, and when; the directory log names nothing of it."""
    operated = HubOperated(
        type="hub.operated",
        at=batch.at,
        exchange_log=batch.exchange.head.tree,
        operation="purge",
    )
    append_entry(batch, operated)


def _destroy(connection: Connection, order: PurgeOrder, purged_index: int | None) -> _Destroyed:
    """Destroy all that opens one leaf, of whatever type its entry is.

    What stays: the leaf, so that the tree is whole; who used which envelope id, and who was sent a bulletin
    id under which content, so that neither is used twice; the places, so that nothing seems to be missing.
    None of that confirms a guess: ids are random, and contents and places are hashes with random salts. The
    hash of the signed header would, for whoever has kept a copy: it goes.

    Args:
        connection: a writing transaction of the order's log.
        order: which can be obeyed.
        purged_index: of the entry that will say so; None in a closed log.
    """
    index = order.index
    desks = select(party.c.desk).where(party.c.entry_index == index).order_by(party.c.desk)
    parties = tuple(connection.execute(desks).scalars())
    row = _entry(connection, index)
    if row is None or row.salt is None:
        mine = (purge.c.origin == order.origin) & (purge.c.entry_index == index)
        kept = connection.execute(select(purge.c.places).where(mine)).scalar()
        places = load_json(kept, _PLACES_BYTES_MAX) if kept else []
        return _Destroyed(tuple(places), parties)
    logged = parse_exchange_entry(row.entry)
    is_accepted = isinstance(logged, EnvelopeAccepted)
    places = (
        tuple(each.place for each in logged.recipients)
        if isinstance(logged, EnvelopeAccepted)
        else ()
    )
    _empty_entry(connection, row)
    _empty_envelope(connection, index, purged_index)
    connection.execute(
        update(acknowledgement)
        .where(acknowledgement.c.entry_index == index)
        .values(pae=_nameless(index))
    )
    if not is_accepted:
        connection.execute(delete(party).where(party.c.entry_index == index))
    if purged_index is None:
        kept_places = {"places": dump_json(list(places)), "purged_index": None}
        of = {"origin": order.origin, "entry_index": index}
        connection.execute(insert(purge), of | kept_places)
    return _Destroyed(places, parties)


def _nameless(index: int) -> str:
    """What stands in the place of a statement's hash: unique as that was, and the hash of nothing."""
    return f"purged {index}"


def _empty_entry(connection: Connection, row: Row[Any]) -> None:
    data = exchange_leaf_data(row.salt, row.entry)
    mine = (entry.c.log == "exchange") & (entry.c.entry_index == row.entry_index)
    emptied = {"salt": None, "entry": data, "statement": None}
    connection.execute(update(entry).where(mine).values(emptied))


def _empty_envelope(connection: Connection, index: int, purged_index: int | None) -> None:
    """Destroy an envelope's sealed bytes, and what its header said beyond who, to whom, and which ids."""
    mine = envelope.c.entry_index == index
    sender = connection.execute(select(envelope.c.sender).where(mine)).scalar()
    if sender is None:
        return
    connection.execute(delete(body).where(body.c.entry_index == index))
    sealed = {
        "slot": b"",
        "rank": Precedence.ROUTINE.rank,
        "answered": PURGED,
        "expired_index": purged_index,
    }
    connection.execute(update(slot).where(slot.c.entry_index == index).values(sealed))
    told = {
        "pae": _nameless(index),
        "at": 0,
        "refusal": None,
        "expires": 0,
        "expired_index": purged_index,
        "purged_index": purged_index,
    }
    connection.execute(update(envelope).where(mine).values(told))
    _disown_attachments(connection, index, sender)


def _disown_attachments(connection: Connection, index: int, sender: str) -> None:
    """Have the collector delete the attachments that no other envelope of their sender needs."""
    mine = envelope_attachment.c.entry_index == index
    names = connection.execute(select(envelope_attachment.c.sha256).where(mine)).scalars().all()
    connection.execute(delete(envelope_attachment).where(mine))
    needed = exists().where(
        envelope_attachment.c.sha256 == attachment_owner.c.sha256,
        envelope.c.entry_index == envelope_attachment.c.entry_index,
        envelope.c.sender == attachment_owner.c.desk,
        envelope.c.expired_index.is_(None),
    )
    forsaken = (attachment_owner.c.desk == sender) & attachment_owner.c.sha256.in_(names) & ~needed
    connection.execute(delete(attachment_owner).where(forsaken))
