"""What every route of the agency interface begins with: the node, the token, and the forms of a path.

May import FastAPI and the node's own rooms; each module of routes uses it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Path, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from broker.db import reading
from broker.node.api.service import Node
from broker.node.api.tokens import Action, Token, authorise, find_token
from broker.node.outbox.attachments import Uploads
from broker.node.sync import Sync
from schemas.errors import Problem
from schemas.limits import INBOX_PAGE_MAX
from schemas.loader import dump_json
from schemas.scalars import MEMBER_PATTERN, UNIT_PATTERN

UUID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"

Member = Annotated[str, Path(pattern=f"^{MEMBER_PATTERN}$", examples=["ly"])]
Unit = Annotated[str, Path(pattern=f"^{UNIT_PATTERN}$", examples=["main"])]
BulletinId = Annotated[
    str, Path(pattern=UUID_PATTERN, examples=["019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"])
]
Limit = Annotated[int, Query(ge=1, le=INBOX_PAGE_MAX)]

_bearer = HTTPBearer(auto_error=False, description="`barid node token create` makes one.")


@dataclass(frozen=True, slots=True)
class Serving:
    """What routes find at `request.app.state.serving`."""

    node: Node
    sync: Sync
    uploads: Uploads


def serving_of(request: Request) -> Serving:
    """The node that serves this request."""
    serving: Serving = request.app.state.serving
    return serving


async def _token(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Token:
    if credentials is None:
        raise Problem("token-missing")
    engine, text = serving_of(request).node.home.engine, credentials.credentials

    def find() -> Token:
        with reading(engine) as connection:
            return find_token(connection, text)

    return await asyncio.to_thread(find)


Bearer = Annotated[Token, Depends(_token)]
"""The token that a request carries; without a valid one it is answered `token-missing`."""


def desk_of(token: Token, member: str, unit: str, action: Action) -> str:
    """The desk of a path, if the token covers it and the action. Raises Problem: `token-scope`."""
    desk = f"{member}/{unit}"
    authorise(token, desk, action)
    return desk


def json_answer(view: BaseModel, status: int = 200) -> Response:
    """Answer with a view as JSON, which no cache keeps."""
    headers = {"Cache-Control": "no-store"}
    return Response(dump_json(view), status, headers, media_type="application/json")
