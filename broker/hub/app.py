"""The hub's application: everything wired together, and the process that serves it.

May import every room of the hub; the command line calls `serve_hub`, tests call `create_app`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from broker.hub.attachment_files import AttachmentFiles
from broker.hub.attachment_routes import router as attachment_router
from broker.hub.attachments import Attachments, keep_collecting
from broker.hub.callers import Callers
from broker.hub.directory_log import Operate
from broker.hub.events import router as events_router
from broker.hub.expiry import sweep
from broker.hub.generations import settle_newest
from broker.hub.inboxes import Inboxes
from broker.hub.ledger import Ledger
from broker.hub.lost_routes import router as lost_router
from broker.hub.publishing import Publishing
from broker.hub.purging import keep_purging
from broker.hub.renewal import keep_renewing, renew
from broker.hub.requests import Hub
from broker.hub.routes import router
from broker.hub.sequencer import Sequencer
from broker.hub.setup import open_ledger
from broker.hub.trust_routes import router as trust_router
from broker.hub.watching import HubGauges, Watched, why_not_ready
from broker.hub.witness_routes import router as witness_router
from broker.operating import operator_served
from broker.serving import NO_TELEMETRY, answer_problems, problem_response, serve
from broker.settings import load_hub
from keys.keystore import Keystore
from schemas.errors import BaridError, Problem

ROUTERS: Final = (
    router,
    trust_router,
    witness_router,
    events_router,
    attachment_router,
    lost_router,
)
"""All that members reach."""

CATCH_UP_SECONDS: Final = 1.0
"""How soon a running hub notices a directory that `barid hub load` published beside it."""

_LOG = logging.getLogger("barid.hub")


def _now_unix() -> int:
    return int(time.time())


def create_app(
    exchange: str,
    ledger: Ledger,
    files: AttachmentFiles,
    now_unix: Callable[[], int] = _now_unix,
) -> FastAPI:
    """Wire the hub.

    Args:
        exchange: the exchange's name.
        ledger: opened, with a directory loaded.
        files: where attachments lie.
        now_unix: seconds since 1970.
    """
    watched = Watched(ledger)
    sequencer = Sequencer(watched)
    hub = Hub(
        exchange,
        ledger,
        sequencer,
        Callers(ledger, now_unix, sequencer.remember),
        Inboxes(ledger.engine),
        Attachments(ledger.engine, sequencer, files, now_unix),
        Publishing(exchange, ledger, sequencer, now_unix),
        now_unix,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sequencer.start()
        if ledger.halted:
            # It shows what it signed before: so every member that saw more notices.
            _LOG.critical("%s", ledger.halted)
        else:
            await sequencer.submit(Operate("start"))
        # Before anybody reads them: a hub that was off for long has let both run out.
        await renew(ledger, sequencer, now_unix)
        follower = asyncio.create_task(_follow(ledger))
        collector = asyncio.create_task(keep_collecting(hub.attachments))
        sweeper = asyncio.create_task(sweep(ledger.engine, sequencer, now_unix))
        renewer = asyncio.create_task(keep_renewing(ledger, sequencer, now_unix))
        purger = asyncio.create_task(keep_purging(ledger, sequencer, now_unix))
        yield
        purger.cancel()
        renewer.cancel()
        sweeper.cancel()
        collector.cancel()
        follower.cancel()
        await sequencer.stop()
        ledger.close()

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
    app.state.hub, app.state.watched = hub, watched
    for each in ROUTERS:
        app.include_router(each)
    answer_problems(app, watched.answered)
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
        ConfigurationError: no hub, or no directory, in `data`; or the disk does not take what is there.
    """
    settings = load_hub(data)
    # First of all: the anchor notes, and members are shown, only what a power cut cannot take back.
    settle_newest(data)
    ledger = open_ledger(data, keystore, _now_unix)
    app = create_app(settings.exchange, ledger, AttachmentFiles.open(data, settings))
    hub: Hub = app.state.hub
    metrics = app.state.watched.registry
    metrics.register(HubGauges(hub, data))
    listen, certificate, key = settings.listen, data / "tls.crt", data / "tls.key"
    # What is here now stays: looking for garbage in it took a tenth of each submission's time.
    gc.collect()
    gc.freeze()
    with operator_served(settings.operator, partial(why_not_ready, ledger), metrics):
        _LOG.info("the hub serves", extra={"host": listen.host, "port": listen.port})
        serve(app, listen.host, listen.port, certificate, key, hub.inboxes.close)
