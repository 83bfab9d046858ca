"""What the hub signed: the newest checkpoints of both logs, read at one moment.

May import `broker.tlog`, `broker.client` and the auditor's own rooms; `verify` begins with it, and evidence
compares what it read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from broker.audit.reading import LogSource, ask
from broker.audit.rules import Findings, LogName
from broker.client import LogClosed
from broker.tlog.checkpoint import Checkpoint, parse_checkpoint_text
from broker.tlog.note import parse_note
from broker.tlog.receipt import LogVerifier
from schemas.errors import HubUnreachable, ParseError, VerificationError

_TRIES_MAX: Final = 8
"""Tries to see both logs at one moment; the directory log moves a few times a day."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint whose signatures verified, and its text."""

    checkpoint: Checkpoint
    text: str

    @classmethod
    def of(cls, text: str) -> Signed:
        """Of a note that verified before."""
        return cls(parse_checkpoint_text(parse_note(text).text), text)


@dataclass
class Look:
    """One look at the checkpoints of a generation.

    Args:
        source: the hub.
        verifiers: the keys of both logs.
        generation: of the logs.
        findings: where what does not verify goes.
    """

    source: LogSource
    verifiers: Mapping[LogName, LogVerifier]
    generation: int
    findings: Findings
    is_closed: bool = False
    """Whether the hub says that these logs are closed."""
    texts: dict[LogName, list[str]] = field(default_factory=dict)
    """By log, every note that was shown and verified."""

    async def both(self) -> tuple[Signed | None, Signed | None]:
        """Both checkpoints of one moment: the directory log did not move around the exchange log's.

        So no entry of either names more of the other than is audited here, and what is logged later
        names at least this much.

        Returns:
            Directory and exchange; None for one that does not verify, which is reported.

        Raises:
            HubUnreachable: it does not answer, or publishes without end.
        """
        for _ in range(_TRIES_MAX):
            before = await self._one("directory")
            exchange = await self._one("exchange")
            if before is None or exchange is None:
                return before, exchange
            after = await self._one("directory")
            if after is None or before.checkpoint.size == after.checkpoint.size:
                if after is not None and before.checkpoint.root != after.checkpoint.root:
                    detail = f"two roots were signed for {after.checkpoint.size} entries"
                    self.findings.add("directory", None, "log-forked", detail)
                return after, exchange
        raise HubUnreachable("the directory log did not rest long enough to be audited")

    async def _one(self, log: LogName) -> Signed | None:
        try:
            note = await ask(self.source.checkpoint(log, self.generation))
        except LogClosed as closed:
            note, self.is_closed = closed.note, True
        try:
            if note is None:
                raise ParseError("the hub serves none")
            signed = Signed(self.verifiers[log].open(note, both=True), note)
        except (ParseError, VerificationError) as error:
            self.findings.add(log, None, "checkpoint", str(error))
            return None
        self.texts.setdefault(log, []).append(note)
        return signed
