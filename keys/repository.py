"""Making TUF files: trust keys, and root, targets, members', snapshot and timestamp metadata.

May import `schemas`, `keys.trust`, tuf and securesystemslib; does no I/O. `keys.ceremony` makes whole
repositories with it, members and hub their own next versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    T,
    TargetFile,
    Targets,
    Timestamp,
)

from keys.directory import MEMBER_ROLE_PREFIX, PURGES_PATH, Delegation
from keys.trust import CASES_PATH, COUNCIL_PATHS, member_path
from keys.tuf_files import check_tuf_keys, metadata_name, target_name
from schemas.directory import Council, MemberFile
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.limits import GOVERNORS_MAX
from schemas.loader import dump_json
from schemas.purges import PurgeOrder, PurgeOrders

SEED_BYTES: Final = 32
TIMESTAMP_NAME: Final = "metadata/timestamp.json"


class TrustSigner(CryptoSigner):
    """An Ed25519 key that signs TUF metadata: a governor's, a member's, or the hub's online key.

    Governors may bring any other signer of securesystemslib whose keys are Ed25519 or ML-DSA.
    """

    @classmethod
    def generate(cls) -> Self:
        """Draw a new key from the library's generator."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Load a key from its seed of 32 bytes.

        Raises:
            ParseError: another size.
        """
        if len(seed) != SEED_BYTES:
            raise ParseError(f"the seed of a trust key has {SEED_BYTES} bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def seed(self) -> bytes:
        """The secret to keep: 32 bytes."""
        # The library's type covers every kind of private key; this class makes Ed25519 keys alone.
        raw: bytes = self._private_key.private_bytes_raw()  # type: ignore[union-attr]
        return raw

    @property
    def public(self) -> bytes:
        """The raw public key: 32 bytes."""
        return bytes.fromhex(self.public_key.keyval["public"])


def online_signer(seed: bytes) -> TrustSigner:
    """Load the hub's online key from its seed of 32 bytes. Raises ParseError."""
    return TrustSigner.from_seed(seed)


def tuf_key(public: bytes) -> Key:
    """The TUF form of a raw Ed25519 public key, 32 bytes."""
    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(public))


@dataclass(frozen=True, slots=True)
class Governance:
    """The governors: all their public keys, how many must sign, and those who sign now."""

    keys: tuple[Key, ...]
    threshold: int
    signers: tuple[Signer, ...]

    def __post_init__(self) -> None:
        known = {key.keyid for key in self.keys}
        present = {signer.public_key.keyid for signer in self.signers}
        if not 1 <= self.threshold <= len(self.keys) <= GOVERNORS_MAX:
            raise ConfigurationError(
                f"of {len(self.keys)} governors {self.threshold} cannot sign: choose another threshold"
            )
        if not present <= known or len(present) < self.threshold:
            raise ConfigurationError(
                f"{len(present & known)} governors are here; {self.threshold} must sign"
            )
        try:
            check_tuf_keys(self.keys)
        except VerificationError as error:
            raise ConfigurationError(f"the governors' keys are not right: {error}") from error


@dataclass(frozen=True, slots=True)
class CouncilFiles:
    """What the governors sign besides the members' keys."""

    council: Council
    policy_text: str
    schema_text: str
    cases_text: str = ""
    """The table of cases by which the governors read the rules; none where it is empty."""
    purges: tuple[PurgeOrder, ...] = ()
    """Every order to destroy an opening: those in force, and those that are to be."""

    def targets(self) -> dict[str, bytes]:
        """The target files by their path."""
        texts = (dump_json(self.council), self.policy_text.encode(), self.schema_text.encode())
        found = dict(zip(COUNCIL_PATHS, texts, strict=True))
        if self.cases_text:
            found[CASES_PATH] = self.cases_text.encode()
        if self.purges:
            orders = PurgeOrders(v=1, exchange=self.council.exchange, orders=self.purges)
            found[PURGES_PATH] = dump_json(orders)
        return found


def sign_root(
    version: int,
    governance: Governance,
    online: bytes,
    expires: datetime,
    predecessors: Sequence[Signer] = (),
) -> dict[str, bytes]:
    """Make root metadata: who may sign root and targets (k of n), and the hub's online key.

    Args:
        version: 1, or that of the root before plus 1.
        governance: the governors from now on.
        online: the hub's raw Ed25519 key, 32 bytes.
        expires: UTC, whole seconds.
        predecessors: a threshold of the governors before, where they changed.
    """
    root = make_root(version, governance.keys, governance.threshold, tuf_key(online), expires)
    signers = {s.public_key.keyid: s for s in (*governance.signers, *predecessors)}
    return {metadata_name("root", version): signed(root, tuple(signers.values()))}


def make_root(
    version: int, governors: Sequence[Key], threshold: int, online: Key, expires: datetime
) -> Root:
    """Write down who signs: `threshold` of the governors root and targets, the hub the rest."""
    council = Role([key.keyid for key in governors], threshold)
    machine = Role([online.keyid], 1)
    return Root(
        version=version,
        expires=expires,
        keys={key.keyid: key for key in (*governors, online)},
        roles={"root": council, "targets": council, "snapshot": machine, "timestamp": machine},
    )


