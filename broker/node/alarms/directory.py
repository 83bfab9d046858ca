"""What is wrong with the directory: it runs out, nothing vouches for it, or something waits because of that.

May import `keys`, `schemas` and the node's own rooms; `conditions` asks it, and keeps the alarms.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from broker.node import tables
from broker.node.alarms.kinds import AlarmKind
from broker.node.clock import from_seconds
from broker.node.freshness import TIMESTAMP_SUBJECT, Freshness, Standing, freshness_of
from broker.node.line import Line
from broker.node.outbox.holding import URGENT, is_waiting
from keys.directory import Directory
from keys.timestamps import TimestampFault
from schemas.scalars import format_time

EXPIRES_WITHIN: Final = timedelta(days=30)
"""How long before the directory or the member file runs out people are told: signing takes meetings."""

AWAITING_MAX: Final = 250
"""Bulletins that wait for a confirmation with an alarm of their own, the oldest."""

_DIRECTORY: Final = "directory"

Causes = dict[AlarmKind, dict[str, str]]


def find_expiries(directory: Directory, member: str, now: datetime) -> Causes:
    """What runs out within 30 days, or has: trust root, council, the own member's file."""
    found: Causes = {
        AlarmKind.COUNCIL_EXPIRED: {},
        AlarmKind.COUNCIL_EXPIRES: {},
        AlarmKind.MEMBER_FILE_EXPIRES: {},
    }
    signed = {"root": directory.root.expires, "targets": directory.council_part.expires}
    for role, expires in signed.items():
        if expires <= now:
            found[AlarmKind.COUNCIL_EXPIRED][role] = f"expired {format_time(expires)}"
        elif expires - now <= EXPIRES_WITHIN:
            found[AlarmKind.COUNCIL_EXPIRES][role] = f"expires {format_time(expires)}"
    part = directory.member_parts.get(member)
    if part is not None and part.expires - now <= EXPIRES_WITHIN:
        verb = "expired" if part.expires <= now else "expires"
        found[AlarmKind.MEMBER_FILE_EXPIRES][member] = f"{verb} {format_time(part.expires)}"
    return found


def find_staleness(
    connection: Connection, line: Line, directory: Directory, now: datetime
) -> Causes:
    """What follows from nobody vouching for the directory.

    Of its age nothing is said before the hub was called in this process: a node that was off for a night
    has yet to ask. Of the timestamp nothing is said before it was looked at.
    """
    found = {AlarmKind.AWAITING_CONFIRMATION: _awaiting(connection)}
    check = line.follower.timestamp
    if check is not None:
        for fault, kind in _LASTING.items():
            found[kind] = {TIMESTAMP_SUBJECT: check.detail} if check.fault is fault else {}
    if line.reach.was_called:
        freshness = freshness_of(connection, directory, now)
        found |= {kind: {} for kind in _BY_AGE.values()}
        if freshness.standing in _BY_AGE and not freshness.council_expired:
            # An expired council has an alarm of its own, whatever the age.
            found[_BY_AGE[freshness.standing]] = {_DIRECTORY: describe_age(freshness)}
    return found


_LASTING: Final = {
    TimestampFault.MISSING: AlarmKind.TIMESTAMP_MISSING,
    TimestampFault.EXPIRED: AlarmKind.TIMESTAMP_EXPIRED,
}

_BY_AGE: Final = {
    Standing.STALE: AlarmKind.DIRECTORY_STALE,
    Standing.OVER_GRACE: AlarmKind.DIRECTORY_OVER_GRACE,
}


def describe_age(freshness: Freshness) -> str:
    """Say when the directory was last verified."""
    if freshness.verified is None:
        return "never verified as the newest"
    return f"last verified {format_time(freshness.verified)}"


def _awaiting(connection: Connection) -> dict[str, str]:
    """Own urgent bulletins that a person has to confirm, the oldest: `{desk} {bulletin id}`."""
    table = tables.outgoing_bulletin
    query = (
        select(table.c.desk, table.c.bulletin_id, table.c.precedence, table.c.held)
        .where(table.c.precedence.in_(URGENT), is_waiting())
        .order_by(table.c.number)
        .limit(AWAITING_MAX)
    )
    return {
        f"{row.desk} {row.bulletin_id}": (
            f"precedence {row.precedence}; waits since {format_time(from_seconds(row.held))}"
        )
        for row in connection.execute(query)
    }
