"""Directories: what governors or members signed, made whole by the hub's snapshot and timestamp, and logged.

May import `keys`, `broker.policy` and the hub's own rooms; `publishing`, `renewal` and `setup` hand in works.
What readers would call void is refused, and leaves nothing behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self

from sqlalchemy import Connection, bindparam, insert, select
from tuf.api.metadata import Targets

from broker.hub.directory_log import append_entry
from broker.hub.ledger import Answer, Batch
from broker.hub.purging import why_impossible
from broker.hub.signers import Signers
from broker.hub.stored import read_trust_file
from broker.hub.tables import trust_file
from broker.hub.vouching import store_timestamp
from broker.policy.admission import rules_of
from keys.derivation import sha256_hex
from keys.directory import MEMBER_ROLE_PREFIX, Directory
from keys.history import DirectoryHistory, DirectoryState
from keys.repository import sign_snapshot
from keys.tuf_files import TrustFileMissing, metadata_name, read_metadata
from schemas.entries import DirectoryPublished, FileVersion
from schemas.errors import ConfigurationError, Problem, VerificationError
from schemas.governance import Publication, Published
from schemas.limits import (
    INTEGER_MAX,
    PUBLICATION_BYTES_MAX,
    SNAPSHOT_LIFE_SECONDS,
    TRUST_FILE_BYTES_MAX,
)
from schemas.loader import parse
from schemas.scalars import MEMBER_PATTERN, format_time

_METADATA: Final = re.compile(
    rf"metadata/([1-9][0-9]{{0,15}})\.(root|targets|{MEMBER_ROLE_PREFIX}{MEMBER_PATTERN})\.json",
    re.ASCII,
)
_TARGET: Final = re.compile(r"targets/(?:members/)?([0-9a-f]{64})\.[a-z0-9._-]{1,64}", re.ASCII)
_OUR_OWN: Final = re.compile(r"metadata/(?:[0-9]+\.snapshot|timestamp)\.json", re.ASCII)

_KEEP: Final = insert(trust_file)
_STORED: Final = select(trust_file.c.data).where(trust_file.c.name == bindparam("named"))


def read_publication(data: bytes, exchange: str) -> dict[str, bytes]:
    """Read the files of a publication: name under `/v1/trust/` → bytes.

    Raises:
        ParseError: it is none.
        Problem: `wrong-exchange`.
    """
    message = parse(Publication, data, PUBLICATION_BYTES_MAX)
    if message.exchange != exchange:
        raise Problem("wrong-exchange", f"the publication is of {message.exchange}")
    return message.files


@dataclass(frozen=True, slots=True)
class Shelf:
    """TUF files at hand: those that are given and not stored yet, and those that are stored.

    `newest` are the highest versions of metadata among the new files, by role; `used` the names of new files
    that the directory was read from.
    """

    connection: Connection
    new: Mapping[str, bytes]
    newest: Mapping[str, int]
    used: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, connection: Connection, given: Mapping[str, bytes]) -> Self:
        """Look which of the files given are new.

        Raises:
            Problem: `publication`: a name is none, or not that of these bytes.
        """
        new: dict[str, bytes] = {}
        newest: dict[str, int] = {}
        for name, data in given.items():
            _check_name(name, data)
            stored = connection.execute(_STORED, {"named": name}).scalar()
            if stored is not None and stored != data:
                raise _refused(f"{name} is published already, with other bytes")
            if stored is None:
                new[name] = data
                version, role = _version_and_role(name)
                if role:
                    newest[role] = max(version, newest.get(role, 0))
        return cls(connection, new, newest)

    def read(self, name: str, size_bytes_max: int = TRUST_FILE_BYTES_MAX) -> bytes:
        """Give a file. Raises TrustFileMissing: it is neither given nor stored, or over its limit."""
        data = self.new.get(name)
        if data is None:
            try:
                return read_trust_file(self.connection, name, size_bytes_max)
            except TrustFileMissing as missing:
                raise TrustFileMissing(f"{name} is missing") from missing
        if len(data) > size_bytes_max:
            raise TrustFileMissing(f"{name} is over {size_bytes_max} bytes")
        return data

    def use(self, name: str, size_bytes_max: int) -> bytes:
        """Give a file from which the directory is read."""
        self.used.add(name)
        return self.read(name, size_bytes_max)


def _version_and_role(name: str) -> tuple[int, str]:
    """Of metadata; 0 and nothing for a target file."""
    found = _METADATA.fullmatch(name)
    return (int(found[1]), found[2]) if found else (0, "")


def _check_name(name: str, data: bytes) -> None:
    if _OUR_OWN.fullmatch(name):
        raise _refused(f"{name} is the hub's to sign: give what governors and members signed alone")
    target, metadata = _TARGET.fullmatch(name), _METADATA.fullmatch(name)
    if target is None and (metadata is None or int(metadata[1]) > INTEGER_MAX):
        raise _refused(f"{name[:80]} is not the name of a file that governors or members sign")
    if target is not None and target[1] != sha256_hex(data):
        raise _refused(f"{name} is named after other bytes")


def _refused(why: str) -> Problem:
    return Problem("publication", why)


@dataclass(frozen=True, slots=True)
class Draft:
    """A directory that readers would take: its root, its snapshot with the bytes, and what is new of it."""

    root: FileVersion
    snapshot: FileVersion
    data: bytes
    new: Mapping[str, bytes]


def draft(
    shelf: Shelf,
    history: DirectoryHistory,
    signers: Signers,
    at: datetime,
) -> Draft:
    """Make the directory that follows the newest of a history, and verify it as every reader will.

    1. Of each role the newest metadata that is given, else the newest that ever was in force; of members
       those to whom the targets delegate.
    2. A snapshot of all that, signed by the online key.
    3. The directory is the successor of the one in force.
    4. Its logs are this hub's own, else members would look elsewhere; its access rules load; what it newly
       orders to destroy is here, and can be.
    5. Nothing was given that has lapsed, or is no part of it.

    Args:
        shelf: what is given and what is stored.
        history: of the directory log; it is not changed.
        signers: the hub's keys.
        at: now.

    Raises:
        Problem: `publication`, with what is wrong.
    """
    newest = history.newest
    try:
        root = _root(shelf, newest)
        version = newest.highest["snapshot"].version + 1 if "snapshot" in newest.highest else 1
        expires = at + timedelta(seconds=SNAPSHOT_LIFE_SECONDS)
        name, data = sign_snapshot(_listed(shelf, newest), signers.online, version, expires)
        snapshot = FileVersion(version=version, sha256=sha256_hex(data))

        def fetch(wanted: str, size_bytes_max: int) -> bytes:
            return data if wanted == name else shelf.use(wanted, size_bytes_max)

        directory = history.successor(root, snapshot, fetch)
    except VerificationError as error:
        raise _refused(str(error)) from error
    _check(directory, signers)
    _check_orders(directory, newest, signers, shelf.connection)
    _check_in_time(directory, shelf, at)
    unused = sorted(shelf.new.keys() - shelf.used)
    if unused:
        raise _refused(f"{unused[0]} is no part of the directory that would be in force")
    return Draft(root, snapshot, data, shelf.new)


def _root(shelf: Shelf, newest: DirectoryState) -> FileVersion:
    known = newest.highest["root"]
    # The trust root itself is not fetched by who has it, but stored with the first directory.
    name = metadata_name("root", known.version)
    if name in shelf.new and sha256_hex(shelf.new[name]) == known.sha256:
        shelf.used.add(name)
    version = shelf.newest.get("root", 0)
    if version <= known.version:
        return known
    data = shelf.new[metadata_name("root", version)]
    return FileVersion(version=version, sha256=sha256_hex(data))


def _listed(shelf: Shelf, newest: DirectoryState) -> dict[str, bytes]:
    """The targets metadata that the snapshot lists, by name."""

    def newest_of(role: str) -> dict[str, bytes]:
        known = newest.highest.get(role)
        version = shelf.newest.get(role, known.version if known else 0)
        name = metadata_name(role, version)
        return {name: shelf.read(name)} if version else {}

    found = newest_of("targets")
    for data in tuple(found.values()):
        delegations = read_metadata("targets.json", data, Targets).signed.delegations
        for role in (delegations.roles if delegations else None) or {}:
            # Any that is not a member's is refused when the directory is read.
            found |= newest_of(role)
    return found


def _check(directory: Directory, signers: Signers) -> None:
    named = directory.council.logs
    if named != signers.logs(named.previous):
        raise _refused(
            "council.json names other logs than this hub's; new ones begin by `barid hub load` alone"
        )
    try:
        rules_of(directory)
    except ConfigurationError as error:
        raise _refused(str(error)) from error


def _check_orders(
    directory: Directory, newest: DirectoryState, signers: Signers, connection: Connection
) -> None:
    """Refuse an order that this hub could never obey: orders stay for good. Closed logs are not looked at."""
    for order in directory.council_part.purges:
        if order.place in newest.purges or order.origin != signers.origins[1]:
            continue
        if why := why_impossible(connection, order):
            raise _refused(f"what is ordered to be destroyed is not here: {why}")


def _check_in_time(directory: Directory, shelf: Shelf, at: datetime) -> None:
    """Refuse what is new and has lapsed: signatures that people gave up are not brought later."""
    lapses = {"root": directory.root.expires, "targets": directory.council_part.expires}
    lapses |= {
        MEMBER_ROLE_PREFIX + member: part.expires for member, part in directory.member_parts.items()
    }
    for role, expires in sorted(lapses.items()):
        is_new = metadata_name(role, directory.versions[role]) in shelf.new
        if is_new and expires <= at:
            raise _refused(f"{role} lapsed at {format_time(expires)}: have it signed anew")


def published_before(history: DirectoryHistory, given: Mapping[str, bytes]) -> Published:
    """Find the first directory that has these files, all of which are stored.

    Raises:
        Problem: `publication`: they were never in force together.
    """
    versions: dict[str, FileVersion] = {}
    for name, data in given.items():
        version, role = _version_and_role(name)
        if role and (role not in versions or versions[role].version < version):
            versions[role] = FileVersion(version=version, sha256=sha256_hex(data))
    for size in range(1, history.size + 1):
        publication = history.at(size).publication
        if publication is None or publication.ref.index != size - 1:
            continue
        if versions.items() <= publication.directory.files.items():
            return Published(
                index=publication.ref.index, snapshot=publication.directory.snapshot_file
            )
    raise _refused("all of these files were published before, and never in force together")


def judge(
    given: Mapping[str, bytes],
    connection: Connection,
    history: DirectoryHistory,
    signers: Signers,
    at: datetime,
) -> Published | Draft:
    """Say what a publication would bring into force, or when all of it was published before.

    Raises:
        Problem: `publication`, with what is wrong.
    """
    shelf = Shelf.of(connection, given)
    if shelf.new or history.newest.directory is None:
        return draft(shelf, history, signers, at)
    return published_before(history, given)


@dataclass(frozen=True, slots=True)
class Publish:
    """Bring into force what governors and members signed: TUF files without snapshot and timestamp."""

    files: Mapping[str, bytes]
    signers: Signers

    def known(self, connection: Connection, history: DirectoryHistory) -> Published | None:
        """Say when all of it was published before; None where some of it is new.

        Raises:
            Problem: `publication`: a name is none, or the files were never in force together.
        """
        is_new = bool(Shelf.of(connection, self.files).new)
        return None if is_new else published_before(history, self.files)

    def apply(self, batch: Batch) -> Answer:
        """Log the directory that these files make, unless they were published before.

        Raises:
            Problem: `publication`; nothing of it is stored, so that the mended files may take its names.
        """
        verdict = judge(self.files, batch.connection, batch.trial, self.signers, batch.at)
        published = verdict if isinstance(verdict, Published) else log(batch, verdict, self.signers)
        return lambda _committed: published


def log(batch: Batch, made: Draft, signers: Signers) -> Published:
    """Store a directory's new files with a fresh timestamp, and log it: all of it, or nothing.

    Raises:
        Problem: `publication`.
    """
    entry = DirectoryPublished(
        type="directory.published",
        at=batch.at,
        exchange_log=batch.exchange.head.tree,
        root=made.root,
        snapshot=made.snapshot,
    )
    name = metadata_name("snapshot", made.snapshot.version)
    rows = [{"name": each, "data": data} for each, data in ({**made.new, name: made.data}).items()]
    try:
        with batch.connection.begin_nested():
            batch.connection.execute(_KEEP, rows)
            store_timestamp(batch.connection, signers.online, made.snapshot, made.data, batch.at)
            index = append_entry(batch, entry)
    except Problem as problem:
        raise _refused(problem.detail) from problem
    return Published(index=index, snapshot=made.snapshot)
