"""The agency interface for letting an urgent bulletin leave under a directory that is over the grace.

May import FastAPI and the node's own rooms; `app` mounts it.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

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
from broker.node.api.freshness_views import ConfirmedView
from broker.node.api.tokens import Action

router = APIRouter(prefix="/v1")


@router.post(
    "/desks/{member}/{unit}/bulletins/{bulletin_id}/confirm",
    response_model=ConfirmedView,
    responses={
        200: example_of(ConfirmedView, "It leaves now; who confirmed it is kept."),
        **problems("token-scope", "not-found", "withdrawn", "directory-over-grace", "busy"),
    },
)
async def confirm_bulletin(
    request: Request,
    token: Bearer,
    member: Member,
    unit: Unit,
    bulletin_id: BulletinId,
    by: Annotated[
        str, Query(min_length=1, max_length=100, description="The person who takes this decision.")
    ],
) -> Response:
    """Let a flash or immediate bulletin leave though nothing vouches for the directory any more.

    A person decides it, who knows that a recipient's key may have been revoked or a rule changed meanwhile.
    Asked again, the answer is the same. What is less urgent waits for a fresh directory.
    """
    desk = desk_of(token, member, unit, Action.SEND)
    serving = serving_of(request)
    confirmed = await asyncio.to_thread(serving.node.confirm, desk, bulletin_id, token, by)
    serving.sync.queued(desk)
    return json_answer(confirmed)
