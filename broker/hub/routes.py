"""The hub's HTTP interface: each route authenticates, then hands on to one room.

May import FastAPI and the hub's own rooms; `app` mounts it. Blocking work runs on threads.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from broker.calls import LOG_CLOSED
from broker.hub.acknowledgements import Acknowledge
from broker.hub.directory_log import AnnounceSealingKey
from broker.hub.logbook import LogName, read_head
from broker.hub.relay import prepare
from broker.hub.requests import FRESH, caller_of, head_of, hub_of, json_answer, own_desk
from broker.hub.showing import (
    Wanted,
    envelope_body,
    envelope_status,
    inbox_page,
    openings,
    sealing_key_statements,
    tile_bytes,
)
from broker.serving import read_body
from broker.tlog.tiles import parse_tile_path
from schemas.errors import ParseError, Problem
from schemas.limits import (
    ACKNOWLEDGEMENT_BYTES_MAX,
    ENVELOPE_BYTES_MAX,
    GENERATIONS_MAX,
    INBOX_PAGE_MAX,
    INLINE_BYTES_MAX,
    INTEGER_MAX,
    LONG_POLL_SECONDS_MAX,
    OPENINGS_PAGE_MAX,
    STATEMENT_BYTES_MAX,
)

router = APIRouter(prefix="/v1")

# Private, since a shared cache would not ask who is calling.
_IMMUTABLE: Final = {
    "Cache-Control": "private, max-age=31536000, immutable",
    # An entry bundle is compressed for those who can read it so (C2SP tlog-tiles).
    "Vary": "Accept-Encoding",
}
_Q_ZERO: Final = re.compile(r"q=0(\.0*)?")
_BYTES = "application/octet-stream"


@router.post("/envelopes")
async def post_envelope(request: Request) -> Response:
    """Relay an envelope to all its recipients, or to none; the answer is a receipt."""
    hub = hub_of(request)
    data = await read_body(request, ENVELOPE_BYTES_MAX)
    caller = await caller_of(request, data)
    work = await asyncio.to_thread(prepare, data, caller.desk, hub.ledger, hub.now())
    rank = work.submission.header.precedence.rank
    receipt = await hub.sequencer.submit(work, rank=rank, size_bytes=len(data))
    hub.inboxes.wake(work.submission.header.desks)
    return json_answer(receipt, 201)


@router.get("/desks/{member}/{unit}/inbox")
async def get_inbox(  # noqa: PLR0913, PLR0917 - each is a parameter of the request
    request: Request,
    member: str,
    unit: str,
    limit: Annotated[int, Query(ge=1, le=INBOX_PAGE_MAX)] = INBOX_PAGE_MAX,
    after: Annotated[str | None, Query(pattern=r"^[0-3]-[0-9]{1,16}$")] = None,
    wait: Annotated[int, Query(ge=0, le=LONG_POLL_SECONDS_MAX)] = 0,
    since: Annotated[int | None, Query(ge=0, le=INTEGER_MAX)] = None,
    tombstones: Annotated[int | None, Query(ge=0, le=INTEGER_MAX)] = None,
    inline_bytes: Annotated[int, Query(ge=0, le=INLINE_BYTES_MAX)] = INLINE_BYTES_MAX,
) -> Response:
    """Waiting envelopes of the caller's desk, by precedence, then index; holds on while none waits."""
    hub = hub_of(request)
    desk = await own_desk(request, member, unit)
    # What was answered does not arrive any more: there is nothing to hold on for.
    await hub.inboxes.wait(desk, wait if since is None else 0)

    cursor = None if after is None else (int(after[0]), int(after[2:]))
    wanted = Wanted(limit, cursor, since, tombstones, inline_bytes)

    def page(connection: Connection) -> Response:
        head = read_head(connection, "exchange")
        return json_answer(inbox_page(connection, head, desk, wanted))

    return await hub.ask(page)


@router.get("/envelopes/{member}/{unit}/{envelope_id}/body")
async def get_body(request: Request, member: str, unit: str, envelope_id: str) -> Response:
    """The ciphertext of a body, for its sender and its recipients."""
    hub = hub_of(request)
    caller = await caller_of(request)

    def body(connection: Connection) -> Response:
        data = envelope_body(connection, f"{member}/{unit}", envelope_id, caller.desk)
        return Response(data, headers=FRESH, media_type=_BYTES)

    return await hub.ask(body)


