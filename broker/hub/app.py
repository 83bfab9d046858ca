"""The hub's application: everything wired together, and the process that serves it.

May import every room of the hub; the command line calls `serve_hub`, tests call `create_app`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from broker.hub.callers import Callers
from broker.hub.directory_log import Operate
from broker.hub.inboxes import Inboxes
from broker.hub.ledger import Ledger
from broker.hub.routes import Hub, router
from broker.hub.sequencer import Sequencer
from broker.hub.setup import open_ledger
from broker.serving import NO_TELEMETRY, answer_problems, problem_response, serve
from broker.settings import load_hub
from keys.keystore import Keystore
from schemas.errors import BaridError, Problem

CATCH_UP_SECONDS: Final = 1.0
"""How soon a running hub notices a directory that `barid hub load` published beside it."""

_LOG = logging.getLogger("barid.hub")


def _now_unix() -> int:
    return int(time.time())


def create_app(exchange: str, ledger: Ledger, now_unix: Callable[[], int] = _now_unix) -> FastAPI:
    """Wire the hub.

    Args:
        exchange: the exchange's name.
        ledger: opened, with a directory loaded.
        now_unix: seconds since 1970.
    """
    sequencer = Sequencer(ledger)
    hub = Hub(
        exchange,
        ledger,
        sequencer,
        Callers(ledger, now_unix, sequencer.remember),
        Inboxes(ledger.engine),
        now_unix,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sequencer.start()
        await sequencer.submit(Operate("start"))
        follower = asyncio.create_task(_follow(ledger))
        yield
        follower.cancel()
        await sequencer.stop()
        ledger.engine.dispose()

    app = FastAPI(
        title="Barid hub",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # Another spelling of a path would be redirected before anybody asked who is calling.
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    app.state.hub = hub
    app.include_router(router)
    answer_problems(app)
    app.add_exception_handler(OperationalError, _busy)
    return app


async def _busy(_request: Request, _error: Exception) -> Response:
    return problem_response(Problem("busy", "the database does not answer"))


async def _follow(ledger: Ledger) -> None:
    while True:
        await asyncio.sleep(CATCH_UP_SECONDS)
        try:
            await asyncio.to_thread(ledger.catch_up)
        except (BaridError, SQLAlchemyError) as error:
            # A task that ended would never notice the next directory.
            _LOG.error("the directory log was not read: %s", type(error).__name__)


def serve_hub(data: Path, keystore: Keystore) -> None:
    """Serve a hub until a signal ends it, with the operator's address beside it.

    Raises:
        ConfigurationError: no hub, or no directory, in `data`.
    """
    settings = load_hub(data)
    ledger = open_ledger(data, keystore, _now_unix)
    operator = _serve_operator(settings.operator.host, settings.operator.port, ledger)
    try:
        app = create_app(settings.exchange, ledger)
        listen = settings.listen
        hub: Hub = app.state.hub
        certificate, key = data / "tls.crt", data / "tls.key"
        serve(app, listen.host, listen.port, certificate, key, hub.inboxes.close)
    finally:
        operator.shutdown()
        operator.server_close()


def _serve_operator(host: str, port: int, ledger: Ledger) -> ThreadingHTTPServer:
    """Answer `/healthz` and `/readyz` in plain HTTP, apart from what members reach."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, said = _health(self.path, ledger)
            text = said.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing: health checks are not news."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="operator", daemon=True).start()
    return server


def _health(path: str, ledger: Ledger) -> tuple[int, str]:
    if path == "/healthz":
        return 200, "the process runs"
    if path != "/readyz":
        return 404, "there are /healthz and /readyz"
    if ledger.halted:
        return 503, ledger.halted
    if ledger.state.directory is None:
        return 503, "no directory is in force"
    return 200, "ready"
