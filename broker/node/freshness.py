"""Freshness: how long ago something last vouched that the directory which this node follows is the newest.

May import `keys`, `schemas`, the node's tables and its alarms; `sync` notes it at each look at the logs, the
outbox, alarms and views ask. It is kept on the disk: a node that was off knows how old its directory is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from broker.checks import CLOCK_OFF
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm
from broker.node.clock import from_seconds, to_seconds
from keys.directory import Directory
from keys.timestamps import TimestampCheck, TimestampFault

STALE_AFTER: Final = timedelta(hours=1)
"""A directory that nothing vouched for in this time is an alarm (the protocol's Freshness)."""

TIMESTAMP_SUBJECT: Final = "timestamp"
"""What alarms of the hub's timestamp are about."""


class Source(StrEnum):
    """What vouches for the directory. It is as old as the oldest of them says."""

    TIMESTAMP = "timestamp"
    """Both logs followed to their heads, and a good timestamp of the hub for what they say."""
    DIRECTORY_QUORUM = "directory-quorum"
    """A quorum of witnesses cosigned the directory log; where the council names witnesses."""
    EXCHANGE_QUORUM = "exchange-quorum"
    """A quorum of witnesses cosigned the exchange log; likewise."""


SOURCE_OF: Final[Mapping[str, Source]] = {
    "directory": Source.DIRECTORY_QUORUM,
    "exchange": Source.EXCHANGE_QUORUM,
}
"""What a quorum on a log is as a source."""


class Standing(StrEnum):
    """What the age of the directory means for what leaves."""

    FRESH = "fresh"
    STALE = "stale"
    """Over an hour old: everything leaves, and people are told."""
    OVER_GRACE = "over-grace"
    """Older than the council allows, or the council has expired: what is not urgent waits."""


_LIES: Final[Mapping[TimestampFault, AlarmKind]] = {
    TimestampFault.SIGNATURE: AlarmKind.TIMESTAMP_SIGNATURE,
    TimestampFault.ROLLED_BACK: AlarmKind.TIMESTAMP_ROLLED_BACK,
    TimestampFault.OTHER_SNAPSHOT: AlarmKind.TIMESTAMP_OTHER_SNAPSHOT,
}
"""What no honest hub shows: events, which a person acknowledges. The other faults last while they last."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the directory in force is, at one moment.

    Args:
        verified: when it was last found fresh; None: never, or not by any clock that is right now.
        age: since then.
        standing: what that means.
        council_expires: when what the governors signed lapses, and
        council_expired: whether it has.
    """

    verified: datetime | None
    age: timedelta | None
    standing: Standing
    council_expires: datetime
    council_expired: bool

    @property
    def over_grace(self) -> bool:
        """Whether only what is urgent may leave, and only after a person's confirmation."""
        return self.standing is Standing.OVER_GRACE


def verified_at(connection: Connection, directory: Directory) -> datetime | None:
    """When every source had vouched last, the oldest of them; None where one never has.

    Args:
        connection: of the caller.
        directory: in force; its council says whether there are witnesses.
    """
    rows = connection.execute(select(tables.freshness.c.source, tables.freshness.c.at))
    known = {row.source: row.at for row in rows}
    is_witnessed = directory.council.witnesses != "none"
    sources = tuple(Source) if is_witnessed else (Source.TIMESTAMP,)
    moments = [known.get(source) for source in sources]
    return from_seconds(min(filter(None, moments))) if all(moments) else None


def freshness_of(connection: Connection, directory: Directory, now: datetime) -> Freshness:
    """Say how fresh the directory in force is.

    Args:
        connection: of the caller.
        directory: in force; its council sets the grace.
        now: UTC, whole seconds.
    """
    verified = verified_at(connection, directory)
    if verified is not None and verified - now > CLOCK_OFF:
        # The clock ran ahead and was set right: for all that is known, it is as old as can be.
        verified = None
    age = None if verified is None else max(timedelta(0), now - verified)
    grace = timedelta(seconds=directory.council.grace_seconds)
    expired = directory.council_expired(now)
    if age is None or age > grace or expired:
        standing = Standing.OVER_GRACE
    else:
        standing = Standing.STALE if age > STALE_AFTER else Standing.FRESH
    return Freshness(verified, age, standing, directory.council_expires, expired)


def note_vouched(connection: Connection, source: Source, at: datetime) -> None:
    """Note that a source vouched for the directory that is followed."""
    new = insert(tables.freshness).values(source=source, at=to_seconds(at))
    connection.execute(
        new.on_conflict_do_update(index_elements=["source"], set_={"at": to_seconds(at)})
    )


def note_timestamp(connection: Connection, check: TimestampCheck) -> None:
    """Note what was found when the hub's timestamp was looked at, after both logs were followed.

    Args:
        connection: a writing transaction.
        check: what the follower found.
    """
    if check.fault is None:
        note_vouched(connection, Source.TIMESTAMP, check.at)
    elif check.fault in _LIES:
        kind = _LIES[check.fault]
        raise_alarm(connection, kind, TIMESTAMP_SUBJECT, check.detail, check.at)
