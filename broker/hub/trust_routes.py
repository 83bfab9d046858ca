"""The trust root over HTTP: its files for members, and publications, which any desk may bring.

May import FastAPI and the hub's own rooms; `app` mounts it.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from broker.hub.requests import FRESH, caller_of, hub_of, json_answer
from broker.hub.stored import read_trust_file
from broker.serving import read_body
from keys.requests import check_digest
from keys.tuf_files import TrustFileMissing
from schemas.errors import Problem
from schemas.limits import PUBLICATION_BYTES_MAX, TRUST_FILE_BYTES_MAX
from schemas.scalars import member_of

router = APIRouter(prefix="/v1")


@router.put("/trust/publication")
async def put_publication(request: Request) -> Response:
    """Bring into force what governors or a member signed; the answer says where it stands in the log."""
    publishing = hub_of(request).publishing
    # Who calls is known before a body is read that may be so large.
    member = member_of((await caller_of(request, None)).desk)
    with publishing.turn(member):
        data = await read_body(request, PUBLICATION_BYTES_MAX)
        check_digest(request.headers.getlist("content-digest"), data)
        return json_answer(await publishing.publish(member, data))


@router.get("/trust/{name:path}")
async def get_trust_file(request: Request, name: str) -> Response:
    """A TUF metadata or target file, for members."""
    await caller_of(request)

    def trust_file(connection: Connection) -> Response:
        data = read_trust_file(connection, name, TRUST_FILE_BYTES_MAX)
        return Response(data, headers=FRESH, media_type="application/octet-stream")

    try:
        return await hub_of(request).ask(trust_file)
    except TrustFileMissing as error:
        raise Problem("not-found", "no such trust file") from error
