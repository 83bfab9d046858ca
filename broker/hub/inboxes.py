"""Waiting for an inbox to fill: who holds a request open, and who wakes it.

May import asyncio and the hub's own rooms; the inbox and events routes wait here, the envelope route wakes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable
from typing import Final

from sqlalchemy import Engine

from broker.db import reading
from broker.hub.showing import most_urgent

STREAMS_PER_DESK_MAX: Final = 8
"""Event streams that one desk holds open; a node needs one."""

HEARTBEAT_SECONDS: Final = 15.0
"""Between two signs of life on an event stream: proxies cut what is silent for a minute."""

PACE_SECONDS: Final = 0.05
"""At least between two events of a stream: what arrives meanwhile is told together."""

STREAM_SECONDS_MAX: Final = 3600.0
"""After this an event stream ends, and its node signs a new request: a key may have been revoked."""


class Inboxes:
    """Requests that wait for something to arrive, by desk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._streams: defaultdict[str, list[asyncio.Event]] = defaultdict(list)
        self._is_closed = False

    def held(self) -> tuple[int, int]:
        """How many inbox requests, and how many event streams, are held open now."""
        waiting = sum(len(events) for events in list(self._waiting.values()))
        return waiting, sum(len(events) for events in list(self._streams.values()))

    def close(self) -> None:
        """Let go of everybody who waits, and hold nobody any more: the hub ends."""
        self._is_closed = True
        self.wake({*self._waiting, *self._streams})

    def wake(self, desks: Iterable[str]) -> None:
        """Something was relayed to these desks."""
        for desk in desks:
            for event in (*self._waiting.get(desk, ()), *self._streams.get(desk, ())):
                event.set()

    async def wait(self, desk: str, seconds: int) -> None:
        """Return once something waits for a desk, after `seconds` at the latest."""
        if seconds == 0 or self._is_closed:
            return
        event = asyncio.Event()
        # Registered before looking: what arrives in between still wakes us.
        self._waiting[desk].add(event)
        try:
            if self._most_urgent(desk) is not None:
                return
            await _signalled(event, seconds)
        finally:
            self._waiting[desk].discard(event)

    async def follow(self, desk: str) -> AsyncGenerator[int | None]:
        """Say what is the most urgent that waits for a desk: at once, and whenever something arrives.

        A reader that is slow misses nothing but repetitions: what arrives meanwhile is told once, as it
        stands then. Of more than `STREAMS_PER_DESK_MAX` the oldest ends: it may be of a line long cut.

        Yields:
            The rank (0 is flash), or None as a sign of life.
        """
        arrived = asyncio.Event()
        arrived.set()
        streams = self._streams[desk]
        streams.append(arrived)
        if len(streams) > STREAMS_PER_DESK_MAX:
            streams.pop(0).set()
        loop = asyncio.get_running_loop()
        end = loop.time() + STREAM_SECONDS_MAX
        try:
            while loop.time() < end:
                told = await _signalled(arrived, HEARTBEAT_SECONDS)
                if self._is_closed or arrived not in streams:
                    return
                arrived.clear()
                rank = await asyncio.to_thread(self._most_urgent, desk) if told else None
                if rank is not None or not told:
                    yield rank
                    await asyncio.sleep(PACE_SECONDS)
        finally:
            if arrived in streams:
                streams.remove(arrived)

    def _most_urgent(self, desk: str) -> int | None:
        with reading(self._engine) as connection:
            return most_urgent(connection, desk)


async def _signalled(event: asyncio.Event, seconds: float) -> bool:
    """Whether an event was set within some seconds."""
    try:
        # Not `wait_for`: in Python 3.11 it may swallow a cancellation that comes as it is woken.
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
