"""Server-sent events: a desk hears at once that something waits, how urgent it is, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from broker.client import tls_context
from broker.db import writing
from broker.hub import inboxes
from broker.hub.inboxes import Inboxes
from broker.hub.tables import slot
from schemas.bulletin.vocabularies import Precedence
from tests.exchange.acting import answer, item, submit
from tests.exchange.live import LiveHub, live_hub, run
from tests.exchange.raw import http, send, signature, word

DESK, OTHER = "tn/main", "ne/main"
FLASH = b'event: waiting\ndata: {"rank":0}\n\n'
ROUTINE = b'event: waiting\ndata: {"rank":3}\n\n'
HEARTBEAT = b":\n\n"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub, and three desks that can receive."""
    with live_hub(tmp_path_factory.mktemp("events") / "hub") as hub:
        run(hub.announce("ly/main", OTHER, DESK))
        yield hub


@pytest.fixture
def hub(serving: LiveHub) -> LiveHub:
    """The hub, all of whose inboxes are empty: whatever waited counts as answered."""
    with writing(serving.ledger.engine) as connection:
        connection.execute(update(slot).values(answered=1))
    return serving


class Stream:
    """An open event stream of a desk."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._parts = response.aiter_raw()
        self._rest = b""

    async def next(self, seconds: float = 5.0) -> bytes:
        """The next event or heartbeat, with the empty line that ends it; nothing at the stream's end."""
        async with asyncio.timeout(seconds):
            while b"\n\n" not in self._rest:
                part = await anext(self._parts, None)
                if part is None:
                    return self._rest
                self._rest += part
        event, _, self._rest = self._rest.partition(b"\n\n")
        return event + b"\n\n"

    async def silent(self, seconds: float = 0.4) -> bool:
        """Whether nothing comes for a while; what comes later is lost."""
        try:
            await self.next(seconds)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def listening(hub: LiveHub, desk: str = DESK) -> AsyncIterator[Stream]:
    """A desk that listens."""
    target = f"/v1/desks/{desk}/events"
    headers = signature(hub, desk, "GET", target)
    context = tls_context(hub.invitation.hub.tls_trust)
    async with (
        httpx.AsyncClient(base_url=hub.url, verify=context, trust_env=False) as client,
        client.stream("GET", target, headers=headers, timeout=30) as response,
    ):
        assert response.status_code == 200
        yield Stream(response)


async def relay(hub: LiveHub, desk: str, precedence: Precedence = Precedence.ROUTINE) -> None:
    """Send something to a desk."""
    await submit(hub, hub.seal(hub.outgoing("ly/main", precedence=precedence), desk))


def test_an_arrival_is_told_at_once(hub: LiveHub) -> None:
    """Silent while nothing waits; each arrival is told with the most urgent rank that waits then."""

    async def story() -> None:
        async with listening(hub) as stream:
            kind = stream.response.headers["content-type"]
            assert kind.startswith("text/event-stream")
            assert stream.response.headers["cache-control"] == "no-store"
            assert await stream.silent()
        async with listening(hub) as stream:
            await relay(hub, OTHER)
            await relay(hub, DESK)
            assert await stream.next() == ROUTINE
            await relay(hub, DESK, Precedence.FLASH)
            assert await stream.next() == FLASH
            # The flash still waits, and is the most urgent.
            await relay(hub, DESK)
            assert await stream.next() == FLASH
            assert await stream.silent()

    run(story())


def test_what_waits_already_is_told_at_connect(hub: LiveHub) -> None:
    """A node that comes late hears at once; what was answered is not told."""
    sent = hub.seal(hub.outgoing("ly/main", precedence=Precedence.FLASH), DESK)
    receipt = run(submit(hub, sent))
    run(relay(hub, DESK))

    async def first() -> bytes:
        async with listening(hub) as stream:
            return await stream.next()

    assert run(first()) == FLASH
    run(answer(hub, DESK, item(hub, sent, receipt)))
    assert run(first()) == ROUTINE


