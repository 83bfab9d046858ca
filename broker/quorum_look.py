"""Looking at what witnesses cosigned: fetched before the logs are followed, heeded once it is one with them.

May import `broker.client`, `broker.tlog`, `keys` and `schemas`; `following` asks it. What no quorum of the
council in force has cosigned counts as nothing: what was witnessed before grows old, and that is seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from broker.client import HubClient
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.quorum import Quorum, Witnessed
from broker.tlog.receipt import LogVerifier
from keys.derivation import sha256_hex
from keys.history import DirectoryHistory
from schemas.errors import ParseError, Problem, VerificationError
from schemas.receipts import Opening

Prove = Callable[[str, Checkpoint, str], Awaitable[None]]
"""Proves that a checkpoint of a log, whose note is the text, is one with what is followed."""

LOGS: Final = ("directory", "exchange")


class Checkpoints(Protocol):
    """Where verified checkpoints are kept, by name."""

    def checkpoint(self, log: str) -> str | None:
        """The newest checkpoint kept under a name."""

    def save(
        self, openings: Sequence[Opening], checkpoints: dict[str, str], generation: int = 1
    ) -> None:
        """Keep checkpoints by name."""


class QuorumLook:
    """What a quorum of witnesses cosigned, by log, as far as it was proved here.

    Args:
        store: where it is kept over a restart.
        verifiers: of both logs.
        history: of the directory log, whose council names the witnesses.
    """

    def __init__(
        self, store: Checkpoints, verifiers: Mapping[str, LogVerifier], history: DirectoryHistory
    ) -> None:
        self._store = store
        self._verifiers = verifiers
        self._history = history
        self._loaded: tuple[object, Quorum | None] | None = None
        self._shown: dict[str, str] = {}
        self.witnessed: dict[str, Witnessed] = {}
        for log in LOGS:
            text = store.checkpoint(_name(log))
            found = None if text is None else self._open(log, text)
            if found is not None:
                self.witnessed[log] = found

    def begin(self) -> None:
        """Forget the logs that were followed: new ones have begun, of which nothing is witnessed yet."""
        self._shown.clear()
        self.witnessed.clear()

    async def fetch(self, client: HubClient, generation: int) -> None:
        """Fetch what the hub shows as witnessed; the logs that are followed next are at least as long."""
        self._shown = {}
        for log in LOGS if self._quorum() is not None else ():
            known = self.witnessed.get(log)
            sha256 = "" if known is None else sha256_hex(known.text.encode())
            try:
                text = await client.witnessed(log, generation, sha256)
            except (Problem, ParseError):
                # None yet, or none that is shown.
                continue
            if text is not None:
                self._shown[log] = text

    async def heed(self, prove: Prove) -> None:
        """Take what was fetched, where a quorum cosigned it and it is no older than what was known.

        Raises:
            Problem: `inconsistent-log`: the witnesses cosigned another log than the one that is followed.
        """
        for log, text in self._shown.items():
            known = self.witnessed.get(log)
            if known is not None and known.text == text:
                continue
            new = self._open(log, text)
            if new is None:
                continue
            await prove(log, new.checkpoint, text)
            if known is None or new.checkpoint.size >= known.checkpoint.size:
                self.witnessed[log] = new
                self._store.save((), {_name(log): text})

    def _quorum(self) -> Quorum | None:
        directory = self._history.newest.directory
        if directory is None:
            return None
        if self._loaded is None or self._loaded[0] != directory.council.witnesses:
            self._loaded = (directory.council.witnesses, Quorum.of(directory.council))
        return self._loaded[1]

    def _open(self, log: str, text: str) -> Witnessed | None:
        """Read what a quorum of the council in force cosigned; None where there is no such quorum on it."""
        quorum = self._quorum()
        try:
            return None if quorum is None else quorum.open(text, self._verifiers[log])
        except (ParseError, VerificationError):
            # The council may have named other witnesses meanwhile; there will be a quorum of theirs soon.
            return None


def _name(log: str) -> str:
    return f"{log} witnessed"
