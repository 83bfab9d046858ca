"""Conditions: what is wrong with this node, its line, its keys and its directory at this moment.

May import `keys`, `schemas` and the node's own rooms; `rounds` asks every half minute, and keeps the
alarms. Nothing is written here.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from broker.checks import CLOCK_OFF, DISK_FREE_BYTES_MIN
from broker.node import tables
from broker.node.alarms.deadlines import overdue
from broker.node.alarms.directory import find_expiries, find_staleness
from broker.node.alarms.kinds import AlarmKind
from broker.node.alarms.unwitnessed import find_unwitnessed
from broker.node.clock import from_seconds
from broker.node.home import Home, sealing_key_name
from broker.node.line import Line
from broker.node.outbox.state import DeliveryState
from broker.node.sealing_keys import KeyState
from broker.settings import Notices
from keys.history import DirectoryState
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import BaridError
from schemas.limits import SEALING_KEY_RENEWAL_SECONDS
from schemas.scalars import format_time

UNREACHABLE_AFTER: Final = timedelta(minutes=3)
"""A hub that is restarted, or a line that is cut for a moment, wakes nobody."""

NEW_IDENTITY_GRACE: Final = timedelta(minutes=10)
"""A desk that got new keys announces a sealing key within a minute; only a longer wait needs a person."""

KEY_GRACE: Final = timedelta(days=5)
"""A sealing key is renewed at 30 days; one that is older by this is not renewed at all."""

KEY_GONE_AFTER: Final = timedelta(days=2)
"""A recipient whose key ran out so long ago is off, not late."""

URGENT_MAX: Final = 500
"""Urgent bulletins that nobody opened with an alarm of their own; flash first."""


@dataclass(slots=True)
class Failing:
    """What failed in this process lately, and cannot be asked again: the database, the ways of notices.

    Args:
        database: kind and text of the last failure of the database, and when it was.
        channels: by each way of notices that was tried, why the last one failed, or None.
    """

    database: tuple[AlarmKind, str, datetime] | None = None
    channels: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """The alarms that there should be now: by kind, each subject with its text.

    `unknown` are, by kind, the subjects of which nothing is known yet; a kind that is not here at all is
    left as it is.
    """

    causes: dict[AlarmKind, dict[str, str]]
    unknown: dict[AlarmKind, frozenset[str]]


DATABASE_FAILS: Final = timedelta(minutes=2)
"""A failure of the database is taken to last so long: whatever failed tries again within that."""

DATABASE_SUBJECT: Final = "node.db"
"""What an alarm of a failing database is about, recorded or not."""

_CHANNELS: Final = frozenset({"command", "smtp"})
_HUB: Final = "hub"
_CLOCK: Final = "clock"
_DISK: Final = "data directory"


def find_conditions(
    connection: Connection, home: Home, line: Line, failing: Failing, now: datetime
) -> Found:
    """Look at everything that may be wrong for a while.

    Args:
        connection: of the caller; a few indexed queries.
        home: the node's home.
        line: to the hub.
        failing: what this process remembers.
        now: UTC, whole seconds.
    """
    causes = {
        AlarmKind.URGENT_BULLETIN: _urgent_bulletins(connection, home),
        **_unreleased(connection, home),
        AlarmKind.KEYSTORE: _keystore(connection, home),
        AlarmKind.NOTICE_FAILED: {
            channel: why for channel, why in failing.channels.items() if why is not None
        },
        **_storage(home, failing, now),
        **_hub(line, now),
    }
    state = line.state
    if state.directory is not None:
        causes |= overdue(connection, state.directory, now)
        causes |= find_expiries(state.directory, home.settings.member, now)
        causes |= find_staleness(connection, line, state.directory, now)
        causes |= find_unwitnessed(connection, line, state.directory, now)
        causes |= _sealing_keys(state, home, now)
    notices = home.settings.notices or Notices()
    return Found(causes, {AlarmKind.NOTICE_FAILED: notices.channels - failing.channels.keys()})


def _urgent_bulletins(connection: Connection, home: Home) -> dict[str, str]:
    """Flash and immediate bulletins that nobody opened: `{desk} {sender} {bulletin id}`."""
    table = tables.incoming_bulletin
    query = (
        select(table.c.desk, table.c.sender, table.c.bulletin_id, table.c.rank, table.c.received)
        .where(
            table.c.desk.in_(list(home.desks)),
            table.c.quarantined == 0,
            table.c.rank <= Precedence.IMMEDIATE.rank,
            table.c.read.is_(None),
            table.c.withdrawn.is_(None),
        )
        .order_by(table.c.rank, table.c.number)
        .limit(URGENT_MAX)
    )
    return {
        f"{row.desk} {row.sender} {row.bulletin_id}": (
            f"precedence {list(Precedence)[row.rank]};"
            f" received {format_time(from_seconds(row.received))}"
        )
        for row in connection.execute(query)
    }


def _unreleased(connection: Connection, home: Home) -> dict[AlarmKind, dict[str, str]]:
    """Own bulletins that people have yet to release, the oldest: `{desk} {bulletin id}`."""
    table, delivery = tables.outgoing_bulletin, tables.delivery
    same = (delivery.c.desk == table.c.desk) & (delivery.c.bulletin_id == table.c.bulletin_id)
    query = (
        select(table.c.desk, table.c.bulletin_id, table.c.precedence, table.c.queued)
        .select_from(delivery.join(table, same))
        .where(
            delivery.c.state == DeliveryState.UNRELEASED,
            delivery.c.desk.in_(list(home.desks)),
        )
        .distinct()
        .order_by(table.c.queued)
        .limit(URGENT_MAX)
    )
    found: dict[AlarmKind, dict[str, str]] = {
        AlarmKind.AWAITING_RELEASE_URGENT: {},
        AlarmKind.AWAITING_RELEASE: {},
    }
    for row in connection.execute(query):
        urgent = Precedence(row.precedence).rank <= Precedence.IMMEDIATE.rank
        kind = AlarmKind.AWAITING_RELEASE_URGENT if urgent else AlarmKind.AWAITING_RELEASE
        found[kind][f"{row.desk} {row.bulletin_id}"] = (
            f"precedence {row.precedence}; handed in {format_time(from_seconds(row.queued))}"
        )
    return found


def _keystore(connection: Connection, home: Home) -> dict[str, str]:
    """Own desks of whose sealing keys one cannot be read: what comes for it cannot be opened."""
    table = tables.sealing_key
    rows = connection.execute(
        select(table.c.desk, table.c.epoch)
        .where(table.c.state.in_([KeyState.LOGGED, KeyState.MADE]))
        .order_by(table.c.epoch)
    )
    found = {}
    for row in rows:
        try:
            home.keystore.get(sealing_key_name(row.desk, row.epoch))
        except (BaridError, OSError):
            found[row.desk] = f"the secret of the sealing key of epoch {row.epoch} cannot be read"
    return found


def _storage(home: Home, failing: Failing, now: datetime) -> dict[AlarmKind, dict[str, str]]:
    found: dict[AlarmKind, dict[str, str]] = {AlarmKind.DISK: {}, AlarmKind.DATABASE: {}}
    try:
        free_bytes = shutil.disk_usage(home.data).free
    except OSError as error:
        found[AlarmKind.DATABASE][_DISK] = f"it cannot be looked at: {type(error).__name__}"
    else:
        if free_bytes < DISK_FREE_BYTES_MIN:
            found[AlarmKind.DISK][_DISK] = f"under {DISK_FREE_BYTES_MIN // 1024**2} MiB are free"
    if failing.database is not None:
        kind, text, at = failing.database
        if now - at <= DATABASE_FAILS:
            found[kind][DATABASE_SUBJECT] = text
    return found


def _hub(line: Line, now: datetime) -> dict[AlarmKind, dict[str, str]]:
    """The line and the clock; nothing is said of either before the hub was called in this process."""
    found: dict[AlarmKind, dict[str, str]] = {}
    silent = line.reach.silent_since
    if silent is not None and now - silent >= UNREACHABLE_AFTER:
        found[AlarmKind.UNREACHABLE] = {_HUB: f"no answer since {format_time(silent)}"}
    elif silent is None and line.reach.last is not None:
        found[AlarmKind.UNREACHABLE] = {}
    if abs(line.time.offset_seconds) > CLOCK_OFF.total_seconds():
        where = "ahead of" if line.time.offset_seconds < 0 else "behind"
        minutes = abs(line.time.offset_seconds) // 60
        found[AlarmKind.CLOCK] = {_CLOCK: f"{minutes} minutes {where} the hub's"}
    elif line.reach.last is not None:
        found[AlarmKind.CLOCK] = {}
    return found


def _just_renamed(state: DirectoryState, desk: str, now: datetime) -> bool:
    """Whether a desk has just got another node identity, which is about to announce its first key."""
    view = None if state.directory is None else state.directory.desk(desk, now)
    newest = state.sealing_keys(desk)[-1]
    since = state.in_force_since
    return (
        view is not None
        and view.node_keyid not in (None, newest.signer)
        and since is not None
        and now - since < NEW_IDENTITY_GRACE
    )


def _sealing_keys(
    state: DirectoryState, home: Home, now: datetime
) -> dict[AlarmKind, dict[str, str]]:
    """Own keys that are not renewed; others' that ran out. A desk that never had one has yet to start."""
    own, others = {}, {}
    old_after = timedelta(seconds=SEALING_KEY_RENEWAL_SECONDS) + KEY_GRACE
    directory = state.directory
    desks = () if directory is None else directory.desks()
    for desk in desks:
        logged = state.sealing_keys(desk)
        if not logged:
            continue
        usable = state.sealing_key(desk, now)
        if desk in home.desks:
            if usable is None and not _just_renamed(state, desk, now):
                own[desk] = "no sealing key is usable"
            elif usable is not None and now - usable.not_before > old_after:
                own[desk] = (
                    f"made {format_time(usable.not_before)}; ends {format_time(usable.not_after)}"
                )
        elif usable is None and now - logged[-1].not_after > KEY_GONE_AFTER:
            others[desk] = f"ended {format_time(logged[-1].not_after)}"
    return {AlarmKind.SEALING_KEY_STALE: own, AlarmKind.RECIPIENT_KEY_EXPIRED: others}
