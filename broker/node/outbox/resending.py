"""Sending a bulletin again to a desk because a person of the sending desk says so.

May import `broker.policy`, `keys` and the node's own rooms; a route calls it. By itself the node seals again
once for a desk that could not open: more than that could hand the past to a thief of that desk's node.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from broker.db import writing
from broker.node import tables
from broker.node.clock import to_seconds
from broker.node.home import Home
from broker.node.outbox.addressing import load_outgoing, release_of
from broker.node.outbox.checking import LIFE, check_released, directory_of
from broker.node.outbox.deliveries import (
    Delivery,
    DeliveryKey,
    deliveries_of,
    queue_again,
    states_of,
)
from broker.node.outbox.drafts import draft_header
from broker.node.outbox.queueing import Queued
from broker.node.outbox.recipients import can_receive
from broker.node.outbox.state import RESENT_BY_PEOPLE, DeliveryState
from broker.policy.admission import denied, permit
from broker.policy.context import context_of
from keys.directory import Directory
from keys.envelope import Outgoing
from keys.history import DirectoryState
from schemas.errors import Problem

_OPENED = frozenset({DeliveryState.DELIVERED, DeliveryState.READ, DeliveryState.WITHDRAWN})


def resend(
    home: Home,
    key: DeliveryKey,
    state: DirectoryState,
    now: datetime,
    *,
    expires: datetime | None = None,
    confirmed: bool = False,
) -> Queued:
    """Queue a bulletin again for one desk; it gets a new envelope of the same bulletin.

    1. The bulletin is not withdrawn, and was handed in for this desk.
    2. Its last envelope for that desk came to an end: expired, refused by the hub, or rejected with
       `cannot_open`. Other rejections blame the bulletin, which would be rejected again.
    3. A desk that ever answered delivered, read or withdrawn could open it: again only if confirmed.
    4. It lives neither too long nor in the past; the release covers it; the access rules permit it.
    5. The delivery is queued, with the step `resent`.

    Args:
        home: the node's home.
        key: own desk, bulletin, recipient.
        state: the newest verified state of the directory log.
        now: UTC, whole seconds.
        expires: UTC, whole seconds; None for the bulletin's own, or 30 days from now where it is past.
        confirmed: a person knows that the desk has, or had, the bulletin.

    Raises:
        Problem: `not-found` or `withdrawn` (1), `bad-parameter` (1 to 4), `unknown-recipient`,
            `not-released`, `release-differs` or `access-denied` (4).
    """
    directory = directory_of(state)
    with writing(home.engine) as connection:
        row = _bulletin(connection, key)
        _check_delivery(_delivery(connection, key), confirmed=confirmed)
        outgoing = load_outgoing(row)
        outgoing = replace(outgoing, expires=_expires(outgoing, expires, now))
        _check_permitted(outgoing, key.recipient, directory, now)
        table = tables.outgoing_bulletin
        mine = (table.c.desk == key.desk) & (table.c.bulletin_id == key.bulletin_id)
        connection.execute(update(table).where(mine).values(expires=to_seconds(outgoing.expires)))
        queue_again(connection, key, now)
        states = states_of(connection, key.desk, [key.bulletin_id])[key.bulletin_id]
    return Queued(key.bulletin_id, states, new=False)


def _bulletin(connection: Connection, key: DeliveryKey) -> Row[Any]:
    table = tables.outgoing_bulletin
    mine = (table.c.desk == key.desk) & (table.c.bulletin_id == key.bulletin_id)
    row = connection.execute(select(table).where(mine)).one_or_none()
    if row is None:
        raise Problem("not-found", "this desk has sent no such bulletin")
    if row.withdrawn is not None:
        raise Problem("withdrawn", f"this desk has withdrawn {key.bulletin_id}")
    return row


def _delivery(connection: Connection, key: DeliveryKey) -> Delivery:
    for delivery in deliveries_of(connection, key.desk, key.bulletin_id):
        if delivery.recipient == key.recipient:
            return delivery
    raise Problem("bad-parameter", f"to: the bulletin was not handed in for {key.recipient}")


def _check_delivery(delivery: Delivery, *, confirmed: bool) -> None:
    last = delivery.steps[-1]
    if delivery.state not in RESENT_BY_PEOPLE:
        raise Problem(
            "bad-parameter",
            f"to: it is {delivery.state} for {delivery.recipient}: it is on its way",
        )
    if delivery.state is DeliveryState.REJECTED and last.reason != "cannot_open":
        raise Problem(
            "bad-parameter",
            f"to: {delivery.recipient} rejected it ({last.reason}) and would again: send a correction",
        )
    if not confirmed and _OPENED & {step.state for step in delivery.steps}:
        raise Problem(
            "bad-parameter",
            f"confirm: {delivery.recipient} opened it before. Somebody who stole its keys may be asking: "
            "call its people first, then confirm",
        )


def _expires(outgoing: Outgoing, asked: datetime | None, now: datetime) -> datetime:
    if outgoing.expires > now:
        if asked is not None and asked < outgoing.expires:
            raise Problem("bad-parameter", "expires: others may still wait for it until it expires")
        expires = asked or outgoing.expires
    else:
        release = release_of(outgoing)
        latest = now + LIFE if release is None else min(now + LIFE, release.expires)
        expires = asked or latest
    if not now < expires <= now + LIFE:
        raise Problem("bad-parameter", "expires lies ahead, and at most 30 days")
    return expires


def _check_permitted(
    outgoing: Outgoing, recipient: str, directory: Directory, now: datetime
) -> None:
    if not can_receive(recipient, directory, now):
        raise Problem(
            "unknown-recipient", f"{recipient} is no desk that can receive", desk=recipient
        )
    check_released(outgoing, (recipient,), directory, now)
    header = draft_header(outgoing, directory.council.exchange, (recipient,), now)
    decision = permit(directory, outgoing.sender, (recipient,), context_of(header, now))[recipient]
    if not decision.allowed:
        raise denied(recipient, decision)
