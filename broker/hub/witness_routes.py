"""Witnesses over HTTP: what they are asked to cosign, their cosignatures, and what a quorum has cosigned.

May import FastAPI and the hub's own rooms; `app` mounts it.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from broker.db import reading, writing
from broker.hub.logbook import LogName
from broker.hub.requests import FRESH, Hub, caller_of, head_of, hub_of
from broker.hub.witnessing import has_cosigned, newest, show_next, shown, take
from broker.serving import read_body
from broker.tlog.note import NOTE_BYTES_MAX
from broker.tlog.quorum import Quorum
from keys.derivation import sha256_hex
from schemas.errors import Problem
from schemas.scalars import member_of

router = APIRouter(prefix="/v1/log/{log}/{generation}")

Known = Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of what the caller has: over a bad line it is not sent again."""

_TEXT = "text/plain; charset=utf-8"


def _quorum(hub: Hub) -> Quorum:
    directory = hub.ledger.state.directory
    quorum = None if directory is None else Quorum.of(directory.council)
    if quorum is None:
        raise Problem("not-found", "the council names no witnesses")
    return quorum


@router.get("/cosignatures")
async def get_cosignatures(
    request: Request, log: LogName, generation: int, known: Known = None
) -> Response:
    """The checkpoint that witnesses are asked to cosign, unless the caller's member has cosigned it."""
    member = member_of((await caller_of(request)).desk)
    hub = hub_of(request)

    def answer() -> Response:
        quorum, now = _quorum(hub), hub.now_unix()
        hub.ledger.settle()
        with reading(hub.ledger.engine) as connection:
            text = shown(connection, head_of(connection, log, generation), quorum, now)
        if text is None:
            with writing(hub.ledger.engine) as connection:
                text = show_next(connection, head_of(connection, log, generation), quorum, now)
        if known is not None and has_cosigned(text, member, quorum, known):
            return Response(status_code=204, headers=FRESH)
        return Response(text, headers=FRESH, media_type=_TEXT)

    return await asyncio.to_thread(answer)


@router.post("/cosignatures")
async def post_cosignature(request: Request, log: LogName, generation: int) -> Response:
    """Take the cosignature of the caller's witness over the checkpoint that is shown."""
    hub = hub_of(request)
    data = await read_body(request, NOTE_BYTES_MAX)
    member = member_of((await caller_of(request, data)).desk)

    def keep() -> None:
        with writing(hub.ledger.engine) as connection:
            take(connection, head_of(connection, log, generation), _quorum(hub), member, data)

    await asyncio.to_thread(keep)
    return Response(status_code=204, headers=FRESH)


@router.get("/witnessed")
async def get_witnessed(
    request: Request, log: LogName, generation: int, known: Known = None
) -> Response:
    """The newest checkpoint that a quorum cosigned, with all its lines, unless the caller knows it."""
    await caller_of(request)

    def text(connection: Connection) -> Response:
        found = newest(connection, head_of(connection, log, generation))
        if known == sha256_hex(found.encode()):
            return Response(status_code=204, headers=FRESH)
        return Response(found, headers=FRESH, media_type=_TEXT)

    return await hub_of(request).ask(text, generation)
