"""Who is calling: RFC 9421 signatures of desks, each nonce once.

May import `keys.requests` and the hub's own rooms; every route of members passes through `Callers.identify`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from fastapi import Request
from sqlalchemy import Engine, select

from broker.db import reading
from broker.hub.ledger import Ledger
from broker.hub.tables import nonce
from keys.requests import Request as SignedRequest
from keys.requests import verify_request
from schemas.bulletin.vocabularies import DeskFunction
from schemas.errors import Problem
from schemas.scalars import format_time

SWEEP_SECONDS: Final = 60
"""How often nonces that have expired are forgotten; they live two minutes at most."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated desk."""

    desk: str
    is_auditor: bool


class Callers:
    """Identifies callers, and remembers their nonces until they expire.

    The set in memory decides; `remember` has each nonce written with the next batch, so that a restart
    forgets at most nonces of requests that wrote nothing.
    """

    def __init__(
        self, ledger: Ledger, now_unix: Callable[[], int], remember: Callable[[str, int], None]
    ) -> None:
        self._ledger = ledger
        self._now_unix = now_unix
        self._remember = remember
        self._seen = _stored_nonces(ledger.engine)
        self._swept = 0

    def identify(self, request: Request, body: bytes | None) -> Caller:
        """Verify a request's signature against the directory in force.

        Args:
            request: as it came.
            body: all of it; None where it is still to be read, and its digest to be compared.

        Raises:
            Problem: why not; a 401 carries the hub's time.
        """
        now = self._now_unix()
        try:
            return self._identify(request, body, now)
        except Problem as problem:
            hub_time = format_time(datetime.fromtimestamp(now, UTC))
            if problem.type.status == HTTPStatus.UNAUTHORIZED:
                raise Problem(problem.word, problem.detail, hub_time=hub_time) from problem
            raise

    def _identify(self, request: Request, body: bytes | None, now: int) -> Caller:
        directory = self._ledger.state.directory
        if directory is None:
            raise Problem("unknown-key", "no directory is in force yet")
        at = datetime.fromtimestamp(now, UTC)

        def request_key(keyid: str) -> bytes | None:
            desk = directory.desk_by_request_keyid(keyid)
            view = None if desk is None else directory.desk(desk, at)
            return None if view is None else view.request_key

        signed = SignedRequest(
            request.method,
            directory.council.hub.authority,
            request.scope["raw_path"].decode("latin-1"),
            request.scope["query_string"].decode("latin-1"),
            tuple(request.headers.items()),
            body or b"",
            body_follows=body is None,
        )
        verified = verify_request(signed, request_key, now)
        self._claim(verified.nonce, verified.expires, now)
        desk = directory.desk_by_request_keyid(verified.keyid)
        view = None if desk is None else directory.desk(desk, at)
        if desk is None or view is None:
            raise Problem("unknown-key")
        return Caller(desk, DeskFunction.AUDITOR in view.functions)

    def _claim(self, value: str, expires: int, now: int) -> None:
        # Either way, since a clock that was set back must not end the sweeping.
        if abs(now - self._swept) >= SWEEP_SECONDS:
            self._seen = {n: until for n, until in self._seen.items() if until >= now}
            self._swept = now
        if value in self._seen:
            raise Problem("nonce-replayed")
        self._seen[value] = expires
        self._remember(value, expires)


def _stored_nonces(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return {row.nonce: row.expires for row in connection.execute(select(nonce))}
