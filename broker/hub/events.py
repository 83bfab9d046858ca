"""Server-sent events of an inbox: a node hears that something waits, and how urgent it is.

May import FastAPI and the hub's own rooms; `app` mounts it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Send

from broker.hub.requests import FRESH, hub_of, own_desk

router = APIRouter(prefix="/v1")


@router.get("/desks/{member}/{unit}/events")
async def get_events(request: Request, member: str, unit: str) -> Response:
    """A stream that says `waiting`, with the most urgent rank, whenever something arrives for the desk."""
    desk = await own_desk(request, member, unit)
    return EventStream(hub_of(request).inboxes.follow(desk))


class EventStream(StreamingResponse):
    """The events of a desk as they travel (WHATWG HTML, section 9.2), until its reader goes.

    Args:
        ranks: of the most urgent that waits; None as a sign of life.
    """

    def __init__(self, ranks: AsyncGenerator[int | None]) -> None:
        super().__init__((), headers=FRESH, media_type="text/event-stream")
        self._ranks = ranks

    async def stream_response(self, send: Send) -> None:
        """Send each event as it comes; a reader that is slow holds up this stream alone."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        # Closed at once when the reader goes, not when the collector comes by: a desk has few of these.
        async with aclosing(self._ranks) as ranks:
            async for rank in ranks:
                told = b":\n\n" if rank is None else b'event: waiting\ndata: {"rank":%d}\n\n' % rank
                await send({"type": "http.response.body", "body": told, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
