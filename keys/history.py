"""The directory log folded entry by entry: which directory is in force, and every sealing key.

May import `schemas` and the rest of `keys`; pure but for the function that fetches TUF files, which the
caller passes in. Hub, node and auditor each fold the log for themselves, and skip no entry.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

from keys.derivation import sha256_hex
from keys.directory import MEMBER_ROLE_PREFIX, Directory
from keys.directory_state import DirectoryState as DirectoryState
from keys.directory_state import Publication, within_grace
from keys.dsse import pae_sha256
from keys.purge_orders import check_kept, with_orders
from keys.sealing_history import SealingKeyRecord as SealingKeyRecord
from keys.sealing_history import SealingLog
from keys.trust import load_directory, read_initial_root
from keys.tuf_files import Fetch, TrustFileMissing
from schemas.entries import (
    DeskSealingKey,
    DirectoryLogEntry,
    DirectoryPublished,
    FileVersion,
    parse_directory_entry,
)
from schemas.envelope import DirectoryRef
from schemas.errors import ParseError, Problem, VerificationError
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.sealing_keys import SealingKey
from schemas.statements import PayloadType, Statement


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the directory log that should not be there: an alarm at a node, a finding in an audit.

    `rule` is a problem's word where one fits, else `entry-invalid` (not well-formed, or its `at` or exchange
    log run backwards) or `directory-invalid` (the entry is void; the directory before it stays in force).
    """

    index: int
    rule: str
    detail: str


