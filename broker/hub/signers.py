"""The hub's keys: those of a generation's two logs, and the online key.

May import `broker.tlog`, `keys`, SQLAlchemy and `schemas`; the ledger signs, `generations` loads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from broker.tlog.note import NoteSigner
from keys.repository import TrustSigner
from schemas.directory import ClosedLogs, LogKeys, Logs


@dataclass(frozen=True, slots=True)
class Signers:
    """The hub's keys: for a generation's two logs, Ed25519 first, then ML-DSA-44; online for TUF's."""

    directory: tuple[NoteSigner, ...]
    exchange: tuple[NoteSigner, ...]
    online: TrustSigner
    generation: int = 1

    @property
    def origins(self) -> tuple[str, str]:
        """Of the directory log, of the exchange log."""
        return self.directory[0].key.name, self.exchange[0].key.name

    def logs(self, previous: tuple[ClosedLogs, ...] = ()) -> Logs:
        """The logs as the council names them, after those that it has closed."""
        return Logs(
            generation=self.generation,
            directory=_log_keys(self.directory),
            exchange=_log_keys(self.exchange),
            previous=previous,
        )


def _log_keys(signers: tuple[NoteSigner, ...]) -> LogKeys:
    ed25519, ml_dsa_44 = signers
    return LogKeys(
        origin=ed25519.key.name, ed25519=ed25519.key.public, ml_dsa_44=ml_dsa_44.key.public
    )


@dataclass(frozen=True, slots=True)
class Closed:
    """The logs of a generation that the council has closed: readable, and signed no more."""

    engine: Engine
    signers: Signers
