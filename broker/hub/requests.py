"""What every route of the hub begins with: the running hub, who is calling, and how it answers.

May import FastAPI and the hub's own rooms; each module of routes uses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Request, Response
from sqlalchemy import Connection

from broker.db import reading
from broker.hub.attachments import Attachments
from broker.hub.callers import Caller, Callers
from broker.hub.inboxes import Inboxes
from broker.hub.ledger import Ledger
from broker.hub.logbook import Head, LogName, read_head
from broker.hub.publishing import Publishing
from broker.hub.sequencer import Sequencer
from schemas.errors import Problem
from schemas.loader import dump_json

FRESH: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Hub:
    """The running hub, as routes find it at `request.app.state.hub`."""

    exchange: str
    ledger: Ledger
    sequencer: Sequencer
    callers: Callers
    inboxes: Inboxes
    attachments: Attachments
    publishing: Publishing
    now_unix: Callable[[], int]

    def now(self) -> datetime:
        """The hub's clock."""
        return datetime.fromtimestamp(self.now_unix(), UTC)

    async def ask(
        self, question: Callable[[Connection], Response], generation: int | None = None
    ) -> Response:
        """Put a question to the database on a thread: a long answer must not hold up the others.

        Args:
            question: gives the answer.
            generation: of the logs that are asked about; None for those that are written.

        Raises:
            Problem: `not-found`: no such generation.
        """
        engine = self.ledger.engine_of(generation or self.ledger.generation)

        def answer() -> Response:
            with reading(engine) as connection:
                found = question(connection)
            self.ledger.settle()
            return found

        return await asyncio.to_thread(answer)


def hub_of(request: Request) -> Hub:
    """The hub that serves this request."""
    hub: Hub = request.app.state.hub
    return hub


def head_of(connection: Connection, log: LogName, generation: int) -> Head:
    """The committed head of a log. Raises Problem: `not-found` for another generation than the database's."""
    head = read_head(connection, log)
    if head.generation != generation:
        raise Problem("not-found", "no such generation of this log")
    return head


def json_answer(model: Any, status: int = 200) -> Response:
    """Answer with a model as JSON, which no cache keeps."""
    return Response(dump_json(model), status, FRESH, media_type="application/json")


async def caller_of(request: Request, body: bytes | None = b"") -> Caller:
    """Find out which desk calls (RFC 9421); before its body is read, where that is None.

    Raises:
        Problem: why it is none.
    """
    if b"%" in request.scope["raw_path"]:
        raise Problem("not-found", "no path of this hub needs percent-encoding")
    return hub_of(request).callers.identify(request, body)


async def own_desk(request: Request, member: str, unit: str, body: bytes = b"") -> str:
    """Check that the caller is the desk of the path. Raises Problem: `not-your-desk`, or as `caller_of`."""
    caller = await caller_of(request, body)
    if caller.desk != f"{member}/{unit}":
        raise Problem("not-your-desk", f"this is {member}/{unit}, and the caller {caller.desk}")
    return caller.desk
