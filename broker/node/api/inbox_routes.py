"""The agency interface for the inbox: lists, reading, threads, and bulletins that leave it as files.

May import FastAPI and the node's own rooms; `app` mounts it. A route authorises, hands blocking work to a
thread, and sends what `inbox_service` answers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from broker.node.api import inbox_service
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
from broker.node.api.documented import problems
from broker.node.api.examples import RECEIVED, example_of
from broker.node.api.inbox_views import ExportView, Inbox, ReceivedView, ThreadView
from broker.node.api.tokens import Action
from schemas.loader import dump_json

router = APIRouter(prefix="/v1")


@dataclass(frozen=True, slots=True)
class _Named:
    """The received bulletin that a path names, and whether its token may see what the desk sent."""

    desk: str
    sender: str
    bulletin_id: str
    may_see_sent: bool


async def _named(
    token: Bearer,
    member: Member,
    unit: Unit,
    sender_member: Member,
    sender_unit: Unit,
    bulletin_id: BulletinId,
) -> _Named:
    """Read the path, and ask whether the token covers it; FastAPI calls it."""
    desk = desk_of(token, member, unit, Action.READ)
    sender = f"{sender_member}/{sender_unit}"
    return _Named(desk, sender, bulletin_id, Action.SEND in token.actions)


Named = Annotated[_Named, Depends(_named)]


@router.get(
    "/desks/{member}/{unit}/inbox",
    response_model=Inbox,
    responses={
        200: example_of(Inbox, "By precedence, then arrival."),
        **problems("token-scope"),
    },
)
async def get_inbox(
    request: Request,
    token: Bearer,
    member: Member,
    unit: Unit,
    *,
    unread: Annotated[
        bool, Query(description="Only what nobody has opened, and its sender has not withdrawn.")
    ] = False,
    limit: Limit = 50,
    after: Annotated[str | None, Query(pattern=r"^[0-3]-\d{1,16}$")] = None,
) -> Response:
    """Received bulletins, verified and opened; listing them answers nothing to their senders."""
    desk = desk_of(token, member, unit, Action.READ)
    cursor = None if after is None else (int(after[0]), int(after[2:]))
    line = serving_of(request).node.line

    def find() -> Inbox:
        return inbox_service.show_inbox(line, desk, unread=unread, limit=limit, after=cursor)

    return json_answer(await asyncio.to_thread(find))


@router.get(
    "/desks/{member}/{unit}/inbox/{sender_member}/{sender_unit}/{bulletin_id}",
    response_model=ReceivedView,
    responses={
        200: {
            "description": "The bulletin, exactly as it was sealed, by what it was verified, and what"
            " became of it.",
            "content": {"application/json": {"examples": {"received": {"value": RECEIVED}}}},
        },
        **problems("token-scope", "not-found"),
    },
)
async def read_received(request: Request, named: Named) -> Response:
    """Read one bulletin; from then on its sender sees it as read, if it was not withdrawn before."""
    serving = serving_of(request)
    document, verified, marks = await asyncio.to_thread(
        inbox_service.read_received,
        serving.node.line,
        named.desk,
        named.sender,
        named.bulletin_id,
        serving.node.clock(),
    )
    serving.sync.owes_answers(named.desk)
    # The bulletin's own bytes, which were checked to be strict JSON: nothing is written anew.
    bulletin = b"" if document is None else b',"bulletin":' + document
    body = b'{"verified":' + dump_json(verified) + b',"marks":' + dump_json(marks) + bulletin + b"}"
    headers = {"Cache-Control": "no-store"}
    return Response(body, 200, headers, media_type="application/json")


@router.post(
    "/desks/{member}/{unit}/inbox/{sender_member}/{sender_unit}/{bulletin_id}/export",
    response_model=ExportView,
    responses={
        200: example_of(ExportView, "The exact bytes, with what proves them, to be kept as files."),
        **problems("token-scope", "not-found"),
    },
)
async def export_received(request: Request, named: Named) -> Response:
    """Take one bulletin out of the inbox as files; should it be withdrawn, its sender learns of that."""
    serving = serving_of(request)
    view = await asyncio.to_thread(
        inbox_service.export_received,
        serving.node.line,
        named.desk,
        named.sender,
        named.bulletin_id,
        serving.node.clock(),
    )
    serving.sync.owes_answers(named.desk)
    return json_answer(view)


@router.get(
    "/desks/{member}/{unit}/thread/{sender_member}/{sender_unit}/{bulletin_id}",
    response_model=ThreadView,
    responses={
        200: example_of(ThreadView, "What was received and sent, joined by what answers what."),
        **problems("token-scope", "not-found"),
    },
)
async def get_thread(request: Request, named: Named) -> Response:
    """The thread of a bulletin, the oldest first; own bulletins only with a token that may send."""
    home = serving_of(request).node.home
    start = (named.sender, named.bulletin_id)

    def find() -> ThreadView:
        return inbox_service.show_thread(home, named.desk, start, with_sent=named.may_see_sent)

    return json_answer(await asyncio.to_thread(find))