class DirectoryHistory:
    """The directory log from its first entry on, with the state after each.

    Args:
        exchange: the exchange's name.
        initial_root: the exact bytes of the trust root. The log's first directory has this root or the
            next; all that came before a later root could only be believed, not verified.
        origin: of the directory log; while it is read from a closed one on, of the first.
        states: those of a history that is continued; empty for a new one.
        closed: likewise, by origin, the states of logs that the council has closed.

    Raises:
        VerificationError: the root is none, or is not signed by its own threshold.
    """

    def __init__(
        self,
        exchange: str,
        initial_root: bytes,
        origin: str,
        states: Sequence[DirectoryState] = (),
        closed: Mapping[str, Sequence[DirectoryState]] = MappingProxyType({}),
    ) -> None:
        self.exchange = exchange
        self.origin = origin
        self._initial_root = initial_root
        self._states = list(states) or [_first_state(initial_root)]
        self._closed = dict(closed)

    @property
    def initial_root(self) -> bytes:
        """The exact bytes of the trust root."""
        return self._initial_root

    @property
    def generation(self) -> int:
        """Of the directory log that is read, counted from 1."""
        return len(self._closed) + 1

    def begin(self, origin: str) -> None:
        """Go on with the first entry of the directory log that follows a closed one.

        What the closed one had fixed stays so: versions, epochs and revocations are those that it ended with,
        since a new log has no 'before' in which old keys could have ended. No directory is in force until the
        new log's first entry brings one.

        Args:
            origin: of the new log, from a council that k of n governors signed (`successor`).
        """
        self._closed[self.origin] = self._states
        self._states = [
            replace(
                self.newest,
                size=0,
                publication=None,
                recent=(),
                exchange_log=None,
                sealing=self.newest.sealing.carried(),
            )
        ]
        self.origin = origin

    def of(self, origin: str) -> Self:
        """The history of one directory log of this exchange, this one or a closed one.

        Raises:
            VerificationError: it is of no directory log that was read.
        """
        if origin == self.origin:
            return self
        if origin not in self._closed:
            raise VerificationError(f"{origin} is no directory log of this exchange")
        return type(self)(self.exchange, self._initial_root, origin, self._closed[origin])

    @property
    def newest(self) -> DirectoryState:
        """The state after the last entry that was applied."""
        return self._states[-1]

    @property
    def size(self) -> int:
        """How many entries were applied: the index of the next."""
        return self.newest.size

    def at(self, size: int) -> DirectoryState:
        """The state after the first `size` entries, as an exchange entry's `directory_size` names it.

        Raises:
            VerificationError: the log was not read so far yet.
        """
        if not 0 <= size < len(self._states):
            raise VerificationError(
                f"the directory log was read to {self.size} entries, not {size}"
            )
        return self._states[size]

    def judging(self, size: int, exchange_index: int) -> DirectoryState:
        """The state by which an exchange entry is judged, as its `directory_size` names it.

        A directory entry carries the exchange log's size, so that an exchange entry at or after it was
        logged together with it, or later: else hub and a revoked desk could revive old keys.

        Args:
            size: the entry's `directory_size`.
            exchange_index: where the entry stands in the exchange log.

        Raises:
            VerificationError: the log was not read so far, or the directory was outdated at that entry.
        """
        least = self._least_size(exchange_index)
        if size < least:
            raise VerificationError(
                f"exchange entry {exchange_index} is judged by {size} directory entries, where there"
                f" were {least} already: an old directory is revived"
            )
        return self.at(size)

    def _least_size(self, exchange_index: int) -> int:
        def logged_at(state: DirectoryState) -> int:
            return state.exchange_log.size if state.exchange_log else 0

        states = self._states
        behind = bisect_right(states, exchange_index, lo=1, key=logged_at)
        if behind == 1:
            return 0
        # Entries of one moment name the same size: the exchange entry may be of that moment too.
        return bisect_left(states, logged_at(states[behind - 1]), lo=1, key=logged_at) - 1

    def copy(self) -> Self:
        """Give an independent history with the same entries, for trying what another would do."""
        newest = replace(self.newest, sealing=self.newest.sealing.copy())
        states = [*self._states[:-1], newest]
        return type(self)(self.exchange, self._initial_root, self.origin, states, self._closed)

    def apply(
        self, index: int, leaf: str, data: bytes, statement: Statement | None, fetch: Fetch
    ) -> tuple[Finding, ...]:
        """Fold the next entry.

        1. It is the next one, and these are its bytes.
        2. It is well-formed; its `at` and its exchange log do not run backwards.
        3. A published directory is verified, and is the successor of what was in force.
        4. A sealing key is the one that was logged, and obeys its rules.

        An entry that fails 2 to 4 changes nothing but the size (and a desk's epoch, in 4).

        Args:
            index: in the directory log, from 0.
            leaf: its RFC 6962 leaf hash, hex.
            data: its exact bytes, which the caller has proved to be in the log.
            statement: what a desk signed, where the entry announces a sealing key.
            fetch: gets TUF files; what it raises passes through.

        Returns:
            What is wrong with it; empty if nothing.

        Raises:
            TrustFileMissing: a file or statement that the entry commits to was not given. The history is
                unchanged: wait, with an alarm, and apply the same entry again.
            VerificationError: not the next entry, or not the bytes of that leaf; unchanged as well.
        """
        if index != self.size:
            raise VerificationError(
                f"the next entry of the directory log is {self.size}, not {index}"
            )
        if sha256_hex(b"\x00", data) != leaf:
            raise VerificationError(
                f"these are not the bytes of entry {index} of the directory log"
            )
        after = replace(self.newest, size=index + 1)
        try:
            entry = parse_directory_entry(data)
            _check_order(self.newest, entry)
        except (ParseError, VerificationError) as error:
            self._states.append(after)
            return (Finding(index, "entry-invalid", str(error)),)
        after = replace(after, last_at=entry.at, exchange_log=entry.exchange_log)
        findings: tuple[Finding, ...] = ()
        if isinstance(entry, DirectoryPublished):
            ref = DirectoryRef(origin=self.origin, index=index, leaf=leaf)
            after, findings = self._publish(after, ref, entry, fetch)
        elif isinstance(entry, DeskSealingKey):
            findings = self._announce(index, entry, statement)
        self._states.append(after)
        return findings

    def _publish(
        self, after: DirectoryState, ref: DirectoryRef, entry: DirectoryPublished, fetch: Fetch
    ) -> tuple[DirectoryState, tuple[Finding, ...]]:
        try:
            directory = self.successor(entry.root, entry.snapshot, fetch)
            self._check_logs(directory)
        except TrustFileMissing:
            raise
        except VerificationError as error:
            return after, (Finding(ref.index, "directory-invalid", str(error)),)
        before = self.newest.publication
        ended = (replace(before, until=entry.at),) if before else ()
        recent = tuple(f for f in self.newest.recent if within_grace(f, entry.at))
        after = replace(
            after,
            publication=Publication(ref, directory, entry.at),
            recent=ended + recent,
            highest={**self.newest.highest, **directory.files},
            purges=with_orders(self.newest.purges, directory.council_part.purges, entry.at),
        )
        return after, ()

    def successor(self, root: FileVersion, snapshot: FileVersion, fetch: Fetch) -> Directory:
        """Verify a directory that is to come into force after the newest state.

        Each file is the newest one that was ever in force, or has the next version; no council member
        that had a file is left out, and no purge order taken back. Nothing is changed: the hub asks before
        it publishes.

        Raises:
            TrustFileMissing: a file is not there.
            VerificationError: the directory would be void, and why.
        """
        newest = self.newest
        _check_successor(newest.highest, {"root": root, "snapshot": snapshot})
        directory = load_directory(self._initial_root, fetch, root, snapshot, newest.directory)
        if directory.council.exchange != self.exchange:
            raise VerificationError(
                f"the directory is of the exchange {directory.council.exchange}"
            )
        _check_successor(newest.highest, directory.files)
        omitted = [
            member
            for member in sorted(directory.council.members)
            if MEMBER_ROLE_PREFIX + member in newest.highest
            and member not in directory.member_parts
        ]
        if omitted:
            raise VerificationError(f"the files of {', '.join(omitted)} are omitted")
        ordered = (each.order for each in newest.purges.values())
        check_kept(ordered, directory.council_part.purges)
        return directory

    def _check_logs(self, directory: Directory) -> None:
        before = self.newest.directory
        named = directory.council.logs
        if named.directory.origin != self.origin or (before and named != before.council.logs):
            raise VerificationError(
                f"its council names the logs {named.directory.origin} and {named.exchange.origin}, and the"
                " directory stands in another log: new logs begin with their own first entry"
            )

    def _announce(
        self, index: int, entry: DeskSealingKey, statement: Statement | None
    ) -> tuple[Finding, ...]:
        if statement is None or pae_sha256(statement) != entry.pae:
            # Which desk it concerns, and what it may revoke, only the statement itself can say.
            raise TrustFileMissing(f"the statement logged at {index} was not given")
        try:
            key = _read_sealing_key(statement, self.exchange)
        except ParseError as error:
            return (Finding(index, "entry-invalid", str(error)),)
        except Problem as problem:
            return (Finding(index, problem.word, problem.detail),)
        directory = self.newest.directory
        view = directory.desk(key.desk, entry.at) if directory else None
        refusal = self.newest.sealing.announce(statement, key, view, index, entry.at)
        return (Finding(index, refusal.word, refusal.detail),) if refusal else ()


