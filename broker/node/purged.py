"""What the hub says was destroyed under an order of the council, held to the order and to the log.

May import `broker.tlog`, `keys` and `schemas`; `inbox` explains an empty place with it, `outbox` an envelope
that nobody will answer. A hub that names no order in force hides something.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from broker.tlog.checkpoint import Checkpoint
from broker.tlog.receipt import LogVerifier, verify_receipt
from keys.history import DirectoryState
from schemas.entries import OpeningPurged, parse_exchange_entry
from schemas.errors import ParseError, Problem
from schemas.purges import PurgeOrder
from schemas.receipts import Receipt


@dataclass(frozen=True, slots=True)
class Purged:
    """An opening that is gone: the order, the places that its entry gave, and the entry that says so."""

    order: PurgeOrder
    places: tuple[str, ...]
    at: datetime
    index: int
    """Of the `opening.purged` entry."""
    checkpoint: Checkpoint


def purged_size(receipt: Receipt) -> int:
    """The directory log's size by which an `opening.purged` entry is judged.

    Raises:
        Problem: `entry-invalid`: it is none.
    """
    return _entry_of(receipt).directory_size


def check_purged(receipt: Receipt, log: LogVerifier, state: DirectoryState) -> Purged:
    """Verify that something was destroyed as it was ordered; the caller proves the tree to be the log's.

    1. The entry is in the log, and behind the one that it speaks of.
    2. An order that was in force by then names that very entry.

    Args:
        receipt: of the `opening.purged` entry.
        log: the exchange log's keys.
        state: of the directory log at the entry's `directory_size`.

    Raises:
        Problem: the hub's fault.
    """
    verified = verify_receipt(receipt, log)
    entry = _entry_of(receipt)
    found = state.purges.get((entry.origin, entry.index))
    if found is None or found.order.leaf != entry.leaf:
        raise Problem(
            "entry-invalid", f"nobody ordered to destroy entry {entry.index} of {entry.origin}"
        )
    if entry.origin == log.origin and entry.index >= verified.index:
        raise Problem("entry-invalid", "the entry says that a later one was destroyed")
    return Purged(found.order, entry.places, entry.at, verified.index, verified.checkpoint)


def _entry_of(receipt: Receipt) -> OpeningPurged:
    try:
        entry = parse_exchange_entry(receipt.entry)
    except ParseError as error:
        raise Problem("entry-invalid", str(error)) from error
    if not isinstance(entry, OpeningPurged):
        raise Problem("entry-invalid", "the entry does not say that an opening was destroyed")
    return entry
