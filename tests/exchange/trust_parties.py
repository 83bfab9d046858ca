"""The parties of the exchange in memory: a desk's private keys, a log's, and what was logged.

`tests.exchange.trust_world` makes an exchange of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import nacl.utils
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from nacl.signing import SigningKey

from keys.derivation import sha256_hex
from keys.signing import RequestSigningKey, SigningIdentity
from schemas.bulletin.vocabularies import Topic
from schemas.directory import Desk, LogKeys, Names, Profile
from schemas.statements import Statement


@dataclass(frozen=True)
class DeskSecrets:
    """The private keys of one desk; an auditor's desk has no node identity."""

    request: RequestSigningKey
    node: SigningIdentity | None
    release: tuple[SigningIdentity, ...] = ()

    def declare(self, desk: str, release_threshold: int = 0) -> Desk:
        """What the member's file says of it."""
        return Desk(
            names=Names(ar=desk, fr=desk, en=desk),
            request=self.request.public,
            node=self.node.public if self.node else None,
            release=tuple(identity.public for identity in self.release),
            release_threshold=release_threshold,
            bulletin_versions=(1,),
            profile=Profile(topics=(Topic.TERRORISM,), area=("LY",)),
        )


@dataclass(frozen=True)
class LogSecrets:
    """Seeds of one log's pair of keys, 32 bytes each."""

    origin: str
    ed25519: bytes
    ml_dsa_44: bytes

    @classmethod
    def generate(cls, origin: str) -> LogSecrets:
        """Draw a pair."""
        return cls(origin, nacl.utils.random(32), nacl.utils.random(32))

    @property
    def public(self) -> LogKeys:
        """What council.json says of it."""
        ml_dsa = MLDSA44PrivateKey.from_seed_bytes(self.ml_dsa_44)
        return LogKeys(
            origin=self.origin,
            ed25519=bytes(SigningKey(self.ed25519).verify_key),
            ml_dsa_44=ml_dsa.public_key().public_bytes_raw(),
        )


@dataclass(frozen=True)
class Logged:
    """One entry of the directory log, with the statement where one was signed."""

    data: bytes
    statement: Statement | None = None

    @property
    def leaf(self) -> str:
        """The RFC 6962 leaf hash, hex."""
        return sha256_hex(b"\x00", self.data)


@dataclass
class Versions:
    """The newest version of each kind of file that was signed."""

    root: int = 1
    targets: int = 1
    snapshot: int = 0
    members: dict[str, int] = field(default_factory=dict)
