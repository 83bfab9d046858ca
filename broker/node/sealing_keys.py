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
from keys.signing import SigningIdentity
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
    EARLIER = "earlier"
    """A node before this one made it, and signed with keys that this one never had."""


def prepare_key(home: Home, desk: str, state: DirectoryState, now: datetime) -> Statement | None:
    """Say which sealing-key statement of a desk has to be announced now, making the key if need be.

    1. Note which own keys the directory log shows by now; raise an alarm at any that is not ours.
    2. A key that was made and not yet logged is announced again, as long as its epoch is free and the
       identity that announced it is the desk's.
    3. A new one is due when none is usable, as after a change of identity, or the newest is 30 days
       old; one in 24 hours at most for each identity.

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
    identity = home.identity(desk, state.directory, now)
    signer = identity.keyid(home.exchange)
    with writing(home.engine) as connection:
        _observe(connection, desk, state, signer, now)
        rows = _rows(connection, desk)
    epoch = state.highest_epoch(desk) + 1
    for row in rows:
        if row.state == KeyState.MADE and row.epoch == epoch:
            return _statement(row.statement)
    if not _is_due(rows, desk, state, signer, now):
        return None
    return _make(home, desk, epoch, identity, now)


def has_keys(home: Home, desk: str) -> bool:
    """Whether a desk's sealing keys were ever looked at here: if not, its node is new, or made anew."""
    with reading(home.engine) as connection:
        return bool(_rows(connection, desk))


def _observe(
    connection: Connection, desk: str, state: DirectoryState, signer: str, now: datetime
) -> None:
    own = {row.keyid: row for row in _rows(connection, desk)}
    is_first_look = not own
    logged = state.sealing_keys(desk)
    for record in logged:
        row = own.get(record.keyid)
        if row is None and is_first_look and record.signer != signer:
            # The desk had a node before this one, which lost its keys or was replaced.
            _insert(connection, desk, record.keyid, record.epoch, KeyState.EARLIER, b"", now)
        elif row is None:
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
        if row.state != KeyState.MADE or row.keyid in shown:
            continue
        # Nobody takes what an identity announces that the directory names no more.
        if row.epoch <= state.highest_epoch(desk) or _signer(row) != signer:
            _set(connection, row.keyid, state=KeyState.PASSED_OVER)


def _is_due(
    rows: list[Row[Any]], desk: str, state: DirectoryState, signer: str, now: datetime
) -> bool:
    if any(
        now - from_seconds(row.made) < timedelta(seconds=SEALING_KEY_RATE_SECONDS)
        and _signer(row) == signer
        for row in rows
    ):
        return False
    usable = state.sealing_key(desk, now)
    ours = {row.keyid for row in rows if row.state == KeyState.LOGGED}
    if usable is None or usable.keyid not in ours:
        return True
    return now - usable.not_before >= timedelta(seconds=SEALING_KEY_RENEWAL_SECONDS)


def _make(home: Home, desk: str, epoch: int, identity: SigningIdentity, now: datetime) -> Statement:
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
        PayloadType.SEALING_KEY, dump_json(payload), home.exchange, [identity]
    )
    with writing(home.engine) as connection:
        keyid, data = pae_sha256(statement), dump_json(statement)
        _insert(connection, desk, keyid, epoch, KeyState.MADE, data, now)
    return statement


def _insert(
    connection: Connection,
    desk: str,
    keyid: str,
    epoch: int,
    state: KeyState,
    statement: bytes,
    now: datetime,
) -> None:
    connection.execute(
        insert(tables.sealing_key).values(
            keyid=keyid,
            desk=desk,
            epoch=epoch,
            state=state,
            statement=statement,
            made=to_seconds(now),
        )
    )


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
    if row is None or row.state not in {KeyState.MADE, KeyState.LOGGED}:
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


def destroyed_key_names(home: Home) -> frozenset[str]:
    """The names of the secrets of sealing keys that this node has destroyed."""
    column = tables.sealing_key.c
    with reading(home.engine) as connection:
        rows = connection.execute(
            select(column.desk, column.epoch).where(column.state == KeyState.DESTROYED)
        ).all()
    return frozenset(sealing_key_name(row.desk, row.epoch) for row in rows)


def _signer(row: Row[Any]) -> str | None:
    """The identity that announced a key; None where a node before this one did."""
    if row.state == KeyState.EARLIER:
        return None
    return _statement(row.statement).signatures[0].keyid


def _statement(data: bytes) -> Statement:
    return parse(Statement, data, 2 * STATEMENT_BYTES_MAX)
