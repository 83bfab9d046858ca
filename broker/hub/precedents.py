"""What the hub's past says against an envelope: contradictions, attachments not stored, too many refusals.

May import SQLAlchemy and the hub's tables; `relay` asks within the transaction, and nothing here writes.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, select, union_all

from broker.hub.ledger import Batch
from broker.hub.tables import (
    attachment,
    attachment_owner,
    carried_bulletin,
    envelope,
    slot,
)
from schemas.envelope import Header
from schemas.errors import Problem
from schemas.limits import REFUSALS_PER_HOUR_MAX

_HOUR_SECONDS: Final = 3600


def contradiction(connection: Connection, header: Header) -> Problem | None:
    """What an envelope contradicts among those that its sender had accepted before."""
    other = select(envelope.c.id).where(
        envelope.c.sender == header.from_,
        envelope.c.bulletin_id == header.bulletin.id,
        envelope.c.problem.is_(None),
        envelope.c.content != header.bulletin.content,
    )
    earlier = select(carried_bulletin.c.bulletin_id).where(
        carried_bulletin.c.sender == header.from_,
        carried_bulletin.c.bulletin_id == header.bulletin.id,
        carried_bulletin.c.content != header.bulletin.content,
    )
    if connection.execute(union_all(other, earlier)).first() is not None:
        return Problem("bulletin-differs")
    original = header.withdraws or header.supersedes
    if original is None:
        return None
    sent = (
        select(slot.c.desk, envelope.c.withdraws)
        .join(envelope, envelope.c.entry_index == slot.c.entry_index)
        .where(envelope.c.sender == header.from_, envelope.c.bulletin_id == original)
    )
    carried = select(carried_bulletin.c.desk, carried_bulletin.c.withdraws).where(
        carried_bulletin.c.sender == header.from_, carried_bulletin.c.bulletin_id == original
    )
    rows = connection.execute(union_all(sent, carried)).all()
    if not rows:
        return Problem("original-unknown")
    if any(row.withdraws is not None for row in rows):
        return Problem("original-withdrawal")
    desks = {row.desk for row in rows}
    strangers = sorted(set(header.desks) - desks)
    return Problem("original-desks", ", ".join(strangers)) if strangers else None


def check_attachments(connection: Connection, header: Header) -> None:
    """Refuse, for now, what names an attachment that its sender has not stored here whole."""
    # One SHA-256 may be named twice; under two sizes, one of them is wrong.
    wanted = {(each.sha256, each.size) for each in header.attachments}
    if not wanted:
        return
    stored = (
        select(attachment.c.sha256, attachment.c.size)
        .join(attachment_owner, attachment_owner.c.sha256 == attachment.c.sha256)
        .where(
            attachment.c.sha256.in_([name for name, _ in wanted]),
            attachment_owner.c.desk == header.from_,
            attachment_owner.c.stored == 1,
        )
    )
    sizes = {row.sha256: row.size for row in connection.execute(stored)}
    missing = sorted({name for name, size in wanted if sizes.get(name) != size})
    if missing:
        raise Problem("attachments-missing", missing=missing)


def check_refusal_rate(batch: Batch, sender: str) -> None:
    """Refuse to log more refusals of one desk than a person's mistakes make. Raises `refusal-rate`."""
    recent = (
        select(envelope.c.at)
        .where(
            envelope.c.sender == sender,
            envelope.c.problem.is_not(None),
            envelope.c.at > batch.at_unix - _HOUR_SECONDS,
        )
        .order_by(envelope.c.at.desc())
        .limit(REFUSALS_PER_HOUR_MAX)
    )
    times = batch.connection.execute(recent).scalars().all()
    if len(times) == REFUSALS_PER_HOUR_MAX:
        # Once the earliest of these is an hour old, there is room for one.
        seconds = times[-1] + _HOUR_SECONDS - batch.at_unix
        raise Problem(
            "refusal-rate",
            f"{REFUSALS_PER_HOUR_MAX} refusals in an hour are logged; room in {seconds} seconds",
            retry_after=seconds,
        )
