"""Alarms over the agency interface: listed for every token, acknowledged and tried by those that may.

May import FastAPI and the node's own rooms; `app` mounts it. An alarm that names a desk of this node is
shown to the tokens of that desk; one that names none, to all.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from broker.db import reading, writing
from broker.node.alarms.book import acknowledge_alarms, list_alarms, list_history, subjects_of
from broker.node.api.access import Bearer, json_answer, serving_of
from broker.node.api.alarm_views import (
    AcknowledgedView,
    AlarmsView,
    ChannelView,
    TrialView,
    alarm_view,
)
from broker.node.api.documented import problems
from broker.node.api.examples import example_of
from broker.node.api.service import Node
from broker.node.api.tokens import Action, Token, authorise
from schemas.errors import Problem

router = APIRouter(prefix="/v1")

AlarmKindName = Annotated[str, Path(pattern=r"^[a-z-]{1,64}$", examples=["unanswered-urgent"])]
Person = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="Who acknowledges; else the token's name."),
]


@router.get(
    "/alarms",
    response_model=AlarmsView,
    responses={
        200: example_of(AlarmsView, "Those that wait for a person first."),
        **problems(),
    },
)
async def get_alarms(
    request: Request,
    token: Bearer,
    *,
    all_: Annotated[bool, Query(alias="all", description="Those that are over, too.")] = False,
) -> Response:
    """What a person should look at: what is wrong, what to do, who knows of it already."""
    node = serving_of(request).node

    def find() -> AlarmsView:
        desks = node.home.desks
        with reading(node.home.engine) as connection:
            found = list_alarms(connection, desks=desks, desk=token.desk)
            if all_:
                found += list_history(connection, desks=desks, desk=token.desk)
        return AlarmsView(alarms=tuple(alarm_view(each) for each in found))

    return json_answer(await asyncio.to_thread(find))


@router.post(
    "/alarms/{kind}/acknowledge",
    response_model=AcknowledgedView,
    responses={
        200: example_of(AcknowledgedView, "Nobody is told of them again, unless they happen anew."),
        **problems("token-scope", "not-found"),
    },
)
async def acknowledge(
    request: Request,
    token: Bearer,
    kind: AlarmKindName,
    *,
    subject: Annotated[
        str | None, Query(max_length=1000, description="Of the alarm; else all of the kind.")
    ] = None,
    by: Person = None,
) -> Response:
    """Say that a person knows of an alarm, or of all of one kind; acknowledging twice is harmless."""
    authorise(token, token.desk, Action.ALARMS)
    node = serving_of(request).node
    return json_answer(await asyncio.to_thread(_acknowledge, node, token, kind, subject, by))


def _acknowledge(
    node: Node, token: Token, kind: str, subject: str | None, by: str | None
) -> AcknowledgedView:
    # A name that somebody typed stands beside the token that vouches for it.
    name = token.name if by is None or by == token.name else f"{by} ({token.name})"
    with writing(node.home.engine) as connection:
        seen = subjects_of(connection, kind, desks=node.home.desks, desk=token.desk)
        chosen = [each for each in seen if subject in {None, each}]
        if not chosen:
            raise Problem("not-found", "no such alarm stands")
        count = acknowledge_alarms(connection, kind, chosen, name, node.clock())
    return AcknowledgedView(acknowledged=count, by=name)


@router.post(
    "/alarms/test",
    response_model=TrialView,
    responses={
        200: example_of(TrialView, "A trial went out, or why it did not, by each way."),
        **problems("token-scope"),
    },
)
async def send_trial(request: Request, token: Bearer) -> Response:
    """Send a trial notice by every way that the node's settings name."""
    authorise(token, token.desk, Action.ALARMS)
    serving = serving_of(request)
    results = await serving.sync.rounds.notifier.send_trial(serving.node.clock())
    return json_answer(
        TrialView(
            channels=tuple(ChannelView(channel=name, problem=why) for name, why in results.items())
        )
    )
