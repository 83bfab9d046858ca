"""The agency interface for releases: what waits for people, and what they signed on their own machines.

May import FastAPI and the node's own rooms; `app` mounts it. The node shows a draft and counts signatures; it
holds no release key, so that whoever steals it can release nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from broker.db import reading
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
from broker.node.api.attachment_routes import OCTETS, file_answer
from broker.node.api.documented import problems
from broker.node.api.examples import example_of
from broker.node.api.release_views import (
    ReleaseList,
    ReleaseSigned,
    ReleaseSummary,
    ReleaseToSign,
)
from broker.node.api.service import Node
from broker.node.api.showing import sent_summary, states_view
from broker.node.api.tokens import Action
from broker.node.outbox.deliveries import states_of
from broker.node.outbox.releases import find_waiting, list_waiting, plaintext_of, sign
from broker.serving import byte_range, read_body
from schemas.bulletin import parse_bulletin
from schemas.errors import Problem
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.statements import Statement

router = APIRouter(prefix="/v1")

_SIGNED_BYTES_MAX: Final = 2 * STATEMENT_BYTES_MAX
"""Bytes of a signed release: its payload in base64, and up to 16 signatures."""

_STATEMENT: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A statement (DSSE) over exactly the bytes of `payload`, signed on the person's own"
        " machine: `barid release sign` makes it.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "examples": {
                    "signed": {
                        "value": {
                            "payloadType": "application/vnd.barid.release.v1+json",
                            "payload": "eyJ2IjoxfQ==",
                            "signatures": [{"keyid": "3f79…", "sig": "AAAA…"}],
                        }
                    }
                },
            }
        },
    }
}


@router.get(
    "/desks/{member}/{unit}/releases",
    response_model=ReleaseList,
    responses={
        200: example_of(ReleaseList, "The most urgent first."),
        **problems("token-scope", "busy"),
    },
)
async def list_releases(
    request: Request, token: Bearer, member: Member, unit: Unit, limit: Limit = 50
) -> Response:
    """What waits for the desk's people: its bulletins that too few have released so far."""
    desk = desk_of(token, member, unit, Action.RELEASE)
    return json_answer(await asyncio.to_thread(_list, serving_of(request).node, desk, limit))


def _list(node: Node, desk: str, limit: int) -> ReleaseList:
    with reading(node.home.engine) as connection:
        waiting = list_waiting(connection, desk, node.line.state, node.clock(), limit)
        states = states_of(connection, desk, [each.row.bulletin_id for each in waiting])
    summaries = []
    for each in waiting:
        sent = sent_summary(each.row, states[each.row.bulletin_id])
        summaries.append(
            ReleaseSummary(
                id=sent.id,
                kind=sent.kind,
                status=sent.status,
                title=sent.title,
                precedence=sent.precedence,
                queued=sent.queued,
                expires=sent.expires,
                recipients=len(each.draft.salts),
                signed=len(each.signers),
                needed=each.needed,
            )
        )
    return ReleaseList(releases=tuple(summaries))


@router.get(
    "/desks/{member}/{unit}/releases/{bulletin_id}",
    response_model=ReleaseToSign,
    responses={
        200: example_of(ReleaseToSign, "Check every hash in it before you sign."),
        **problems("token-scope", "not-found", "withdrawn", "lifetime", "busy"),
    },
)
async def get_release(
    request: Request, token: Bearer, member: Member, unit: Unit, bulletin_id: BulletinId
) -> Response:
    """The release to sign, the bulletin's exact bytes, the salt of every name, and who has signed."""
    desk = desk_of(token, member, unit, Action.RELEASE)
    node = serving_of(request).node

    def find() -> ReleaseToSign:
        with reading(node.home.engine) as connection:
            found = find_waiting(connection, desk, bulletin_id, node.line.state, node.clock())
        return ReleaseToSign(
            payload=found.draft.payload,
            document=found.row.document,
            salts=found.draft.salts,
            empty_salts=found.draft.empty_salts,
            signers=found.signers,
            needed=found.needed,
        )

    return json_answer(await asyncio.to_thread(find))


@router.post(
    "/desks/{member}/{unit}/releases/{bulletin_id}",
    response_model=ReleaseSigned,
    responses={
        200: example_of(
            ReleaseSigned, "Taken. With the last signature needed, the bulletin leaves."
        ),
        **problems(
            "token-scope",
            "malformed-json",
            "schema-violation",
            "too-large",
            "not-found",
            "withdrawn",
            "lifetime",
            "original-unknown",
            "original-withdrawal",
            "not-released",
            "release-differs",
            "busy",
        ),
    },
    openapi_extra=_STATEMENT,
)
async def post_release(
    request: Request, token: Bearer, member: Member, unit: Unit, bulletin_id: BulletinId
) -> Response:
    """Hand in what a person signed. Twice is harmless, and counts once."""
    desk = desk_of(token, member, unit, Action.RELEASE)
    statement = parse(Statement, await read_body(request, _SIGNED_BYTES_MAX), _SIGNED_BYTES_MAX)
    serving = serving_of(request)
    node = serving.node

    def take() -> ReleaseSigned:
        state, now = node.line.state, node.clock()
        signed = sign(node.home, desk, bulletin_id, statement, state, now)
        return ReleaseSigned(
            id=bulletin_id,
            signers=signed.signers,
            needed=signed.needed,
            recipients=states_view(signed.deliveries),
        )

    answer = await asyncio.to_thread(take)
    serving.sync.queued(desk)
    return json_answer(answer)


@router.get(
    "/desks/{member}/{unit}/releases/{bulletin_id}/attachments/{attachment_id}",
    responses={
        200: {
            "description": "The file, opened; with `Range`, 206 and one range of it.",
            "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems("token-scope", "not-found", "withdrawn", "lifetime", "range", "busy"),
    },
    response_class=StreamingResponse,
)
async def get_release_attachment(
    request: Request,
    token: Bearer,
    member: Member,
    unit: Unit,
    bulletin_id: BulletinId,
    attachment_id: BulletinId,
) -> Response:
    """Download an attachment of a bulletin that waits for a release, to look at it before signing."""
    desk = desk_of(token, member, unit, Action.RELEASE)
    node = serving_of(request).node

    def find() -> Response:
        with reading(node.home.engine) as connection:
            found = find_waiting(connection, desk, bulletin_id, node.line.state, node.clock())
        named = parse_bulletin(found.row.document).attachments
        attachment = next((each for each in named if each.id == attachment_id), None)
        if attachment is None:
            raise Problem("not-found", "this bulletin has no such attachment")
        asked = byte_range(request, attachment.size)
        start, end = asked or (0, attachment.size)
        pieces = plaintext_of(node.home, found.row, attachment_id, start, end)
        return file_answer(attachment, asked, pieces)

    return await asyncio.to_thread(find)
