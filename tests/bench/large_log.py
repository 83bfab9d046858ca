"""The generator of a large log: real statements by real keys, put into a hub's database in its own order.

May import `keys`, `broker.hub.logbook` and the exchange of `world`; `large` calls it. What HTTP, the inboxes
and the ciphertext of bodies would cost is left out: no figure of the log depends on it.
"""

from __future__ import annotations

import multiprocessing
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from broker.db import writing
from broker.hub.logbook import LogWriter, read_head
from broker.hub.setup import open_ledger
from broker.policy.admission import admit
from broker.tlog.receipt import exchange_leaf, place_hash
from keys.directory_state import DirectoryState
from keys.dsse import pae_sha256, sign_statement, signatures_sha256
from keys.envelope import parse_header
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.entries import (
    AcceptedRecipient,
    AcknowledgementEntry,
    EnvelopeAccepted,
    EnvelopeExpired,
    ExchangeLogEntry,
)
from schemas.loader import dump_json
from schemas.receipts import SALT_BYTES
from schemas.statements import PayloadType, Statement
from tests.bench.world import BenchExchange
from tests.exchange.live import EXCHANGE

ENVELOPES: Final = 64
"""Of a cohort: each is accepted, delivered, read, and expires."""

COHORT: Final = 4 * ENVELOPES
_APART: Final = timedelta(seconds=120)
_LIFE: Final = timedelta(seconds=60)
_AT_ONCE: Final = 16
_FORKS: Final = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as the hub stores it."""

    salt: bytes
    entry: bytes
    statement: bytes | None


@dataclass(frozen=True, slots=True)
class _Scene:
    """What all cohorts of one call share."""

    exchange: BenchExchange
    state: DirectoryState
    begin: datetime
    first: int
    """The index of the first cohort's first entry."""


class LargeLog:
    """An exchange log that grows by whole cohorts; each takes two minutes of the exchange's time.

    Args:
        exchange: founded; its hub does not serve while the log grows.
    """

    def __init__(self, exchange: BenchExchange) -> None:
        self._exchange = exchange
        self.size = 0

    @property
    def moment(self) -> datetime:
        """When its newest entry was logged, and a little more: what clocks say then."""
        hub = self._exchange.hub
        return datetime.fromtimestamp(hub.now_unix(), UTC)

    def grow(self, size: int, tell: Callable[[str], None]) -> None:
        """Grow to a size, which cohorts divide; the hub's clock goes on as far.

        Args:
            size: in entries.
            tell: told how far it is.
        """
        hub = self._exchange.hub
        cohorts = range((size - self.size) // COHORT)
        ledger = open_ledger(hub.data, hub.keystore, hub.now_unix)
        begin = datetime.fromtimestamp(max(head.at for head in ledger.heads()), UTC)
        scene = _Scene(self._exchange, ledger.state, begin, self.size)
        try:
            with _FORKS.Pool(None, _inherit, (scene,)) as pool:
                made = pool.imap(_cohort, cohorts, 1)
                rows: list[Row] = []
                for number, cohort in enumerate(made, 1):
                    rows += cohort
                    if number % _AT_ONCE == 0 or number == len(cohorts):
                        at = begin + number * _APART
                        with writing(ledger.engine) as connection:
                            writer = LogWriter(connection, read_head(connection, "exchange"))
                            for row in rows:
                                writer.append(row.entry, row.salt, row.statement)
                            writer.close(ledger.signers.exchange, int(at.timestamp()))
                        self.size += len(rows)
                        rows = []
                    if number % 256 == 0:
                        tell(f"{self.size:,} entries")
        finally:
            ledger.close()
        hub.clock_offset_seconds += len(cohorts) * int(_APART.total_seconds())


_scenes: list[_Scene] = []
"""In a worker: the scene, which it got by being forked."""


def _inherit(scene: _Scene) -> None:
    _scenes[:] = [scene]


def _cohort(number: int) -> list[Row]:
    """The n-th cohort's entries, in the order of the log."""
    (scene,) = _scenes
    first, at = scene.first + number * COHORT, scene.begin + number * _APART
    accepted = [_accepted(scene, first + n, at) for n in range(ENVELOPES)]
    rows = [row for row, _ in accepted]
    for result in (Result.DELIVERED, Result.READ):
        at += timedelta(seconds=10)
        rows += [_answered(scene, item, desk, result, at) for _, (item, desk) in accepted]
    at += _LIFE
    for _, (item, _) in accepted:
        expired = EnvelopeExpired(
            type="envelope.expired",
            at=at,
            from_=item.from_,
            id=item.id,
            directory_size=scene.state.size,
        )
        rows.append(_row(expired, None))
    return rows


def _accepted(scene: _Scene, index: int, at: datetime) -> tuple[Row, tuple[AcknowledgedItem, str]]:
    desks, hub = scene.exchange.desks, scene.exchange.hub
    sender = desks[index % len(desks)]
    others = [desk for desk in desks if desk != sender]
    recipient = others[index // len(desks) % len(others)]
    outgoing = hub.outgoing(sender, expires=at + _LIFE)
    envelope = hub.seal(outgoing, recipient, created=at)
    statement = Statement(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signatures=envelope.signatures,
    )
    header = parse_header(statement)
    (policies,) = admit(statement, header, scene.state, at).values()
    place = place_hash(secrets.token_bytes(SALT_BYTES), 1 + index)
    entry = EnvelopeAccepted(
        type="envelope.accepted",
        at=at,
        pae=pae_sha256(statement),
        signatures=signatures_sha256(statement),
        header=statement.payload,
        directory_size=scene.state.size,
        recipients=(AcceptedRecipient(desk=recipient, place=place, policies=policies),),
    )
    row = _row(entry, statement)
    item = AcknowledgedItem(
        from_=sender,
        id=header.id,
        origin=hub.invitation.logs.exchange.origin,
        index=index,
        leaf=exchange_leaf(row.salt, row.entry).hex(),
    )
    return row, (item, recipient)


def _answered(
    scene: _Scene, item: AcknowledgedItem, desk: str, result: Result, at: datetime
) -> Row:
    answer = Acknowledgement(v=1, exchange=EXCHANGE, desk=desk, at=at, result=result, items=(item,))
    keys = scene.exchange.hub.desks[desk]
    statement = sign_statement(
        PayloadType.ACKNOWLEDGEMENT, dump_json(answer), EXCHANGE, [keys.node]
    )
    entry = AcknowledgementEntry(
        type="acknowledgement",
        at=at,
        pae=pae_sha256(statement),
        signatures=signatures_sha256(statement),
        statement=statement.payload,
        directory_size=scene.state.size,
    )
    return _row(entry, statement)


def _row(entry: ExchangeLogEntry, statement: Statement | None) -> Row:
    said = None if statement is None else dump_json(statement)
    return Row(secrets.token_bytes(SALT_BYTES), dump_json(entry), said)
