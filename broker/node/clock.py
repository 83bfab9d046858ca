"""The node's clock: whole seconds in UTC, and how a moment stands in the database.

May import the standard library only; every module of this room takes a `Clock` or a moment from its
caller, so that tests move time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is: UTC, whole seconds."""


def utc_now() -> datetime:
    """The machine's time, in UTC and whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def to_seconds(moment: datetime) -> int:
    """Seconds since 1970."""
    return int(moment.timestamp())


def from_seconds(seconds: int) -> datetime:
    """The moment so many seconds after 1970, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
