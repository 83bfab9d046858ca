"""Who sends slowly is cut off, at whatever part of a request; who only waits for an answer is not."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from broker import serving
from broker.client import tls_context
from tests.exchange.live import LiveHub
from tests.exchange.raw import http, send, signature

HEAD_SECONDS = 0.5
BODY_SECONDS = 0.5
REQUEST = b"GET /v1/nowhere HTTP/1.1\r\nHost: hub\r\n\r\n"
BODY_HEAD = b"POST /v1/envelopes HTTP/1.1\r\nHost: hub\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", HEAD_SECONDS)
    monkeypatch.setattr(serving, "BODY_SECONDS", BODY_SECONDS)


@contextmanager
def connected(hub: LiveHub) -> Iterator[ssl.SSLSocket]:
    """A connection of somebody unknown."""
    context = tls_context(hub.invitation.hub.tls_trust)
    with (
        socket.create_connection(("127.0.0.1", hub.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        yield tls


def drip(tls: ssl.SSLSocket, data: bytes, every_seconds: float = 0.02) -> float:
    """Send a byte at a time until the hub has cut the line. Returns the seconds until then."""
    began = time.monotonic()
    tls.settimeout(every_seconds)
    for value in data:
        try:
            tls.sendall(bytes([value]))
            if tls.recv(65536) == b"":
                break
        except TimeoutError:
            continue
        except (ConnectionError, ssl.SSLError):
            break
    return time.monotonic() - began


def until_cut(tls: ssl.SSLSocket) -> float:
    """Wait for the end of the line. Returns the seconds until then."""
    began = time.monotonic()
    try:
        while tls.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return time.monotonic() - began


def read_answer(tls: ssl.SSLSocket) -> bytes:
    """Read an answer to its last byte, which is a brace."""
    answer = b""
    while not answer.endswith(b"}"):
        answer += tls.recv(65536)
    return answer


def _silence(tls: ssl.SSLSocket) -> float:
    return until_cut(tls)


def _slow_head(tls: ssl.SSLSocket) -> float:
    return drip(tls, b"GET /v1/envelopes HTTP/1.1\r\nX-Filler: " + b"a" * 2000)


def _empty_lines(tls: ssl.SSLSocket) -> float:
    return drip(tls, b"\r\n" * 1000)


def _one_empty_line(tls: ssl.SSLSocket) -> float:
    tls.sendall(b"\r\n")
    return until_cut(tls)


def _second_head(tls: ssl.SSLSocket) -> float:
    tls.sendall(REQUEST)
    assert read_answer(tls).startswith(b"HTTP/1.1 404")
    return drip(tls, b"GET /v1/envelopes HTTP/1.1\r\nX-Filler: " + b"a" * 2000)


def _empty_line_after_an_answer(tls: ssl.SSLSocket) -> float:
    tls.sendall(REQUEST)
    assert read_answer(tls).startswith(b"HTTP/1.1 404")
    tls.sendall(b"\r\n")
    return until_cut(tls)


def _slow_body(tls: ssl.SSLSocket) -> float:
    tls.sendall(BODY_HEAD)
    return drip(tls, b" " * 2000)


def _body_that_stops(tls: ssl.SSLSocket) -> float:
    tls.sendall(BODY_HEAD + b" " * 50_000)
    return until_cut(tls)


SLOW = [
    _silence,
    _slow_head,
    _empty_lines,
    _one_empty_line,
    _second_head,
    _empty_line_after_an_answer,
    _slow_body,
    _body_that_stops,
]


@pytest.mark.parametrize("stranger", SLOW, ids=lambda stranger: stranger.__name__.strip("_"))
def test_a_slow_stranger_is_cut_off(
    hub: LiveHub, stranger: Callable[[ssl.SSLSocket], float]
) -> None:
    """However it goes about it, it holds a connection for a moment only."""
    with connected(hub) as tls:
        seconds = stranger(tls)
    assert HEAD_SECONDS * 0.8 < seconds < HEAD_SECONDS * 2 + 1.5


def test_a_body_that_moves_on_is_read(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is slow but moves may take many times as long."""
    with connected(hub) as tls:
        tls.sendall(BODY_HEAD)
        for _ in range(5):
            time.sleep(BODY_SECONDS * 0.6)
            tls.sendall(b" " * 20_000)
        assert read_answer(tls).startswith(b"HTTP/1.1 401")


def test_who_waits_for_an_answer_is_not_cut_off(hub: LiveHub) -> None:
    """A long poll is silent for longer than a head may take."""
    with http(hub) as client:
        began = time.monotonic()
        answer = send(client, hub, "tn/main", "GET", "/v1/desks/tn/main/inbox?wait=2")
        assert answer.status_code == 200
        assert time.monotonic() - began > HEAD_SECONDS * 2


def test_a_head_in_pieces_is_read(hub: LiveHub) -> None:
    """A request whose head comes in several packets, in time, is answered; so is the next one."""
    lines = "".join(
        f"{name}: {value}\r\n"
        for name, value in signature(hub, "tn/main", "GET", "/v1/trust/x").items()
    )
    request = f"GET /v1/trust/x HTTP/1.1\r\nHost: hub\r\n{lines}\r\n".encode()
    with connected(hub) as tls:
        # The same bytes again are a request again, whose nonce was used.
        for status in (b"404", b"401"):
            for at in range(0, len(request), 200):
                tls.sendall(request[at : at + 200])
                time.sleep(0.02)
            assert read_answer(tls).split(b" ")[1] == status
