"""The node's home: its data directory, opened: settings, keystore, database, and its desks' keys.

May import `broker.db`, `broker.settings` and `keys`; `setup` makes a home, `service` and the command
line open one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from broker.db import migrate, open_sqlcipher
from broker.node import migrations
from broker.settings import NodeSettings, load_node
from keys.directory import Directory
from keys.keystore import Keystore
from keys.signing import SEED_BYTES, RequestSigningKey, SigningIdentity
from schemas.directory import Invitation
from schemas.errors import ConfigurationError, ParseError
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import parse

KEYSTORE_DIRECTORY: Final = "keystore"
DATABASE_FILE: Final = "node.db"
INVITATION_FILE: Final = "invitation.json"
REQUEST_FILE: Final = "member-request.json"
LOCK_FILE: Final = "serving.lock"

DATABASE_KEY_NAME: Final = "database"
MEMBER_KEY_NAME: Final = "member"
WITNESS_KEY_NAME: Final = "witness"
"""Of the seed, 32 bytes, with which the node cosigns both logs where the council names it."""


def node_key_name(desk: str) -> str:
    """Name of the secret of a desk's node identity: both seeds, 64 bytes."""
    return f"desk.{_unit(desk)}.node"


def request_key_name(desk: str) -> str:
    """Name of the secret of a desk's request key: its seed, 32 bytes."""
    return f"desk.{_unit(desk)}.request"


def sealing_key_name(desk: str, epoch: int) -> str:
    """Name of the secret of a desk's sealing key of one epoch: 96 bytes."""
    return f"desk.{_unit(desk)}.sealing.{epoch}"


def next_key_name(name: str) -> str:
    """Name of the secret that takes another's place once the directory in force names its public half."""
    return f"{name}.next"


def _unit(desk: str) -> str:
    return desk.partition("/")[2]


@dataclass(frozen=True, slots=True)
class DeskKeys:
    """What one desk signs with: statements by its node identity, calls to the hub by its request key.

    `next` are the keys that its member has been asked to declare in place of these (`rekeying`).
    """

    node: SigningIdentity
    request: RequestSigningKey
    next: DeskKeys | None = None

    @property
    def requests(self) -> tuple[RequestSigningKey, ...]:
        """The request keys by which the hub may know the desk, the present one first."""
        return (self.request,) if self.next is None else (self.request, self.next.request)


@dataclass(frozen=True, slots=True)
class Home:
    """An opened data directory; the keys of its desks are by desk id, as `tn/main`.

    The mapping has the same desks for good; `rekeying` puts other keys in place of a desk's.
    """

    data: Path
    settings: NodeSettings
    keystore: Keystore
    engine: Engine
    desks: dict[str, DeskKeys]

    @property
    def exchange(self) -> str:
        """The exchange's name, `o` in the protocol."""
        return self.settings.exchange

    def identity(self, desk: str, directory: Directory | None, at: datetime) -> SigningIdentity:
        """The node identity of an own desk that a directory names: the next one, or else the present.

        Args:
            desk: an own desk.
            directory: under which the statement will be judged.
            at: UTC, whole seconds.
        """
        keys = self.desks[desk]
        view = None if keys.next is None or directory is None else directory.desk(desk, at)
        if keys.next is None or view is None:
            return keys.node
        is_named = view.node_keyid == keys.next.node.keyid(self.exchange)
        return keys.next.node if is_named else keys.node

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()


def open_home(data: Path, passphrase: bytes) -> Home:
    """Open a data directory, and bring its database to the newest schema.

    Args:
        data: the directory that `init_node` made.
        passphrase: of the keystore.

    Raises:
        ConfigurationError, VerificationError: as `look_home`.
    """
    home = look_home(data, passphrase)
    migrate(home.engine, migrations)
    return home


def look_home(data: Path, passphrase: bytes) -> Home:
    """Open a data directory beside the node that may be running; its database stays as it is.

    Args:
        data: the directory that `init_node` made.
        passphrase: of the keystore.

    Raises:
        ConfigurationError: something is missing, or the passphrase is wrong; says what to do.
        VerificationError: a key file was altered.
    """
    settings = load_node(data)
    if not (data / DATABASE_FILE).exists():
        raise ConfigurationError(f"{data / DATABASE_FILE} is missing: restore a backup")
    keystore = Keystore.open(data / KEYSTORE_DIRECTORY, passphrase)
    desks = {desk: load_desk(keystore, desk) for desk in settings.desk_ids}
    engine = open_sqlcipher(data / DATABASE_FILE, keystore.get(DATABASE_KEY_NAME))
    return Home(data, settings, keystore, engine, desks)


@contextmanager
def served_alone(data: Path) -> Iterator[None]:
    """Hold a data directory while a node serves it; the lock ends with the process, however it ends.

    Two nodes on one directory would submit, answer and tell people twice, each behind the other's back.

    Raises:
        ConfigurationError: another process serves it, or there is no such directory.
    """
    path = data / LOCK_FILE
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise ConfigurationError(f"another process serves {data}: stop that one first") from error
    try:
        yield
    finally:
        os.close(lock)


def load_desk(keystore: Keystore, desk: str) -> DeskKeys:
    """Load a desk's keys, and those that will take their place.

    Of a switch that a crash cut short (`rekeying.switch_keys`) the next keys stand in for what is gone.

    Raises:
        ConfigurationError: a key is missing, or not whole.
        VerificationError: a key's file was altered.
    """
    try:
        with keystore.unchanging():
            return _load_both(keystore, node_key_name(desk), request_key_name(desk))
    except ParseError as error:
        raise ConfigurationError(
            f"the keys of {desk} are not whole: restore the keystore"
        ) from error


def _load_both(keystore: Keystore, node: str, request: str) -> DeskKeys:
    """The present keys, and the next ones where there are some."""
    there = set(keystore.names())
    # The next node identity is written last and goes first: with it, all of the next keys are there.
    if next_key_name(node) not in there:
        return _load(keystore, node, request)
    coming = _load(keystore, next_key_name(node), next_key_name(request))
    present = [name if name in there else next_key_name(name) for name in (node, request)]
    return replace(_load(keystore, *present), next=coming)


def _load(keystore: Keystore, node: str, request: str) -> DeskKeys:
    seeds = keystore.get(node)
    return DeskKeys(
        SigningIdentity.from_seeds(seeds[:SEED_BYTES], seeds[SEED_BYTES:]),
        RequestSigningKey.from_seed(keystore.get(request)),
    )


def load_invitation(data: Path, exchange: str) -> Invitation:
    """Read the invitation that `join_node` stored.

    Raises:
        ConfigurationError: there is none, it is not well-formed, or it is to another exchange.
    """
    path = data / INVITATION_FILE
    try:
        invitation = parse(Invitation, path.read_bytes(), TRUST_FILE_BYTES_MAX)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} does not exist: run `barid node join` first") from error
    except ParseError as error:
        raise ConfigurationError(f"{path} is not an invitation: {error}") from error
    if invitation.exchange != exchange:
        raise ConfigurationError(
            f"the invitation is to {invitation.exchange}, and this node belongs to {exchange}"
        )
    return invitation