@router.get("/envelopes/{member}/{unit}/{envelope_id}/status")
async def get_status(request: Request, member: str, unit: str, envelope_id: str) -> Response:
    """Each recipient's answers with proofs, for the sender."""
    hub = hub_of(request)
    desk = await own_desk(request, member, unit)

    def status(connection: Connection) -> Response:
        head = read_head(connection, "exchange")
        return json_answer(envelope_status(connection, head, desk, envelope_id))

    return await hub.ask(status)


@router.post("/acknowledgements")
async def post_acknowledgement(request: Request) -> Response:
    """Log a recipient's acknowledgement; the answer is the receipt of its entry."""
    hub = hub_of(request)
    data = await read_body(request, ACKNOWLEDGEMENT_BYTES_MAX)
    caller = await caller_of(request, data)
    work = Acknowledge.read(data, caller.desk, hub.exchange)
    return json_answer(await hub.sequencer.submit(work), 201)


@router.post("/desks/{member}/{unit}/sealing-keys")
async def post_sealing_key(request: Request, member: str, unit: str) -> Response:
    """Log the sealing key of the desk's next epoch; the answer is its keyid."""
    hub = hub_of(request)
    data = await read_body(request, STATEMENT_BYTES_MAX)
    desk = await own_desk(request, member, unit, data)
    work = AnnounceSealingKey.read(data, desk, hub.exchange)
    return json_answer({"keyid": await hub.sequencer.submit(work)}, 201)


@router.get("/desks/{member}/{unit}/sealing-keys")
async def get_sealing_keys(request: Request, member: str, unit: str) -> Response:
    """Every sealing-key statement of a desk that was logged."""
    await caller_of(request)
    desk = f"{member}/{unit}"
    return await hub_of(request).ask(lambda c: json_answer(sealing_key_statements(c, desk)))


@router.get("/log/{log}/openings")
async def get_openings(
    request: Request,
    log: LogName,
    start: Annotated[int, Query(ge=0, le=INTEGER_MAX)],
    end: Annotated[int, Query(ge=0, le=INTEGER_MAX)],
    generation: Annotated[int | None, Query(ge=1, le=GENERATIONS_MAX)] = None,
) -> Response:
    """What stands behind leaves: the directory log's for every member, the exchange log's for parties."""
    caller = await caller_of(request)
    if not 0 < end - start <= OPENINGS_PAGE_MAX:
        raise Problem("bad-parameter", f"1 to {OPENINGS_PAGE_MAX} leaves at a time")
    desk = None if log == "directory" or caller.is_auditor else caller.desk

    def found(connection: Connection) -> Response:
        return json_answer(openings(connection, log, start, end, desk))

    return await hub_of(request).ask(found, generation)


@router.get("/log/{log}/{generation}/checkpoint")
async def get_checkpoint(request: Request, log: LogName, generation: int) -> Response:
    """The newest signed checkpoint (C2SP tlog-checkpoint); a closed log's says which generation follows."""
    await caller_of(request)
    hub = hub_of(request)
    is_closed = generation != hub.ledger.generation
    closed = {LOG_CLOSED: str(generation + 1)} if is_closed else {}

    def checkpoint(connection: Connection) -> Response:
        text = head_of(connection, log, generation).checkpoint
        return Response(text, headers=FRESH | closed, media_type="text/plain; charset=utf-8")

    return await hub.ask(checkpoint, generation)


def _takes_gzip(request: Request) -> bool:
    """Whether the caller says so, and not that it does not (q=0)."""
    accepted = request.headers.get("Accept-Encoding", "").lower().split(",")
    codings = [each.replace(" ", "").partition(";") for each in accepted]
    return any(name == "gzip" and not _Q_ZERO.fullmatch(q) for name, _, q in codings)


@router.get("/log/{log}/{generation}/tile/{path:path}")
async def get_tile(request: Request, log: LogName, generation: int, path: str) -> Response:
    """A tile or entry bundle (C2SP tlog-tiles); it never changes."""
    await caller_of(request)
    try:
        wanted = parse_tile_path(f"tile/{path}")
    except ParseError as error:
        raise Problem("not-found", str(error)) from error

    # The exchange log's leaves are hashes, and do not grow smaller.
    packs = (wanted.level, log) == ("entries", "directory") and _takes_gzip(request)

    def tile(connection: Connection) -> Response:
        data = tile_bytes(connection, head_of(connection, log, generation), wanted)
        headers = _IMMUTABLE | ({"Content-Encoding": "gzip"} if packs else {})
        data = gzip.compress(data, mtime=0) if packs else data
        return Response(data, headers=headers, media_type=_BYTES)

    return await hub_of(request).ask(tile, generation)
