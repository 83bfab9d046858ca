"""Serving over HTTPS: TLS 1.3, uvicorn, own certificates, and problems as answers.

May import FastAPI, uvicorn, cryptography and `schemas`; hub and node serve their applications with it.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
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

CERTIFICATE_DAYS: Final = 397
"""Life of a self-made certificate: the longest that common clients accept."""

HEAD_BYTES_MAX: Final = 32 * 1024
"""Bytes of a request's line and headers; a signed request takes under 1 KB."""

NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI would otherwise report exceptions with their messages wherever the environment points to."""

_GRACEFUL_SHUTDOWN_SECONDS: Final = 2
_LOG = logging.getLogger("barid.serving")


def make_certificate(directory: Path, names: tuple[str, ...], now: datetime) -> tuple[Path, Path]:
    """Make a self-signed server certificate (ECDSA P-256) and its key in `directory`.

    Args:
        names: DNS names and IP addresses that clients will use; the first is the common name.

    Returns:
        Paths of the certificate and of the key (PEM; the key's mode is 0600).
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = directory / "tls.crt", directory / "tls.key"
    key_path.touch(mode=0o600)
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate_path, key_path


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class _BoundedHttp(HttpToolsProtocol):
    """uvicorn's own protocol keeps a request's line and headers, however long a stranger makes them."""

    _in_head = False
    _head_bytes = 0

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.send_400_response("The headers are over their limit.")


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
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_GRACEFUL_SHUTDOWN_SECONDS,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    return config


class _Server(uvicorn.Server):
    """Tells the application that it ends before waiting for its open requests: lifespan comes after."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
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
    _Server(server_config(app, host, port, certificate, key), ending).run()


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


def answer_problems(app: FastAPI) -> None:
    """Make every failure of an application a problem document; a bug says `internal`, and no more."""

    async def on_problem(_request: Request, error: Exception) -> Response:
        if isinstance(error, Problem):
            return problem_response(error)
        if isinstance(error, ParseError):
            return problem_response(of_parse_error(error))
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
