"""Retention at the operator's command: what has expired, and what was ordered to be destroyed, goes now.

May import the hub's own rooms; the command line calls it, beside a hub that serves or without one. A hub that
serves does the same by itself, every half minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from broker.hub.expiry import Expire, count_due
from broker.hub.ledger import Ledger
from broker.hub.purging import due_orders, next_work, wipe
from schemas.errors import Problem
from schemas.purges import PurgeOrder


@dataclass(frozen=True, slots=True)
class Ended:
    """How many envelopes expired, and the orders under which openings were destroyed."""

    expired: int
    purged: tuple[PurgeOrder, ...]


def look(ledger: Ledger, at: datetime) -> Ended:
    """Say what is due; nothing is changed."""
    expired = count_due(ledger.engine, int(at.timestamp()))
    return Ended(expired, tuple(each.order for each in due_orders(ledger, at)))


def carry_out(ledger: Ledger, at: datetime) -> Ended:
    """Log and delete what has expired, obey the orders that are due, and empty the database's log of both.

    Raises:
        Problem: `busy`, `disk-full`, `hub-halted`; what was done until then stays done.
        ConfigurationError: the database's log cannot be emptied.
    """
    expired = 0
    while count := _commit(ledger, Expire()):
        expired += count
    purged: list[PurgeOrder] = []
    while work := next_work(ledger, at):
        done = _commit(ledger, work)
        if not done:
            break
        purged += done
    wipe(ledger)
    return Ended(expired, tuple(purged))


def _commit(ledger: Ledger, work: Any) -> Any:
    (result,) = ledger.commit([work])
    if isinstance(result, Problem):
        raise result
    return result
