"""Attachments by hand at a live hub: sealed bytes, uploads piece by piece, envelopes that name them.

May import the live hub; the tests of attachments call it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from broker.client import HubClient
from keys.requests import Request, sign_request
from schemas.envelope import AttachmentRef, Envelope
from schemas.errors import HubUnreachable, Problem
from schemas.limits import UPLOAD_PIECE_BYTES_MAX
from schemas.receipts import Receipt
from tests.exchange.live import EXCHANGE, LiveHub, new_id, run

PIECE = 64 * 1024


@dataclass(frozen=True)
class Sealed:
    """Bytes that stand for a sealed attachment: the hub cannot know better."""

    data: bytes = field(default_factory=lambda: os.urandom(3 * PIECE + 1), repr=False)

    @property
    def sha256(self) -> str:
        """Of the whole."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    @property
    def target(self) -> str:
        """Where it is uploaded."""
        return f"/v1/attachments/{self.sha256}?size={self.size}"

    @property
    def ref(self) -> AttachmentRef:
        """How a header names it."""
        return AttachmentRef(id=new_id(), sha256=self.sha256, size=self.size)


async def upload(client: HubClient, sealed: Sealed, piece_bytes: int = PIECE) -> Receipt:
    """Upload what the hub does not have yet, as a node does."""
    offset = await client.attachment_offset(sealed.sha256, sealed.size)
    while True:
        piece = sealed.data[offset : offset + piece_bytes]
        answer = await client.upload_piece(sealed.sha256, sealed.size, offset, piece)
        if isinstance(answer, Receipt):
            return answer
        offset = answer


def store(hub: LiveHub, desk: str, sealed: Sealed) -> Receipt:
    """Have a desk upload all of an attachment."""

    async def whole(client: HubClient) -> Receipt:
        return await upload(client, sealed)

    receipt: Receipt = as_desk(hub, desk, whole)
    return receipt


def as_desk(hub: LiveHub, desk: str, act: Any) -> Any:
    """Run what a desk does with its client."""

    async def acting() -> Any:
        async with hub.client(desk) as client:
            return await act(client)

    return run(acting())


def piece(
    hub: LiveHub, desk: str, sealed: Sealed, offset: int, data: bytes
) -> Coroutine[Any, Any, Any]:
    """One piece, from `offset` on."""

    async def sending() -> Any:
        async with hub.client(desk) as client:
            return await client.upload_piece(sealed.sha256, sealed.size, offset, data)

    return sending()


def naming(
    hub: LiveHub, sender: str, *recipients: str, sealed: tuple[Sealed, ...], **changes: Any
) -> Envelope:
    """An envelope that names attachments."""
    refs = tuple(each.ref for each in sealed)
    keys = {ref.id: bytes(32) for ref in refs}
    outgoing = hub.outgoing(sender, attachments=refs, attachment_keys=keys, **changes)
    return hub.seal(outgoing, *recipients)


def signed(
    hub: LiveHub, desk: str, method: str, target: str, body: bytes = b"", **fields: str
) -> dict[str, str]:
    """The headers of a signed request that carries further ones, `_` for `-` in their names."""
    path, _, query = target.partition("?")
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    covered = tuple(given.items())
    request = Request(method, hub.invitation.hub.authority, path, query, covered, body)
    key = hub.desks[desk].request
    return {**given, **sign_request(request, key, EXCHANGE, hub.now_unix())}


def put(
    client: httpx.Client,
    hub: LiveHub,
    desk: str,
    target: str,
    body: bytes = b"",
    offset: str = "0",
) -> httpx.Response:
    """Send a piece as it is, whatever it is."""
    headers = signed(hub, desk, "PUT", target, body, upload_offset=offset)
    return client.put(target, content=body, headers=headers)


def get(
    client: httpx.Client,
    hub: LiveHub,
    desk: str,
    sealed: Sealed,
    method: str = "GET",
    **fields: str,
) -> httpx.Response:
    """Ask for an attachment, or for a range of it."""
    target = f"/v1/attachments/{sealed.sha256}"
    return client.request(method, target, headers={**fields, **signed(hub, desk, method, target)})


def downloaded(hub: LiveHub, desk: str, sealed: Sealed, offset: int = 0) -> bytes:
    """What a desk is sent of an attachment."""

    async def reading(client: HubClient) -> bytes:
        pieces = [piece async for piece in client.download(sealed.sha256, offset, sealed.size)]
        return b"".join(pieces)

    result: bytes = as_desk(hub, desk, reading)
    return result


def spools(hub: LiveHub) -> dict[str, int]:
    """The unfinished uploads on the hub's disk, by file name, with their sizes.

    The hub collects at the same time: what is gone before its size is read is not listed.
    """
    sizes = {}
    for path in (hub.data / "uploads").iterdir():
        with suppress(FileNotFoundError):
            sizes[path.name] = path.stat().st_size
    return sizes


def objects(hub: LiveHub) -> set[str]:
    """The stored attachments on the hub's disk."""
    return {path.name for path in (hub.data / "attachments").iterdir()}


def spool(hub: LiveHub, desk: str, sealed: Sealed) -> Path:
    """The file of an unfinished upload."""
    return hub.data / "uploads" / f"{desk.replace('/', '.')}.{sealed.sha256}"


def offset_of(hub: LiveHub, desk: str, sealed: Sealed) -> int:
    """How much the hub says has come of a desk's upload."""

    async def ask(client: HubClient) -> int:
        return await client.attachment_offset(sealed.sha256, sealed.size)

    result: int = as_desk(hub, desk, ask)
    return result


async def persist(
    client: HubClient, data: bytes, piece_bytes: int = UPLOAD_PIECE_BYTES_MAX
) -> Receipt:
    """Upload all that is missing, through as many failures as there are."""
    sha256 = hashlib.sha256(data).hexdigest()
    offset = 0
    while True:
        try:
            chunk = data[offset : offset + piece_bytes]
            answer = await client.upload_piece(sha256, len(data), offset, chunk)
        except HubUnreachable:
            await asyncio.sleep(0.02)
        except Problem as problem:
            if problem.word != "upload-offset":
                raise
            offset = problem.extensions["offset"]
        else:
            if isinstance(answer, Receipt):
                return answer
            offset = answer
