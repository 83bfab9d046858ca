"""Purge orders as readers of the directory hold it to them: of this exchange, and never taken back.

May import `schemas` and `keys.trust`'s types alone; pure. `keys.trust` reads `purges.json` with it,
`keys.history` folds the orders, proposals are refused by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.directory import Council
from schemas.entries import OpeningPurged
from schemas.errors import ParseError, VerificationError
from schemas.limits import PURGE_DELAY_SECONDS, TRUST_FILE_BYTES_MAX
from schemas.loader import parse
from schemas.purges import PurgeOrder, PurgeOrders
from schemas.scalars import format_time

_DELAY: Final = timedelta(seconds=PURGE_DELAY_SECONDS)
_LATEST: Final = datetime.max.replace(tzinfo=UTC, microsecond=0) - _DELAY


@dataclass(frozen=True, slots=True)
class OrderInForce:
    """An order, and since when it is in force: the `at` of the first directory that brought it."""

    order: PurgeOrder
    since: datetime

    @property
    def due(self) -> datetime:
        """When the hub obeys it, at the earliest."""
        # The hub chose the time, and a sum may lie behind the last day that can be written.
        return min(self.since, _LATEST) + _DELAY


Orders = Mapping[tuple[str, int], OrderInForce]
"""By origin and index."""


def read_orders(data: bytes, council: Council) -> tuple[PurgeOrder, ...]:
    """Read `purges.json`; who signed it is for the caller to verify.

    Args:
        data: its exact bytes.
        council: that is signed with it.

    Raises:
        VerificationError: it is not well-formed, of another exchange, or names a log that is none of it.
    """
    try:
        read = parse(PurgeOrders, data, TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise VerificationError(f"purges.json is not well-formed: {error}") from error
    if read.exchange != council.exchange:
        raise VerificationError(f"purges.json belongs to {read.exchange}")
    logs = {council.logs.exchange.origin, *(each.exchange.origin for each in council.logs.previous)}
    strange = sorted({order.origin for order in read.orders} - logs)
    if strange:
        raise VerificationError(f"purges.json names {strange[0]}, which is no exchange log of ours")
    return read.orders


def check_kept(before: Iterable[PurgeOrder], after: Iterable[PurgeOrder]) -> None:
    """Refuse a list in which an order that was in force is missing, or is another.

    What was destroyed under it stays destroyed: without its order that would look like a hub that withholds.

    Raises:
        VerificationError: naming the order.
    """
    kept = {order.place: order for order in after}
    for order in before:
        if kept.get(order.place) != order:
            raise VerificationError(
                f"the order to destroy the opening of entry {order.index} of {order.origin} is taken back or"
                " changed: orders stay for good"
            )


def with_orders(known: Orders, orders: Iterable[PurgeOrder], at: datetime) -> Orders:
    """Add the orders that a directory brings into force at a moment; those in force keep their time."""
    new = {order.place: OrderInForce(order, at) for order in orders if order.place not in known}
    return {**known, **new} if new else known


def disorder(entry: OpeningPurged, orders: Orders, listed_in: str | None) -> str | None:
    """Say why an `opening.purged` entry is under no order of the council; None where it is.

    Args:
        entry: as it was logged.
        orders: in force at its `directory_size`.
        listed_in: SHA-256 of the `purges.json` in force then; None where there was none.
    """
    what = f"entry {entry.index} of {entry.origin}"
    found = orders.get((entry.origin, entry.index))
    if found is None:
        return f"no order of the council in force then lists {what}"
    if found.order.leaf != entry.leaf:
        return f"the council ordered another leaf of {what} to be destroyed"
    if entry.order != listed_in:
        return f"{what} is said to be destroyed under orders that were not in force then"
    if entry.at < found.due:
        return f"{what} was destroyed before {format_time(found.due)}, when its order was due"
    return None
