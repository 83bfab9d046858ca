"""The agency interface: HTTPS for programs of one desk, each with a bearer token.

May import FastAPI and the node's own rooms; `app` mounts it. A route authorises, hands blocking work to
a thread, and sends what the service answers.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from broker.node.api.access import (
    Bearer,
    BulletinId,
    Limit,
    Member,
    Unit,
    desk_of,
    json_answer,
    serving_of,
)
from broker.node.api.directory_view import show_directory
from broker.node.api.documented import problems
from broker.node.api.examples import example_of
from broker.node.api.ordering import BODY, BULLETIN_PROBLEMS, Where, read_where
from broker.node.api.tokens import Action
from broker.node.api.views import (
    CheckView,
    DirectoryView,
    QueuedView,
    SentList,
    SentView,
    StatusView,
)
from broker.serving import read_body
from schemas.limits import BULLETIN_BYTES_MAX, INTEGER_MAX

router = APIRouter(prefix="/v1")


@router.post(
    "/desks/{member}/{unit}/bulletins",
    status_code=202,
    response_model=QueuedView,
    responses={
        202: example_of(QueuedView, "In the outbox: from here nothing is lost."),
        **problems(
            *BULLETIN_PROBLEMS,
            "id-taken",
            "access-denied",
            "not-released",
            "release-differs",
            "disk-full",
        ),
    },
    openapi_extra=BODY,
)
async def post_bulletin(
    request: Request,
    token: Bearer,
    member: Member,
    unit: Unit,
    where: Annotated[Where, Depends(read_where)],
) -> Response:
    """Hand in a bulletin for its recipients; the same again is answered alike, and sent once."""
    desk = desk_of(token, member, unit, Action.SEND)
    order = where.order(desk, await read_body(request, BULLETIN_BYTES_MAX))
    serving = serving_of(request)
    queued = await asyncio.to_thread(serving.node.queue, order)
    serving.sync.queued(desk)
    return json_answer(queued, 202)


@router.post(
    "/desks/{member}/{unit}/bulletins/check",
    response_model=CheckView,
    responses={
        200: example_of(CheckView, "Well-formed; what the access rules say of each recipient."),
        **problems(*BULLETIN_PROBLEMS),
    },
    openapi_extra=BODY,
)
async def check_bulletin(
    request: Request,
    token: Bearer,
    member: Member,
    unit: Unit,
    where: Annotated[Where, Depends(read_where)],
) -> Response:
    """Validate a bulletin and ask the access rules; nothing is stored or sent."""
    desk = desk_of(token, member, unit, Action.SEND)
    order = where.order(desk, await read_body(request, BULLETIN_BYTES_MAX))
    return json_answer(await asyncio.to_thread(serving_of(request).node.check, order))


@router.get(
    "/desks/{member}/{unit}/bulletins",
    response_model=SentList,
    responses={
        200: example_of(SentList, "The newest first."),
        **problems("token-scope"),
    },
)
async def list_sent(
    request: Request,
    token: Bearer,
    member: Member,
    unit: Unit,
    limit: Limit = 50,
    after: Annotated[int | None, Query(ge=1, le=INTEGER_MAX)] = None,
) -> Response:
    """The desk's own bulletins, and where each stands with each recipient."""
    desk = desk_of(token, member, unit, Action.SEND)
    return json_answer(await asyncio.to_thread(serving_of(request).node.sent, desk, limit, after))


@router.get(
    "/desks/{member}/{unit}/bulletins/{bulletin_id}",
    response_model=SentView,
    responses={
        200: example_of(SentView, "Every step, with what proves it."),
        **problems("token-scope", "not-found"),
    },
)
async def get_sent(
    request: Request, token: Bearer, member: Member, unit: Unit, bulletin_id: BulletinId
) -> Response:
    """One own bulletin: each recipient's steps with times and proofs, and its envelopes' receipts."""
    desk = desk_of(token, member, unit, Action.SEND)
    return json_answer(
        await asyncio.to_thread(serving_of(request).node.sent_one, desk, bulletin_id)
    )


@router.get(
    "/directory",
    response_model=DirectoryView,
    responses={
        200: example_of(DirectoryView, "As this node verified it."),
        **problems("unknown-recipient", "busy"),
    },
)
async def get_directory(request: Request, token: Bearer) -> Response:
    """Desks and groups of the directory in force, and what the token's desk may send to whom."""
    node = serving_of(request).node
    state, exchange, now = node.line.state, node.home.exchange, node.clock()
    return json_answer(await asyncio.to_thread(show_directory, state, exchange, token.desk, now))


@router.get(
    "/status",
    response_model=StatusView,
    responses={200: example_of(StatusView, "The node, now."), **problems()},
)
async def get_status(request: Request, token: Bearer) -> Response:
    """The exchange, the line to the hub, the logs, the outbox of the token's desk, the alarms."""
    return json_answer(await asyncio.to_thread(serving_of(request).node.status, token.desk))
