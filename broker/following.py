"""Following the hub's two logs without trusting it: growth proved, the directory folded entry by entry.

May import `broker.client`, `broker.tlog`, `keys` and `schemas`; nodes and auditors keep what it verified in a
store of theirs. Nothing that the hub says counts before it is proved here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from broker.client import HubClient, LogClosed
from broker.fetched_tiles import over_tiles
from broker.folding import DirectoryFold
from broker.folding import FollowStore as FollowStore
from broker.quorum_look import LOGS as LOGS
from broker.quorum_look import QuorumLook
from broker.succession import check_succession
from broker.timestamp_look import OVERTAKEN, TimestampLook
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.merkle import EMPTY_ROOT, HashReader, consistency_path
from broker.tlog.proof import verify_consistency
from broker.tlog.quorum import Witnessed
from broker.tlog.receipt import LogVerifier
from keys.history import DirectoryHistory, DirectoryState, Finding
from keys.timestamps import TimestampCheck
from schemas.directory import ClosedLog, Invitation, Logs
from schemas.entries import TreeHead, parse_directory_entry
from schemas.errors import ParseError, Problem, VerificationError
from schemas.receipts import Opening

_PROVED_MAX: Final = 4096
"""Trees remembered as proved: under 1 MB; what was forgotten is proved anew."""


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
        # Dictionaries and history stay the same objects when new logs begin: others look at them too.
        self._logs = invitation.logs
        self._verifiers: dict[str, LogVerifier] = {}
        self._heads: dict[str, Checkpoint] = {}
        # As they were signed: one of two heads that belong to no common log is evidence.
        self._texts: dict[str, str] = {}
        self._proved: set[tuple[int, bytes]] = set()
        self.history = DirectoryHistory(
            invitation.exchange, invitation.root, invitation.logs.first_directory_origin
        )
        self.fold = DirectoryFold(self.history, client, store)
        self._look = TimestampLook(store, self.history, clock)
        # Folded, but neither kept nor reported yet: a refresh that failed half way goes on from here.
        self._folded: list[Opening] = []
        self._found: list[Finding] = []
        self._start_with(invitation.logs)
        kept, openings = kept_together(store)
        for opening in openings:
            begun = self.fold.replay(opening)
            if begun is not None and begun.generation > self._logs.generation:
                self._start_with(begun)
        if self.history.generation == self._logs.generation:
            self._take_up(kept)
        self._quorums = QuorumLook(store, self._verifiers, self.history)

    def _start_with(self, logs: Logs) -> None:
        """Follow these logs from their first entries on."""
        self._logs = logs
        for log, keys in (("directory", logs.directory), ("exchange", logs.exchange)):
            self._verifiers[log] = LogVerifier.from_keys(keys)
            self._heads[log] = Checkpoint(keys.origin, 0, EMPTY_ROOT)
            self._texts[log] = ""
        self._proved = {(0, EMPTY_ROOT)}

    def _take_up(self, kept: str | None) -> None:
        """Go on from the checkpoints that were kept. Raises VerificationError: they are of other logs."""
        for log in LOGS:
            text = kept if log == "directory" else self._store.checkpoint(log)
            if text is not None:
                self._move(log, self._verifiers[log].open(text, both=True), text)
        if self.fold.root() != self.directory_checkpoint.root:
            raise VerificationError("the directory log kept here is not the one that was verified")

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
    def logs(self) -> Logs:
        """Those that are followed."""
        return self._logs

    @property
    def generation(self) -> int:
        """Of both logs."""
        return self._logs.generation

    def text(self, log: str) -> str:
        """The note of the newest verified checkpoint, with both signature lines."""
        return self._texts[log]

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
        while self.history.generation < self._logs.generation:
            await self._read_closed()
        try:
            texts = {log: await self._checkpoint(log) for log in LOGS}
        except LogClosed:
            await self._succeed()
            await self._follow()
            return
        await self._grow(texts)

    async def _grow(self, texts: dict[str, str]) -> None:
        heads = {log: self._open(log, texts[log]) for log in texts}
        for log in reversed(heads):
            await self._prove_growth(log, heads[log], texts[log])
        if "exchange" in heads:
            self._move("exchange", heads["exchange"], texts["exchange"])
        openings = await self.fold.new_openings(heads["directory"].size)
        self.fold.check(openings, heads["directory"].root)
        for opening in openings:
            await self._prove_exchange_log(opening)
            await self._keep_folding(opening)
        self._move("directory", heads["directory"], texts["directory"])
        self._keep()

    async def _keep_folding(self, opening: Opening) -> None:
        self._found += await self.fold.fold(opening)
        self._folded.append(opening)

    def _keep(self) -> None:
        texts = {log: text for log, text in self._texts.items() if text}
        self._store.save(self._folded, texts, self.history.generation)
        self._folded.clear()

    async def _succeed(self) -> None:
        """Go on with the logs that the council named in place of those that are followed.

        1. The closed directory log is read to its end. The closed exchange log may have lost entries: it is
           followed as far as it goes on.
        2. The first entry of the new directory log brings a directory that k of n governors signed, and that
           follows the one in force; its council names the new logs.
        3. They follow those that were followed (`check_succession`); where the hub still has the closed
           exchange log up to its end, that is one with what was followed.

        Raises:
            Problem: `inconsistent-log`: the old logs are not followed any more, and the new ones not yet.
        """
        texts = {log: await self._closed_checkpoint(log) for log in LOGS}
        kept = self._open("exchange", texts["exchange"])
        if kept.size < self.exchange_checkpoint.size:
            await self._grow({"directory": texts["directory"]})
        else:
            await self._grow(texts)
        logs = await self.fold.next_logs()
        newest = self.exchange_checkpoint
        own = TreeHead(size=newest.size, root=newest.root.hex())
        closed = check_succession(self._logs, logs, self.fold.tree, own, self._witnessed_size())
        if max(closed.exchange.size, newest.size) <= kept.size:
            # Nothing is lost: whatever else ended there would be another log.
            end = _checkpoint_of(closed.exchange)
            await self._prove("exchange", *sorted((newest, end), key=lambda head: head.size))
        self.fold.begin(logs)
        self._start_with(logs)
        self._quorums.begin()

    def _witnessed_size(self) -> int:
        """Entries of the followed exchange log that a quorum cosigned, or that this party cosigned itself."""
        found = self.witnessed.get("exchange")
        text = self._store.checkpoint(cosigned_name("exchange", self.generation))
        own = 0 if text is None else self._open("exchange", text).size
        return max(own, 0 if found is None else found.checkpoint.size)

    async def _read_closed(self) -> None:
        """Read a directory log that was closed before this party came, up to its end."""
        closed = self._logs.previous[self.history.generation - 1].directory
        openings = await self.fold.new_openings(closed.size)
        self.fold.check(openings, bytes.fromhex(closed.root))
        for opening in openings:
            await self._keep_folding(opening)
        self._keep()
        logs = await self.fold.next_logs()
        if self._logs.previous[: len(logs.previous)] != logs.previous:
            raise Problem(
                "inconsistent-log", "a closed log ended otherwise than the invitation says"
            )
        self.fold.begin(logs)

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

    async def _closed_checkpoint(self, log: str) -> str:
        try:
            return await self._checkpoint(log)
        except LogClosed as closed:
            return closed.note

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


def cosigned_name(log: str, generation: int) -> str:
    """Under which name the store keeps what this party cosigned last of a log, where it is a witness."""
    return f"{log} cosigned" if generation == 1 else f"{log} {generation} cosigned"


def _checkpoint_of(closed: ClosedLog) -> Checkpoint:
    return Checkpoint(closed.origin, closed.size, bytes.fromhex(closed.root))
