"""Following the hub's two logs without trusting it: growth proved, the directory folded entry by entry.

May import `broker.client`, `broker.tlog`, `keys` and `schemas`; nodes and auditors keep what it verified in a
store of theirs. Nothing that the hub says counts before it is proved here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from broker.client import HubClient, TrustFileAbsent
from broker.fetched_tiles import over_tiles
from broker.quorum_look import LOGS as LOGS
from broker.quorum_look import QuorumLook
from broker.timestamp_look import OVERTAKEN, TimestampLook
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.merkle import EMPTY_ROOT, HashReader, consistency_path, leaf_hash, root
from broker.tlog.proof import verify_consistency
from broker.tlog.quorum import Witnessed
from broker.tlog.receipt import LogVerifier
from broker.tlog.tiles import append, reader_from_tiles
from keys.derivation import sha256_hex
from keys.history import DirectoryHistory, DirectoryState, Finding
from keys.timestamps import TimestampCheck
from keys.tuf_files import ExactName, TrustFileMissing
from schemas.directory import Invitation
from schemas.entries import parse_directory_entry
from schemas.errors import ParseError, Problem, VerificationError
from schemas.limits import OPENINGS_PAGE_MAX
from schemas.receipts import Opening, OpeningsPage

_PROVED_MAX: Final = 4096
"""Trees remembered as proved: under 1 MB; what was forgotten is proved anew."""


class FollowStore(Protocol):
    """Where the owner keeps what was followed; it is verified again at every start."""

    def openings(self) -> Iterable[Opening]:
        """The directory log's openings kept so far, in order."""

    def save(self, openings: Sequence[Opening], checkpoints: dict[str, str]) -> None:
        """Keep further openings and the newest checkpoints (by log), all or nothing."""

    def checkpoint(self, log: str) -> str | None:
        """The newest checkpoint kept of a log."""

    def trust_file(self, name: str) -> bytes | None:
        """A TUF file kept."""

    def save_trust_file(self, name: str, data: bytes) -> None:
        """Keep a TUF file."""


def kept_together(store: FollowStore) -> tuple[str | None, list[Opening]]:
    """The directory log's checkpoint and openings of one moment: its owner may be saving meanwhile."""
    while True:
        text = store.checkpoint("directory")
        openings = list(store.openings())
        if store.checkpoint("directory") == text:
            return text, openings


