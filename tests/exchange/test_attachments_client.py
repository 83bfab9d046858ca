"""The client of attachments before a hostile hub: it reads no byte too many, and believes no offset."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from broker.client import DOWNLOAD_PIECE_BYTES, HubClient
from keys.signing import RequestSigningKey
from schemas.errors import HubUnreachable, ParseError
from schemas.limits import UPLOAD_PIECE_BYTES_MAX
from tests.exchange.attaching import Sealed
from tests.exchange.live import EXCHANGE, LiveHub, run

Answer = Callable[[httpx.Request], httpx.Response]

SEALED = Sealed(bytes(1000))


def _ask(hub: LiveHub, answer: Answer | httpx.Response, act: Callable[[HubClient], Any]) -> Any:
    """What a client makes of a hub that answers as a test says."""

    async def asking() -> Any:
        client = HubClient(hub.invitation.hub, EXCHANGE, RequestSigningKey.generate(), hub.now_unix)
        reply = answer if callable(answer) else lambda _request: answer
        transport = httpx.MockTransport(reply)
        client._http = httpx.AsyncClient(transport=transport, base_url=hub.url)
        async with client:
            return await act(client)

    return run(asking())


async def _download(client: HubClient, offset: int = 0) -> bytes:
    pieces = [piece async for piece in client.download(SEALED.sha256, offset, SEALED.size)]
    return b"".join(pieces)


async def _upload(client: HubClient) -> Any:
    return await client.upload_piece(SEALED.sha256, SEALED.size, 0, SEALED.data[:10])


async def _offset(client: HubClient) -> int:
    return await client.attachment_offset(SEALED.sha256, SEALED.size)


def _sent(status: int, content: bytes, **fields: str) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        yield content

    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return httpx.Response(status, headers=headers, content=body())


WRONG = [
    ("less than announced", 0, _sent(200, bytes(999), content_length="1000")),
    ("more than announced", 0, _sent(200, bytes(1000), content_length="999")),
    ("more than there is", 0, _sent(200, bytes(1001), content_length="1001")),
    ("without a length", 0, _sent(200, bytes(1000))),
    ("with a length that is none", 0, _sent(200, bytes(1000), content_length="1e3")),
    ("a part for the whole", 0, _sent(206, bytes(1000), content_length="1000")),
    ("the whole for a part", 400, _sent(200, bytes(1000), content_length="1000")),
    ("another part", 400, _sent(206, bytes(600), content_range="bytes 399-999/1000")),
    ("a part that ends early", 400, _sent(206, bytes(599), content_range="bytes 400-998/1000")),
    (
        "a part that should end early",
        400,
        _sent(206, bytes(600), content_range="bytes 400-998/1000"),
    ),
    ("a part of more", 400, _sent(206, bytes(601), content_range="bytes 400-1000/1001")),
    ("a part without its range", 400, _sent(206, bytes(600))),
    ("a part that is cut", 400, _sent(206, bytes(599), content_range="bytes 400-999/1000")),
    ("a part that runs on", 400, _sent(206, bytes(601), content_range="bytes 400-999/1000")),
]


@pytest.mark.parametrize(("offset", "answer"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_download_that_is_not_what_was_asked(
    hub: LiveHub, offset: int, answer: httpx.Response
) -> None:
    """Another range, another length or a cut is an error, never a shorter or longer file."""
    with pytest.raises(ParseError):
        _ask(hub, answer, lambda client: _download(client, offset))


def test_a_download_without_end(hub: LiveHub) -> None:
    """A hub that sends on and on is left at the first byte too many."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield bytes(100)

    answer = httpx.Response(200, headers={"Content-Length": "1000"}, content=endless())
    with pytest.raises(ParseError):
        _ask(hub, answer, _download)
    assert sent <= SEALED.size + DOWNLOAD_PIECE_BYTES + 100


def test_a_download_comes_in_pieces(hub: LiveHub) -> None:
    """However it arrives, no piece is larger than it may be, and nothing is unpacked."""
    data = bytes(3 * DOWNLOAD_PIECE_BYTES + 1)

    async def sizes(client: HubClient) -> list[int]:
        return [len(piece) async for piece in client.download("0" * 64)]

    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return _sent(200, data, content_length=str(len(data)), content_encoding="gzip")

    pieces = _ask(hub, answer, sizes)
    assert (sum(pieces), max(pieces)) == (len(data), DOWNLOAD_PIECE_BYTES)
    assert seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("told", ["", "-1", "1001", "1e2", "10, 10", "9" * 20])
@pytest.mark.parametrize("act", [_upload, _offset])
def test_an_offset_that_cannot_be(hub: LiveHub, act: Callable[[HubClient], Any], told: str) -> None:
    """The hub names an offset within the attachment, or is not understood."""
    with pytest.raises(ParseError):
        _ask(hub, httpx.Response(200, headers={"Upload-Offset": told}), act)


def test_an_offset_that_is_not_told(hub: LiveHub) -> None:
    """Without the header nothing is assumed."""
    with pytest.raises(ParseError):
        _ask(hub, httpx.Response(200), _offset)


def test_a_refused_question_says_nothing(hub: LiveHub) -> None:
    """The answer to a HEAD has no body, so why it was refused cannot be known: try again later."""
    with pytest.raises(HubUnreachable):
        _ask(hub, httpx.Response(503), _offset)


def test_a_receipt_that_is_none(hub: LiveHub) -> None:
    """What answers the last piece is a receipt, or not understood."""
    with pytest.raises(ParseError):
        _ask(hub, httpx.Response(201, content=b"{}"), _upload)


def test_a_piece_over_the_limit_is_not_sent(hub: LiveHub) -> None:
    """It is refused here, and the hub is not asked."""

    def asked(_request: httpx.Request) -> httpx.Response:
        raise AssertionError

    async def upload(client: HubClient) -> Any:
        return await client.upload_piece("0" * 64, 10**9, 0, bytes(UPLOAD_PIECE_BYTES_MAX + 1))

    with pytest.raises(ParseError, match="piece"):
        _ask(hub, asked, upload)
