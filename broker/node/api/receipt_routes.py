"""Receipts and bundles, of own bulletins and received ones: they prove to others what happened, and when.

May import FastAPI and the node's own rooms; `app` mounts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from broker.db import reading, writing
from broker.node.api.access import (
    Bearer,
    BulletinId,
    Member,
    Unit,
    desk_of,
    json_answer,
    serving_of,
)
from broker.node.api.documented import problems
from broker.node.api.examples import example_of
from broker.node.api.inbox_routes import Named
from broker.node.api.receipt_views import ReceiptFileView, ReceiptsView
from broker.node.api.tokens import Action
from broker.node.bundles import Source, make_bundle, received_source, sent_source
from broker.node.inbox.received import find_received, mark_exported
from broker.node.receipts import Kept, received_receipt, ripened, sent_receipts
from schemas.bundle import Bundle
from schemas.errors import HubUnreachable, Problem

router = APIRouter(prefix="/v1")


async def _view(request: Request, kept: Sequence[Kept]) -> Response:
    line = serving_of(request).node.line
    try:
        files = [await ripened(line, each) for each in kept]
    except HubUnreachable as error:
        raise Problem(
            "busy", f"the hub, which has the new paths, does not answer: {error}"
        ) from error
    return json_answer(
        ReceiptsView(
            receipts=tuple(
                ReceiptFileView(name=each.name, witnessed=each.witnessed, text=each.text)
                for each in files
            )
        )
    )


@router.get(
    "/desks/{member}/{unit}/bulletins/{bulletin_id}/receipts",
    response_model=ReceiptsView,
    responses={
        200: example_of(ReceiptsView, "Of each envelope in the log, and of each answer."),
        **problems("token-scope", "not-found", "busy", "inclusion"),
    },
)
async def sent_bulletin_receipts(
    request: Request, token: Bearer, member: Member, unit: Unit, bulletin_id: BulletinId
) -> Response:
    """Receipts of an own bulletin as files (C2SP tlog-proof), to the newest tree that a quorum cosigned."""
    desk = desk_of(token, member, unit, Action.SEND)
    line = serving_of(request).node.line
    return await _view(request, await asyncio.to_thread(sent_receipts, line, desk, bulletin_id))


@router.get(
    "/desks/{member}/{unit}/inbox/{sender_member}/{sender_unit}/{bulletin_id}/receipts",
    response_model=ReceiptsView,
    responses={
        200: example_of(ReceiptsView, "Of the envelope that first brought it."),
        **problems("token-scope", "not-found", "busy", "inclusion"),
    },
)
async def received_bulletin_receipts(request: Request, named: Named) -> Response:
    """The receipt of a received bulletin as a file (C2SP tlog-proof)."""
    home = serving_of(request).node.home

    def find() -> Kept:
        with reading(home.engine) as connection:
            found = find_received(connection, named.desk, named.sender, named.bulletin_id)
        if found is None:
            raise Problem("not-found", "this desk has received no such bulletin")
        return received_receipt(found)

    return await _view(request, [await asyncio.to_thread(find)])


async def _bundle(request: Request, source: Source) -> Response:
    try:
        data = await make_bundle(serving_of(request).node.line, source)
    except HubUnreachable as error:
        raise Problem(
            "busy", f"the hub, which has the new path, does not answer: {error}"
        ) from error
    return Response(data, headers={"Cache-Control": "no-store"}, media_type="application/json")


@router.get(
    "/desks/{member}/{unit}/bulletins/{bulletin_id}/bundle",
    response_model=Bundle,
    responses={
        200: example_of(Bundle, "The bulletin in clear, and what proves it."),
        **problems("token-scope", "not-found", "busy", "inclusion"),
    },
)
async def sent_bulletin_bundle(
    request: Request, token: Bearer, member: Member, unit: Unit, bulletin_id: BulletinId
) -> Response:
    """An own bulletin with all that proves it to others, and the key that opens it."""
    desk = desk_of(token, member, unit, Action.SEND)
    line = serving_of(request).node.line
    return await _bundle(request, await asyncio.to_thread(sent_source, line, desk, bulletin_id))


@router.get(
    "/desks/{member}/{unit}/inbox/{sender_member}/{sender_unit}/{bulletin_id}/bundle",
    response_model=Bundle,
    responses={
        200: example_of(Bundle, "The bulletin in clear, and what proves it."),
        **problems("token-scope", "not-found", "busy", "inclusion"),
    },
)
async def received_bulletin_bundle(request: Request, named: Named) -> Response:
    """A received bulletin with all that proves it to others; it is noted as exported."""
    node = serving_of(request).node

    def find() -> Source:
        source = received_source(node.line, named.desk, named.sender, named.bulletin_id)
        with writing(node.home.engine) as connection:
            mark_exported(connection, named.desk, named.sender, named.bulletin_id, node.clock())
        return source

    return await _bundle(request, await asyncio.to_thread(find))
