"""Purges: what cannot be opened was ordered to be destroyed, what was ordered is, and the log says so.

Pure; may import `keys` and `schemas`. The reader asks it whether a leaf may be without an opening, `exchange`
feeds it each `opening.purged`, and `verify` ends it once all logs are read: a later one may hold the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from broker.audit.leaves import NO_OPENING
from broker.audit.remarks import Remark
from broker.audit.rules import Findings
from keys.directory_state import DirectoryState
from keys.purge_orders import OrderInForce, Orders
from schemas.entries import OpeningPurged
from schemas.limits import PURGE_OVERDUE_SECONDS
from schemas.loader import to_plain
from schemas.scalars import format_time

PURGE_TOLERANCE: Final = timedelta(hours=1)
"""How late a purge may be logged, as an expiry may."""

_OVERDUE: Final = timedelta(seconds=PURGE_OVERDUE_SECONDS)

_NO_ORDERS: Final[Orders] = MappingProxyType({})

Place = tuple[str, int]
"""Origin of a log, and index of an entry."""


@dataclass(frozen=True, slots=True)
class Purged:
    """An opening that was destroyed: under which order, and where the log says so.

    Args:
        order: with its origin, index, leaf and reason; and since when it was in force.
        listed_in: SHA-256 of the `purges.json` that lists it, hex.
        directory_size: of the directory log, by which the hub obeyed.
        at: the time of the entry that says so.
        index: of that entry.
    """

    order: OrderInForce
    listed_in: str
    directory_size: int
    at: datetime
    index: int

    def to_plain(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            **to_plain(self.order.order),
            "since": format_time(self.order.since),
            "order": self.listed_in,
            "directory_size": self.directory_size,
            "at": format_time(self.at),
            "logged": self.index,
        }


class PurgeAudit:
    """Holds what does not open, in every generation of the exchange log, against the council's orders."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._orders = _NO_ORDERS
        self._origin = ""
        self._is_closed = False
        self._gone: dict[Place, str] = {}
        self._logged: dict[Place, Purged] = {}

    def begin(self, origin: str, orders: Orders, *, is_closed: bool) -> None:
        """Go over to another log.

        Args:
            origin: of the exchange log.
            orders: in force as far as the directory log was read.
            is_closed: whether a later directory log may hold further orders for it.
        """
        self._origin, self._orders, self._is_closed = origin, orders, is_closed

    def may_be_gone(self, index: int, leaf: bytes) -> bool:
        """Whether a leaf of this log may be without an opening; of a closed one `finish` decides.

        Args:
            leaf: its hash, 32 bytes.
        """
        place = (self._origin, index)
        found = self._orders.get(place)
        is_ordered = found is not None and found.order.leaf == leaf.hex()
        if is_ordered or self._is_closed:
            self._gone[place] = leaf.hex()
        return is_ordered or self._is_closed

    def due(self, now: datetime) -> tuple[int, ...]:
        """The entries of this log that the hub may have destroyed by now."""
        return tuple(
            index
            for (origin, index), each in self._orders.items()
            if origin == self._origin and each.due <= now
        )

    def check(self, index: int, entry: OpeningPurged, state: DirectoryState) -> None:
        """Check that what an entry says to be destroyed was ordered, and is said for the first time.

        Args:
            index: of the entry.
            state: the directory log's at its `directory_size`.
        """
        place = (entry.origin, entry.index)
        found, what = state.purges.get(place), f"entry {entry.index} of {entry.origin}"
        listed_in = None if state.directory is None else state.directory.purges_sha256
        if found is None or found.order.leaf != entry.leaf:
            self._report(index, "purge-order", f"nobody ordered to destroy {what}, with this leaf")
        elif entry.order != listed_in:
            self._report(index, "purge-order", f"{what}: another list of orders was in force")
        elif entry.origin == self._origin and entry.index >= index:
            self._report(index, "purge-order", f"{what} is no earlier entry")
        elif place in self._logged:
            self._report(index, "purge-order", f"{what} was destroyed before")
        else:
            at = entry.at
            self._logged[place] = Purged(found, entry.order, entry.directory_size, at, index)

    def finish(self, orders: Orders, newest: datetime | None) -> None:
        """Report what is gone without an order, or without an entry that says so.

        Args:
            orders: in force in the end.
            newest: the time of the newest exchange entry: the hub was at work then.
        """
        for place, leaf in self._gone.items():
            found = orders.get(place)
            if found is None or found.order.leaf != leaf:
                self._report(place[1], "opening-missing", NO_OPENING)
            elif (
                place not in self._logged
                and newest is not None
                and newest - found.due > PURGE_TOLERANCE
            ):
                since = format_time(found.due)
                self._report(place[1], "purge-unlogged", f"its order was due at {since}")
        self._orders = orders

    @property
    def purged(self) -> tuple[Purged, ...]:
        """What was destroyed, in the order of the log that says so."""
        return tuple(self._logged.values())

    def all_due(self, now: datetime) -> Mapping[str, tuple[int, ...]]:
        """By origin, the entries of all logs that may be destroyed by now."""
        found: dict[str, tuple[int, ...]] = {}
        for (origin, index), each in self._orders.items():
            if each.due <= now:
                found[origin] = (*found.get(origin, ()), index)
        return found

    def remarks(self, now: datetime) -> tuple[Remark, ...]:
        """Orders that the hub should have obeyed a day ago."""
        return tuple(
            Remark(
                "exchange",
                "purge-overdue",
                None,
                None,
                f"entry {index} of {origin} was to be destroyed from {format_time(each.due)} on, and"
                " no entry says that it was",
            )
            for (origin, index), each in sorted(self._orders.items())
            if now - each.due > _OVERDUE and (origin, index) not in self._logged
        )

    def _report(self, index: int, rule: str, detail: str) -> None:
        self._findings.add("exchange", index, rule, detail)
