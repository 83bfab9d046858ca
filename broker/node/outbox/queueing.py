"""Taking a bulletin into the outbox: validated, its recipients resolved, the access rules asked.

May import `broker.policy`, `keys` and the node's own rooms; the routes call it. From here nothing is
lost: what `queue` returned is on the disk.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select

from broker.db import reading, writing
from broker.node import tables
from broker.node.clock import to_seconds
from broker.node.home import Home
from broker.node.outbox.deliveries import DeliveryKey, begin, states_of
from broker.node.outbox.drafts import draft_header, outgoing_of
from broker.node.outbox.state import DeliveryState
from broker.policy.admission import denied, permit
from broker.policy.context import context_of
from broker.policy.rules import Decision
from keys.content import content_hash
from keys.directory import Directory
from keys.history import DirectoryState
from keys.release import verify_release
from schemas.bulletin import Bulletin, parse_bulletin
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import Header
from schemas.errors import Problem
from schemas.limits import ENVELOPE_LIFE_SECONDS_MAX, RECIPIENTS_MAX
from schemas.loader import dump_json
from schemas.scalars import encode_base64
from schemas.statements import Statement

LIFE: Final = timedelta(seconds=ENVELOPE_LIFE_SECONDS_MAX)
"""A bulletin without `expires` lives as long as an envelope may: its recipient may be off for weeks."""

SALT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Order:
    """What an agency asks for: a bulletin's exact bytes, and where it shall go.

    Args:
        desk: the own desk that sends.
        document: the bulletin, JSON.
        to: desks.
        groups: of the council; each stands for the main desks of its members.
        precedence: of the delivery.
        expires: UTC, whole seconds; None for 30 days from now.
        release: the people's statement, where the desk demands one.
        release_salts: by desk, 32 bytes each.
    """

    desk: str
    document: bytes = field(repr=False)
    to: tuple[str, ...]
    groups: tuple[str, ...] = ()
    precedence: Precedence = Precedence.ROUTINE
    expires: datetime | None = None
    release: Statement | None = None
    release_salts: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """A bulletin that is well-formed, its recipients, and what the access rules say of each."""

    bulletin: Bulletin
    recipients: tuple[str, ...]
    decisions: Mapping[str, Decision]
    header: Header


@dataclass(frozen=True, slots=True)
class Queued:
    """A bulletin in the outbox: `new` is false where it stood there already."""

    bulletin_id: str
    deliveries: Mapping[str, DeliveryState]
    new: bool


def check(order: Order, state: DirectoryState, now: datetime) -> Checked:
    """Validate a bulletin and ask the access rules; nothing is stored.

    1. The bulletin is well-formed, and its originator is the sending desk.
    2. It has no attachments: this version sends none.
    3. It lives neither too long nor in the past.
    4. Its recipients are desks of the directory in force, the sender not among them, at least one.
    5. The access rules are asked for each.

    Args:
        order: what the agency asks for.
        state: the newest verified state of the directory log.
        now: UTC, whole seconds.

    Raises:
        ParseError: the bulletin breaks its schema (JSON path, rule, value).
        Problem: `schema-violation` (1), `attachments-missing` (2), `bad-parameter` (3, 4),
            `unknown-recipient` (4); `busy` while the node has not read a directory yet.
    """
    bulletin = parse_bulletin(order.document)
    _check_own(bulletin, order.desk)
    expires = order.expires or now + LIFE
    if not now < expires <= now + LIFE:
        raise Problem("bad-parameter", "expires lies ahead, and at most 30 days")
    directory = _directory(state)
    recipients = _resolve(order, directory, now)
    outgoing = outgoing_of(order.document, order.precedence, expires, bytes(SALT_BYTES))
    header = draft_header(outgoing, directory.council.exchange, recipients, now)
    decisions = permit(directory, order.desk, recipients, context_of(header, now))
    return Checked(bulletin, recipients, decisions, header)


def queue(home: Home, order: Order, state: DirectoryState, now: datetime) -> Queued:
    """Take a bulletin into the outbox, or refuse it whole; asked again, the answer is the same.

    1. One that is there already, with the same bytes and recipients, is answered as before.
    2. It is validated (`check`), and the access rules permit every recipient.
    3. Where the desk demands a release, the people's release covers it.
    4. It is stored with its salt and a delivery for each recipient, in one transaction.

    Args:
        home: the node's home.
        order: what the agency asks for.
        state: the newest verified state of the directory log.
        now: UTC, whole seconds.

    Raises:
        ParseError: as `check`.
        Problem: as `check`; `id-taken` (1), `access-denied` with `desk` and `policies` (2),
            `not-released` or `release-differs` (3).
    """
    bulletin_id = parse_bulletin(order.document).id
    with reading(home.engine) as connection:
        row = _find(connection, order.desk, bulletin_id)
        if row is not None:
            return _again(connection, row, order)
    checked = check(order, state, now)
    for desk, decision in checked.decisions.items():
        if not decision.allowed:
            raise denied(desk, decision)
    _check_released(order, checked, _directory(state), now)
    with writing(home.engine) as connection:
        row = _find(connection, order.desk, bulletin_id)
        if row is not None:
            return _again(connection, row, order)
        _store(connection, order, checked, now)
    return Queued(bulletin_id, dict.fromkeys(checked.recipients, DeliveryState.QUEUED), new=True)


def _check_own(bulletin: Bulletin, desk: str) -> None:
    if bulletin.originator.desk != desk:
        rule = f"is the sending desk, {desk}"
        value = bulletin.originator.desk
        errors = [{"path": "$.originator.desk", "rule": rule, "value": value}]
        raise Problem("schema-violation", f"$.originator.desk {rule}", errors=errors)
    if bulletin.attachments:
        raise Problem("attachments-missing", "none was uploaded to this node")


def _directory(state: DirectoryState) -> Directory:
    if state.directory is None:
        raise Problem("busy", "this node has not read the directory yet: is the hub reachable?")
    return state.directory


def _resolve(order: Order, directory: Directory, now: datetime) -> tuple[str, ...]:
    if order.desk in order.to:
        raise Problem("bad-parameter", f"{order.desk} does not send to itself")
    desks = set(order.to)
    for group in order.groups:
        desks |= set(directory.expand_group(group, now)) - {order.desk}
    if not 1 <= len(desks) <= RECIPIENTS_MAX:
        # An empty list never means everyone.
        raise Problem("bad-parameter", f"a bulletin goes to 1 to {RECIPIENTS_MAX} desks")
    for desk in sorted(desks):
        view = directory.desk(desk, now)
        if view is None or view.node is None:
            raise Problem("unknown-recipient", f"{desk} is no desk that can receive", desk=desk)
    return tuple(sorted(desks))


def _check_released(order: Order, checked: Checked, directory: Directory, now: datetime) -> None:
    sender = directory.desk(order.desk, now)
    if sender is None:
        raise Problem("unknown-recipient", f"{order.desk} is not a desk of this directory")
    verify_release(
        order.release,
        checked.header,
        order.document,
        {desk: salt for desk, salt in order.release_salts.items() if desk in checked.recipients},
        sender.release,
        sender.release_threshold,
    )


def _asked(order: Order) -> bytes:
    expires = {} if order.expires is None else {"expires": to_seconds(order.expires)}
    desks, groups = sorted(set(order.to)), sorted(set(order.groups))
    return dump_json({"to": desks, "groups": groups, "precedence": order.precedence, **expires})


def _find(connection: Connection, desk: str, bulletin_id: str) -> Row[Any] | None:
    table = tables.outgoing_bulletin
    mine = (table.c.desk == desk) & (table.c.bulletin_id == bulletin_id)
    return connection.execute(select(table).where(mine)).one_or_none()


def _again(connection: Connection, row: Row[Any], order: Order) -> Queued:
    if row.document != order.document:
        raise Problem("id-taken", "this desk has another bulletin with this id")
    if row.asked != _asked(order):
        raise Problem("id-taken", "this bulletin was handed in with other recipients or times")
    states = states_of(connection, row.desk, [row.bulletin_id])[row.bulletin_id]
    return Queued(row.bulletin_id, states, new=False)


def _store(connection: Connection, order: Order, checked: Checked, now: datetime) -> None:
    salt = secrets.token_bytes(SALT_BYTES)
    salts = {desk: encode_base64(value) for desk, value in order.release_salts.items()}
    connection.execute(
        insert(tables.outgoing_bulletin).values(
            desk=order.desk,
            bulletin_id=checked.bulletin.id,
            document=order.document,
            content_salt=salt,
            content=content_hash(salt, order.document),
            asked=_asked(order),
            precedence=order.precedence,
            expires=to_seconds(checked.header.expires),
            release=None if order.release is None else dump_json(order.release),
            release_salts=dump_json(salts),
            queued=to_seconds(now),
        )
    )
    for recipient in checked.recipients:
        begin(connection, DeliveryKey(order.desk, checked.bulletin.id, recipient), now)
