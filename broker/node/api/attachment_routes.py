"""The agency interface for attachments: uploaded in pieces before their bulletin, downloaded from the inbox.

May import FastAPI and the node's own rooms; `app` mounts it. Neither way holds a file in memory.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from broker.db import writing
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
from broker.node.api.tokens import Action
from broker.node.api.views import UploadView
from broker.node.inbox.attachments import file_of, find_attachment, plaintext_of
from broker.node.inbox.received import mark_exported
from broker.node.outbox.attachments import Announced
from broker.serving import byte_range, read_body
from schemas.errors import Problem
from schemas.limits import ATTACHMENT_BYTES_MAX, UPLOAD_PIECE_BYTES_MAX

router = APIRouter(prefix="/v1")

_UPLOAD_OFFSET: Final = "Upload-Offset"
_OFFSET: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
OCTETS: Final = "application/octet-stream"

_SHOWN: Final = frozenset(
    {
        "application/pdf",
        "application/zip",
        "audio/mpeg",
        "image/jpeg",
        "image/png",
        "text/csv",
        "text/plain",
        "video/mp4",
    }
)
"""Media types that are told to the reader's program: no program runs what they hold. The others, as HTML and
SVG, which a sender in another state chose, are octets."""


async def _announced(
    token: Bearer,
    member: Member,
    unit: Unit,
    bulletin_id: BulletinId,
    attachment_id: BulletinId,
    size: Annotated[
        int, Query(ge=0, le=ATTACHMENT_BYTES_MAX, description="Of the whole file, in bytes.")
    ],
    sha256: Annotated[
        str, Query(pattern=r"^[0-9a-f]{64}$", description="Of the whole file, lower-case hex.")
    ],
) -> Announced:
    """The attachment that path and query announce; FastAPI calls it."""
    desk = desk_of(token, member, unit, Action.SEND)
    return Announced(desk, bulletin_id, attachment_id, size, sha256)


async def _received(
    token: Bearer,
    member: Member,
    unit: Unit,
    sender_member: Member,
    sender_unit: Unit,
    bulletin_id: BulletinId,
    attachment_id: BulletinId,
) -> tuple[str, str, str, str]:
    """The own desk, the sender, bulletin and attachment that a path names; FastAPI calls it."""
    desk = desk_of(token, member, unit, Action.READ)
    return desk, f"{sender_member}/{sender_unit}", bulletin_id, attachment_id


FromInbox = Annotated[tuple[str, str, str, str], Depends(_received)]
ByAgency = Annotated[Announced, Depends(_announced)]

_PIECE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The next bytes, at most 4 MiB; at least 64 KiB where it is not the last piece.",
        "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.put(
    "/desks/{member}/{unit}/bulletins/{bulletin_id}/attachments/{attachment_id}",
    response_model=UploadView,
    responses={
        200: example_of(UploadView, "Sealed, and on the disk; `offset` says where to go on."),
        **problems(
            "token-scope",
            "too-large",
            "id-taken",
            "upload-offset",
            "attachment-hash",
            "disk-full",
        ),
    },
    openapi_extra=_PIECE,
)
async def put_attachment(
    request: Request,
    announced: ByAgency,
    upload_offset: Annotated[
        str, Header(alias=_UPLOAD_OFFSET, description="Bytes of the file before this piece.")
    ],
) -> Response:
    """Upload one piece of a file that a bulletin will name; once it is whole, `offset` is `size`."""
    if not _OFFSET.fullmatch(upload_offset):
        raise Problem("bad-parameter", f"{_UPLOAD_OFFSET} is a decimal number of bytes")
    piece = await read_body(request, UPLOAD_PIECE_BYTES_MAX)
    uploads = serving_of(request).uploads
    offset = await asyncio.to_thread(uploads.take, announced, int(upload_offset), piece)
    answer = json_answer(UploadView(offset=offset, size=announced.size_bytes))
    answer.headers[_UPLOAD_OFFSET] = str(offset)
    return answer


@router.head(
    "/desks/{member}/{unit}/bulletins/{bulletin_id}/attachments/{attachment_id}",
    responses={
        200: {"description": "`Upload-Offset` says how much of the file is here."},
        **problems("token-scope"),
    },
    response_class=Response,
)
async def head_attachment(request: Request, announced: ByAgency) -> Response:
    """How far an upload has come: where to go on after a cut line or a restart."""
    offset = await asyncio.to_thread(serving_of(request).uploads.offset, announced)
    return Response(headers={"Cache-Control": "no-store", _UPLOAD_OFFSET: str(offset)})


@router.get(
    "/desks/{member}/{unit}/inbox/{sender_member}/{sender_unit}/{bulletin_id}"
    "/attachments/{attachment_id}",
    responses={
        200: {
            "description": "The file, opened; with `Range`, 206 and one range of it.",
            "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems("token-scope", "not-found", "range"),
    },
    response_class=StreamingResponse,
)
async def get_attachment(request: Request, received: FromInbox) -> Response:
    """Download an attachment. It leaves the node as a file, and its bulletin counts as exported."""
    serving = serving_of(request)
    home, now = serving.node.home, serving.node.clock()
    desk, sender, bulletin_id, _ = received

    def find() -> Any:
        with writing(home.engine) as connection:
            row = find_attachment(connection, *received)
            if not file_of(home, row.sealed_sha256).is_file():
                raise Problem("not-found", "the sealed file is not on this node any more")
            asked = byte_range(request, row.size)
            mark_exported(connection, desk, sender, bulletin_id, now)
        return row, asked

    row, asked = await asyncio.to_thread(find)
    serving.sync.owes_answers(desk)
    return file_answer(row, asked, plaintext_of(home, row, *(asked or (0, row.size))))


def file_answer(
    attachment: Any, asked: tuple[int, int] | None, pieces: Iterator[bytes]
) -> StreamingResponse:
    """Answer with a file, or one range of it: saved by the reader's program, never shown or kept.

    Args:
        attachment: its `name`, `media_type`, `size` and `sha256`.
        asked: start ≤ index < end of the range that was asked for; None for the whole.
        pieces: the bytes of that range.
    """
    start, end = asked or (0, attachment.size)
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(attachment.name, safe='')}",
        "Content-Length": str(end - start),
        "ETag": f'"{attachment.sha256}"',
        "X-Content-Type-Options": "nosniff",
    }
    if asked:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{attachment.size}"
    media_type = attachment.media_type if attachment.media_type in _SHOWN else OCTETS
    return StreamingResponse(pieces, 206 if asked else 200, headers, media_type=media_type)
