"""What the hub has of a batch's submissions: asked for all of them at once, and kept up to date by them.

May import SQLAlchemy and the hub's tables; `relay` asks within the transaction. Where it says that there is
something, `relay` looks; what it does not know does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    Connection,
    Row,
    Select,
    bindparam,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from broker.hub.ledger import Batch
from broker.hub.tables import carried_bulletin, carried_envelope, envelope, place
from schemas.envelope import Header
from schemas.receipts import Place

_PAIRS: Final[BindParameter[Any]] = bindparam("pairs", expanding=True)
_IDS: Final = select(envelope.c.sender, envelope.c.id).where(
    tuple_(envelope.c.sender, envelope.c.id).in_(_PAIRS)
)
_CARRIED_IDS: Final = select(carried_envelope.c.sender, carried_envelope.c.id).where(
    tuple_(carried_envelope.c.sender, carried_envelope.c.id).in_(_PAIRS)
)
_BULLETINS: Final = union_all(
    select(envelope.c.sender, envelope.c.bulletin_id).where(
        tuple_(envelope.c.sender, envelope.c.bulletin_id).in_(_PAIRS)
    ),
    select(carried_bulletin.c.sender, carried_bulletin.c.bulletin_id).where(
        tuple_(carried_bulletin.c.sender, carried_bulletin.c.bulletin_id).in_(_PAIRS)
    ),
)
_PLACES: Final = select(place).where(tuple_(place.c.sender, place.c.recipient).in_(_PAIRS))
_NEW_PLACE: Final = upsert(place)
_PLACE: Final = _NEW_PLACE.on_conflict_do_update(
    index_elements=["sender", "recipient"], set_={"last": _NEW_PLACE.excluded.last}
)


_PAIRS_MAX: Final = 8_000
"""Asked for at once: an ordinary SQLite takes 32,766 values in a statement, and 512 envelopes to 500 desks
each would bring half a million."""

_Question = Select[Any] | CompoundSelect[Any]


@dataclass(frozen=True, slots=True)
class Before:
    """Of the submissions of one batch: from before it, and from its works that were applied so far."""

    ids: set[tuple[str, str]]
    """(sender, envelope id), accepted or refused."""
    carried: set[tuple[str, str]]
    """(sender, envelope id) of closed logs."""
    bulletins: set[tuple[str, str]]
    """(sender, bulletin id), likewise."""
    places: dict[tuple[str, str], int]
    """(sender, recipient) → the last number given."""

    @classmethod
    def of(cls, connection: Connection, headers: Sequence[Header]) -> Before:
        """Ask: four questions for a batch, instead of six for each submission."""

        def ask(
            question: Select[Any] | CompoundSelect[Any], pairs: set[tuple[str, str]]
        ) -> Sequence[Row[Any]]:
            left, rows = sorted(pairs), list[Row[Any]]()
            for start in range(0, len(left), _PAIRS_MAX):
                some = {"pairs": left[start : start + _PAIRS_MAX]}
                rows.extend(connection.execute(question, some))
            return rows

        ids = ask(_IDS, {(each.from_, each.id) for each in headers})
        carried = ask(_CARRIED_IDS, {(each.from_, each.id) for each in headers})
        bulletins = ask(_BULLETINS, {(each.from_, each.bulletin.id) for each in headers})
        places = ask(_PLACES, {(each.from_, desk) for each in headers for desk in each.desks})
        return cls(
            {(row.sender, row.id) for row in ids},
            {(row.sender, row.id) for row in carried},
            {(row.sender, row.bulletin_id) for row in bulletins},
            {(row.sender, row.recipient): row.last for row in places},
        )

    def has_id(self, header: Header) -> bool:
        """Whether an envelope of this sender and id is there, accepted or refused."""
        return (header.from_, header.id) in self.ids

    def is_carried(self, header: Header) -> bool:
        """Whether an envelope of this sender and id was accepted in a log that is closed."""
        return (header.from_, header.id) in self.carried

    def concerns(self, header: Header) -> bool:
        """Whether this envelope could contradict another: it follows one, or its bulletin id is there."""
        follows = header.withdraws is not None or header.supersedes is not None
        return follows or (header.from_, header.bulletin.id) in self.bulletins

    def add(self, header: Header) -> None:
        """Note what a work of this batch accepted or refused."""
        self.ids.add((header.from_, header.id))
        self.bulletins.add((header.from_, header.bulletin.id))

    def next_place(self, batch: Batch, sender: str, recipient: str, salt: bytes) -> Place:
        """Give the next number between two desks, counted from 1 within this origin."""
        n = self.places.get((sender, recipient), 0) + 1
        self.places[sender, recipient] = n
        batch.insert(_PLACE, {"sender": sender, "recipient": recipient, "last": n})
        return Place(desk=recipient, n=n, place_salt=salt)
