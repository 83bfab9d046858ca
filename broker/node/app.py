"""The node's application: everything wired together, and the process that serves it.

May import every room of the node; the command line calls `serve_node`, tests call `wire`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from sqlalchemy.exc import OperationalError

from broker.db import settle
from broker.node.api.access import Serving
from broker.node.api.alarm_routes import router as alarm_router
from broker.node.api.attachment_routes import router as attachment_router
from broker.node.api.confirming_routes import router as confirming_router
from broker.node.api.inbox_routes import router as inbox_router
from broker.node.api.life_routes import router as life_router
from broker.node.api.receipt_routes import router as receipt_router
from broker.node.api.release_routes import router as release_router
from broker.node.api.routes import router
from broker.node.api.service import Node
from broker.node.clock import Clock, utc_now
from broker.node.follow_store import NodeFollowStore
from broker.node.home import Home, load_invitation, open_home, served_alone
from broker.node.line import Line, open_line
from broker.node.openapi import document
from broker.node.outbox.attachments import Uploads
from broker.node.pacing import Pace
from broker.node.sync import Sync
from broker.node.watching import node_metrics, why_not_ready
from broker.operating import operator_served
from broker.serving import NO_TELEMETRY, answer_problems, problem_response, serve
from broker.settings import Listen, NodeSettings, load_node
from schemas.errors import Problem
from schemas.loader import dump_json

OPENAPI_PATH: Final = "/openapi.json"

_LOG: Final = logging.getLogger("barid.node")

ROUTERS: Final = (
    router,
    alarm_router,
    attachment_router,
    confirming_router,
    inbox_router,
    life_router,
    receipt_router,
    release_router,
)
"""All that agencies reach."""


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
        lifespan=lifespan,
        # No page of the document: it would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    app.state.serving = Serving(Node(home, line, clock), sync, Uploads(home, clock))
    for each in ROUTERS:
        app.include_router(each)
    answer_problems(app)
    app.add_exception_handler(OperationalError, _takes_nothing)
    _describe(app)
    return app


async def _takes_nothing(_request: Request, error: Exception) -> Response:
    """Tell a full disk from a database that is locked or read-only; either way nothing was written."""
    is_full = isinstance(error, OperationalError) and "is full" in str(error.orig)
    if is_full:
        return problem_response(Problem("disk-full", "the node's disk has no room"))
    return problem_response(Problem("busy", "the node's database takes nothing"))


def _describe(app: FastAPI) -> None:
    """Serve the OpenAPI document; written when it is first asked for."""

    @functools.cache
    def written() -> bytes:
        return dump_json(document(app.routes))

    async def openapi() -> Response:
        return Response(await asyncio.to_thread(written), media_type="application/json")

    app.add_api_route(OPENAPI_PATH, openapi, include_in_schema=False)


def serve_node(data: Path, passphrase: bytes, listen: Listen | None = None) -> None:
    """Serve a node until a signal ends it.

    Args:
        data: the directory that `init_node` made, with an invitation.
        passphrase: of the keystore.
        listen: where, if not where the settings say.

    Raises:
        ConfigurationError: something is missing, the passphrase is wrong, or another process serves the
            directory; says what to do.
        VerificationError: a key file, or what was followed before, does not verify.
    """
    settings = load_node(data)
    with served_alone(data):
        _serve_alone(data, passphrase, settings, listen or settings.listen)


def _serve_alone(data: Path, passphrase: bytes, settings: NodeSettings, where: Listen) -> None:
    home = open_home(data, passphrase)
    settle(home.engine)
    line = open_line(
        home, load_invitation(data, home.exchange), NodeFollowStore(home.engine), utc_now
    )
    app = wire(home, line, utc_now, Pace())
    ready = functools.partial(why_not_ready, home, line, utc_now)
    with operator_served(settings.operator, ready, node_metrics(home, line, utc_now)):
        _LOG.info("the node serves", extra={"host": where.host, "port": where.port})
        serve(app, where.host, where.port, data / "tls.crt", data / "tls.key")
