"""Serving over HTTPS: TLS 1.3, uvicorn, and problems as answers.

May import FastAPI, uvicorn and `schemas`; hub and node serve their applications with it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from enum import Enum, auto
from http import HTTPStatus
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from schemas.errors import ParseError, Problem
from schemas.loader import dump_json
from schemas.problems import MEDIA_TYPE, of_parse_error, to_document

HEAD_BYTES_MAX: Final = 32 * 1024
"""Bytes of a request's line and headers; a signed request takes under 1 KB."""

HEAD_SECONDS: Final = 10.0
"""For a request's line and headers to arrive whole: it is one packet or two."""

BODY_SECONDS: Final = 30.0
"""A body must move on within this time."""

BODY_BYTES_MIN: Final = 16 * 1024
"""Bytes of a body that arrive in each `BODY_SECONDS`, or its end: 4 kbit/s, a bad satellite line."""

NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI would otherwise report exceptions with their messages wherever the environment points to."""

_GRACEFUL_SHUTDOWN_SECONDS: Final = 2
_RANGE: Final = re.compile(r"bytes=([0-9]{0,16})-([0-9]{0,16})", re.ASCII)
_LOG = logging.getLogger("barid.serving")


class _Phase(Enum):
    """What a connection's next bytes belong to; DONE: a request has come whole."""

    HEAD = auto()
    BODY = auto()
    DONE = auto()


class _BoundedHttp(HttpToolsProtocol):
    """uvicorn's own protocol waits however slowly a stranger sends, and keeps headers however long they are.

    A connection has `HEAD_SECONDS` from its beginning, and from the first byte of each further request,
    to bring a whole head; then each `BODY_SECONDS` at least `BODY_BYTES_MIN` of the body. While a request
    is answered, and until the next one begins, uvicorn's own timers run.
    """

    _phase = _Phase.HEAD
    _head_bytes = 0
    _body_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._phase, self._head_bytes = _Phase.HEAD, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._phase, self._body_bytes = _Phase.BODY, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = _Phase.DONE
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        before = self._phase
        if before is _Phase.DONE:
            # Empty lines may come before a head, and begin no message; they must not hold the line.
            self._phase = _Phase.HEAD
        super().data_received(data)
        match self._phase:
            case _Phase.HEAD:
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES_MAX:
                    self.send_400_response("The headers are over their limit.")
                if self._timer is None:
                    self._watch(HEAD_SECONDS)
            case _Phase.BODY if before is not _Phase.BODY:
                self._watch(BODY_SECONDS)
            case _Phase.DONE:
                self._unwatch()

    def _watch(self, seconds: float) -> None:
        self._unwatch()
        self._timer = self.loop.call_later(seconds, self._overdue)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        self._timer = None
        # Where reading is paused it is the application that is slow.
        moves_on = self.flow.read_paused or self._body_bytes >= BODY_BYTES_MIN
        if self._phase is _Phase.BODY and moves_on:
            self._body_bytes = 0
            self._watch(BODY_SECONDS)
        else:
            self.transport.abort()


def server_config(
    app: FastAPI, host: str, port: int, certificate: Path, key: Path
) -> uvicorn.Config:
    """How applications are served: TLS 1.3 only, one process, nothing of a request in the log."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        loop="uvloop",
        http=_BoundedHttp,
        access_log=False,
        # The process says where logs go (`broker.logs`), not the server.
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_GRACEFUL_SHUTDOWN_SECONDS,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    return config


class EndingServer(uvicorn.Server):
    """Tells the application that it ends before waiting for its open requests: lifespan comes after."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have the application let go of what it holds open, then end."""
        _LOG.info("the server ends")
        self._ending()
        await super().shutdown(sockets)


def serve(
    app: FastAPI,
    host: str,
    port: int,
    certificate: Path,
    key: Path,
    ending: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal ends it.

    Args:
        ending: called in the event loop once the signal came: releases requests that are held open.
    """
    EndingServer(server_config(app, host, port, certificate, key), ending).run()


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a problem document (RFC 9457)."""
    return Response(
        dump_json(to_document(problem)),
        problem.type.status,
        {**_headers_of(problem), **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def _headers_of(problem: Problem) -> dict[str, str]:
    """What HTTP itself says of some problems: RFC 9110 section 10.2.3, RFC 6750 section 3."""
    seconds = problem.extensions.get("retry_after")
    if problem.type.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": "1"}
    if isinstance(seconds, int):
        return {"Retry-After": str(seconds)}
    if problem.word == "range":
        return {"Content-Range": f"bytes */{problem.extensions.get('size', 0)}"}
    if problem.word == "token-missing":
        return {"WWW-Authenticate": "Bearer"}
    return {}


class _Contain:
    """Answers what no handler did. Past this the server would log a traceback, which quotes content."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception as error:
            if scope["type"] != "http":
                raise
            # The type alone: a message may quote what was being handled.
            _LOG.error("internal failure: %s", type(error).__name__)
            if not started:
                await problem_response(Problem("internal"))(scope, receive, send)


def answer_problems(app: FastAPI, told: Callable[[Problem], None] = lambda _: None) -> None:
    """Make every failure of an application a problem document; a bug says `internal`, and no more.

    Args:
        app: the application.
        told: hears of each problem that was raised on purpose, as it is answered.
    """

    async def on_problem(_request: Request, error: Exception) -> Response:
        if isinstance(error, ParseError):
            error = of_parse_error(error)
        if isinstance(error, Problem):
            told(error)
            return problem_response(error)
        if isinstance(error, RequestValidationError):
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            return problem_response(Problem("bad-parameter", f"{where}: {first['msg']}"))
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return problem_response(Problem("method-not-allowed"), error.headers)
        return problem_response(Problem("not-found"))

    for kind in (Problem, ParseError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_problem)
    app.add_middleware(_Contain)


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Read a request's body, and stop at its limit.

    Raises:
        Problem: `too-large`.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise Problem("too-large", f"the limit is {limit_bytes} bytes")
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            raise Problem("too-large", f"the limit is {limit_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def byte_range(request: Request, size_bytes: int) -> tuple[int, int] | None:
    """The one range of bytes that a request asks for (RFC 9110 section 14.1.2).

    Args:
        request: a GET.
        size_bytes: of the whole.

    Returns:
        Start ≤ index < end; None where the whole is asked for.

    Raises:
        Problem: `range`: more than one, none that can be read, or none within the whole.
    """
    lines = request.headers.getlist("range")
    if not lines:
        return None
    matched = _RANGE.fullmatch(lines[0])
    first, last = matched.groups() if matched else ("", "")
    if first:
        start, end = int(first), min(int(last or size_bytes), size_bytes - 1) + 1
    else:
        # `-n`: the last n bytes.
        start, end = max(size_bytes - int(last or 0), 0), size_bytes
    if len(lines) > 1 or start >= end:
        raise Problem("range", f"there are {size_bytes} bytes", size=size_bytes)
    return start, end