class Follower:
    """What this party knows of the hub's logs, all of it verified.

    Args:
        invitation: the trust root, the logs' keys, the exchange's name.
        client: calls the hub.
        store: what was kept; replayed here.
        clock: this party's own, by which a timestamp expires.

    Raises:
        VerificationError: the store does not verify; it is not this exchange's, or was altered.
    """

    def __init__(
        self,
        invitation: Invitation,
        client: HubClient,
        store: FollowStore,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._store = store
        # What was found when the hub's timestamp was last looked at.
        self.timestamp: TimestampCheck | None = None
        self._logs = invitation.logs
        self._verifiers = {
            "directory": LogVerifier.from_keys(invitation.logs.directory),
            "exchange": LogVerifier.from_keys(invitation.logs.exchange),
        }
        self.history = DirectoryHistory(
            invitation.exchange, invitation.root, invitation.logs.directory.origin
        )
        self._look = TimestampLook(store, self.history, clock)
        # Folded, but neither kept nor reported yet: a refresh that failed half way goes on from here.
        self._folded: list[Opening] = []
        self._found: list[Finding] = []
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._proved: set[tuple[int, bytes]] = {(0, EMPTY_ROOT)}
        self._heads: dict[str, Checkpoint] = {}
        # As they were signed: one of two heads that belong to no common log is evidence.
        self._texts: dict[str, str] = {}
        kept, openings = kept_together(store)
        for log in LOGS:
            text = kept if log == "directory" else store.checkpoint(log)
            self._texts[log] = text or ""
            if text is None:
                self._heads[log] = Checkpoint(self._verifiers[log].origin, 0, EMPTY_ROOT)
            else:
                self._heads[log] = self._verifiers[log].open(text, both=True)
        for opening in openings:
            self._fold(opening, self._kept_file)
        if self._directory_root() != self.directory_checkpoint.root:
            raise VerificationError("the directory log kept here is not the one that was verified")
        self._quorums = QuorumLook(store, self._verifiers, self.history)

    @property
    def exchange_log(self) -> LogVerifier:
        """Opens checkpoints of the exchange log."""
        return self._verifiers["exchange"]

    @property
    def state(self) -> DirectoryState:
        """The newest directory state."""
        return self.history.newest

    @property
    def witnessed(self) -> Mapping[str, Witnessed]:
        """By log, the newest checkpoint that a quorum of witnesses cosigned; a log without one is missing."""
        return self._quorums.witnessed

    @property
    def is_witnessed(self) -> bool:
        """Whether a quorum of the council's witnesses has cosigned both logs."""
        return len(self.witnessed) == len(LOGS)

    def has_witnessed(self, index: int) -> bool:
        """Whether an entry of the exchange log stands in a tree that a quorum cosigned."""
        found = self.witnessed.get("exchange")
        return found is not None and index < found.checkpoint.size

    @property
    def generation(self) -> int:
        """Of both logs."""
        return self._logs.generation

    def head(self, log: str) -> Checkpoint:
        """The newest verified checkpoint of `directory` or `exchange`."""
        return self._heads[log]

    def open(self, log: str, text: str) -> Checkpoint:
        """Read a checkpoint of a log. Raises Problem: `inclusion` where it is not signed by both its keys."""
        return self._open(log, text)

    async def prove_head(self, log: str, checkpoint: Checkpoint, text: str) -> None:
        """Prove that a checkpoint, no newer than what was followed, is one with a log.

        Args:
            log: `directory` or `exchange`.
            checkpoint: signed by the log.
            text: its note: evidence where it is not.

        Raises:
            Problem: `inconsistent-log` with both checkpoints.
        """
        if log == "exchange" and (checkpoint.size, checkpoint.root) in self._proved:
            return
        try:
            await self._prove(log, checkpoint, self._heads[log])
        except Problem as problem:
            shown = [self._texts[log], text]
            raise Problem(problem.word, problem.detail, checkpoints=shown) from problem

    @property
    def directory_checkpoint(self) -> Checkpoint:
        """The newest verified checkpoint of the directory log."""
        return self._heads["directory"]

    @property
    def exchange_checkpoint(self) -> Checkpoint:
        """The newest verified checkpoint of the exchange log."""
        return self._heads["exchange"]

    async def refresh(self) -> tuple[Finding, ...]:
        """Follow both logs to their newest checkpoints, then look at the hub's timestamp.

        0. Fetch what a quorum of witnesses has cosigned, where the council names witnesses.
        1. Fetch the directory log's checkpoint first, then the exchange log's: no exchange entry
           then names a directory size beyond what is folded here at the next call.
        2. Both are signed with both keys, and extend what was verified before.
        3. Fetch the directory log's new openings; each is the leaf that the tree has.
        4. Fold each into the history, with the trust files that it names.
        5. Each new entry's exchange_log is a tree that the exchange log grew from.
        6. Keep all of it.
        7. What the quorum cosigned is one with both logs, and no older than before; `witnessed` has it.
        8. Look at the timestamp, which changes nothing of all that; `timestamp` says what was found.

        Returns:
            What was found wrong with new entries; the state before them stays in force.

        Raises:
            Problem: `inconsistent-log` with both checkpoints; `inclusion` for openings that the tree
                does not have; what the hub answers.
            HubUnreachable: try again later.
        """
        await self._quorums.fetch(self._client, self.generation)
        await self._follow()
        await self._quorums.heed(self.prove_head)
        await self._look.fetch(self._client)
        check = self._look.judge()
        if check is not None and check.fault in OVERTAKEN:
            # What was published between the two calls is read: one of these it must vouch for.
            await self._follow()
            check = self._look.judge()
        self.timestamp = check or self.timestamp
        found, self._found = tuple(self._found), []
        return found

    async def _follow(self) -> None:
        """Do steps 1 to 6 of `refresh`; what is found wrong waits in `_found`."""
        texts = {log: await self._checkpoint(log) for log in LOGS}
        heads = {log: self._open(log, texts[log]) for log in LOGS}
        for log in reversed(LOGS):
            await self._prove_growth(log, heads[log], texts[log])
        self._move("exchange", heads["exchange"], texts["exchange"])
        openings = await self._new_openings(heads["directory"].size)
        self._check_openings(openings, heads["directory"])
        for opening in openings:
            await self._fold_fetching(opening)
        self._move("directory", heads["directory"], texts["directory"])
        self._store.save(self._folded, dict(self._texts))
        self._folded.clear()

    async def prove_exchange_head(self, checkpoint: Checkpoint) -> None:
        """Prove that a tree of the exchange log is one with the newest verified one.

        Raises:
            Problem: `inconsistent-log`.
        """
        newest = self.exchange_checkpoint
        key = (checkpoint.size, checkpoint.root)
        if key in self._proved or key == (newest.size, newest.root):
            return
        if checkpoint.size > newest.size:
            text = await self._checkpoint("exchange")
            newest = self._open("exchange", text)
            await self._prove_growth("exchange", newest, text)
            self._move("exchange", newest, text)
            self._store.save((), {"exchange": text})
        await self._prove("exchange", checkpoint, newest)

    def _move(self, log: str, head: Checkpoint, text: str) -> None:
        self._heads[log], self._texts[log] = head, text

    async def _checkpoint(self, log: str) -> str:
        try:
            return await self._client.checkpoint(log, self._logs.generation)
        except ParseError as error:
            raise Problem("inclusion", f"the {log} log's checkpoint: {error}") from error

    def _open(self, log: str, text: str) -> Checkpoint:
        try:
            return self._verifiers[log].open(text, both=True)
        except (ParseError, VerificationError) as error:
            raise Problem("inclusion", f"the {log} log's checkpoint: {error}") from error

    async def _prove_growth(self, log: str, new: Checkpoint, text: str) -> None:
        old = self._heads[log]
        try:
            await self._prove(log, old, new)
        except Problem as problem:
            shown = [self._texts[log], text]
            raise Problem(problem.word, problem.detail, checkpoints=shown) from problem

    async def _prove(self, log: str, old: Checkpoint, new: Checkpoint) -> None:
        if old.size > new.size:
            raise Problem("inconsistent-log", f"the {log} log shrank: {old.size} to {new.size}")

        def path(read: HashReader) -> list[bytes]:
            return consistency_path(old.size, new.size, read)

        try:
            proof: list[bytes] = []
            if 0 < old.size < new.size:
                proof = await over_tiles(self._client, log, self._logs.generation, new.size, path)
            verify_consistency(old.size, old.root, new.size, new.root, proof)
        except VerificationError as error:
            detail = f"the {log} log at {new.size} did not grow from what was signed at {old.size}"
            raise Problem("inconsistent-log", detail) from error
        if log == "exchange":
            if len(self._proved) >= _PROVED_MAX:
                self._proved = set()
            self._proved |= {(old.size, old.root), (new.size, new.root)}

    async def _new_openings(self, size: int) -> list[Opening]:
        openings: list[Opening] = []
        start = self.state.size
        while start < size:
            end = min(start + OPENINGS_PAGE_MAX, size)
            page = await self._openings(start, end)
            end = end if page.next is None else page.next
            if [opening.index for opening in page.openings] != list(range(start, end)):
                raise Problem(
                    "inclusion", f"the hub withholds directory entries of {start} to {end}"
                )
            openings += page.openings
            start = end
        return openings

    async def _openings(self, start: int, end: int) -> OpeningsPage:
        try:
            return await self._client.openings("directory", start, end)
        except ParseError as error:
            raise Problem("inclusion", f"the directory entries told: {error}") from error

    def _check_openings(self, openings: Sequence[Opening], head: Checkpoint) -> None:
        # The state holds what an earlier refresh folded, so that new means beyond its size.
        leaves = [leaf_hash(opening.entry) for opening in openings]
        grown = append(self.state.size, self._read_tile, leaves)
        tiles = grown.overlay(self._read_tile)
        if root(grown.new_size, reader_from_tiles(tiles, grown.new_size)) != head.root:
            raise Problem(
                "inclusion", "the directory entries told are not those of the signed tree"
            )

    def _read_tile(self, level: int, index: int) -> bytes:
        return self._tiles.get((level, index), b"")

    def _directory_root(self) -> bytes:
        return root(self.state.size, reader_from_tiles(self._read_tile, self.state.size))

    def _fold(self, opening: Opening, fetch: Callable[[str, int], bytes]) -> tuple[Finding, ...]:
        leaf = leaf_hash(opening.entry)
        found = self.history.apply(
            opening.index, leaf.hex(), opening.entry, opening.statement, fetch
        )
        self._tiles |= append(opening.index, self._read_tile, [leaf]).tiles
        return found

    async def _fold_fetching(self, opening: Opening) -> None:
        await self._prove_exchange_log(opening)
        fetched: dict[str, bytes] = {}
        wanted = ""

        def fetch(name: str, size_bytes_max: int) -> bytes:
            nonlocal wanted
            wanted = name
            return fetched[name] if name in fetched else self._kept_file(name, size_bytes_max)

        found: tuple[Finding, ...] | None = None
        while found is None:
            try:
                found = self._fold(opening, fetch)
            except TrustFileMissing as missing:
                if not wanted or wanted in fetched:
                    # What was served is not what the entry commits to: neither void nor valid.
                    raise Problem("directory-invalid", str(missing)) from missing
                fetched[wanted] = await self._fetch(wanted)
        for name, data in fetched.items():
            before = self._store.trust_file(name)
            if before is not None and before != data:
                # Of a void directory, which is folded anew at every start as well.
                self._store.save_trust_file(f"{name}@{sha256_hex(before)}", before)
            self._store.save_trust_file(name, data)
        self._folded.append(opening)
        self._found += found

    async def _fetch(self, name: str) -> bytes:
        try:
            return await self._client.trust_file(name)
        except TrustFileAbsent as error:
            raise Problem("directory-invalid", f"the hub withholds {name}") from error
        except ParseError as error:
            raise Problem("directory-invalid", f"the hub gives no {name}: {error}") from error

    async def _prove_exchange_log(self, opening: Opening) -> None:
        try:
            told = parse_directory_entry(opening.entry).exchange_log
        except ParseError:
            # It names no tree. That it is not well-formed is found when it is folded, and skips nothing.
            return
        origin = self._verifiers["exchange"].origin
        try:
            head = Checkpoint(origin, told.size, bytes.fromhex(told.root))
        except ParseError as error:
            raise Problem("inconsistent-log", f"entry {opening.index}: {error}") from error
        await self.prove_exchange_head(head)

    def _kept_file(self, name: str, size_bytes_max: int) -> bytes:
        data = self._store.trust_file(name)
        if isinstance(name, ExactName) and (data is None or sha256_hex(data) != name.sha256):
            data = self._store.trust_file(f"{name}@{name.sha256}") or data
        if data is None or len(data) > size_bytes_max:
            raise TrustFileMissing(name)
        return data
