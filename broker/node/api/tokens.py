"""Bearer tokens of the agency interface: made for one desk and its actions, shown once, kept hashed.

May import `broker.db`'s connections and the node's tables; the command line makes, lists and revokes
them, the routes ask `authorise`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from broker.node import tables
from broker.node.clock import from_seconds, to_seconds
from schemas.errors import ConfigurationError, Problem

_PREFIX: Final = "barid_"
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 6
_NAME_CHARACTERS_MAX: Final = 100
_TOKEN_CHARACTERS_MAX: Final = 256


class Action(StrEnum):
    """What a token allows at its desk."""

    SEND = "send"
    """Hand in bulletins, and see what became of them."""
    READ = "read"
    """Read the inbox."""
    RELEASE = "release"
    """See what waits for a release, and hand in what its holder signed."""
    ALARMS = "alarms"
    """Acknowledge alarms, and send trial notices."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the administrator sees it; its secret is not kept."""

    token_id: str
    name: str
    desk: str
    actions: tuple[Action, ...]
    created: datetime
    revoked: datetime | None


def create_token(
    connection: Connection, desk: str, actions: Iterable[Action], name: str, now: datetime
) -> tuple[Token, str]:
    """Make a token.

    Args:
        desk: the desk that it opens, as `tn/main`; the caller checks that it is one of this node.
        actions: one or more.
        name: for the administrator: who holds it; up to 100 characters.

    Returns:
        The token, and its text, which is shown once and kept nowhere.

    Raises:
        ConfigurationError: no action, or a name of the wrong length.
    """
    allowed = tuple(sorted(set(actions)))
    if not allowed:
        raise ConfigurationError(
            "a token allows at least one action: send, read, release or alarms"
        )
    if not 1 <= len(name) <= _NAME_CHARACTERS_MAX:
        raise ConfigurationError(f"a token's name has 1 to {_NAME_CHARACTERS_MAX} characters")
    text = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    token = Token(secrets.token_hex(_ID_BYTES), name, desk, allowed, now, None)
    connection.execute(
        insert(tables.token).values(
            token_id=token.token_id,
            sha256=_hash(text),
            name=name,
            desk=desk,
            actions=" ".join(allowed),
            created=to_seconds(now),
        )
    )
    return token, text


def list_tokens(connection: Connection) -> tuple[Token, ...]:
    """All tokens, the oldest first, revoked ones too."""
    rows = connection.execute(
        select(tables.token).order_by(tables.token.c.created, tables.token.c.token_id)
    )
    return tuple(_token(row) for row in rows)


def revoke_token(connection: Connection, token_id: str, now: datetime) -> None:
    """Make a token worthless at once; harmless to repeat.

    Raises:
        ConfigurationError: there is no such token.
    """
    known = select(tables.token.c.revoked).where(tables.token.c.token_id == token_id)
    row = connection.execute(known).one_or_none()
    if row is None:
        raise ConfigurationError(f"there is no token {token_id}: see `barid node token list`")
    if row.revoked is None:
        connection.execute(
            update(tables.token)
            .where(tables.token.c.token_id == token_id)
            .values(revoked=to_seconds(now))
        )


def find_token(connection: Connection, text: str) -> Token:
    """Find the token that a request carries.

    Raises:
        Problem: `token-missing` if there is none, or it was revoked.
    """
    if not text.startswith(_PREFIX) or len(text) > _TOKEN_CHARACTERS_MAX:
        raise Problem("token-missing")
    sought = _hash(text)
    row = connection.execute(
        select(tables.token).where(tables.token.c.sha256 == sought)
    ).one_or_none()
    # The index compares hashes of secrets, which tell nothing; the last word is constant-time.
    if row is None or not hmac.compare_digest(row.sha256, sought) or row.revoked is not None:
        raise Problem("token-missing")
    return _token(row)


def authorise(token: Token, desk: str, action: Action) -> None:
    """Check that a token covers a desk and an action.

    Raises:
        Problem: `token-scope`.
    """
    if token.desk != desk or action not in token.actions:
        raise Problem("token-scope", f"this token does not allow {action} at {desk}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _token(row: Row[Any]) -> Token:
    return Token(
        row.token_id,
        row.name,
        row.desk,
        tuple(Action(word) for word in row.actions.split(" ")),
        from_seconds(row.created),
        None if row.revoked is None else from_seconds(row.revoked),
    )
