"""Attachments over HTTP: resumable upload in pieces, ranged download.

May import FastAPI and the hub's own rooms; `app` mounts it.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from broker.hub.requests import FRESH, caller_of, hub_of, json_answer
from broker.serving import byte_range, read_body
from schemas.errors import Problem
from schemas.limits import ATTACHMENT_BYTES_MAX, UPLOAD_PIECE_BYTES_MAX
from schemas.receipts import Receipt

router = APIRouter(prefix="/v1")

_UPLOAD_OFFSET: Final = "Upload-Offset"
_OFFSET: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)

Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Query(ge=1, le=ATTACHMENT_BYTES_MAX)]


@router.put("/attachments/{sha256}")
async def put_attachment(request: Request, sha256: Sha256, size: Size) -> Response:
    """Take one piece of the caller's upload; with the last one the answer is a receipt."""
    piece = await read_body(request, UPLOAD_PIECE_BYTES_MAX)
    caller = await caller_of(request, piece)
    offset = _upload_offset(request)
    taken = await hub_of(request).attachments.take(caller.desk, sha256, size, offset, piece)
    if isinstance(taken, Receipt):
        answer = json_answer(taken, 201)
        answer.headers[_UPLOAD_OFFSET] = str(size)
        return answer
    return Response(headers={**FRESH, _UPLOAD_OFFSET: str(taken)})


def _upload_offset(request: Request) -> int:
    lines = request.headers.getlist(_UPLOAD_OFFSET)
    if len(lines) != 1 or not _OFFSET.fullmatch(lines[0]):
        raise Problem("bad-parameter", f"one {_UPLOAD_OFFSET}, a decimal number of bytes")
    return int(lines[0])


@router.head("/attachments/{sha256}")
async def head_attachment(
    request: Request,
    sha256: Sha256,
    size: Annotated[int | None, Query(ge=1, le=ATTACHMENT_BYTES_MAX)] = None,
) -> Response:
    """How far the caller's upload of this size has come; and how long a download would be."""
    caller = await caller_of(request)
    attachments = hub_of(request).attachments
    readable = await attachments.readable_size(caller.desk, sha256)
    if size is None and readable is None:
        raise Problem("not-found", "no such attachment of yours")
    told = {} if readable is None else _described(sha256, readable)
    if size is not None:
        told[_UPLOAD_OFFSET] = str(await attachments.offset(caller.desk, sha256, size))
    return Response(headers={**FRESH, **told})


@router.get("/attachments/{sha256}")
async def get_attachment(request: Request, sha256: Sha256) -> Response:
    """The ciphertext, or one range of it, for who uploaded it and for recipients of what names it."""
    caller = await caller_of(request)
    attachments = hub_of(request).attachments
    size = await attachments.readable_size(caller.desk, sha256)
    if size is None:
        raise Problem("not-found", "no such attachment of yours")
    asked = byte_range(request, size)
    start, end = asked or (0, size)
    told = {**FRESH, **_described(sha256, end - start)}
    if asked:
        told["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    pieces = await attachments.read(sha256, size, start, end)
    return StreamingResponse(
        pieces, 206 if asked else 200, told, media_type="application/octet-stream"
    )


def _described(sha256: str, length_bytes: int) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "Content-Length": str(length_bytes),
        "ETag": f'"{sha256}"',
    }
