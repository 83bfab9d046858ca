"""The outbox states and the delivery states, and every transition that is allowed between them.

May import `schemas.errors`; `outbox` and `deliveries` move nothing except by this table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from schemas.errors import BaridError


class OutboxState(StrEnum):
    """Where one sealed envelope stands; before it is sealed, its deliveries are `queued`."""

    SEALED = "sealed"
    """Its bytes are on the disk, and go to the hub until the hub answers for good."""
    ACCEPTED = "accepted"
    """The hub's receipt is verified and kept; recipients have yet to answer."""
    ANSWERED = "answered"
    """Every recipient answered: the sealed bytes are gone, the headers stay."""
    REFUSED = "refused"
    """The hub refused it for good, with proof; nothing is sent again by itself."""
    ABANDONED = "abandoned"
    """Its recipients changed before it was accepted: they get others, with other ids."""
    EXPIRED = "expired"
    """Not accepted before `expires`, or not answered until 30 days after; the bytes are gone."""


class DeliveryState(StrEnum):
    """Where a bulletin stands on its way to one recipient."""

    UNRELEASED = "unreleased"
    """The desk's people have yet to release it."""
    QUEUED = "queued"
    """In the outbox; the next pass seals and sends it."""
    WAITING = "waiting"
    """The recipient has no usable sealing key yet."""
    ACCEPTED = "accepted"
    """In the hub's log, proved by the receipt."""
    WITNESSED = "witnessed"
    """The log was cosigned by a quorum (not reached while an exchange has no witnesses)."""
    DELIVERED = "delivered"
    """The recipient's node opened, verified and stored it."""
    READ = "read"
    """A person there opened it."""
    WITHDRAWN = "withdrawn"
    """The recipient confirmed the withdrawal; or, with the reason `unsent`, nothing had left yet."""
    EXPIRED = "expired"
    """`expires` passed without an answer."""
    REFUSED = "refused"
    """The hub refused it for good; the reason is the problem's word."""
    REJECTED = "rejected"
    """The recipient's node refused it; the reason is the problem's word."""


OUTBOX_TRANSITIONS: Final[dict[OutboxState, frozenset[OutboxState]]] = {
    # Sealed again (another header, the same id and body) before it was accepted.
    OutboxState.SEALED: frozenset(
        {
            OutboxState.SEALED,
            OutboxState.ACCEPTED,
            OutboxState.REFUSED,
            OutboxState.ABANDONED,
            OutboxState.EXPIRED,
        }
    ),
    # Its log was closed before all had answered: they get others, with other ids.
    OutboxState.ACCEPTED: frozenset(
        {OutboxState.ANSWERED, OutboxState.EXPIRED, OutboxState.ABANDONED}
    ),
    # A later answer: read after delivered.
    OutboxState.ANSWERED: frozenset({OutboxState.ANSWERED}),
    OutboxState.REFUSED: frozenset(),
    OutboxState.ABANDONED: frozenset(),
    # The receipt or the last answer may be learned late.
    OutboxState.EXPIRED: frozenset({OutboxState.ACCEPTED, OutboxState.ANSWERED}),
}

_ANSWERS: Final = frozenset(
    {
        DeliveryState.DELIVERED,
        DeliveryState.READ,
        DeliveryState.WITHDRAWN,
        DeliveryState.REJECTED,
    }
)

DELIVERY_TRANSITIONS: Final[dict[DeliveryState, frozenset[DeliveryState]]] = {
    DeliveryState.UNRELEASED: frozenset(
        {DeliveryState.QUEUED, DeliveryState.EXPIRED, DeliveryState.WITHDRAWN}
    ),
    DeliveryState.QUEUED: frozenset(
        {
            DeliveryState.WAITING,
            DeliveryState.ACCEPTED,
            DeliveryState.REFUSED,
            DeliveryState.EXPIRED,
            DeliveryState.WITHDRAWN,
        }
    ),
    DeliveryState.WAITING: frozenset(
        {
            DeliveryState.QUEUED,
            DeliveryState.ACCEPTED,
            DeliveryState.REFUSED,
            DeliveryState.EXPIRED,
            DeliveryState.WITHDRAWN,
        }
    ),
    DeliveryState.ACCEPTED: _ANSWERS | {DeliveryState.WITNESSED, DeliveryState.EXPIRED},
    DeliveryState.WITNESSED: _ANSWERS | {DeliveryState.EXPIRED},
    DeliveryState.DELIVERED: frozenset({DeliveryState.READ, DeliveryState.WITHDRAWN}),
    DeliveryState.READ: frozenset({DeliveryState.WITHDRAWN}),
    DeliveryState.WITHDRAWN: frozenset(),
    # A receipt or an answer that was logged in time may be learned late.
    DeliveryState.EXPIRED: _ANSWERS | {DeliveryState.ACCEPTED},
    DeliveryState.REFUSED: frozenset(),
    # `cannot_open` is nobody's fault: the bulletin is sealed again for that desk, once by itself.
    DeliveryState.REJECTED: frozenset({DeliveryState.QUEUED}),
}

ANSWERED: Final = _ANSWERS
"""Delivery states in which the recipient has spoken."""

OPEN: Final = frozenset({DeliveryState.QUEUED, DeliveryState.WAITING})
"""Delivery states in which an envelope has still to be sealed or accepted."""

RESENT_BY_PEOPLE: Final = frozenset(
    {
        DeliveryState.DELIVERED,
        DeliveryState.READ,
        DeliveryState.EXPIRED,
        DeliveryState.REFUSED,
        DeliveryState.REJECTED,
    }
)
"""Delivery states from which a person may queue a bulletin again, and no machine does by itself."""


class TransitionForbidden(BaridError):
    """A step that the tables of this module do not name."""


def move_outbox(now: OutboxState, then: OutboxState) -> OutboxState:
    """Return the next state. Raises TransitionForbidden when the table does not name the step."""
    if then not in OUTBOX_TRANSITIONS[now]:
        raise TransitionForbidden(f"an envelope does not go from {now} to {then}")
    return then


def move_delivery(now: DeliveryState, then: DeliveryState) -> DeliveryState:
    """Return the next state. Raises TransitionForbidden when the table does not name the step."""
    if then not in DELIVERY_TRANSITIONS[now]:
        raise TransitionForbidden(f"a delivery does not go from {now} to {then}")
    return then


def move_to_new_log(now: DeliveryState) -> DeliveryState:
    """Return `queued`, since the log was closed. Raises TransitionForbidden where nothing is owed."""
    if now not in {DeliveryState.ACCEPTED, DeliveryState.WITNESSED}:
        raise TransitionForbidden(f"a delivery that is {now} is not sent again in a new log")
    return DeliveryState.QUEUED


def resend_delivery(now: DeliveryState) -> DeliveryState:
    """Return `queued`, since a person said so. Raises TransitionForbidden where nobody may."""
    if now not in RESENT_BY_PEOPLE:
        raise TransitionForbidden(f"a delivery that is {now} is not sent again")
    return DeliveryState.QUEUED
