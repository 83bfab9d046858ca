"""The agency interface for what becomes of an own bulletin: its document again, and sending it again.

May import FastAPI and the node's own rooms; `app` mounts it. Withdrawals and corrections are bulletins, and
are handed in as others are (`routes`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

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
from broker.node.api.examples import THREAT_BULLETIN, example_of
from broker.node.api.ordering import DeskName, read_expires
from broker.node.api.tokens import Action
from broker.node.api.views import QueuedView
from broker.node.outbox.deliveries import DeliveryKey

router = APIRouter(prefix="/v1")


@dataclass(frozen=True, slots=True)
class Again:
    """The query of a bulletin that is sent again: to whom, until when, whether that desk had it."""

    to: str
    expires: datetime | None
    confirmed: bool


def read_again(
    to: Annotated[DeskName, Query(description="The desk that shall get it again.")],
    expires: Annotated[
        str | None,
        Query(
            description="UTC, at most 30 days ahead; by default the bulletin's own, or 30 days where that"
            " is past."
        ),
    ] = None,
    *,
    confirm: Annotated[
        bool,
        Query(description="Also for a desk that answered before that it has the bulletin."),
    ] = False,
) -> Again:
    """Read the query; FastAPI calls it."""
    return Again(to, read_expires(expires), confirm)


@router.get(
    "/desks/{member}/{unit}/bulletins/{bulletin_id}/document",
    responses={
        200: {
            "description": "The exact bytes that were handed in.",
            "content": {"application/json": {"examples": {"sent": {"value": THREAT_BULLETIN}}}},
        },
        **problems("token-scope", "not-found"),
    },
)
async def get_document(
    request: Request, token: Bearer, member: Member, unit: Unit, bulletin_id: BulletinId
) -> Response:
    """The document of one own bulletin, byte for byte."""
    desk = desk_of(token, member, unit, Action.SEND)
    document = await asyncio.to_thread(serving_of(request).node.document, desk, bulletin_id)
    headers = {"Cache-Control": "no-store"}
    return Response(document, 200, headers, media_type="application/json")


@router.post(
    "/desks/{member}/{unit}/bulletins/{bulletin_id}/resend",
    status_code=202,
    response_model=QueuedView,
    responses={
        202: example_of(QueuedView, "Queued for that desk again."),
        **problems(
            "token-scope",
            "not-found",
            "withdrawn",
            "unknown-recipient",
            "not-released",
            "release-differs",
            "access-denied",
            "busy",
        ),
    },
)
async def resend_bulletin(
    request: Request,
    token: Bearer,
    member: Member,
    unit: Unit,
    bulletin_id: BulletinId,
    again: Annotated[Again, Depends(read_again)],
) -> Response:
    """Send a bulletin again, as a new envelope, to a desk that could not open it or never got it.

    A person decides it: by itself the node does so only once for a desk that cannot open.
    """
    desk = desk_of(token, member, unit, Action.SEND)
    serving, key = serving_of(request), DeliveryKey(desk, bulletin_id, again.to)

    def queue() -> QueuedView:
        return serving.node.resend(key, again.expires, confirmed=again.confirmed)

    queued = await asyncio.to_thread(queue)
    serving.sync.queued(desk)
    return json_answer(queued, 202)