def sign_targets(
    version: int,
    files: CouncilFiles,
    member_keys: Mapping[str, Sequence[Key]],
    signers: Sequence[Signer],
    expires: datetime,
) -> dict[str, bytes]:
    """Make targets metadata with its three files, and one delegation a member.

    Args:
        version: 1, or that of the targets before plus 1.
        files: council and access rules.
        member_keys: member → the keys that must all sign its file.
        signers: k governors.
        expires: UTC, whole seconds.
    """
    delegations = {member: delegation(member, keys) for member, keys in member_keys.items()}
    targets = make_targets(version, files, delegations, expires)
    metadata = {metadata_name("targets", version): signed(targets, signers)}
    return metadata | named(targets, files.targets())


def make_targets(
    version: int, files: CouncilFiles, delegations: Mapping[str, Delegation], expires: datetime
) -> Targets:
    """Write down council, access rules, and whose keys speak for which member."""
    keys = {keyid: key for each in delegations.values() for keyid, key in each.keys.items()}
    return Targets(
        version=version,
        expires=expires,
        targets={p: TargetFile.from_data(p, data) for p, data in files.targets().items()},
        delegations=Delegations(
            keys, {MEMBER_ROLE_PREFIX + m: each.role for m, each in delegations.items()}
        ),
    )


def delegation(member: str, keys: Sequence[Key], threshold: int | None = None) -> Delegation:
    """The role by which `threshold` of a member's keys, or all of them, speak for its one file."""
    keyids = [key.keyid for key in keys]
    name, paths = MEMBER_ROLE_PREFIX + member, [member_path(member)]
    role = DelegatedRole(name, keyids, threshold or len(keyids), terminating=True, paths=paths)
    return Delegation(role, {key.keyid: key for key in keys})


def sign_member(
    version: int, file: MemberFile, signers: Sequence[Signer], expires: datetime
) -> dict[str, bytes]:
    """Make a member's metadata with its file.

    Args:
        version: 1, or that of the member's metadata before plus 1.
        file: its desks and keys.
        signers: all the member's keys.
        expires: UTC, whole seconds; from then on none of the file's keys counts.
    """
    targets = make_member(version, file, expires)
    metadata = {metadata_name(MEMBER_ROLE_PREFIX + file.member, version): signed(targets, signers)}
    return metadata | named(targets, {member_path(file.member): dump_json(file)})


def make_member(version: int, file: MemberFile, expires: datetime) -> Targets:
    """Write down a member's file: its desks and keys."""
    path = member_path(file.member)
    listed = {path: TargetFile.from_data(path, dump_json(file))}
    return Targets(version=version, expires=expires, targets=listed)


def sign_snapshot(
    files: Mapping[str, bytes], signer: Signer, version: int, expires: datetime
) -> tuple[str, bytes]:
    """Make snapshot metadata over the newest version of each targets metadata among the files.

    Args:
        files: name under `/v1/trust/` → bytes; others than targets metadata are passed over.
        signer: the hub's online key.
        version: 1, or that of the snapshot before plus 1.
        expires: UTC, whole seconds.

    Returns:
        Its name and bytes. Each file is listed with its length and SHA-256, else readers refuse it.
    """
    newest: dict[str, tuple[int, bytes]] = {}
    for name, data in files.items():
        number, _, role = name.removeprefix("metadata/").removesuffix(".json").partition(".")
        if name.startswith("metadata/") and number.isdecimal() and _is_targets(role):
            newest[role] = max(newest.get(role, (0, b"")), (int(number), data))
    meta = {
        f"{role}.json": MetaFile.from_data(number, data, ["sha256"])
        for role, (number, data) in sorted(newest.items())
    }
    snapshot = Snapshot(version=version, expires=expires, meta=meta)
    return metadata_name("snapshot", version), signed(snapshot, [signer])


def _is_targets(role: str) -> bool:
    return role == "targets" or role.startswith(MEMBER_ROLE_PREFIX)


def sign_timestamp(
    snapshot: bytes,
    signer: Signer,
    version: int,
    expires: datetime,
    snapshot_version: int | None = None,
) -> tuple[str, bytes]:
    """Make timestamp metadata, for TUF's own tools: Barid is bound by the directory log instead.

    Args:
        snapshot: the exact bytes of the newest snapshot.
        signer: the hub's online key.
        version: of the timestamp.
        expires: UTC, whole seconds.
        snapshot_version: of the snapshot; by default the timestamp's.

    Returns:
        Its name and bytes.
    """
    meta = MetaFile.from_data(snapshot_version or version, snapshot, ["sha256"])
    timestamp = Timestamp(version=version, expires=expires, snapshot_meta=meta)
    return TIMESTAMP_NAME, signed(timestamp, [signer])


def named(targets: Targets, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Give target files, by path, the names that they have under `/v1/trust/`."""
    return {
        target_name(path, listed.hashes["sha256"]): contents[path]
        for path, listed in targets.targets.items()
    }


def signed(payload: T, signers: Sequence[Signer]) -> bytes:
    """Write TUF metadata with everyone's signature. Raises ConfigurationError if a key does not sign."""
    metadata = Metadata(payload)
    for signer in signers:
        try:
            metadata.sign(signer, append=True)
        except UnsignedMetadataError as error:
            raise ConfigurationError(
                f"the key {signer.public_key.keyid} does not sign: {error}"
            ) from error
    return metadata.to_bytes()
