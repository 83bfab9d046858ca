"""Serving over HTTPS: TLS 1.3, uvicorn, own certificates, and problems as answers.

May import FastAPI, uvicorn, cryptography and `schemas`; hub and node serve their applications with it.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
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
from starlette.exceptions import HTTPException

from schemas.errors import ParseError, Problem
from schemas.loader import dump_json
from schemas.problems import MEDIA_TYPE, of_parse_error, to_document

CERTIFICATE_DAYS: Final = 397
"""Life of a self-made certificate: the longest that common clients accept."""

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


def serve(app: FastAPI, host: str, port: int, certificate: Path, key: Path) -> None:
    """Serve until a signal ends it: TLS 1.3 only, one process."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_GRACEFUL_SHUTDOWN_SECONDS,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    uvicorn.Server(config).run()


def problem_response(problem: Problem) -> Response:
    """Answer with a problem document (RFC 9457)."""
    busy = problem.type.status == HTTPStatus.SERVICE_UNAVAILABLE
    headers = {"Retry-After": "1"} if busy else {}
    return Response(
        dump_json(to_document(problem)), problem.type.status, headers, media_type=MEDIA_TYPE
    )


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
            return problem_response(Problem("method-not-allowed"))
        if isinstance(error, HTTPException):
            return problem_response(Problem("not-found"))
        # The type alone: a message may quote what was being handled.
        _LOG.error("internal failure: %s", type(error).__name__)
        return problem_response(Problem("internal"))

    for kind in (Problem, ParseError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, on_problem)


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
