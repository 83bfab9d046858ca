"""Giving back over HTTP: what a member knows of this hub's logs that the hub has lost.

May import FastAPI and the hub's own rooms; `app` mounts it. A hub that signs nothing takes it all the same.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from broker.hub.lost_entries import take_back
from broker.hub.requests import caller_of, hub_of, json_answer
from broker.serving import read_body
from keys.requests import check_digest
from schemas.errors import Problem
from schemas.limits import LOST_ENTRIES_BYTES_MAX
from schemas.loader import parse
from schemas.lost_entries import LostEntries

router = APIRouter(prefix="/v1")


@router.post("/lost-entries")
async def post_lost_entries(request: Request) -> Response:
    """Take back what the hub signed before it was set back; the answer says how much is here now."""
    hub = hub_of(request)
    # Who calls is known before a body is read that may be so large.
    caller = await caller_of(request, None)
    data = await read_body(request, LOST_ENTRIES_BYTES_MAX)
    check_digest(request.headers.getlist("content-digest"), data)
    lost = parse(LostEntries, data, LOST_ENTRIES_BYTES_MAX)
    if lost.exchange != hub.exchange:
        raise Problem("wrong-exchange")
    return json_answer(await asyncio.to_thread(take_back, hub.ledger, caller.desk, lost))
