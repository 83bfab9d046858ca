"""Addressing: what sealing needs to know of a bulletin, its recipients and their keys, at one moment.

May import `broker.policy`, `keys` and the node's own rooms; `outbox` seals with it, `reseal` again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, update

from broker.db import writing
from broker.node import tables
from broker.node.clock import from_seconds, to_seconds
from broker.node.freshness import verified_at
from broker.node.home import Home
from broker.node.outbox.checking import LIFE, check_released
from broker.node.outbox.deliveries import DeliveryKey, Step, advance_if_allowed
from broker.node.outbox.drafts import draft_header, outgoing_of
from broker.node.outbox.state import DeliveryState
from broker.policy.admission import permit
from broker.policy.context import context_of
from keys.directory import Directory
from keys.dsse import pae_sha256
from keys.envelope import Outgoing
from keys.history import DirectoryState
from keys.sealing import SealingPublicKey, check_sealing_key
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import Envelope
from schemas.errors import Problem, VerificationError
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, load_json, parse
from schemas.release import Release
from schemas.scalars import decode_base64
from schemas.statements import Statement

_LIST_BYTES_MAX: Final = 1024 * 1024

Slots = Mapping[str, tuple[str, SealingPublicKey]]
"""By desk, the keyid and the key to seal to."""


def load_outgoing(row: Row[Any]) -> Outgoing:
    """Read a queued bulletin back, with all that its sender chose."""
    release = None
    if row.release is not None:
        release = parse(Statement, row.release, 2 * STATEMENT_BYTES_MAX)
    salts = load_json(row.release_salts, _LIST_BYTES_MAX)
    return outgoing_of(
        row.document,
        Precedence(row.precedence),
        from_seconds(row.expires),
        row.content_salt,
        release,
        {desk: decode_base64(salt) for desk, salt in salts.items()},
        row.supersedes,
    )


def release_of(outgoing: Outgoing) -> Release | None:
    """What people signed for a bulletin, where they did."""
    if outgoing.release is None:
        return None
    return parse(Release, outgoing.release.payload, STATEMENT_BYTES_MAX)


def created_at(outgoing: Outgoing, now: datetime) -> datetime:
    """When an envelope of a bulletin is created: now, or a moment later, at the earliest that others take.

    A pass over the queue has one time, and a bulletin may be handed in or released while it runs. Created
    before that, its envelope would live longer than it may, or be older than its release.
    """
    release = release_of(outgoing)
    earliest = outgoing.expires - LIFE
    return max(now, earliest) if release is None else max(now, earliest, release.released)


def still_allowed(
    home: Home,
    outgoing: Outgoing,
    recipients: Sequence[str],
    directory: Directory,
    now: datetime,
) -> tuple[str, ...]:
    """Ask the rules and the release again, since both may have changed while a desk waited.

    Who is refused is noted. Where a releaser was revoked meanwhile, or the desk began to demand a release,
    nothing leaves: every recipient would reject it.
    """
    known = tuple(desk for desk in recipients if directory.desk(desk, now) is not None)
    refused = {
        desk: Step(DeliveryState.REFUSED, now, "unknown-recipient")
        for desk in recipients
        if desk not in known
    }
    header = draft_header(outgoing, home.exchange, recipients, now)
    decisions = permit(directory, outgoing.sender, known, context_of(header, now))
    for desk, decision in decisions.items():
        if not decision.allowed:
            refused[desk] = Step(DeliveryState.REFUSED, now, "access-denied", decision.policies)
    rest = tuple(desk for desk in known if desk not in refused)
    lacking = _lacks_release(outgoing, rest, directory, created_at(outgoing, now))
    if lacking is not None:
        refused |= {desk: Step(DeliveryState.REFUSED, now, lacking) for desk in rest}
    with writing(home.engine) as connection:
        for desk, step in refused.items():
            # It may have been withdrawn meanwhile.
            advance_if_allowed(connection, delivery_key(outgoing, desk), step)
    return tuple(desk for desk in known if desk not in refused)


def _lacks_release(
    outgoing: Outgoing, recipients: tuple[str, ...], directory: Directory, now: datetime
) -> str | None:
    """The problem's word, where the release does not cover what is to leave."""
    sender = directory.desk(outgoing.sender, now)
    if not recipients or sender is None or sender.node is None:
        # While none of the desk's keys counts, nothing of it gets past the hub either.
        return None
    try:
        check_released(outgoing, recipients, directory, now)
    except Problem as problem:
        return problem.word
    return None


def slots_for(desks: Iterable[str], state: DirectoryState, now: datetime) -> Slots:
    """The highest usable key of each desk; who is not in the answer has to wait."""
    slots = {}
    for desk in desks:
        record = state.sealing_key(desk, now)
        if record is None:
            continue
        try:
            check_sealing_key(record.public_key)
            slots[desk] = (record.keyid, SealingPublicKey.from_bytes(record.public_key))
        except VerificationError:
            # A key to which sealing fails counts as none: its desk waits, the others do not.
            continue
    return slots


def keep_header(
    connection: Connection,
    envelope_id: str,
    envelope: Envelope,
    directory: Directory,
    now: datetime,
) -> None:
    """Keep a header before it can be sent: a receipt may name it, whatever is sealed later.

    With it is kept how old the directory was by which it was sealed.
    """
    statement = Statement(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signatures=envelope.signatures,
    )
    verified = verified_at(connection, directory)
    connection.execute(
        insert(tables.sent_header).values(
            pae=pae_sha256(statement),
            envelope_id=envelope_id,
            statement=dump_json(statement),
            sealed_at=to_seconds(now),
            directory_verified=None if verified is None else to_seconds(verified),
        )
    )


def delivery_key(outgoing: Outgoing, recipient: str) -> DeliveryKey:
    """The delivery of a bulletin to one recipient."""
    return DeliveryKey(outgoing.sender, outgoing.bulletin_id, recipient)


def update_envelope(connection: Connection, envelope_id: str, **values: object) -> None:
    """Change columns of an own envelope."""
    table = tables.outgoing_envelope
    connection.execute(update(table).where(table.c.envelope_id == envelope_id).values(values))
