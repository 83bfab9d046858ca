"""The hub's event stream: what it says of an inbox, read piece by piece.

May import httpx and `schemas`; the client reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

import httpx
from pydantic import Field

from schemas.errors import ParseError
from schemas.loader import parse
from schemas.scalars import Message

_EVENT_BYTES_MAX: Final = 1024
"""Bytes of one event: a word and a rank."""

_WAITING: Final = b"event: waiting\ndata: "


class _Waiting(Message):
    """What an event says: the rank of the most urgent envelope that waits (0 is flash)."""

    rank: Annotated[int, Field(ge=0, le=3)]


async def ranks(answer: httpx.Response) -> AsyncIterator[int]:
    """Read the events `waiting` of a stream (WHATWG HTML, section 9.2); others are passed over.

    Raises:
        ParseError: an event has no end, or not the form of one.
    """
    unfinished = b""
    async for piece in answer.aiter_raw():
        *events, unfinished = (unfinished + piece).split(b"\n\n")
        if len(unfinished) > _EVENT_BYTES_MAX:
            raise ParseError("the hub sends an event without end")
        for event in events:
            if event.startswith(_WAITING):
                data = event.removeprefix(_WAITING)
                yield parse(_Waiting, data, _EVENT_BYTES_MAX).rank