def _first_state(initial_root: bytes) -> DirectoryState:
    version = read_initial_root(initial_root).version
    root = FileVersion(version=version, sha256=sha256_hex(initial_root))
    return DirectoryState(0, None, (), {"root": root}, None, None, SealingLog())


def _read_sealing_key(statement: Statement, exchange: str) -> SealingKey:
    if statement.payload_type is not PayloadType.SEALING_KEY:
        raise ParseError(f"a statement of type {statement.payload_type} announces no sealing key")
    key = parse(SealingKey, statement.payload, STATEMENT_BYTES_MAX)
    if key.exchange != exchange:
        raise Problem("wrong-exchange", f"the sealing key belongs to {key.exchange}")
    return key


def _check_order(before: DirectoryState, entry: DirectoryLogEntry) -> None:
    if before.last_at and entry.at < before.last_at:
        raise VerificationError("its `at` is earlier than that of the entry before it")
    known, head = before.exchange_log, entry.exchange_log
    if known and (head.size < known.size or (head.size == known.size and head != known)):
        raise VerificationError("its exchange log does not extend that of the entry before it")


def _check_successor(highest: Mapping[str, FileVersion], files: Mapping[str, FileVersion]) -> None:
    for role, file in files.items():
        known = highest.get(role)
        if file != known and file.version != (known.version if known else 0) + 1:
            was = f"version {known.version}" if known else "nothing"
            raise VerificationError(f"{role} version {file.version} does not follow {was}")
