"""The node's application: everything wired together, and the process that serves it.

May import every room of the node; the command line calls `serve_node`, tests call `create_app`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from broker.node.api.access import Serving
from broker.node.api.routes import router
from broker.node.api.service import Node
from broker.node.clock import Clock, utc_now
from broker.node.follow_store import NodeFollowStore
from broker.node.home import Home, load_invitation, open_home
from broker.node.line import Line, open_line
from broker.node.pacing import Pace
from broker.node.sync import Sync
from broker.serving import NO_TELEMETRY, answer_problems, serve
from broker.settings import Listen, load_node
from schemas.loader import dump_json

API_VERSION: Final = "1"
OPENAPI_PATH: Final = "/openapi.json"

_DESCRIPTION: Final = (
    "What a member's agencies call: hand in bulletins, see what became of them, read the inbox."
    " Every answer that is not a success is a problem document (RFC 9457) with a stable `type`."
)


def create_app(
    data: Path, passphrase: bytes, clock: Clock = utc_now, pace: Pace | None = None
) -> FastAPI:
    """Open a node and wire it; the exchange with the hub runs while the application does.

    Args:
        data: the directory that `init_node` made, with an invitation.
        passphrase: of the keystore.
        clock: says what time it is.
        pace: how often the hub is asked; the default, but in tests.

    Raises:
        ConfigurationError: something is missing, or the passphrase is wrong; says what to do.
        VerificationError: a key file, or what was followed before, does not verify.
    """
    home = open_home(data, passphrase)
    invitation = load_invitation(data, home.exchange)
    line = open_line(home, invitation, NodeFollowStore(home.engine), clock)
    return wire(home, line, clock, pace or Pace())


def wire(home: Home, line: Line, clock: Clock, pace: Pace) -> FastAPI:
    """Make the application of an opened node; closing it closes line and home."""
    sync = Sync(home, line, clock, pace)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        working = asyncio.create_task(sync.run())
        yield
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await line.close()
        home.close()

    app = FastAPI(
        title="Barid node",
        version=API_VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # No page of the document: it would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    app.state.serving = Serving(Node(home, line, clock), sync)
    app.include_router(router)
    answer_problems(app)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Serve the OpenAPI document; written when it is first asked for."""

    @functools.cache
    def document() -> bytes:
        return dump_json(_document(app))

    async def openapi() -> Response:
        return Response(await asyncio.to_thread(document), media_type="application/json")

    app.add_api_route(OPENAPI_PATH, openapi, include_in_schema=False)


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, without FastAPI's own error model, which this node never sends."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    for methods in document["paths"].values():
        for operation in methods.values():
            answer: dict[str, Any] = operation["responses"].get("422", {})
            if "application/json" in answer.get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document


def serve_node(data: Path, passphrase: bytes, listen: Listen | None = None) -> None:
    """Serve a node until a signal ends it.

    Args:
        data: the directory that `init_node` made, with an invitation.
        passphrase: of the keystore.
        listen: where, if not where the settings say.

    Raises:
        ConfigurationError, VerificationError: as `create_app`.
    """
    where = listen or load_node(data).listen
    app = create_app(data, passphrase)
    serve(app, where.host, where.port, data / "tls.crt", data / "tls.key")
