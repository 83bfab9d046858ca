"""The hub's client before a hostile hub: nothing that is answered breaks it, or fills its memory."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from broker import calls as room
from broker.client import HubClient, TrustFileAbsent
from keys.signing import RequestSigningKey
from schemas.directory import HubAddress
from schemas.errors import TYPE_PREFIX, HubUnreachable, ParseError, Problem
from schemas.problems import MEDIA_TYPE
from tests.exchange.live import EXCHANGE, LiveHub, run

Answer = Callable[[httpx.Request], httpx.Response]


def _client(hub: LiveHub, answer: Answer) -> HubClient:
    """A client whose hub answers what a test says."""
    told = hub.invitation.hub
    address = HubAddress(authority=told.authority, url=told.url, tls_trust=told.tls_trust)
    client = HubClient(address, EXCHANGE, RequestSigningKey.generate(), hub.now_unix)
    transport = httpx.MockTransport(answer)
    client._http = httpx.AsyncClient(transport=transport, base_url=told.url)
    return client


def _problem(**members: object) -> httpx.Response:
    return httpx.Response(409, json=members, headers={"Content-Type": MEDIA_TYPE})


def test_an_answer_without_end(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not end is read to its limit, and no further."""
    monkeypatch.setattr(room, "ANSWER_BYTES_MAX", 100_000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield bytes(10_000)

    async def ask() -> None:
        async with _client(hub, lambda _r: httpx.Response(200, content=endless())) as client:
            await client.body("ly/main", "x")

    with pytest.raises(ParseError, match="limit"):
        run(ask())
    assert sent <= 120_000


def test_a_compressed_answer_is_measured_unpacked(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What unpacks to more than the limit is refused, however small it travelled."""
    monkeypatch.setattr(room, "ANSWER_BYTES_MAX", 100_000)
    packed = gzip.compress(bytes(1_000_000))
    answer = httpx.Response(200, content=packed, headers={"Content-Encoding": "gzip"})

    async def ask() -> None:
        async with _client(hub, lambda _r: answer) as client:
            await client.body("ly/main", "x")

    with pytest.raises(ParseError, match="limit"):
        run(ask())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, content=b"\xff\xfe"), ParseError),
        (httpx.Response(500, content=b"oops"), HubUnreachable),
        (httpx.Response(301, headers={"Location": "https://127.0.0.1:1/"}), HubUnreachable),
        (httpx.Response(409, content=b"{", headers={"Content-Type": MEDIA_TYPE}), HubUnreachable),
        (_problem(type="about:blank"), HubUnreachable),
        (_problem(type=f"{TYPE_PREFIX}no-such-word"), HubUnreachable),
        (_problem(type=f"{TYPE_PREFIX}busy", detail=1, extra={"a": 1}), Problem),
    ],
    ids=["not UTF-8", "no problem", "a redirect", "no JSON", "no type", "unknown", "a problem"],
)
def test_strange_answers(hub: LiveHub, answer: httpx.Response, error: type[Exception]) -> None:
    """Each is an error of ours that the caller knows, and nothing is followed."""

    async def ask() -> None:
        async with _client(hub, lambda _r: answer) as client:
            await client.checkpoint("exchange", 1)

    with pytest.raises(error):
        run(ask())


def test_a_line_that_breaks(hub: LiveHub) -> None:
    """A connection that is refused or cut is a hub that cannot be reached."""

    def cut(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut", request=request)

    async def ask() -> None:
        async with _client(hub, cut) as client:
            await client.checkpoint("exchange", 1)

    with pytest.raises(HubUnreachable, match="ReadError"):
        run(ask())


def test_a_trust_file(hub: LiveHub) -> None:
    """One that is absent has an error of its own, and one over its limit is not taken."""
    absent = _problem(type=f"{TYPE_PREFIX}not-found")

    async def ask(answer: httpx.Response) -> bytes:
        async with _client(hub, lambda _r: answer) as client:
            return await client.trust_file("metadata/1.root.json", 10)

    with pytest.raises(TrustFileAbsent):
        run(ask(absent))
    with pytest.raises(ParseError, match="limit"):
        run(ask(httpx.Response(200, content=bytes(11))))
    assert run(ask(httpx.Response(200, content=bytes(10)))) == bytes(10)


def test_the_hubs_certificate_is_the_invitations(hub: LiveHub, tmp_path: Path) -> None:
    """Another hub at the same address, with another certificate, is not spoken to."""
    other = LiveHub(tmp_path / "other")
    told = hub.invitation.hub.model_copy(update={"tls_trust": other.invitation.hub.tls_trust})

    async def ask() -> None:
        key = hub.desks["tn/main"].request
        async with HubClient(told, EXCHANGE, key, hub.now_unix) as client:
            await client.checkpoint("exchange", 1)

    with pytest.raises(HubUnreachable):
        run(ask())
