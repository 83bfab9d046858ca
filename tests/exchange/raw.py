"""Requests by hand, for callers who do not keep to the protocol: each part of a call may be another.

May import the live hub; the tests of a hostile member or stranger send with it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

import httpx
from sqlalchemy import func, select

from broker.client import tls_context
from broker.db import reading
from broker.hub.tables import metadata
from keys.requests import Request, sign_request
from schemas.errors import TYPE_PREFIX
from schemas.loader import load_json
from schemas.problems import MEDIA_TYPE
from tests.exchange.live import EXCHANGE, LiveHub

ANSWER_BYTES_MAX = 64 * 1024 * 1024


def http(hub: LiveHub) -> httpx.Client:
    """A client without any signature."""
    context = tls_context(hub.invitation.hub.tls_trust)
    return httpx.Client(base_url=hub.url, verify=context, trust_env=False, timeout=20)


def signature(
    hub: LiveHub, desk: str, method: str, target: str, body: bytes = b"", **other: Any
) -> dict[str, str]:
    """The headers of a signed request.

    Args:
        other: `authority`, `exchange`, `now_unix` or `nonce`, where the caller lies.
    """
    path, _, query = target.partition("?")
    authority = other.pop("authority", hub.invitation.hub.authority)
    request = Request(method, authority, path, query, body=body)
    arguments: dict[str, Any] = {"exchange": EXCHANGE, "now_unix": hub.now_unix()} | other
    return sign_request(request, hub.desks[desk].request, **arguments)


def send(
    client: httpx.Client,
    hub: LiveHub,
    desk: str,
    method: str,
    target: str,
    body: bytes = b"",
    **other: Any,
) -> httpx.Response:
    """Send a request that a desk has signed."""
    headers = signature(hub, desk, method, target, body, **other)
    return client.request(method, target, content=body or None, headers=headers)


def word(answer: httpx.Response) -> str:
    """The problem that was answered, which must be a problem document."""
    document = problem(answer)
    return str(document["type"]).removeprefix(TYPE_PREFIX)


def problem(answer: httpx.Response) -> Mapping[str, Any]:
    """The members of the problem document that was answered."""
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = load_json(answer.content, ANSWER_BYTES_MAX)
    assert document["status"] == answer.status_code
    assert isinstance(document, dict)
    return document


def rows(hub: LiveHub) -> dict[str, int]:
    """How many rows each table has, but for nonces and tiles."""
    with reading(hub.ledger.engine) as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
            if table.name not in {"nonce", "tile"}
        }


def bare(hub: LiveHub, data: bytes, *, then: bytes = b"", times: int = 0) -> bytes:
    """Send raw bytes over TLS, then some more as often as asked; gives what came until the hub closed.

    Raises:
        TimeoutError: it neither answered nor closed within five seconds.
    """
    context = tls_context(hub.invitation.hub.tls_trust)
    received = b""
    with (
        socket.create_connection(("127.0.0.1", hub.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        try:
            tls.sendall(data)
            for _ in range(times):
                tls.sendall(then)
            while chunk := tls.recv(65536):
                received += chunk
        except (ConnectionError, ssl.SSLError):
            return received
    return received
