"""Purge orders: the openings of log entries that k of n governors order the hub to destroy (`purges.json`).

May import pydantic and `schemas`; `keys.purge_orders` holds a directory to them, hub, node and auditor obey.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.directory import Names, Origin
from schemas.limits import PURGE_ORDERS_MAX
from schemas.scalars import Count, ExchangeName, Message, Sha256Hex, UtcTime, Version


class PurgeOrder(Message):
    """The opening of one entry is to be destroyed: which one, and why, in all three languages.

    `leaf` is the entry's RFC 6962 leaf hash: without an opening, governors know the entry by nothing else.
    `ordered` is when the order was made; it is in force from the directory that brings it.
    """

    origin: Origin
    index: Count
    leaf: Sha256Hex
    reason: Names
    ordered: UtcTime

    @property
    def place(self) -> tuple[str, int]:
        """Where the entry stands: the log's origin, and the index."""
        return self.origin, self.index


class PurgeOrders(Message):
    """`purges.json`: every order that was ever given, ascending by origin and index, none twice."""

    v: Version
    exchange: ExchangeName
    orders: Annotated[tuple[PurgeOrder, ...], Field(min_length=1, max_length=PURGE_ORDERS_MAX)]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(left.place >= right.place for left, right in pairwise(self.orders)):
            raise ValueError("orders ascend by origin and index, and name no entry twice")
        return self
