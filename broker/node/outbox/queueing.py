"""Taking a bulletin into the outbox: checked, released where people must, stored with its deliveries.

May import `broker.policy`, `keys` and the node's own rooms; the routes call it. From here nothing is
lost: what `queue` returned is on the disk.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from broker.db import writing
from broker.node import tables
from broker.node.clock import to_seconds
from broker.node.home import Home
from broker.node.outbox.attachments import claim
from broker.node.outbox.checking import (
    SALT_BYTES,
    Checked,
    Order,
    check,
    check_released,
    directory_of,
    needs_people,
)
from broker.node.outbox.deliveries import DeliveryKey, advance, begin, states_of
from broker.node.outbox.originals import withdraw
from broker.node.outbox.releases import draw_up
from broker.node.outbox.state import DeliveryState
from broker.policy.admission import denied
from keys.content import content_hash
from keys.directory import Directory
from keys.history import DirectoryState
from schemas.bulletin import parse_bulletin
from schemas.errors import Problem
from schemas.loader import dump_json
from schemas.scalars import encode_base64


@dataclass(frozen=True, slots=True)
class Queued:
    """A bulletin in the outbox: `new` is false where it stood there already."""

    bulletin_id: str
    deliveries: Mapping[str, DeliveryState]
    new: bool


def queue(home: Home, order: Order, state: DirectoryState, now: datetime) -> Queued:
    """Take a bulletin into the outbox, or refuse it whole; asked again, the answer is the same.

    1. One that is there already, with the same bytes and recipients, is answered as before; it keeps
       its first `expires`.
    2. It is validated (`check`), its attachments are here whole, and the access rules permit every
       recipient.
    3. Where the desk demands a release, the people's release covers it; without one, a draft of it is
       stored, nothing leaves and nothing is withdrawn until enough people have signed (`releases`).
    4. It is stored with its salt and a delivery for each recipient, and what it withdraws is
       withdrawn: all in one transaction, since what a withdrawal finds must not leave meanwhile.

    Args:
        home: the node's home.
        order: what the agency asks for.
        state: the newest verified state of the directory log.
        now: UTC, whole seconds.

    Raises:
        ParseError: as `check`.
        Problem: as `check`; `id-taken` (1), `attachments-missing` with the ids in `missing`, or
            `access-denied` with `desk` and `policies` (2),
            `not-released` or `release-differs` (3).
    """
    bulletin_id = parse_bulletin(order.document).id
    with writing(home.engine) as connection:
        row = _find(connection, order.desk, bulletin_id)
        if row is not None:
            return _again(connection, row, order)
        checked = check(connection, order, state, now)
        claim(connection, home, checked.bulletin)
        for desk, decision in checked.decisions.items():
            if not decision.allowed:
                raise denied(desk, decision)
        draft = _release(order, checked, directory_of(state), now)
        _store(connection, order, checked, draft, now)
        states = states_of(connection, order.desk, [bulletin_id])[bulletin_id]
    return Queued(bulletin_id, states, new=True)


def _asked(order: Order) -> bytes:
    """What makes an order the same one: all but `expires`, since `7d` is another moment at each try."""
    members: dict[str, object] = {
        "to": sorted(set(order.to)),
        "groups": sorted(set(order.groups)),
        "precedence": order.precedence,
    }
    if order.supersedes is not None:
        members["supersedes"] = order.supersedes
    if order.separately:
        members["separately"] = True
    return dump_json(members)


def _find(connection: Connection, desk: str, bulletin_id: str) -> Row[Any] | None:
    table = tables.outgoing_bulletin
    mine = (table.c.desk == desk) & (table.c.bulletin_id == bulletin_id)
    return connection.execute(select(table).where(mine)).one_or_none()


def _again(connection: Connection, row: Row[Any], order: Order) -> Queued:
    if row.document != order.document:
        raise Problem("id-taken", "this desk has another bulletin with this id")
    if row.asked != _asked(order):
        raise Problem(
            "id-taken", "this bulletin was handed in with other recipients, or another precedence"
        )
    states = states_of(connection, row.desk, [row.bulletin_id])[row.bulletin_id]
    return Queued(row.bulletin_id, states, new=False)


def _release(order: Order, checked: Checked, directory: Directory, now: datetime) -> bytes | None:
    """The draft that people have yet to sign; None where nothing waits for them."""
    if not checked.recipients:
        return None
    if needs_people(order, directory, now):
        exchange = directory.council.exchange
        return draw_up(checked.outgoing, checked.recipients, exchange, now)
    check_released(checked.outgoing, checked.recipients, directory, now)
    return None


def _store(
    connection: Connection, order: Order, checked: Checked, draft: bytes | None, now: datetime
) -> None:
    salt = secrets.token_bytes(SALT_BYTES)
    salts = {desk: encode_base64(value) for desk, value in order.release_salts.items()}
    outgoing, original, reply = checked.outgoing, checked.original, checked.bulletin.in_reply_to
    # Together in one envelope, the recipients would learn of each other after all.
    separately = order.separately or (original is not None and original.separately)
    connection.execute(
        insert(tables.outgoing_bulletin).values(
            desk=order.desk,
            bulletin_id=checked.bulletin.id,
            document=order.document,
            content_salt=salt,
            content=content_hash(salt, order.document),
            asked=_asked(order),
            precedence=outgoing.precedence,
            expires=to_seconds(outgoing.expires),
            release=None if order.release is None else dump_json(order.release),
            release_salts=dump_json(salts),
            queued=to_seconds(now),
            withdraws=outgoing.withdraws,
            supersedes=outgoing.supersedes,
            separately=int(separately),
            reply_desk=None if reply is None else reply.desk,
            reply_id=None if reply is None else reply.id,
            draft=draft,
        )
    )
    first = DeliveryState.QUEUED if draft is None else DeliveryState.UNRELEASED
    for recipient in sorted({*checked.recipients, *checked.left_out}):
        key = DeliveryKey(order.desk, checked.bulletin.id, recipient)
        if recipient in checked.left_out:
            begin(connection, key, now, alone=separately)
            advance(connection, key, checked.left_out[recipient])
        else:
            begin(connection, key, now, alone=separately, state=first)
    if outgoing.withdraws is not None and draft is None:
        withdraw(connection, order.desk, outgoing.withdraws, now)
