"""The client of the event stream: at a real hub, and against one that sends anything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from broker.client import HubClient
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import HubUnreachable, ParseError, Problem
from tests.exchange.acting import submit
from tests.exchange.live import LiveHub, run


def test_what_arrives_is_heard_with_its_rank(hub: LiveHub) -> None:
    """An open stream says the rank of the most urgent that waits, each time that something arrives."""

    async def listen() -> list[int]:
        async with hub.client("tn/judicial") as client, client.events("tn/judicial") as ranks:
            heard = []
            for precedence in (Precedence.ROUTINE, Precedence.FLASH, Precedence.PRIORITY):
                outgoing = hub.outgoing("ly/main", precedence=precedence)
                await submit(hub, hub.seal(outgoing, "tn/judicial"))
                async with asyncio.timeout(10):
                    heard.append(await anext(ranks))
            return heard

    assert run(listen()) == [3, 0, 0]


def test_the_stream_of_another_desk_is_refused(hub: LiveHub) -> None:
    """It raises when it is opened, not when somebody listens."""

    async def listen() -> None:
        async with hub.client("tn/main") as client, client.events("ne/main"):
            pass

    with pytest.raises(Problem, match="not-your-desk"):
        run(listen())


def heard(hub: LiveHub, *pieces: bytes) -> list[int]:
    """The ranks of a stream that comes in these pieces."""

    class Stream(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Stream())

    async def listen() -> list[int]:
        client: HubClient = hub.client("tn/main")
        await client.close()
        client._http = httpx.AsyncClient(
            base_url=hub.url, transport=httpx.MockTransport(answer), timeout=5
        )
        async with client, client.events("tn/main") as ranks:
            return [rank async for rank in ranks]

    found: list[int] = run(listen())
    return found


EVENT = b'event: waiting\ndata: {"rank":2}\n\n'


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((), []),
        ((b":\n\n", b":\n\n"), []),
        ((EVENT, b":\n\n", EVENT), [2, 2]),
        ((EVENT + EVENT,), [2, 2]),
        (tuple(EVENT[i : i + 1] for i in range(len(EVENT))), [2]),
        ((b"event: other\ndata: {}\n\n" + EVENT,), [2]),
        ((EVENT[:-1],), []),
    ],
    ids=["nothing", "heartbeats", "between", "together", "by bytes", "another event", "truncated"],
)
def test_events_are_read_whatever_their_pieces(
    hub: LiveHub, pieces: tuple[bytes, ...], expected: list[int]
) -> None:
    """Signs of life and other events are passed over; half an event is none."""
    assert heard(hub, *pieces) == expected


@pytest.mark.parametrize(
    "piece",
    [
        b'event: waiting\ndata: {"rank":4}\n\n',
        b'event: waiting\ndata: {"rank":true}\n\n',
        b'event: waiting\ndata: {"rank":0,"rank":1}\n\n',
        b"event: waiting\ndata: \n\n",
        b"x" * 1025,
    ],
    ids=["no rank", "no number", "two ranks", "nothing", "without end"],
)
def test_what_is_no_event_ends_the_stream(hub: LiveHub, piece: bytes) -> None:
    """Also one without end: nothing of it is kept."""
    with pytest.raises(ParseError):
        heard(hub, piece)


def test_a_cut_line_is_told_as_one(hub: LiveHub) -> None:
    """As with every other call."""

    def cut(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("silent")

    async def listen() -> None:
        client = hub.client("tn/main")
        await client.close()
        client._http = httpx.AsyncClient(base_url=hub.url, transport=httpx.MockTransport(cut))
        async with client, client.events("tn/main"):
            pass

    with pytest.raises(HubUnreachable):
        run(listen())
