"""A quorum of witnesses: a checkpoint counts as witnessed when k of those that the council names cosigned it.

May import `schemas` and `broker.tlog`; pure. Nodes and auditors open what the hub shows, the hub counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median_low
from typing import Self

from broker.tlog.checkpoint import Checkpoint, open_checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureVerifier
from broker.tlog.note import NoteSignature
from broker.tlog.receipt import LogVerifier
from schemas.directory import Council, Witnesses
from schemas.errors import VerificationError


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint with a quorum.

    Args:
        at: UTC: the median time of its cosignatures, so that no minority moves it.
        members: whose witnesses cosigned it, sorted.
        text: the note, with all its lines.
    """

    checkpoint: Checkpoint
    at: datetime
    members: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Quorum:
    """The witnesses of a council: how many must cosign, and each one's verifier by member."""

    threshold: int
    verifiers: Mapping[str, MlDsa44CosignatureVerifier]

    @classmethod
    def of(cls, council: Council) -> Self | None:
        """Load the keys that council.json names; None for a test exchange without witnesses."""
        if not isinstance(council.witnesses, Witnesses):
            return None
        keys = council.witnesses.keys.items()
        return cls(
            council.witnesses.quorum,
            {each: MlDsa44CosignatureVerifier(key.name, key.ml_dsa_44) for each, key in keys},
        )

    def is_of(self, member: str, line: NoteSignature) -> bool:
        """Whether a signature line says that it is of a member's witness; nothing is verified."""
        verifier = self.verifiers.get(member)
        return verifier is not None and (verifier.key.name, verifier.key.key_id) == (
            line.name,
            line.key_id,
        )

    def open(self, text: str, log: LogVerifier) -> Witnessed:
        """Read a checkpoint that is said to be witnessed.

        1. It is signed by both keys of the log.
        2. Every cosignature of a witness that it carries verifies, none twice.
        3. There are k of them.

        Raises:
            ParseError: not a checkpoint.
            VerificationError: another log's, a signature is wrong, or there are fewer than k.
        """
        opened = open_checkpoint(
            text, log.origin, (log.ed25519, log.ml_dsa_44), tuple(self.verifiers.values())
        )
        times = {each.key: each.at for each in opened.signatures if each.at is not None}
        found = {
            member: times[verifier.key]
            for member, verifier in self.verifiers.items()
            if verifier.key in times
        }
        if len(found) < self.threshold:
            raise VerificationError(
                f"{len(found)} witnesses cosigned the checkpoint, of {self.threshold} that must"
            )
        at = datetime.fromtimestamp(median_low(found.values()), UTC)
        return Witnessed(opened.checkpoint, at, tuple(sorted(found)), text)
