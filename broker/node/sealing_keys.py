"""Sealing keys of the node's own desks: made, announced, renewed every 30 days, destroyed.

May import `keys`, `broker.db` and the node's tables; `sync` asks what to announce, `inbox` asks for
the private key of a slot.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm
from broker.node.clock import from_seconds, to_seconds
from broker.node.home import Home, sealing_key_name
from keys.dsse import pae_sha256, sign_statement
from keys.history import DirectoryState
from keys.sealing import SealingPrivateKey
from schemas.limits import (
    SEALING_KEY_LIFE_SECONDS,
    SEALING_KEY_RATE_SECONDS,
    SEALING_KEY_RENEWAL_SECONDS,
    STATEMENT_BYTES_MAX,
)
from schemas.loader import dump_json, parse
from schemas.sealing_keys import SealingKey
from schemas.statements import PayloadType, Statement

KEPT_AFTER_SUCCESSOR: Final = timedelta(days=30)
"""A private key is destroyed so long after its successor was logged: an envelope's longest life."""

CLOCK_ALLOWANCE: Final = timedelta(minutes=5)
"""A key is valid from a little before now, so that a slower clock at the hub finds it usable."""


class KeyState(StrEnum):
    """Where an own sealing key stands."""

    MADE = "made"
    """Its statement is stored, and goes to the hub until the directory log shows it."""
    LOGGED = "logged"
    """The directory log shows it."""
    PASSED_OVER = "passed_over"
    """Another key took its epoch; it never counted."""
    DESTROYED = "destroyed"
    """Its private half is gone."""


def prepare_key(home: Home, desk: str, state: DirectoryState, now: datetime) -> Statement | None:
    """Say which sealing-key statement of a desk has to be announced now, making the key if need be.

    1. Note which own keys the directory log shows by now; raise an alarm at any that is not ours.
    2. A key that was made and not yet logged is announced again, as long as its epoch is free.
    3. A new one is due when none is usable, or the newest is 30 days old; one in 24 hours at most.

    The secret is on the disk before its statement, and the statement before it is announced: a crash
    in between leaves a secret that nothing names, and the next call writes over it.

    Args:
        home: the node's home.
        desk: an own desk.
        state: the newest verified state of the directory log.
        now: UTC, whole seconds.

    Returns:
        The statement to announce, or None.
    """
    with writing(home.engine) as connection:
        _observe(connection, desk, state, now)
        rows = _rows(connection, desk)
    epoch = state.highest_epoch(desk) + 1
    for row in rows:
        if row.state == KeyState.MADE and row.epoch == epoch:
            return _statement(row.statement)
    if not _is_due(rows, desk, state, now):
        return None
    return _make(home, desk, epoch, now)


def _observe(connection: Connection, desk: str, state: DirectoryState, now: datetime) -> None:
    own = {row.keyid: row for row in _rows(connection, desk)}
    logged = state.sealing_keys(desk)
    for record in logged:
        row = own.get(record.keyid)
        if row is None:
            raise_alarm(
                connection,
                AlarmKind.FOREIGN_SEALING_KEY,
                f"{desk} {record.keyid}",
                f"epoch {record.epoch} of {desk} was logged with a key that this node did not make:"
                " revoke it, unless this node was restored from a backup",
                now,
                once=True,
            )
        elif row.state == KeyState.MADE:
            _set(connection, row.keyid, state=KeyState.LOGGED, logged=to_seconds(now))
    shown = {record.keyid for record in logged}
    for row in own.values():
        missed = row.state == KeyState.MADE and row.keyid not in shown
        if missed and row.epoch <= state.highest_epoch(desk):
            _set(connection, row.keyid, state=KeyState.PASSED_OVER)


def _is_due(rows: list[Row[Any]], desk: str, state: DirectoryState, now: datetime) -> bool:
    if any(
        now - from_seconds(row.made) < timedelta(seconds=SEALING_KEY_RATE_SECONDS) for row in rows
    ):
        return False
    usable = state.sealing_key(desk, now)
    ours = {row.keyid for row in rows if row.state == KeyState.LOGGED}
    if usable is None or usable.keyid not in ours:
        return True
    return now - usable.not_before >= timedelta(seconds=SEALING_KEY_RENEWAL_SECONDS)


def _make(home: Home, desk: str, epoch: int, now: datetime) -> Statement:
    private = SealingPrivateKey.generate()
    home.keystore.put(sealing_key_name(desk, epoch), private.private_bytes())
    not_before = now - CLOCK_ALLOWANCE
    payload = SealingKey(
        v=1,
        exchange=home.exchange,
        desk=desk,
        epoch=epoch,
        public_key=private.public_bytes(),
        not_before=not_before,
        not_after=not_before + timedelta(seconds=SEALING_KEY_LIFE_SECONDS),
    )
    statement = sign_statement(
        PayloadType.SEALING_KEY, dump_json(payload), home.exchange, [home.desks[desk].node]
    )
    with writing(home.engine) as connection:
        connection.execute(
            insert(tables.sealing_key).values(
                keyid=pae_sha256(statement),
                desk=desk,
                epoch=epoch,
                state=KeyState.MADE,
                statement=dump_json(statement),
                made=to_seconds(now),
            )
        )
    return statement


def private_key(home: Home, desk: str, keyid: str) -> SealingPrivateKey | None:
    """The private half of an own sealing key; None where this node has none, or no longer.

    Args:
        home: the node's home.
        desk: an own desk.
        keyid: SHA-256 of the PAE of the key's statement, hex.

    Raises:
        VerificationError: the secret's file was altered.
    """
    column = tables.sealing_key.c
    with reading(home.engine) as connection:
        row = connection.execute(
            select(column.epoch, column.state).where(column.keyid == keyid, column.desk == desk)
        ).one_or_none()
    if row is None or row.state in {KeyState.DESTROYED, KeyState.PASSED_OVER}:
        return None
    return SealingPrivateKey.from_bytes(home.keystore.get(sealing_key_name(desk, row.epoch)))


def destroy_old_keys(home: Home, desk: str, now: datetime) -> tuple[int, ...]:
    """Destroy private keys whose successor was logged 30 days ago or more.

    Returns:
        The epochs whose private keys were destroyed now.
    """
    with reading(home.engine) as connection:
        rows = _rows(connection, desk)
    logged = [row for row in rows if row.state == KeyState.LOGGED]
    destroyed = []
    for row in logged:
        successors = [from_seconds(other.logged) for other in logged if other.epoch > row.epoch]
        if successors and now - min(successors) >= KEPT_AFTER_SUCCESSOR:
            # The secret goes first: a crash here leaves a row that the next call finishes.
            home.keystore.delete(sealing_key_name(desk, row.epoch))
            with writing(home.engine) as connection:
                _set(connection, row.keyid, state=KeyState.DESTROYED)
            destroyed.append(row.epoch)
    return tuple(destroyed)


def _rows(connection: Connection, desk: str) -> list[Row[Any]]:
    table = tables.sealing_key
    return list(
        connection.execute(select(table).where(table.c.desk == desk).order_by(table.c.epoch))
    )


def _set(connection: Connection, keyid: str, **values: object) -> None:
    table = tables.sealing_key
    connection.execute(update(table).where(table.c.keyid == keyid).values(values))


def _statement(data: bytes) -> Statement:
    return parse(Statement, data, 2 * STATEMENT_BYTES_MAX)
