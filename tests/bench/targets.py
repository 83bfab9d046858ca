"""What the hub is compared with: FastAPI's own echo, and bare ASGI that shows the load generator's ceiling.

Run as `python -m tests.bench.targets WHAT PORT CERTIFICATE KEY`. Both are served exactly as the hub is:
`broker.serving`, TLS 1.3, one process, the same certificate.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from broker.serving import NO_TELEMETRY, serve

TARGETS: Final = ("echo", "raw")


def echo() -> FastAPI:
    """FastAPI answering with what it was sent; settings as the hub's, which cost it nothing."""
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )

    @app.post("/v1/envelopes")
    async def answer(request: Request) -> Response:
        return Response(await request.body())

    return app


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Bare ASGI: reads nothing and answers an empty 201, as fast as the server can."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    await send(
        {"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    for answer in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{answer}.complete"})


def main(what: str, port: int, certificate: Path, key: Path) -> None:
    """Serve one of the targets until a signal comes."""
    app = echo() if what == "echo" else raw
    serve(app, "127.0.0.1", port, certificate, key)  # type: ignore[arg-type] # any ASGI application


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
