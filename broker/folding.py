"""Folding the directory log into its history: entries held against the tree, with the files that they name.

May import `broker.client`, `broker.tlog`, `keys` and `schemas`; `following` says which entries come next.
Files are fetched as an entry asks for them, and kept once it is folded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from broker.client import HubClient, TrustFileAbsent
from broker.tlog.merkle import consistency_path, inclusion_path, leaf_hash, root
from broker.tlog.tiles import append, reader_from_tiles
from keys.derivation import sha256_hex
from keys.history import DirectoryHistory, Finding
from keys.tuf_files import Fetch, TrustFileMissing, pick
from schemas.directory import Logs
from schemas.entries import DirectoryPublished, TreeHead, parse_directory_entry
from schemas.errors import ParseError, Problem, VerificationError
from schemas.limits import OPENINGS_PAGE_MAX
from schemas.receipts import Opening, OpeningsPage

T = TypeVar("T")


class FollowStore(Protocol):
    """Where the owner keeps what was followed; it is verified again at every start."""

    def openings(self) -> Iterable[Opening]:
        """The openings kept so far of every directory log, in order: each log begins at the index 0."""

    def save(
        self, openings: Sequence[Opening], checkpoints: dict[str, str], generation: int = 1
    ) -> None:
        """Keep further openings of a generation, and the newest checkpoints (by log), all or nothing."""

    def checkpoint(self, log: str) -> str | None:
        """The newest checkpoint kept of a log."""

    def trust_file(self, name: str) -> bytes | None:
        """A TUF file kept."""

    def save_trust_file(self, name: str, data: bytes) -> None:
        """Keep a TUF file."""


class DirectoryFold:
    """The directory log as far as it was read: its tree and its history.

    Args:
        history: empty.
        client: fetches files.
        store: where files are kept.
    """

    def __init__(self, history: DirectoryHistory, client: HubClient, store: FollowStore) -> None:
        self.history = history
        self._client = client
        self._store = store
        self._tiles: dict[tuple[int, int], bytes] = {}

    def root(self) -> bytes:
        """The root, 32 bytes, of the entries that were folded."""
        return root(self.history.size, reader_from_tiles(self._read_tile, self.history.size))

    def path(self, index: int, size: int) -> tuple[bytes, ...]:
        """The inclusion path of an entry in the tree of the first `size` entries that were folded."""
        return tuple(inclusion_path(index, size, reader_from_tiles(self._read_tile, size)))

    def growth(self, old_size: int, size: int) -> tuple[bytes, ...]:
        """The consistency path between two trees of entries that were folded."""
        read = reader_from_tiles(self._read_tile, size)
        return tuple(consistency_path(old_size, size, read))

    @property
    def tree(self) -> TreeHead:
        """Size and root of the entries that were folded."""
        return TreeHead(size=self.history.size, root=self.root().hex())

    def check(self, openings: Sequence[Opening], signed: bytes) -> None:
        """Check that the entries which follow make a tree with a root that was signed.

        Raises:
            Problem: `inclusion`.
        """
        leaves = [leaf_hash(opening.entry) for opening in openings]
        grown = append(self.history.size, self._read_tile, leaves)
        tiles = grown.overlay(self._read_tile)
        if root(grown.new_size, reader_from_tiles(tiles, grown.new_size)) != signed:
            raise Problem(
                "inclusion", "the directory entries told are not those of the signed tree"
            )

    def replay(self, opening: Opening) -> Logs | None:
        """Fold an opening that was kept, with the files that were kept.

        Returns:
            The logs that it begins, where it is the first of a generation that follows another.
        """
        begun = None
        if opening.index == 0 and self.history.size:
            begun = self._logs_begun_by(opening, self._kept_file)
            self.begin(begun)
        self._fold(opening, self._kept_file)
        return begun

    async def fold(self, opening: Opening) -> tuple[Finding, ...]:
        """Fold the next entry, which the tree has, and keep the files that it names.

        Raises:
            Problem: `directory-invalid`: the hub holds back what the entry commits to.
        """
        return await self._fetching(lambda fetch: self._fold(opening, fetch))

    async def new_openings(self, size: int) -> list[Opening]:
        """Fetch the entries that follow, up to a size; they are checked against no tree yet.

        Raises:
            Problem: `inclusion`: the hub withholds some.
        """
        openings: list[Opening] = []
        start = self.history.size
        while start < size:
            end = min(start + OPENINGS_PAGE_MAX, size)
            page = await self._openings(start, end, self.history.generation)
            end = end if page.next is None else page.next
            if [opening.index for opening in page.openings] != list(range(start, end)):
                raise Problem(
                    "inclusion", f"the hub withholds directory entries of {start} to {end}"
                )
            openings += page.openings
            start = end
        return openings

    async def next_logs(self) -> Logs:
        """Read which logs the council begins after the log that was read to its end; nothing changes here.

        Raises:
            Problem: `inclusion`: the hub withholds the first entry of the new directory log;
                `directory-invalid`: that is no directory which k of n governors signed and which follows the
                one in force.
        """
        page = await self._openings(0, 1, self.history.generation + 1)
        if [opening.index for opening in page.openings] != [0]:
            raise Problem("inclusion", "the hub withholds the first entry of the new directory log")
        return await self._fetching(lambda fetch: self._logs_begun_by(page.openings[0], fetch))

    async def _openings(self, start: int, end: int, generation: int) -> OpeningsPage:
        try:
            return await self._client.openings("directory", start, end, generation)
        except ParseError as error:
            raise Problem("inclusion", f"the directory entries told: {error}") from error

    def begin(self, logs: Logs) -> None:
        """Go on with the first entry of a new directory log."""
        self.history.begin(logs.directory.origin)
        self._tiles = {}

    def _logs_begun_by(self, opening: Opening, fetch: Fetch) -> Logs:
        try:
            entry = parse_directory_entry(opening.entry)
            if not isinstance(entry, DirectoryPublished):
                raise ParseError("it publishes no directory")
            return self.history.successor(entry.root, entry.snapshot, fetch).council.logs
        except TrustFileMissing:
            raise
        except (ParseError, VerificationError) as error:
            detail = f"the first entry of the new directory log: {error}"
            raise Problem("directory-invalid", detail) from error

    def _read_tile(self, level: int, index: int) -> bytes:
        return self._tiles.get((level, index), b"")

    def _fold(self, opening: Opening, fetch: Fetch) -> tuple[Finding, ...]:
        leaf = leaf_hash(opening.entry)
        found = self.history.apply(
            opening.index, leaf.hex(), opening.entry, opening.statement, fetch
        )
        self._tiles |= append(opening.index, self._read_tile, [leaf]).tiles
        return found

    async def _fetching(self, judge: Callable[[Fetch], T]) -> T:
        """Judge something, from its start until every file that it asks for is there; then keep them."""
        fetched: dict[str, bytes] = {}
        wanted = ""

        def fetch(name: str, size_bytes_max: int) -> bytes:
            nonlocal wanted
            wanted = name
            return fetched[name] if name in fetched else self._kept_file(name, size_bytes_max)

        while True:
            try:
                judged = judge(fetch)
            except TrustFileMissing as missing:
                if not wanted or wanted in fetched:
                    # What was served is not what the entry commits to: neither void nor valid.
                    raise Problem("directory-invalid", str(missing)) from missing
                fetched[wanted] = await self._fetch(wanted)
            else:
                self._keep_files(fetched)
                return judged

    def _keep_files(self, fetched: Mapping[str, bytes]) -> None:
        for name, data in fetched.items():
            before = self._store.trust_file(name)
            if before is not None and before != data:
                # Of a void directory, which is folded anew at every start as well.
                self._store.save_trust_file(f"{name}@{sha256_hex(before)}", before)
            self._store.save_trust_file(name, data)

    async def _fetch(self, name: str) -> bytes:
        try:
            return await self._client.trust_file(name)
        except TrustFileAbsent as error:
            raise Problem("directory-invalid", f"the hub withholds {name}") from error
        except ParseError as error:
            raise Problem("directory-invalid", f"the hub gives no {name}: {error}") from error

    def _kept_file(self, name: str, size_bytes_max: int) -> bytes:
        return pick(self._store.trust_file, name, size_bytes_max)