def test_an_idle_stream_shows_that_it_lives(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment now and then, whatever waits, and after the longest time of a stream its end."""
    run(relay(hub, DESK))
    monkeypatch.setattr(inboxes, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(inboxes, "STREAM_SECONDS_MAX", 0.9)

    async def story() -> list[bytes]:
        async with listening(hub) as stream:
            told = [await stream.next()]
            while told[-1]:
                told.append(await stream.next())
            return told

    began = time.monotonic()
    told = run(story())
    assert told[:3] == [ROUTINE, HEARTBEAT, HEARTBEAT]
    assert set(told[1:]) == {HEARTBEAT, b""}
    assert time.monotonic() - began < 4


def test_only_the_own_desk_listens(hub: LiveHub) -> None:
    """Another desk, or nobody, hears nothing."""
    target = f"/v1/desks/{DESK}/events"
    with http(hub) as client:
        other = send(client, hub, OTHER, "GET", target)
        assert (other.status_code, word(other)) == (403, "not-your-desk")
        nobody = client.get(target)
        assert (nobody.status_code, word(nobody)) == (401, "signature-missing")


def test_of_too_many_streams_the_oldest_ends(hub: LiveHub) -> None:
    """A line that flaps leaves dead streams behind: a new one is never refused for them."""

    async def story() -> None:
        async with AsyncExitStack() as open_streams:
            streams = [
                await open_streams.enter_async_context(listening(hub))
                for _ in range(inboxes.STREAMS_PER_DESK_MAX)
            ]
            other = await open_streams.enter_async_context(listening(hub, OTHER))
            last = await open_streams.enter_async_context(listening(hub))
            assert await streams[0].next() == b""
            await relay(hub, DESK)
            assert [await s.next() for s in (*streams[1:], last)] == [ROUTINE] * 8
            assert await other.silent()

    run(story())
    deadline = time.monotonic() + 5
    while registered(hub) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert registered(hub) == 0


def registered(hub: LiveHub) -> int:
    """How many streams the hub believes to be open."""
    held: Inboxes = hub.app.state.hub.inboxes
    return sum(len(streams) for streams in held._streams.values())


def test_a_slow_reader_is_told_the_latest_only(hub: LiveHub) -> None:
    """What arrives while a reader is busy is told once, as it stands then; nothing is queued for it."""
    held = Inboxes(hub.ledger.engine)

    async def story() -> list[int | None]:
        ranks = held.follow(DESK)
        await relay(hub, DESK)
        told = [await anext(ranks)]
        for precedence in (Precedence.PRIORITY, Precedence.IMMEDIATE, Precedence.PRIORITY):
            await relay(hub, DESK, precedence)
            held.wake([DESK])
        told.append(await anext(ranks))
        try:
            async with asyncio.timeout(0.3):
                told.append(await anext(ranks))
        except TimeoutError:
            return told
        return told

    assert run(story()) == [3, 1]


def test_streams_end_with_their_hub(hub: LiveHub) -> None:
    """When the hub closes its inboxes each stream ends, and a new one ends at once."""
    held = Inboxes(hub.ledger.engine)

    async def story() -> list[list[int | None]]:
        async def told() -> list[int | None]:
            return [rank async for rank in held.follow(DESK)]

        listeners = [asyncio.create_task(told()) for _ in range(3)]
        await asyncio.sleep(0.1)
        held.close()
        async with asyncio.timeout(2):
            return [*await asyncio.gather(*listeners), await told()]

    assert run(story()) == [[], [], [], []]


IDLE = 200


def test_idle_streams_cost_little(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many that listen in vain ask the database nothing, and others are served as before."""
    monkeypatch.setattr(inboxes, "STREAMS_PER_DESK_MAX", IDLE)
    asked: list[str] = []
    looking = Inboxes._most_urgent

    def counting(self: Inboxes, desk: str) -> int | None:
        asked.append(desk)
        return looking(self, desk)

    monkeypatch.setattr(Inboxes, "_most_urgent", counting)
    held = [_connect(hub) for _ in range(IDLE)]
    try:
        deadline = time.monotonic() + 10
        while len(asked) < IDLE and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (registered(hub), len(asked)) == (IDLE, IDLE)
        used = time.process_time()
        time.sleep(0.5)
        # This process is the hub: it does nothing for them.
        assert time.process_time() - used < 0.1
        assert len(asked) == IDLE
        run(relay(hub, DESK))
        for connection in held:
            heard = b""
            while b"data" not in heard:
                heard += connection.recv(65536)
            assert heard.endswith(ROUTINE + b"\r\n")
    finally:
        for connection in held:
            connection.close()


def _connect(hub: LiveHub) -> ssl.SSLSocket:
    """Listen, with a bare socket."""
    target = f"/v1/desks/{DESK}/events"
    lines = "".join(f"{n}: {v}\r\n" for n, v in signature(hub, DESK, "GET", target).items())
    context = tls_context(hub.invitation.hub.tls_trust)
    plain = socket.create_connection(("127.0.0.1", hub.port), timeout=5)
    connection = context.wrap_socket(plain, server_hostname="127.0.0.1")
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: hub\r\n{lines}\r\n".encode())
    return connection


def test_a_hub_ends_while_a_node_listens(tmp_path: Path) -> None:
    """Its end is the end of the stream, at once, without waiting for the reader to go."""
    hub = LiveHub(tmp_path / "hub")
    hub.start()

    async def story() -> tuple[bytes, float]:
        async with listening(hub) as stream:
            began = time.monotonic()
            stopping = asyncio.create_task(asyncio.to_thread(hub.stop))
            told = await stream.next()
            seconds = time.monotonic() - began
        await stopping
        return told, seconds

    told, seconds = run(story())
    assert told == b""
    assert seconds < 1
