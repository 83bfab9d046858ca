"""Rounds: every half minute the conditions are looked at, alarms kept, and people told.

May import SQLAlchemy's errors and the node's own rooms; `sync` runs it as one of its tasks. Nothing here
blocks the loop: queries, commands and mail run on threads, each with its limit of time.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Sequence
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from broker.db import reading, writing
from broker.node.alarms.book import Alarm, clear_alarms, keep_alarms, retire_alarms
from broker.node.alarms.conditions import DATABASE_SUBJECT, Failing, find_conditions
from broker.node.alarms.deadlines import answered_late
from broker.node.alarms.kinds import AlarmKind
from broker.node.alarms.notices import Notifier
from broker.node.clock import Clock
from broker.node.home import Home
from broker.node.line import Line

_LOG: Final = logging.getLogger("barid.node")

_BUGS: Final = (IntegrityError, DataError, ProgrammingError)
"""Errors that the database reports though nothing is wrong with it."""


class Rounds:
    """Watches over a node.

    Args:
        home: the node's home.
        line: to the hub.
        clock: the node's own.
    """

    def __init__(self, home: Home, line: Line, clock: Clock) -> None:
        self._home = home
        self._line = line
        self._clock = clock
        self._failing = Failing()
        self._wake = asyncio.Event()
        self.notifier = Notifier(home.settings, home.engine, self._failing, time.monotonic)

    @property
    def wake(self) -> asyncio.Event:
        """Set where something urgent may have come: the next round begins at once."""
        return self._wake

    async def go(self) -> None:
        """One round: what is wrong now, and who has to be told."""
        unrecorded = await asyncio.to_thread(self._look)
        await self.notifier.send_due(unrecorded, self._clock())

    def note_failure(self, error: Exception) -> bool:
        """Remember a failure of the database or its disk: it cannot be asked to remember by itself.

        Returns:
            Whether it was one.
        """
        if isinstance(error, DBAPIError) and not isinstance(error, _BUGS):
            if "is locked" in str(error.orig):
                # Another writer was slow; whatever waited for it tries again.
                return False
            full = "is full" in str(error.orig)
        elif isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            full = True
        else:
            return False
        kind = AlarmKind.DISK if full else AlarmKind.DATABASE
        self._failing.database = (kind, type(error).__name__, self._clock())
        return True

    def _look(self) -> Sequence[Alarm]:
        """Keep the alarms. Returns those that the database did not take."""
        now = self._clock()
        try:
            with reading(self._home.engine) as connection:
                found = find_conditions(connection, self._home, self._line, self._failing, now)
            with writing(self._home.engine) as connection:
                for kind, causes in found.causes.items():
                    unknown = found.unknown.get(kind, frozenset())
                    keep_alarms(connection, kind, causes, now, unknown=unknown)
                late = answered_late(connection)
                clear_alarms(connection, AlarmKind.EXPIRED_UNANSWERED, late, now)
                retire_alarms(connection, now)
        except SQLAlchemyError as error:
            if not self.note_failure(error):
                raise
            _LOG.error("the database takes no alarm: %s", type(error).__name__)
            return self._unrecorded()
        return ()

    def _unrecorded(self) -> Sequence[Alarm]:
        if self._failing.database is None:
            return ()
        kind, text, at = self._failing.database
        return (Alarm(kind, DATABASE_SUBJECT, text, at, at, 1),)
