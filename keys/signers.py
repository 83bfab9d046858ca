"""Who signed a TUF file: the keys whose signatures on it verify, and whose keys they are.

May import `keys.directory`, tuf and securesystemslib; pure. People read it in `barid trust status` and in an
audit; whether enough signed was decided when the directory was verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError, SerializationError

from keys.directory import MEMBER_ROLE_PREFIX, CouncilPart, Directory
from schemas.errors import VerificationError

_COUNCIL_ROLES: Final = frozenset({"root", "targets"})


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signed; `member` holds it: by council.json for a governor's; None where it does not say."""

    keyid: str
    member: str | None


@dataclass(frozen=True, slots=True)
class SignedFile:
    """Who signed one file, of the keys that one directory lists for it.

    Args:
        role: `root`, `targets` or `member-xx`.
        under: whether the keys are those of the directory before, or of the one that the file belongs to.
            A new root is signed under both.
        signers: whose signatures verify, by keyid.
        threshold: how many must sign.
        key_count: how many keys are listed.
    """

    role: str
    under: Literal["before", "after"]
    signers: tuple[Signer, ...]
    threshold: int
    key_count: int

    @property
    def names(self) -> tuple[str, ...]:
        """The holders, sorted; the keyid where nobody is said to hold the key."""
        return tuple(sorted(signer.member or signer.keyid for signer in self.signers))


def signers_of(data: bytes, keys: Mapping[str, Key]) -> tuple[str, ...]:
    """Find which keys signed some metadata.

    Args:
        data: the exact bytes of the metadata.
        keys: keyid → key, of those who might have.

    Returns:
        The keyids whose signatures verify, sorted.

    Raises:
        VerificationError: it is no TUF metadata.
    """
    try:
        metadata: Metadata[Any] = Metadata[Any].from_bytes(data)
        message = metadata.signed_bytes
    except (DeserializationError, SerializationError) as error:
        raise VerificationError(f"this is no TUF metadata: {error}") from error
    found = []
    for keyid, key in sorted(keys.items()):
        signature = metadata.signatures.get(keyid)
        if signature is None:
            continue
        try:
            key.verify_signature(signature, message)
        except UnverifiedSignatureError:
            continue
        found.append(keyid)
    return tuple(found)


def who_signed(
    role: str, data: bytes, before: Directory | None, after: Directory
) -> tuple[SignedFile, ...]:
    """Say who signed a file that came into force: under its own directory; a new root also under the old.

    Args:
        role: `root`, `targets`, or the `member-xx` of a file in `after`.
        data: the exact bytes of its metadata.
        before: the directory that it replaced; None for a first one.
        after: the directory that it belongs to.

    Raises:
        VerificationError: it is no TUF metadata, or of no such role.
    """
    new = after.council_part
    own = _signed(role, data, "after", after.root, new, before.council_part if before else None)
    if role != Root.type or before is None:
        return (own,)
    return (_signed(role, data, "before", before.root, before.council_part, new), own)


def who_tried(role: str, data: bytes, root: Root, council: CouncilPart | None) -> SignedFile:
    """Say who of those who count signed a file that did not come into force.

    Args:
        role: `root`, `targets` or `member-xx`.
        data: the exact bytes that were served for it.
        root: the one in force, or the trust root.
        council: the one in force; None before the first.

    Raises:
        VerificationError: it is no TUF metadata, or nothing is delegated to such a role.
    """
    return _signed(role, data, "before", root, council, None)


def _signed(
    role: str,
    data: bytes,
    under: Literal["before", "after"],
    root: Root,
    council: CouncilPart | None,
    other: CouncilPart | None,
) -> SignedFile:
    """Count a file's signatures; `other` says whose a governor's key is where `council` does not."""
    holders: dict[str, str] = {}
    if role in _COUNCIL_ROLES:
        listed = root.roles[role]
        keyids, threshold, known = listed.keyids, listed.threshold, root.keys
        for part in (other, council):
            holders |= part.council.governors if part else {}
    else:
        member = role.removeprefix(MEMBER_ROLE_PREFIX)
        delegation = council.delegations.get(member) if council and member != role else None
        if delegation is None:
            raise VerificationError(f"nothing is delegated to the role {role[:64]!r}")
        keyids, threshold = delegation.role.keyids, delegation.role.threshold
        known = dict(delegation.keys)
        holders = dict.fromkeys(keyids, member)
    keys = {keyid: known[keyid] for keyid in keyids if keyid in known}
    signers = tuple(Signer(keyid, holders.get(keyid)) for keyid in signers_of(data, keys))
    return SignedFile(role, under, signers, threshold, len(keyids))
