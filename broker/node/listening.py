"""Listening: the hub's event stream of one desk, by which its inbox hears at once that something waits.

May import `broker.client` and the node's own rooms; `sync` runs it as a task of its own. What the hub says
here only wakes: without the stream the inbox asks by long-poll, and nothing is believed because of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from broker.client import HubClient
from broker.node.pacing import Backoff
from schemas.errors import HubUnreachable, ParseError, Problem

_BETWEEN_SECONDS: Final = 0.05
"""Between two events that wake the inbox: a hub that sends nothing else does not keep the node busy."""

_LASTED_SECONDS: Final = 60.0
"""A stream that was held so long did not fail."""

_LOG: Final = logging.getLogger("barid.node")


class Listener:
    """Holds one desk's event stream while the hub gives one.

    Args:
        client: calls the hub as the desk.
        desk: an own desk.
        backoff: how long to wait before the stream is asked for again.
        heard: called when the stream opens and when it ends (None), and with each rank that waits.
    """

    def __init__(
        self,
        client: HubClient,
        desk: str,
        backoff: Backoff,
        heard: Callable[[int | None], None],
    ) -> None:
        self._client = client
        self._desk = desk
        self._backoff = backoff
        self._heard = heard
        self.is_open = False
        """Whether the stream is open, so that nobody need ask."""

    async def step(self) -> float:
        """Hold the stream until it ends. Returns the seconds until it is asked for again."""
        began = asyncio.get_running_loop().time()
        try:
            async with self._client.events(self._desk) as ranks:
                self._turn(is_open=True)
                async for rank in ranks:
                    self._heard(rank)
                    await asyncio.sleep(_BETWEEN_SECONDS)
        except (HubUnreachable, ParseError, Problem) as error:
            # No alarm: the inbox asks by itself meanwhile, and says so if that fails too.
            _LOG.info("%s: no event stream: %s", self._desk, type(error).__name__)
        finally:
            self._turn(is_open=False)
        if asyncio.get_running_loop().time() - began >= _LASTED_SECONDS:
            self._backoff.succeeded()
        return self._backoff.failed()

    def _turn(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self._heard(None)
