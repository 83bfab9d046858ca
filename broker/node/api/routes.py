"""The agency interface: HTTPS for programs of one desk, each with a bearer token.

May import FastAPI and the node's own rooms; `app` mounts it. A route authorises, hands blocking work to
a thread, and sends what the service answers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from broker.db import reading
from broker.node.api.directory_view import show_directory
from broker.node.api.documented import problems
from broker.node.api.examples import RECEIVED, example_of
from broker.node.api.ordering import BODY, BULLETIN_PROBLEMS, Where, read_where
from broker.node.api.service import Node
from broker.node.api.tokens import Action, Token, authorise, find_token
from broker.node.api.views import (
    CheckView,
    DirectoryView,
    Inbox,
    QueuedView,
    ReceivedView,
    SentList,
    SentView,
    StatusView,
)
from broker.node.sync import Sync
from broker.serving import read_body
from schemas.errors import Problem
from schemas.limits import BULLETIN_BYTES_MAX, INBOX_PAGE_MAX, INTEGER_MAX
from schemas.loader import dump_json
from schemas.scalars import MEMBER_PATTERN, UNIT_PATTERN

router = APIRouter(prefix="/v1")

_UUID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"

Member = Annotated[str, Path(pattern=f"^{MEMBER_PATTERN}$", examples=["ly"])]
Unit = Annotated[str, Path(pattern=f"^{UNIT_PATTERN}$", examples=["main"])]
BulletinId = Annotated[str, Path(pattern=_UUID, examples=["019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"])]
Limit = Annotated[int, Query(ge=1, le=INBOX_PAGE_MAX)]

_bearer = HTTPBearer(auto_error=False, description="`barid node token create` makes one.")


@dataclass(frozen=True, slots=True)
class Serving:
    """What routes find at `request.app.state.serving`."""

    node: Node
    sync: Sync


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.serving
    return serving


async def _token(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Token:
    if credentials is None:
        raise Problem("token-missing")
    engine, text = _serving(request).node.home.engine, credentials.credentials

    def find() -> Token:
        with reading(engine) as connection:
            return find_token(connection, text)

    return await asyncio.to_thread(find)


Bearer = Annotated[Token, Depends(_token)]


def _desk(token: Token, member: str, unit: str, action: Action) -> str:
    desk = f"{member}/{unit}"
    authorise(token, desk, action)
    return desk


def _json(view: BaseModel, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(dump_json(view), status, headers, media_type="application/json")


@router.post(
    "/desks/{member}/{unit}/bulletins",
    status_code=202,
    response_model=QueuedView,
    responses={
        202: example_of(QueuedView, "In the outbox: from here nothing is lost."),
        **problems(
            *BULLETIN_PROBLEMS, "id-taken", "access-denied", "not-released", "release-differs"
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
    desk = _desk(token, member, unit, Action.SEND)
    order = where.order(desk, await read_body(request, BULLETIN_BYTES_MAX))
    serving = _serving(request)
    queued = await asyncio.to_thread(serving.node.queue, order)
    serving.sync.queued(desk)
    return _json(queued, 202)


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
    desk = _desk(token, member, unit, Action.SEND)
    order = where.order(desk, await read_body(request, BULLETIN_BYTES_MAX))
    return _json(await asyncio.to_thread(_serving(request).node.check, order))


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
    desk = _desk(token, member, unit, Action.SEND)
    return _json(await asyncio.to_thread(_serving(request).node.sent, desk, limit, after))


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
    desk = _desk(token, member, unit, Action.SEND)
    return _json(await asyncio.to_thread(_serving(request).node.sent_one, desk, bulletin_id))


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
    unread: Annotated[bool, Query(description="Only what nobody has opened.")] = False,
    limit: Limit = 50,
    after: Annotated[str | None, Query(pattern=r"^[0-3]-\d{1,16}$")] = None,
) -> Response:
    """Received bulletins, verified and opened; listing them answers nothing to their senders."""
    desk = _desk(token, member, unit, Action.READ)
    cursor = None if after is None else (int(after[0]), int(after[2:]))
    node = _serving(request).node

    def find() -> Inbox:
        return node.inbox(desk, unread=unread, limit=limit, after=cursor)

    return _json(await asyncio.to_thread(find))


@router.get(
    "/desks/{member}/{unit}/inbox/{sender_member}/{sender_unit}/{bulletin_id}",
    response_model=ReceivedView,
    responses={
        200: {
            "description": "The bulletin, exactly as it was sealed, and by what it was verified.",
            "content": {"application/json": {"examples": {"received": {"value": RECEIVED}}}},
        },
        **problems("token-scope", "not-found"),
    },
)
async def read_received(
    request: Request,
    token: Bearer,
    member: Member,
    unit: Unit,
    sender_member: Member,
    sender_unit: Unit,
    bulletin_id: BulletinId,
) -> Response:
    """Read one bulletin; from then on its sender sees it as read."""
    desk = _desk(token, member, unit, Action.READ)
    serving, sender = _serving(request), f"{sender_member}/{sender_unit}"
    document, verified = await asyncio.to_thread(serving.node.read, desk, sender, bulletin_id)
    serving.sync.owes_answers(desk)
    # The bulletin's own bytes, which were checked to be strict JSON: nothing is written anew.
    body = b'{"verified":' + dump_json(verified) + b',"bulletin":' + document + b"}"
    headers = {"Cache-Control": "no-store"}
    return Response(body, 200, headers, media_type="application/json")


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
    node = _serving(request).node
    state, exchange, now = node.line.state, node.home.exchange, node.clock()
    return _json(await asyncio.to_thread(show_directory, state, exchange, token.desk, now))


@router.get(
    "/status",
    response_model=StatusView,
    responses={200: example_of(StatusView, "The node, now."), **problems()},
)
async def get_status(request: Request, token: Bearer) -> Response:
    """The exchange, the line to the hub, the logs, the outbox of the token's desk, the alarms."""
    return _json(await asyncio.to_thread(_serving(request).node.status, token.desk))
