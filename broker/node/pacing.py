"""Pacing: how often the node asks, and how long it waits after something failed.

May import the standard library only; `settle`, `sync` and the transfers of attachments wait by it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

_JITTER: Final = random.SystemRandom()

_DOUBLINGS_MAX: Final = 16


def pause_seconds(tries: int, base_seconds: float, cap_seconds: float) -> float:
    """How long to wait after so many failures in a row: exponential, capped, with full jitter.

    Full jitter keeps a hundred nodes, whose hub comes back, from all calling at once.

    Args:
        tries: failures so far, from 0.
        base_seconds: the longest first pause; it doubles with each failure.
        cap_seconds: the longest pause of all.
    """
    longest = min(cap_seconds, base_seconds * 2 ** min(tries, _DOUBLINGS_MAX))
    return _JITTER.uniform(0, longest)


@dataclass(frozen=True, slots=True)
class Pace:
    """The rhythm of a node's work with the hub.

    Args:
        refresh_seconds: between two looks at the logs; every new answer is seen within it.
        idle_seconds: the longest that the outbox sleeps while nobody wakes it.
        long_poll_seconds: how long the hub may hold an inbox request.
        round_seconds: between two looks at deadlines, disk, clock and keys, and at notices that are due.
        base_seconds: the longest pause after a first failure.
        cap_seconds: the longest pause after any failure, so that a hub that is back is found soon.
        inbox_cap_seconds: the longest pause while the hub serves what is known or faulty, so that a
            flash message behind it is found soon.
        listening_seconds: how long the inbox sleeps while the hub's event stream is open and silent.
    """

    refresh_seconds: float = 5.0
    idle_seconds: float = 30.0
    long_poll_seconds: int = 50
    base_seconds: float = 1.0
    cap_seconds: float = 30.0
    inbox_cap_seconds: float = 15.0
    round_seconds: float = 30.0
    listening_seconds: float = 60.0


class Backoff:
    """Counts failures in a row, and says how long to wait after each."""

    def __init__(self, base_seconds: float, cap_seconds: float) -> None:
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._failures = 0

    def failed(self) -> float:
        """Note a failure. Returns the seconds to wait."""
        seconds = pause_seconds(self._failures, self._base_seconds, self._cap_seconds)
        self._failures += 1
        return seconds

    def succeeded(self) -> None:
        """Note a success: the next failure is a first one again."""
        self._failures = 0


class Pauses:
    """Counts failures by name, so that what fails waits and the others go on.

    Args:
        base_seconds: the longest first pause of a name; it doubles with each failure.
        cap_seconds: the longest pause of all.
    """

    def __init__(self, base_seconds: float, cap_seconds: float) -> None:
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._paused: dict[str, tuple[Backoff, float]] = {}

    def failed(self, name: str, now: float) -> None:
        """Note a failure; `now` counts seconds, as all times here."""
        fresh = (Backoff(self._base_seconds, self._cap_seconds), 0.0)
        backoff, _ = self._paused.get(name, fresh)
        self._paused[name] = (backoff, now + backoff.failed())

    def succeeded(self, name: str) -> None:
        """Note a success: the next failure is a first one again."""
        self._paused.pop(name, None)

    def waiting(self, now: float) -> frozenset[str]:
        """Whose turn has not come again."""
        return frozenset(name for name, (_, until) in self._paused.items() if now < until)

    def seconds(self, now: float, longest_seconds: float) -> float:
        """How long until somebody's turn comes, at the longest so long."""
        left = [until - now for _, until in self._paused.values() if now < until]
        return min([longest_seconds, *left])
