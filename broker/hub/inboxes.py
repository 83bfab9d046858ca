"""Waiting for an inbox to fill: who holds a request open, and who wakes it.

May import asyncio and the hub's own rooms; the inbox route waits here, the envelope route wakes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Engine

from broker.db import reading
from broker.hub.showing import something_waits


class Inboxes:
    """Requests that wait for something to arrive, by desk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._is_closed = False

    def close(self) -> None:
        """Let go of everybody who waits, and hold nobody any more: the hub ends."""
        self._is_closed = True
        self.wake(list(self._waiting))

    def wake(self, desks: Iterable[str]) -> None:
        """Something was relayed to these desks."""
        for desk in desks:
            for event in self._waiting.get(desk, ()):
                event.set()

    async def wait(self, desk: str, seconds: int) -> None:
        """Return once something waits for a desk, after `seconds` at the latest."""
        if seconds == 0 or self._is_closed:
            return
        event = asyncio.Event()
        # Registered before looking: what arrives in between still wakes us.
        self._waiting[desk].add(event)
        try:
            with reading(self._engine) as connection:
                if something_waits(connection, desk):
                    return
            # Not `wait_for`: in Python 3.11 it may swallow a cancellation that comes as it is woken.
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._waiting[desk].discard(event)
